"""From decoded frames of two kinds to one aligned burst at the exposure of the blurry ones."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from burstfix.align.exposure import exposure_gain
from burstfix.align.field import LightField, light_field
from burstfix.align.geometry import Matrix
from burstfix.align.homography import Alignment, align_burst, reduction_for
from burstfix.align.light import LightMatch, match_light
from burstfix.align.sharpness import sharpness
from burstfix.align.warp import AlignedBurst
from burstfix.backends.base import DESCRIPTOR
from burstfix.device import cores
from burstfix.errors import AlignmentError
from burstfix.frame import Box, Burst, Frame, Pixels, Size
from burstfix.io.decode import rebalance
from burstfix.io.primaries import match_primaries
from burstfix.io.store import reduced_light
from burstfix.noise import compare
from burstfix.restore.alignment import (
    Aligned,
    closer_look,
    describe_frames,
    expected_gain,
    leave_out,
    read_luminances,
)
from burstfix.restore.kinds import Kinds
from burstfix.restore.report import Reporter

Picture = NDArray[np.float32]

# Boxes over the picture in which a short exposure is held against a long one.
_SAMPLE = 160  # px
_DOWN, _ACROSS = 2, 3
_SEEN = 0.9

WHITE = 1.0  # what the long exposure clips is white in the result, whatever the short one saw
_CLIPPING, _CLIPPED = 0.9, 0.99  # of the short exposure's light: from where it may be lost, and is


@dataclass(frozen=True)
class MatchedPixels:
    """A short exposure's pixels in the light of a long one; implements `frame.Pixels`.

    Args:
        pixels: the short exposure.
        match: what makes its light the long one's.
        field: what is left to change then; None is nothing.
    """

    pixels: Pixels
    match: LightMatch
    field: LightField | None = None

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self.pixels.size

    @property
    def gains(self) -> Tensor:
        """Of red, green and blue; (3, 1, 1)."""
        return torch.tensor(self.match.gains).view(3, 1, 1)

    def read(self, box: Box) -> Tensor:
        """Return a box, in linear light, at most `WHITE`; (3, h, w) float32."""
        light = self.pixels.read(box)
        matched = (light - torch.tensor(self.match.offsets).view(3, 1, 1)).mul_(self.gains)
        if min(self.match.gains) < WHITE / _CLIPPING:
            # What the short exposure clipped is white too, not the grey that the gain makes of it.
            lost = ((light - _CLIPPING) / (_CLIPPED - _CLIPPING)).clamp_(0, 1).amax(dim=0)
            matched += lost * (WHITE - matched).clamp_min(0)
        if self.field:
            matched = self.field.change(matched, box)
        return matched.clamp_max_(WHITE)


def align_pair(frames: Burst, kinds: Kinds, reporter: Reporter) -> tuple[Aligned, LightMatch]:
    """Align all frames to the sharpest noisy one, and bring them to a blurry one's exposure.

    That blurry one is the sharpest of its kind; raw frames take its white balance.

    Returns:
        The frames: the sharpest noisy one, the other noisy ones, the blurry ones; and what was
        done to the light of the first.

    Raises:
        AlignmentError: no blurry frame shows the scene, or they share no unclipped light.
    """
    factor = reduction_for(frames[0].size)
    luminances = read_luminances(frames, factor, reporter)
    sharp = tuple(sharpness(luminance) for luminance in luminances)
    reference = max(kinds.noisy, key=lambda number: sharp[number])
    main = max(kinds.blurry, key=lambda number: sharp[number])
    balanced = _same_colours(frames, reference, main, reporter)
    if any(new is not old for new, old in zip(balanced, frames, strict=True)):
        luminances = read_luminances(balanced, factor, Reporter())  # matched with other colours
    alignments = align_burst(
        luminances,
        reference,
        factor=factor,
        size=frames[0].size,
        closer=closer_look(balanced, factor),
    )
    fitting = [number for number in kinds.blurry if alignments[number].ok]
    if not fitting:
        raise _unlike(frames[reference], frames[main])
    if main not in fitting:
        main = max(fitting, key=lambda number: sharp[number])
    views = _Views(balanced, luminances, alignments, kinds, reference, main, factor)
    matches = {number: views.match(number) for number in kinds.noisy if alignments[number].ok}
    aligned = views.aligned(matches, sharp)
    return replace(aligned, dropped=leave_out(frames, alignments, reporter)), matches[reference]


def measure_noise(aligned: Aligned) -> Aligned:
    """Tell the noisy frames' noise where files do not: what the sharpest has beside the blurry.

    A network cannot tell grain from a texture that the blurry frame has lost, unless it knows how
    strong grain is.
    """
    shot, read, gain = (DESCRIPTOR.index(name) for name in ("shot", "read", "gain_ev"))
    descriptor = aligned.descriptor.clone()
    noisy = [aligned.kinds[number] == "noisy" for number in aligned.order]
    unknown = torch.tensor(noisy) & descriptor[0, :, shot].isnan()
    if not unknown.any():
        return aligned
    found = compare(*_beside(aligned.source, noisy.index(False)))
    if found is None:
        return aligned
    for place in unknown.nonzero().flatten().tolist():
        more = (descriptor[0, place, gain] - descriptor[0, 0, gain]).exp2()
        descriptor[0, place, shot] = found.shot * more
        descriptor[0, place, read] = found.read * more**2
    return replace(aligned, descriptor=descriptor)


def _beside(source: AlignedBurst, blurry: int) -> tuple[Tensor, Tensor]:
    """Read samples of the first frame and of a blurry one, side by side; (3, h, n w) each.

    White is what the blurry one did not wholly see.
    """

    def read(box: Box) -> tuple[Tensor, Tensor]:
        burst, seen = source.read(box)
        return burst[0], torch.where(seen[blurry] > _SEEN, burst[blurry], WHITE)

    with ThreadPoolExecutor(cores()) as pool:
        shorts, longs = zip(*pool.map(read, _sample_boxes(source.size)), strict=True)
    return torch.cat(shorts, dim=2), torch.cat(longs, dim=2)


def _sample_boxes(size: Size) -> list[Box]:
    """Spread boxes evenly over a picture; of a small one they are the whole."""
    height, width = (min(side, _SAMPLE) for side in size)
    rest_down, rest_right = size[0] - height, size[1] - width
    tops = sorted({rest_down * (2 * step + 1) // (2 * _DOWN) for step in range(_DOWN)})
    lefts = sorted({rest_right * (2 * step + 1) // (2 * _ACROSS) for step in range(_ACROSS)})
    return [Box(top, left, top + height, left + width) for top in tops for left in lefts]


def _same_colours(frames: Burst, reference: int, main: int, reporter: Reporter) -> list[Frame]:
    """Develop raw frames with the white balance of `main`; mix colours to one set of primaries."""
    balanced, unlike = match_primaries(rebalance(frames, main), reference)
    for frame in unlike:
        reporter.warn(
            f"{frame.name} has another colour profile than {frames[reference].name}, of a kind "
            "that cannot be matched; its colours are taken as they are."
        )
    return balanced


def _unlike(reference: Frame, main: Frame) -> AlignmentError:
    return AlignmentError(
        f"{reference.name} and {main.name} do not show one scene from one place: nothing aligns.",
        "Give a short and a long exposure taken from one spot within moments, turned alike.",
    )


@dataclass(frozen=True)
class _Views:
    """All frames, as they lie to the reference.

    Args:
        frames: with the colours of `main`, by number.
        luminances: of each; (h, w).
        alignments: of each, to the reference.
        kinds: which are noisy, which blurry.
        reference: number of the noisy frame that gives geometry.
        main: number of the blurry frame that gives exposure and colour.
        factor: side of the blocks over which light is averaged to be measured [px].
    """

    frames: Burst
    luminances: Sequence[Picture]
    alignments: Sequence[Alignment]
    kinds: Kinds
    reference: int
    main: int
    factor: int

    def match(self, number: int) -> LightMatch:
        """Find what makes a noisy frame's light that of `main`: from pixels, else from files.

        Raises:
            AlignmentError: neither tells.
        """
        short, long = self.frames[number], self.frames[self.main]
        found = match_light(
            self._light(number),
            self._light(self.main),
            self._main_from(number),
            self.factor,
            lifted=not short.raw,
        )
        if found is not None:
            return found
        told = expected_gain(long.metadata, short.metadata)
        if told is None:
            raise AlignmentError(
                f"{short.name} and {long.name} share no light: what one shows, the other has "
                "clipped or left black.",
                "Give exposures fewer stops apart.",
            )
        return LightMatch((told, told, told), (0.0, 0.0, 0.0))

    def aligned(self, matches: Mapping[int, LightMatch], sharp: Sequence[float]) -> Aligned:
        """Put the frames that fit together: reference, other noisy ones, blurry ones.

        Args:
            matches: of each noisy frame that fits, by number.
            sharp: sharpness of every frame.
        """
        order = self._order(sharp)
        numbers = range(len(self.frames))
        gains = [matches[n].gain if n in matches else self._gain(n) for n in numbers]
        views = [self._matched(n, matches[n]) if n in matches else self.frames[n] for n in order]
        field = views[0].pixels.field if isinstance(views[0].pixels, MatchedPixels) else None
        blurry = [place for place, n in enumerate(order) if n in self.kinds.blurry]
        return Aligned(
            source=AlignedBurst(
                views,
                [self.alignments[n].source_from_reference for n in order],
                [1.0 if n in matches else gains[n] for n in order],
                # What moved through the long exposure would be painted into the result.
                dict.fromkeys(blurry, field.alike) if field else {},
            ),
            descriptor=describe_frames([self.frames[n] for n in order], [gains[n] for n in order]),
            order=order,
            sharpness=tuple(sharp),
            correlation=tuple(alignment.correlation for alignment in self.alignments),
            gain=tuple(gains),
            dropped={},
            kinds=self.kinds.named(),
        )

    def _order(self, sharp: Sequence[float]) -> tuple[int, ...]:
        """Sort by kind and sharpness: the order in which files were named changes no bit."""
        first = {self.reference, self.main}
        used = [n for n, alignment in enumerate(self.alignments) if alignment.ok and n not in first]
        used.sort(key=lambda number: -sharp[number])
        noisy = [number for number in used if number in self.kinds.noisy]
        blurry = [number for number in used if number in self.kinds.blurry]
        return (self.reference, *noisy, self.main, *blurry)

    def _matched(self, number: int, match: LightMatch) -> Frame:
        """Return a noisy frame in the light of `main`."""
        frame = self.frames[number]
        matched = MatchedPixels(frame.pixels, match)
        field = light_field(
            reduced_light(matched, self.factor).numpy(),
            self._light(self.main),
            self._main_from(number),
            self.factor,
            match.gain,
        )
        if frame.raw:  # raw light keeps to a line
            field = field.unchanging()
        return replace(frame, pixels=replace(matched, field=field))

    def _gain(self, number: int) -> float:
        """Return what brings a blurry frame's light to that of `main`."""
        if number == self.main or not self.alignments[number].ok:
            return 1.0
        return self._to_reference(number) / self._to_reference(self.main)

    def _to_reference(self, number: int) -> float:
        return exposure_gain(
            self.luminances[self.reference],
            self.luminances[number],
            self.alignments[number].source_from_reference,
            self.factor,
            expected=expected_gain(
                self.frames[self.reference].metadata, self.frames[number].metadata
            ),
        )

    def _light(self, number: int) -> Picture:
        return reduced_light(self.frames[number].pixels, self.factor).numpy()

    def _main_from(self, number: int) -> Matrix:
        """Return what takes a frame's (x, y) to those of `main`; (3, 3)."""
        from_reference = self.alignments[number].source_from_reference
        main = self.alignments[self.main].source_from_reference
        return np.asarray(main @ np.linalg.inv(from_reference))
