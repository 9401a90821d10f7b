"""Align all frames of a burst to its reference: coarse to fine, and no finer than is right."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from burstfix.align.geometry import Matrix, corner_error, plausible, to_full, to_level
from burstfix.align.polish import Tiles, polish
from burstfix.align.refine import Stage, Template, refine
from burstfix.align.start import LONGEST, coarse
from burstfix.device import cores
from burstfix.frame import Size

Picture = NDArray[np.float32]

WORKING_SIDE = 1024  # longer side, about, of the pictures that alignment compares
SMALL = Stage(sigma=1.5, stride=1, freedoms=4, moments=False, steps=4)
MIDDLE = Stage(sigma=2.0, stride=1, freedoms=8, moments=False, steps=4)
FINE = Stage(sigma=2.0, stride=3, freedoms=8, moments=True, steps=3)

SHARP = Stage(sigma=1.0, stride=2, freedoms=8, moments=False, steps=2)
SHARP_MOVE = 0.02  # working pixels by which only frames without blur let the last stage move them

MIN_CORRELATION = 0.12
STARTS = 5  # more for a frame of another scene would take long
SIGNIFICANT = 6.0  # standard deviations of the correlation of unlike pictures


@dataclass(frozen=True)
class Alignment:
    """How one frame lies to the reference.

    Args:
        source_from_reference: takes the reference's (x, y) to the frame's, in full-resolution
            pixels; (3, 3) float64. The identity where the frame could not be aligned.
        correlation: of fine detail in what both frames saw, after alignment; -1 to 1. Noise
            and different blur lower it, so compare it within a burst only.
        ok: whether the frame shows the reference's scene, there.
        sharp: whether fine detail lies where the coarser does: neither frame is shaken much.
    """

    source_from_reference: Matrix
    correlation: float
    ok: bool
    sharp: bool = False


def reduction_for(size: Size) -> int:
    """Return the side of the blocks over which `align_burst` wants pictures averaged.

    Args:
        size: (height, width) of the full pictures.
    """
    return max(1, round(max(size) / WORKING_SIDE))


def closer_reduction(factor: int) -> int:
    """Return the side of the blocks over which `align_burst` wants a closer look averaged.

    Args:
        factor: side of the blocks of its other pictures, from `reduction_for`.
    """
    return max(1, factor // 2)


def align_burst(
    luminances: Sequence[Picture],
    reference: int,
    *,
    factor: int,
    size: Size,
    closer: Callable[[int], Picture] | None = None,
) -> list[Alignment]:
    """Find how every frame lies to the reference.

    Frames that do not align with the reference directly are tried once more from where the
    frames that fit best lie; which these are does not depend on the order of the frames.

    Args:
        luminances: linear light of each frame, averaged over blocks of factor x factor pixels
            from the top left corner; 0 to 1, (h, w) float32 each.
        reference: which frame the others are aligned to.
        factor: side of the blocks in pixels, from `reduction_for`.
        size: (height, width) of the full pictures.
        closer: reads the luminance of a frame, by its number, averaged over blocks of
            `closer_reduction(factor)` pixels. Asked only for frames that proved sharp, from
            several threads.

    Returns:
        One alignment a frame; the reference's is the identity.
    """
    aligner = _Aligner(luminances[reference], factor, size)

    def align(index: int) -> Alignment:
        if index == reference:
            return Alignment(np.eye(3), 1.0, True)
        return aligner.align(luminances[index])

    with ThreadPoolExecutor(cores()) as pool:
        found = list(pool.map(align, range(len(luminances))))
        fitting = sorted((each for each in found if each.ok), key=lambda each: -each.correlation)
        starts = [other.source_from_reference for other in fitting[:STARTS]]
        found = [
            alignment if alignment.ok or not starts else aligner.align(luminances[index], starts)
            for index, alignment in enumerate(found)
        ]
        if closer is None:
            return found
        return _look_closer(found, reference, closer, factor, size, pool)


def _look_closer(
    found: Sequence[Alignment],
    reference: int,
    closer: Callable[[int], Picture],
    factor: int,
    size: Size,
    pool: ThreadPoolExecutor,
) -> list[Alignment]:
    """Polish the homographies of sharp frames, where that moves them by little."""
    if not any(alignment.sharp for alignment in found):
        return list(found)
    by = closer_reduction(factor)
    tiles = Tiles.of(closer(reference))

    def look(index: int) -> Alignment:
        alignment = found[index]
        if index == reference or not alignment.sharp:
            return alignment
        before = alignment.source_from_reference
        after = to_full(polish(tiles, closer(index), to_level(before, by)), by)
        near = corner_error(after, before, size) < SHARP_MOVE * factor  # a NaN is not
        return replace(alignment, source_from_reference=after) if near else alignment

    return list(pool.map(look, range(len(found))))


class _Aligner:
    """The reference, prepared on all levels.

    Args:
        luminance: of the reference; (h, w).
        factor: full-resolution pixels along the side of one of its pixels.
        size: (height, width) of the full picture.
    """

    def __init__(self, luminance: Picture, factor: int, size: Size) -> None:
        self.factor = factor
        self.size = size
        self.coarsest = 1
        while max(luminance.shape) // self.coarsest > LONGEST:
            self.coarsest *= 2
        middle = max(1, self.coarsest // 2)
        self.levels = [(self.coarsest, SMALL), (middle, MIDDLE), (1, FINE)]
        self.start = shrink(luminance, self.coarsest)
        self.templates = [Template(shrink(luminance, by), stage) for by, stage in self.levels]
        self.sharp = Template(luminance, SHARP)

    def align(self, luminance: Picture, starts: Sequence[Matrix] = ()) -> Alignment:
        """Align one frame, from the given starts or else from phase correlation."""
        pictures = [shrink(luminance, by) for by, _ in self.levels]
        if not starts:
            full = self.factor * self.coarsest
            starts = [to_full(matrix, full) for matrix in coarse(self.start, pictures[0])]
        best = Alignment(np.eye(3), 0.0, False)
        for begin in starts:
            found = self._refine(pictures, begin)
            if found.correlation > best.correlation:
                best = found
            if best.ok:
                break
        return best

    def _refine(self, pictures: Sequence[Picture], source_from_reference: Matrix) -> Alignment:
        """Refine on every level, and judge."""
        matrix, failed = source_from_reference, Alignment(np.eye(3), 0.0, False)
        for (by, _), template, picture in zip(self.levels, self.templates, pictures, strict=True):
            full = self.factor * by
            prepared = template.prepare(picture)
            level = refine(template, prepared, to_level(matrix, full))
            if not np.isfinite(level).all():
                continue  # too little unclipped light for this level; a finer one may do
            matrix = to_full(level, full)
            if not plausible(matrix, self.size):
                return failed
        if not np.isfinite(level).all():
            return failed
        correlation, chance = template.correlation(prepared, level)
        if correlation < max(MIN_CORRELATION, SIGNIFICANT * chance):
            return Alignment(np.eye(3), correlation, False)
        finer = self._sharpen(picture, level)
        best = level if finer is None else finer
        return Alignment(to_full(best, self.factor), correlation, True, finer is not None)

    def _sharpen(self, picture: Picture, level: Matrix) -> Matrix | None:
        """Use finer detail too, where it agrees with the coarser: the frames are sharp then.

        Blur that differs draws fine detail to the brightest part of its path, away from the
        centroid, by far more than what sharp frames have left to gain.
        """
        finer = refine(self.sharp, self.sharp.prepare(picture), level)
        size = (picture.shape[0], picture.shape[1])
        agrees = np.isfinite(finer).all() and corner_error(finer, level, size) < SHARP_MOVE
        return finer if agrees else None


def shrink(luminance: Picture, by: int) -> Picture:
    """Average a picture over blocks of by x by pixels, leaving out what fills no block."""
    if by == 1:
        return luminance
    height, width = luminance.shape[0] // by, luminance.shape[1] // by
    whole = luminance[: height * by, : width * by]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA))
