"""Bring sharp frames from hundredths of a pixel to thousandths: how far do many tiles lie off?

Sharp frames share detail finer than the pictures that alignment compares, and the more pixels
speak, the less noise does. So this compares pictures of twice the resolution, once. Within a tile
all pixels move alike, near enough for the hundredths that are left: each tile's pixels come down
to a few sums, and the homography is fitted to those. Slopes enter so that noise pulls nowhere:
their mean over both frames where they meet the frames' difference, those of one frame where they
meet those of the other. Each tile has a brightness and contrast of its own, so vignetting,
exposure and tone curve need no model; what moved or was clipped counts little or nothing.
"""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from burstfix.align.geometry import Matrix, apply
from burstfix.align.sampling import project, sample
from burstfix.align.smooth import CLIPPED
from burstfix.frame import Box, Size

Picture = NDArray[np.float32]

SIGMA = 0.8  # Gaussian that smooths both pictures, in pixels; less lets aliases through
STRIDE = 1  # every stride-th pixel of a row and column is compared
TILE = 32  # side in pixels
ROWS_AT_ONCE = 4  # of tiles: what is computed of them stays in the cache
NEAR = 4  # pixels at the border that are not compared
FEWEST_TILES = 24
SEEN = 0.25  # share of a tile that must be comparable
ROUNDS = 3  # of weighing tiles by how well they fit
ROBUST = 3.0  # misfits, in typical ones, that count half of what they say


@dataclass(frozen=True)
class Tiles:
    """The reference, ready to compare frames with.

    Args:
        planes: of the whole picture, from `_prepare`; (3, h, w).
    """

    planes: Tensor

    @classmethod
    def of(cls, luminance: Picture) -> "Tiles":
        """Prepare a reference, linear light averaged over blocks; (h, w)."""
        return cls(_prepare(luminance))

    @property
    def size(self) -> Size:
        """(height, width) of the picture."""
        return self.planes.shape[1], self.planes.shape[2]

    def bands(self) -> list[Box]:
        """Return boxes of whole tiles, one below the other."""
        height, width = self.size
        rows, columns = ((side - 2 * NEAR) // TILE for side in self.size)
        top, left = (height - rows * TILE) // 2, (width - columns * TILE) // 2
        ends = [*range(0, rows, ROWS_AT_ONCE), max(rows, 0)]
        return [
            Box(top + begin * TILE, left, top + end * TILE, left + columns * TILE)
            for begin, end in pairwise(ends)
            if columns > 0
        ]


def polish(tiles: Tiles, luminance: Picture, frame_from_reference: Matrix) -> Matrix:
    """Improve the homography of a frame that is as sharp as the reference.

    Args:
        tiles: of the reference.
        luminance: linear light of the frame, averaged over the same blocks; (h, w).
        frame_from_reference: right to a few tenths of a pixel of these pictures.

    Returns:
        The same, improved; NaN where too few tiles can be compared.
    """
    bands = tiles.bands()
    if not bands:
        return np.full((3, 3), np.nan)
    planes = _prepare(luminance)
    parts = [_sums(tiles, planes, frame_from_reference, band) for band in bands]
    sums, seen = (np.concatenate(part) for part in zip(*parts, strict=True))
    centers = np.concatenate([_centers(band) for band in bands])
    turned = _turn(sums, frame_from_reference, centers)
    normal = _normal_from_level(tiles.size)
    unknowns = _fit(turned, seen, _basis(centers, normal))
    move = np.eye(3) + np.append(unknowns, 0).reshape(3, 3)
    matrix = frame_from_reference @ np.linalg.inv(np.linalg.inv(normal) @ move @ normal)
    return np.asarray(matrix / matrix[2, 2])


def _prepare(luminance: Picture) -> Tensor:
    """Smooth a picture, and take its slopes.

    Returns:
        Slopes along x and y, per pixel, and light; this is NaN near clipped light and at the
        border. (3, h, w).
    """
    even, odd = _gaussian()
    light, along, down = (
        np.asarray(cv2.sepFilter2D(luminance, cv2.CV_32F, across, downwards), dtype=np.float32)
        for across, downwards in ((even, even), (odd, even), (even, odd))
    )
    light[cv2.dilate(luminance, np.ones((5, 5), np.uint8)) > CLIPPED] = np.nan
    light[:NEAR] = light[-NEAR:] = np.nan
    light[:, :NEAR] = light[:, -NEAR:] = np.nan
    return torch.from_numpy(np.stack((along, down, light)))


def _gaussian() -> tuple[Matrix, Matrix]:
    """Return the taps of a Gaussian and of its derivative, which is exact on ramps.

    Differences of neighbours fall short of the slopes of fine detail, and steps then go too far.
    """
    at = np.arange(-2, 3, dtype=np.float64)  # five taps: OpenCV's sums are then 0 on flat light
    even = np.exp(-(at**2) / (2 * SIGMA**2))
    odd = at * even
    return even / even.sum(), odd / (at @ odd)


def _sums(tiles: Tiles, planes: Tensor, matrix: Matrix, band: Box) -> tuple[Matrix, Matrix]:
    """Reduce the pixels of a band's t tiles to the sums that a fit needs.

    Args:
        tiles: of the reference.
        planes: of the frame; (3, h, w).
        matrix: frame_from_reference.
        band: whole tiles of the reference.

    Returns:
        Products of the reference's slopes along x and y, the frame's, and the frames' difference,
        summed once brightness and contrast are fitted and taken off, (t, 5, 5); and how many
        pixels were compared, (t,).
    """
    rows, columns = slice(band.top, band.bottom, STRIDE), slice(band.left, band.right, STRIDE)
    one, other = tiles.planes[:, rows, columns], _read(planes, matrix, band)
    difference, mean = other[2] - one[2], (one[2] + other[2]) * 0.5
    planes = torch.stack((*one[:2], *other[:2], difference, mean, torch.ones_like(mean)))
    side = TILE // STRIDE
    count, (height, width) = len(planes), mean.shape
    split = planes.reshape(count, height // side, side, width // side, side)
    flat = split.permute(1, 3, 0, 2, 4).reshape(-1, count, side * side)
    known = torch.isfinite(flat[:, 4])
    flat.masked_fill_(~known[:, None], 0)
    gram = (flat @ flat.mT).double().numpy()
    cross, own = gram[:, 5:, :5], gram[:, 5:, 5:] + 1e-6 * np.eye(2)
    sums = gram[:, :5, :5] - cross.transpose(0, 2, 1) @ np.linalg.solve(own, cross)
    return np.asarray(sums), known.sum(dim=1).double().numpy()


def _read(planes: Tensor, matrix: Matrix, band: Box) -> Tensor:
    """Lay a band of the frame's planes onto the reference's pixels that are compared."""
    x, y = project(matrix, band, STRIDE)
    # Only the rows that are needed: the less memory is touched, the sooner it is done.
    last = planes.shape[1] - 1
    top = int(np.clip(float(y.min()) - NEAR, 0, last))
    bottom = int(np.clip(float(y.max()) + NEAR, 0, last))
    return sample(planes[:, top : bottom + 1], x, y.sub_(top))


def _turn(sums: Matrix, matrix: Matrix, centers: Matrix) -> Matrix:
    """Turn the frame's slopes, within the sums, into the reference's directions."""
    image = np.column_stack((centers, np.ones(len(centers)))) @ matrix.T
    at = image[:, :2] / image[:, 2:]
    # How much further a point lies in the frame for each pixel in the reference.
    stretch = (matrix[:2, :2] - at[:, :, None] * matrix[2, :2]) / image[:, 2, None, None]
    turn = np.tile(np.eye(5), (len(centers), 1, 1))
    turn[:, 2:4, 2:4] = stretch.transpose(0, 2, 1)
    return np.asarray(turn @ sums @ turn.transpose(0, 2, 1))


def _centers(band: Box) -> Matrix:
    """Return the middles (x, y) of the pixels compared in a band's tiles; (t, 2)."""
    middle = (TILE - STRIDE) / 2
    y, x = np.mgrid[band.top : band.bottom : TILE, band.left : band.right : TILE] + middle
    return np.column_stack((x.ravel(), y.ravel()))


def _normal_from_level(size: Size) -> Matrix:
    """Return what takes pixels to units of half the diagonal about the centre."""
    half = np.hypot(*size) / 2
    across, down = (size[1] - 1) / 2 / half, (size[0] - 1) / 2 / half
    rows = [[1 / half, 0, -across], [0, 1 / half, -down], [0, 0, 1]]
    return np.array(rows, dtype=np.float64)


def _basis(centers: Matrix, normal_from_level: Matrix) -> Matrix:
    """Return how far each of 8 unknowns moves the tiles' centres, in pixels; (T, 2, 8)."""
    x, y = apply(normal_from_level, centers).T
    one, none = np.ones_like(x), np.zeros_like(x)
    right = np.stack((x, y, one, none, none, none, -x * x, -x * y), axis=-1)
    down = np.stack((none, none, none, x, y, one, -x * y, -y * y), axis=-1)
    return np.asarray(np.stack((right, down), axis=1) / normal_from_level[0, 0])


def _fit(sums: Matrix, seen: Matrix, basis: Matrix) -> NDArray[np.float64]:
    """Fit a homography's 8 unknowns to all tiles; least squares, weighed by noise and by fit.

    Args:
        sums: from `_sums`; (T, 5, 5).
        seen: how many pixels they sum; (T,).
        basis: how far the unknowns move each tile, in pixels; (T, 2, 8).

    Returns:
        The unknowns; NaN where the tiles do not determine them.
    """
    usable = seen > SEEN * (TILE // STRIDE) ** 2
    if np.count_nonzero(usable) < FEWEST_TILES:
        return np.full(basis.shape[2], np.nan)
    # One frame's slopes by its own would count the noise as detail: steps would fall short.
    inner = (sums[:, :2, 2:4] + sums[:, 2:4, :2]) / 2
    right = (sums[:, :2, 4] + sums[:, 2:4, 4]) / 2
    power = np.trace(sums[:, :4, :4], axis1=1, axis2=2) / 2 + 1e-12
    # Noise, and what moved in a tile or lost focus; where nothing is seen, the weight is 0.
    variance = sums[:, 4, 4] / np.maximum(seen, 1)
    steady = usable / (variance + 0.1 * np.median(variance[usable]) + 1e-12)
    weight = steady
    for _ in range(ROUNDS):
        weighted = basis.transpose(0, 2, 1) @ (inner * weight[:, None, None])
        side = np.einsum("tia,ti,t->a", basis, right, weight)
        unknowns = _solve((weighted @ basis).sum(axis=0), side)
        left = right - np.einsum("tij,tja,a->ti", inner, basis, unknowns)
        misfit = np.square(left).sum(axis=1) * steady / power
        weight = steady / (1 + misfit / (ROBUST**2 * np.median(misfit[usable]) + 1e-12))
    return unknowns


def _solve(normal: Matrix, right: Matrix) -> NDArray[np.float64]:
    """Solve normal equations; NaN where noise has left them without an answer."""
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-30))
    even = normal / np.outer(scale, scale) + 1e-9 * np.eye(len(scale))
    if np.linalg.eigvalsh(even)[0] <= 0:
        return np.full(len(scale), np.nan)
    return np.asarray(np.linalg.solve(even, right / scale) / scale)
