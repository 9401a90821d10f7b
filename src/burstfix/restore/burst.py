"""From frames to one picture: read, choose the reference, align, match exposure, fuse, write."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from burstfix import __version__, device, tiling, weights
from burstfix.align.exposure import exposure_gain
from burstfix.align.homography import Alignment, align_burst, reduction_for
from burstfix.align.sharpness import sharpness
from burstfix.align.warp import AlignedBurst
from burstfix.backends import find
from burstfix.backends.base import DESCRIPTOR, Network, plain_descriptor
from burstfix.color import LINEAR
from burstfix.errors import AlignmentError, UsageError
from burstfix.frame import Box, Burst, Frame, Metadata
from burstfix.io.decode import check_same_kind, probe, read_frames, rebalance
from burstfix.io.store import reduced_luminance
from burstfix.io.write import Canvas, OnExists, format_for, resolve_output, save
from burstfix.restore.report import FrameReport, Report, Reporter, peak_memory_bytes

REFERENCES_TO_TRY = 3  # the sharpest frame may be the odd one out; then the next sharpest
WEIGHING_SIDE = 1024  # px of the central square on which the frames' shares are measured
RESERVE_BYTES = 600 << 20  # interpreter, torch and codecs


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to restore a burst; every default is the command line's."""

    backend: str = "fba"
    weights: Path | None = None  # None takes the shipped ones
    reference: Literal["auto", "first"] | int = "auto"  # a number counts from 1
    device: str = "auto"
    precision: tiling.Precision = "auto"
    tile: int | None = None  # px; None is chosen from free memory
    memory: int | None = None  # bytes; None is half of what is free
    skip_bad: bool = False
    linear: bool = False
    bit_depth: int | None = None
    quality: int = 95
    on_exists: OnExists = "fail"
    keep_metadata: bool = True


@dataclass(frozen=True, kw_only=True)
class Fusion:
    """A burst that is aligned and ready to be fused, reference first.

    `order` holds, for each frame of `source`, its number in the burst that was given.
    """

    source: AlignedBurst
    descriptor: Tensor  # (1, F, D)
    order: tuple[int, ...]
    sharpness: tuple[float, ...]  # of every frame given
    correlation: tuple[float, ...]  # of every frame given
    gain: tuple[float, ...]  # of every frame given
    dropped: dict[int, str]  # number of a frame given, and why it is not used


def restore_burst(
    paths: Sequence[Path],
    output: Path,
    options: Options | None = None,
    reporter: Reporter | None = None,
) -> Report:
    """Restore one picture from a burst and write it.

    Args:
        paths: the frames' files, 1 to 64.
        output: the picture to write; its extension chooses the format.
        options: None takes the defaults.
        reporter: receives progress and messages; None is silent.

    Raises:
        BurstfixError: whatever keeps the picture from being made; nothing is then written.
    """
    options, reporter = options or Options(), reporter or Reporter()
    clock = _Clock()
    container = format_for(
        output, bit_depth=options.bit_depth, linear=options.linear, quality=options.quality
    )
    report = Report(output=str(output), backend=options.backend, version=__version__)
    target = resolve_output(output, on_exists=options.on_exists, inputs=paths)
    if target is None:
        report.status = "skipped"
        return report
    report.output = str(target)
    network = _load_network(options, report)
    budget = _budget(options)

    with clock.time("decode"):
        frames = _read(paths, options, budget, reporter, report)
    with clock.time("align"):
        fusion, frames = _prepare(frames, options, reporter)
    reference = frames[fusion.order[0]]
    report.size, report.reference = reference.size, str(reference.path)
    canvas = Canvas(reference.size, container, LINEAR if options.linear else reference.curve)
    with clock.time("fuse"):
        shares = _fuse(network, fusion, canvas, options, budget, reporter, report)
    report.frames += _frame_reports(frames, fusion, shares)
    with clock.time("write"):
        reporter.stage("write", 1)
        report.warnings += save(
            canvas,
            target,
            metadata=reference.metadata,
            provenance=_provenance(report, options),
            keep_metadata=options.keep_metadata,
            replace=options.on_exists == "overwrite",
        )
        reporter.step()
    report.timings_s = clock.seconds
    report.peak_memory_bytes = peak_memory_bytes()
    return report


def plan_burst(paths: Sequence[Path], output: Path, options: Options | None = None) -> Report:
    """Check what can be checked without decoding pixels, and tell what would be done.

    Raises:
        BurstfixError: what `restore_burst` would raise for the same reasons.
    """
    options = options or Options()
    format_for(
        output, bit_depth=options.bit_depth, linear=options.linear, quality=options.quality
    )
    report = Report(output=str(output), backend=options.backend, version=__version__)
    target = resolve_output(output, on_exists=options.on_exists, inputs=paths)
    report.status = "planned" if target else "skipped"
    report.output = str(target or output)
    _load_network(options, report)
    device.choose(options.device)
    probes = probe(paths)
    report.size = probes[0].size
    report.frames = [FrameReport(path=str(probe.path), used=True) for probe in probes]
    return report


def align_frames(
    frames: Burst, options: Options | None = None, reporter: Reporter | None = None
) -> Fusion:
    """Choose the reference, align the frames to it and match their exposure.

    Raises:
        AlignmentError: no other frame shows the reference's scene.
        UsageError: the reference asked for does not exist.
    """
    options, reporter = options or Options(), reporter or Reporter()
    reporter.stage("align", len(frames))
    factor = reduction_for(frames[0].size)
    luminances = []
    for frame in frames:
        luminances.append(reduced_luminance(frame.pixels, factor).numpy())
        reporter.step()
    sharp = tuple(sharpness(luminance) for luminance in luminances)
    reference, alignments = _align(luminances, factor, sharp, frames, options)
    dropped = {
        number: f"shows another scene, or too little of this one (correlation "
        f"{alignment.correlation:.2f})"
        for number, alignment in enumerate(alignments)
        if not alignment.ok
    }
    for number, why in dropped.items():
        reporter.warn(f"{frames[number].name} {why}; it is left out.")
    gains = tuple(
        1.0
        if number == reference
        else exposure_gain(
            luminances[reference],
            luminances[number],
            alignment.source_from_reference,
            factor,
            expected=_expected_gain(frames[reference], frames[number]),
        )
        for number, alignment in enumerate(alignments)
    )
    order = _canonical_order(reference, sharp, dropped)
    return Fusion(
        source=AlignedBurst(
            [frames[number] for number in order],
            [alignments[number].source_from_reference for number in order],
            [gains[number] for number in order],
        ),
        descriptor=_describe([gains[number] for number in order]),
        order=order,
        sharpness=sharp,
        correlation=tuple(alignment.correlation for alignment in alignments),
        gain=gains,
        dropped=dropped,
    )


def _read(
    paths: Sequence[Path], options: Options, budget: int, reporter: Reporter, report: Report
) -> list[Frame]:
    reporter.stage("decode", len(paths))
    frames, errors = read_frames(
        paths,
        memory=budget,
        skip_bad=options.skip_bad,
        on_frame=lambda _: reporter.step(),
    )
    read = {frame.path for frame in frames}
    for path in paths:
        if path not in read:
            report.frames.append(FrameReport(path=str(path), used=False, why="cannot be read"))
    for error in errors:
        _warn(report, reporter, f"Skipped: {error.what}")
    check_same_kind(frames)
    if len(frames) == 1:
        _warn(report, reporter, "There is one frame only: nothing can be fused.")
    return frames


def _prepare(
    frames: list[Frame], options: Options, reporter: Reporter
) -> tuple[Fusion, list[Frame]]:
    """Align, then give raw frames the white balance of the reference that was chosen."""
    fusion = align_frames(frames, options, reporter)
    balanced = rebalance(frames, fusion.order[0])
    if any(new is not old for new, old in zip(balanced, frames, strict=True)):
        # Gains are channel-blind: what was matched with other colours is matched anew.
        fixed = replace(options, reference=fusion.order[0] + 1)
        fusion = align_frames(balanced, fixed, reporter)
    return fusion, balanced


def _align(
    luminances: list[NDArray[np.float32]],
    factor: int,
    sharp: tuple[float, ...],
    frames: Burst,
    options: Options,
) -> tuple[int, list[Alignment]]:
    """Align to the reference asked for, or to the sharpest that most others fit."""
    best: tuple[int, list[Alignment]] | None = None
    for reference in _reference_candidates(sharp, options):
        alignments = align_burst(luminances, reference, factor=factor, size=frames[0].size)
        fitting = sum(alignment.ok for alignment in alignments)
        if best is None or fitting > sum(alignment.ok for alignment in best[1]):
            best = reference, alignments
        if fitting > len(frames) / 2:
            break
    assert best is not None
    if len(frames) > 1 and sum(alignment.ok for alignment in best[1]) < 2:
        raise AlignmentError(
            f"No other frame shows the scene of {frames[best[0]].name}.",
            "Give frames of one scene, taken within moments; or name another reference with "
            "--reference.",
        )
    return best


def _reference_candidates(sharp: tuple[float, ...], options: Options) -> list[int]:
    if options.reference == "auto":
        ranked = sorted(range(len(sharp)), key=lambda number: -sharp[number])
        return ranked[:REFERENCES_TO_TRY]
    number = 1 if options.reference == "first" else options.reference
    if not 1 <= number <= len(sharp):
        raise UsageError(
            f"--reference {number} names no frame.", f"The burst has frames 1 to {len(sharp)}."
        )
    return [number - 1]


def _expected_gain(reference: Frame, frame: Frame) -> float | None:
    """Tell from the files how much more light the reference got; None where they do not tell."""
    one, other = _exposure(reference.metadata), _exposure(frame.metadata)
    return one / other if one and other else None


def _exposure(metadata: Metadata) -> float | None:
    """Return what a pixel's value is proportional to: time x ISO / aperture squared."""
    if not metadata.exposure_s or not metadata.iso:
        return None
    return metadata.exposure_s * metadata.iso / (metadata.aperture or 1) ** 2


def _canonical_order(
    reference: int, sharp: tuple[float, ...], dropped: dict[int, str]
) -> tuple[int, ...]:
    """Put the reference first and the others by sharpness.

    The order in which files were named then changes no bit of the picture, whatever the backend.
    """
    others = [number for number in range(len(sharp)) if number not in {reference, *dropped}]
    return (reference, *sorted(others, key=lambda number: -sharp[number]))


def _describe(gains: list[float]) -> Tensor:
    descriptor = plain_descriptor(len(gains))
    descriptor[0, :, DESCRIPTOR.index("gain_ev")] = torch.tensor(gains).log2()
    return descriptor


def _load_network(options: Options, report: Report) -> Network:
    """Build the backend, before any frame is read: a wrong name must not cost a minute."""
    backend = find(options.backend)
    path = options.weights or weights.default_weights(backend.name, "burst")
    if path is None:
        return backend.build()
    network, card = weights.load(path)
    report.backend = card.backend
    report.backend_weights, report.weights_sha256 = str(path), card.sha256
    return network


def _fuse(
    network: Network,
    fusion: Fusion,
    canvas: Canvas,
    options: Options,
    budget: int,
    reporter: Reporter,
    report: Report,
) -> list[float]:
    """Fill the canvas band by band; return each frame's share, in the fusion's order."""
    target = device.choose(options.device)
    report.device = str(target)
    started = False

    def on_tile(done: int, tiles: int) -> None:
        nonlocal started
        if not started:
            reporter.stage("fuse", tiles)
            started = True
        reporter.step()
        del done

    for top, band in tiling.run_tiled(
        network,
        fusion.source,
        descriptor=fusion.descriptor,
        device=target,
        precision=options.precision,
        tile=options.tile,
        memory=budget,
        on_tile=on_tile,
    ):
        canvas.put(top, 0, band)
    return _shares(network, fusion)


def _shares(network: Network, fusion: Fusion) -> list[float]:
    """Measure each frame's share of the picture on its central square."""
    height, width = fusion.source.size
    middle = Box(height // 2, width // 2, height // 2, width // 2)
    centre = middle.grow(WEIGHING_SIDE // 2).intersect(Box.whole((height, width)))
    multiple = network.contract.multiple_of
    rows, columns = (side // multiple * multiple or side for side in centre.size)
    centre = Box(centre.top, centre.left, centre.top + rows, centre.left + columns)
    burst, seen = fusion.source.read(centre)
    with torch.inference_mode():
        shares = network.cpu().frame_weights(burst[None], seen[None], fusion.descriptor)
    return [float(share) for share in shares[0]]


def _frame_reports(frames: Burst, fusion: Fusion, shares: list[float]) -> list[FrameReport]:
    weight = dict(zip(fusion.order, shares, strict=True))
    return [
        FrameReport(
            path=str(frame.path),
            used=number in weight,
            why=fusion.dropped.get(number, ""),
            sharpness=fusion.sharpness[number],
            correlation=fusion.correlation[number],
            gain=fusion.gain[number],
            weight=weight.get(number),
        )
        for number, frame in enumerate(frames)
    ]


def _provenance(report: Report, options: Options) -> dict[str, str]:
    """Tell how the picture came about; it travels in the picture's XMP."""
    used = [Path(frame.path).name for frame in report.frames if frame.used]
    return {
        "version": __version__,
        "command": "burst",
        "inputs": "; ".join(used),
        "reference": Path(report.reference).name,
        "backend": report.backend,
        "weights_sha256": report.weights_sha256 or "",
        "precision": options.precision,
    }


def _budget(options: Options) -> int:
    """Return the bytes that frames and tiles may take."""
    total = options.memory or device.free_memory(torch.device("cpu")) // 2
    return max(total - RESERVE_BYTES, total // 4)


def _warn(report: Report, reporter: Reporter, message: str) -> None:
    report.warnings.append(message)
    reporter.warn(message)


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - start, 3)


