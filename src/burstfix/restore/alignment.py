"""From decoded frames to an aligned burst: choose the reference, align, match exposure."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from burstfix.align.exposure import exposure_gain
from burstfix.align.homography import Alignment, align_burst, closer_reduction, reduction_for
from burstfix.align.sharpness import sharpness
from burstfix.align.warp import AlignedBurst
from burstfix.backends.base import DESCRIPTOR, plain_descriptor
from burstfix.device import cores
from burstfix.errors import AlignmentError, UsageError
from burstfix.frame import Burst, Frame, Metadata
from burstfix.io.decode import rebalance
from burstfix.io.primaries import match_primaries
from burstfix.io.store import reduced_luminance
from burstfix.restore.merged import Merged, merge_descriptor
from burstfix.restore.options import Options
from burstfix.restore.report import Reporter
from burstfix.tiling import Source

Picture = NDArray[np.float32]

REFERENCES_TO_TRY = 3  # the sharpest frame may be the odd one out; then the next sharpest


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """A burst that is ready to be fused.

    Args:
        source: the frames in use, reference first, in its geometry and exposure.
        descriptor: what is known of each frame of `source`; (1, F, D).
        order: the numbers, in the burst that was given, of the frames in use, reference first.
        sharpness: of every frame given; empty where it was not measured.
        correlation: with the reference, of every frame given; likewise.
        gain: to the reference's exposure, of every frame given; likewise.
        dropped: number of a frame given, and why it is not used.
        kinds: of every frame given, "noisy" or "blurry"; empty for a burst.
        merged: where frames are to be averaged first: how many of `source`, run by run.
    """

    source: AlignedBurst
    descriptor: Tensor
    order: tuple[int, ...]
    sharpness: tuple[float, ...]
    correlation: tuple[float, ...]
    gain: tuple[float, ...]
    dropped: dict[int, str]
    kinds: tuple[str, ...] = ()
    merged: tuple[int, ...] = ()

    @property
    def reference(self) -> Frame:
        """The frame whose geometry the others were brought to."""
        return self.source.views[0]

    @property
    def given(self) -> Source:
        """What the network is given."""
        return Merged(self.source, self.merged) if self.merged else self.source

    @property
    def told(self) -> Tensor:
        """What the network is told of each frame it is given; (1, F, D)."""
        return merge_descriptor(self.descriptor, self.merged) if self.merged else self.descriptor

    def by_number(self, shares: Sequence[float]) -> dict[int, float]:
        """Tell each frame's share, by its number, from those of what the network was given."""
        counts = self.merged or (1,) * len(self.order)
        spread = [
            share / count for share, count in zip(shares, counts, strict=True) for _ in range(count)
        ]
        return dict(zip(self.order, spread, strict=True))


def align_frames(
    frames: Burst, options: Options | None = None, reporter: Reporter | None = None
) -> Aligned:
    """Choose the reference, align the frames to it and match their exposure.

    Raw frames take the white balance of the reference that was chosen: they are then decoded
    anew. Frames whose profiles have other primaries are brought to the reference's.

    Raises:
        AlignmentError: no other frame shows the reference's scene.
        UsageError: the reference asked for does not exist.
    """
    options, reporter = options or Options(), reporter or Reporter()
    aligned = _align_frames(frames, options, reporter)
    reference = aligned.order[0]
    balanced, unlike = match_primaries(rebalance(frames, reference), reference)
    for frame in unlike:
        reporter.warn(
            f"{frame.name} has another colour profile than {frames[reference].name}, of a kind "
            "that cannot be matched; its colours are taken as they are."
        )
    if all(new is old for new, old in zip(balanced, frames, strict=True)):
        return aligned
    # What was matched with other colours is matched anew.
    return _align_frames(balanced, replace(options, reference=reference + 1), Reporter())


def _align_frames(frames: Burst, options: Options, reporter: Reporter) -> Aligned:
    factor = reduction_for(frames[0].size)
    luminances = read_luminances(frames, factor, reporter)
    sharp = tuple(sharpness(luminance) for luminance in luminances)
    reference, alignments = _align(luminances, factor, sharp, frames, options)
    dropped = leave_out(frames, alignments, reporter)
    gains = _gains(frames, luminances, alignments, reference, factor)
    others = [number for number in range(len(frames)) if number not in {reference, *dropped}]
    # Sorted by sharpness: the order in which files were named then changes no bit of the
    # picture, whatever the backend.
    order = (reference, *sorted(others, key=lambda number: -sharp[number]))
    return Aligned(
        source=AlignedBurst(
            [frames[number] for number in order],
            [alignments[number].source_from_reference for number in order],
            [gains[number] for number in order],
        ),
        descriptor=describe_frames(
            [frames[number] for number in order], [gains[number] for number in order]
        ),
        order=order,
        sharpness=sharp,
        correlation=tuple(alignment.correlation for alignment in alignments),
        gain=gains,
        dropped=dropped,
    )


def read_luminances(frames: Burst, factor: int, reporter: Reporter) -> list[Picture]:
    """Read the pictures that alignment compares, as a stage; (h, w) each."""
    reporter.stage("align", len(frames))
    luminances: list[Picture] = []
    with ThreadPoolExecutor(cores()) as pool:
        for luminance in pool.map(lambda frame: reduced_luminance(frame.pixels, factor), frames):
            luminances.append(luminance.numpy())
            reporter.step()
    return luminances


def _align(
    luminances: Sequence[Picture],
    factor: int,
    sharp: Sequence[float],
    frames: Burst,
    options: Options,
) -> tuple[int, list[Alignment]]:
    """Align to the reference asked for, or to the sharpest that most others fit."""
    tried: list[tuple[int, list[Alignment]]] = []
    for reference in _candidates(sharp, options):
        alignments = align_burst(
            luminances,
            reference,
            factor=factor,
            size=frames[0].size,
            closer=closer_look(frames, factor),
        )
        tried.append((reference, alignments))
        if _fitting(alignments) > len(frames) / 2:
            break
    reference, alignments = max(tried, key=lambda attempt: _fitting(attempt[1]))
    if len(frames) > 1 and _fitting(alignments) < 2:
        raise AlignmentError(
            f"No other frame shows the scene of {frames[reference].name}.",
            "Give frames of one scene, taken within moments; or name another reference with "
            "--reference.",
        )
    return reference, alignments


def closer_look(frames: Burst, factor: int) -> Callable[[int], Picture]:
    """Return what reads a frame's luminance for the last step between sharp frames."""

    def closer(number: int) -> Picture:
        return reduced_luminance(frames[number].pixels, closer_reduction(factor)).numpy()

    return closer


def _fitting(alignments: Sequence[Alignment]) -> int:
    return sum(alignment.ok for alignment in alignments)


def _candidates(sharp: Sequence[float], options: Options) -> list[int]:
    chosen = check_reference(options.reference, len(sharp))
    if chosen is not None:
        return [chosen]
    return sorted(range(len(sharp)), key=lambda number: -sharp[number])[:REFERENCES_TO_TRY]


def check_reference(reference: Literal["auto", "first"] | int, count: int) -> int | None:
    """Return the index of the frame that was chosen; None is auto.

    Raises:
        UsageError: there is no such frame.
    """
    if reference == "auto":
        return None
    number = 1 if reference == "first" else reference
    if not 1 <= number <= count:
        raise UsageError(
            f"--reference {number} names no frame.", f"The burst has frames 1 to {count}."
        )
    return number - 1


def leave_out(frames: Burst, alignments: Sequence[Alignment], reporter: Reporter) -> dict[int, str]:
    """Warn of the frames that fit nowhere; by number, why they are not used."""
    dropped = {
        number: "shows another scene, or too little of this one "
        f"(correlation {alignment.correlation:.2f})"
        for number, alignment in enumerate(alignments)
        if not alignment.ok
    }
    for number, why in dropped.items():
        reporter.warn(f"{frames[number].name} {why}; it is left out.")
    return dropped


def _gains(
    frames: Burst,
    luminances: Sequence[Picture],
    alignments: Sequence[Alignment],
    reference: int,
    factor: int,
) -> tuple[float, ...]:
    """Return what brings each frame to the reference's exposure."""
    gains = []
    for frame, luminance, alignment in zip(frames, luminances, alignments, strict=True):
        if frame is frames[reference] or not alignment.ok:
            gains.append(1.0)
            continue
        expected = expected_gain(frames[reference].metadata, frame.metadata)
        gains.append(
            exposure_gain(
                luminances[reference],
                luminance,
                alignment.source_from_reference,
                factor,
                expected=expected,
            )
        )
    return tuple(gains)


def expected_gain(reference: Metadata, frame: Metadata) -> float | None:
    """Tell from the files how much more light the reference got; None where they do not tell."""
    one, other = _exposure(reference), _exposure(frame)
    return one / other if one and other else None


def _exposure(metadata: Metadata) -> float | None:
    """Return what a pixel's value is proportional to: time x ISO / f-number squared."""
    if not metadata.exposure_s or not metadata.iso:
        return None
    return metadata.exposure_s * metadata.iso / (metadata.aperture or 1) ** 2


def describe_frames(frames: Sequence[Frame], gains: Sequence[float]) -> Tensor:
    """Fill the descriptor with what matching and the files tell; (1, F, D).

    Noise is known of raw files that tell it. Noise and signal grow with the gain, so the shot
    part, which is variance over signal, grows with it, and the read part with its square.
    """
    descriptor = plain_descriptor(len(gains))
    descriptor[0, :, DESCRIPTOR.index("gain_ev")] = torch.tensor(gains).log2()
    for number, (frame, gain) in enumerate(zip(frames, gains, strict=True)):
        if frame.raw and frame.metadata.noise:
            shot, read = frame.metadata.noise
            descriptor[0, number, DESCRIPTOR.index("shot")] = shot * gain
            descriptor[0, number, DESCRIPTOR.index("read")] = read * gain**2
    return descriptor
