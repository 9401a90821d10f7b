"""Bring sharp frames from hundredths of a pixel to thousandths: how far do many tiles lie off?

Sharp frames share detail finer than the pictures that alignment compares, and the more pixels
speak, the less noise does. So this compares pictures of twice the resolution, once. Within a tile
all pixels move alike, near enough for the hundredths that are left: each tile's pixels come down
to a few sums, and the homography is fitted to those. Slopes enter so that noise pulls nowhere:
their mean over both frames where they meet the frames' difference, those of one frame where they
meet those of the other. Each tile has a brightness and contrast of its own, so vignetting,
exposure and tone curve need no model; what moved or was clipped counts little or nothing.
"""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from burstfix.align.geometry import Matrix
from burstfix.align.sampling import sample
from burstfix.align.smooth import CLIPPED
from burstfix.frame import Size

Picture = NDArray[np.float32]

TILE = 32  # side in pixels
AT_ONCE = 128  # tiles, whose pixels stay in the cache
SHARE = 0.5  # of the tiles, those with the strongest slopes; the rest would add little
SIGMA = 0.7  # Gaussian that smooths both pictures, in pixels
NEAR = 4  # pixels at the border that are not compared
FEWEST_TILES = 24
SEEN = 0.25  # share of a tile that must be comparable
ROUNDS = 3  # of weighing tiles by how well they fit
ROBUST = 3.0  # misfits, in typical ones, that count half of what they say


class Tiles:
    """The reference's tiles, ready to compare frames with.

    Args:
        luminance: linear light of the reference, averaged over blocks; (h, w).
    """

    def __init__(self, luminance: Picture) -> None:
        self.size: Size = (luminance.shape[0], luminance.shape[1])
        rows, columns = ((side - 2 * NEAR) // TILE for side in self.size)
        down, right = (
            (side - count * TILE) // 2
            for side, count in zip(self.size, (rows, columns), strict=True)
        )
        tops = np.repeat(np.arange(rows) * TILE + down, columns)
        lefts = np.tile(np.arange(columns) * TILE + right, rows)
        light = _prepare(luminance)
        chosen = _strongest(light[down : down + rows * TILE, right : right + columns * TILE])
        tops, lefts = tops[chosen], lefts[chosen]
        reach = np.arange(-1, TILE + 1)  # a pixel more on each side, for the slopes
        self.x = (lefts[:, None, None] + reach[None, None, :]).astype(np.float64)
        self.y = (tops[:, None, None] + reach[None, :, None]).astype(np.float64)
        self.light = torch.from_numpy(light[self.y.astype(int), self.x.astype(int)])
        middle = np.float64((TILE - 1) / 2)
        self.basis = self._basis(lefts + middle, tops + middle)

    def read(self, light: Picture, frame_from_reference: Matrix, some: slice) -> Tensor:
        """Return what a frame shows where tiles lie; (t, TILE + 2, TILE + 2), NaN if unknown.

        Args:
            light: of the frame, from `_prepare`; (h, w).
            frame_from_reference: in pixels of these pictures.
            some: which tiles.
        """
        m, x, y = frame_from_reference, self.x[some], self.y[some]
        scale = 1 / (m[2, 0] * x + (m[2, 1] * y + m[2, 2]))
        along = (m[0, 0] * x + (m[0, 1] * y + m[0, 2])) * scale
        down = (m[1, 0] * x + (m[1, 1] * y + m[1, 2])) * scale
        # Only the rows that are needed: the less memory is touched, the sooner it is done.
        first, last = np.clip((down.min() - NEAR, down.max() + NEAR), 0, light.shape[0] - 1)
        top = int(first)
        down -= top
        band = torch.from_numpy(light[top : int(last) + 1])[None]
        across = torch.from_numpy(along.reshape(-1, TILE + 2))
        found = sample(band, across, torch.from_numpy(down.reshape(-1, TILE + 2)))
        return found.reshape(along.shape)

    def normal_from_level(self) -> Matrix:
        """Return what takes pixels to units of half the diagonal about the centre."""
        height, width = self.size
        half = np.hypot(height, width) / 2
        across, down = (width - 1) / 2 / half, (height - 1) / 2 / half
        rows = [[1 / half, 0, -across], [0, 1 / half, -down], [0, 0, 1]]
        return np.array(rows, dtype=np.float64)

    def _basis(self, x: Matrix, y: Matrix) -> Matrix:
        """Return how far each of 8 unknowns moves the tiles' centres, in pixels; (T, 2, 8)."""
        height, width = self.size
        half = np.hypot(height, width) / 2
        x, y = (x - (width - 1) / 2) / half, (y - (height - 1) / 2) / half
        one, none = np.ones_like(x), np.zeros_like(x)
        right = np.stack((x, y, one, none, none, none, -x * x, -x * y), axis=-1)
        down = np.stack((none, none, none, x, y, one, -x * y, -y * y), axis=-1)
        return np.asarray(np.stack((right, down), axis=1) * half)


def polish(tiles: Tiles, luminance: Picture, frame_from_reference: Matrix) -> Matrix:
    """Improve the homography of a frame that is as sharp as the reference.

    Args:
        tiles: of the reference.
        luminance: linear light of the frame, averaged over the same blocks; (h, w).
        frame_from_reference: right to a few tenths of a pixel of these pictures.

    Returns:
        The same, improved; NaN where too few tiles can be compared.
    """
    if len(tiles.basis) < FEWEST_TILES:
        return np.full((3, 3), np.nan)
    light = _prepare(luminance)
    parts = []
    for start in range(0, len(tiles.basis), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        parts.append(_sums(tiles.light[some], tiles.read(light, frame_from_reference, some)))
    sums, seen = (np.concatenate(part) for part in zip(*parts, strict=True))
    unknowns = _fit(sums, seen, tiles.basis)
    normal = tiles.normal_from_level()
    move = np.eye(3) + np.append(unknowns, 0).reshape(3, 3)
    matrix = frame_from_reference @ np.linalg.inv(np.linalg.inv(normal) @ move @ normal)
    return np.asarray(matrix / matrix[2, 2])


def _prepare(luminance: Picture) -> Picture:
    """Smooth a little; NaN near clipped light and at the border."""
    light = cv2.GaussianBlur(luminance, (0, 0), SIGMA)
    light[cv2.dilate(luminance, np.ones((5, 5), np.uint8)) > CLIPPED] = np.nan
    light[:NEAR] = light[-NEAR:] = np.nan
    light[:, :NEAR] = light[:, -NEAR:] = np.nan
    return np.asarray(light, dtype=np.float32)


def _strongest(light: Picture) -> NDArray[np.intp]:
    """Return the numbers of the tiles with the strongest slopes, row by row of the picture."""
    rows, columns = light.shape[0] // TILE, light.shape[1] // TILE
    if rows * columns == 0:
        return np.zeros(0, np.intp)
    power = np.zeros(light.shape, np.float32)
    power[:, 1:] = np.square(np.diff(light, axis=1))
    power[1:] += np.square(np.diff(light, axis=0))
    size = (columns, rows)
    means = cv2.resize(np.nan_to_num(power), size, interpolation=cv2.INTER_AREA).ravel()
    count = max(1, round(SHARE * len(means)))
    return np.sort(np.argsort(-means, kind="stable")[:count])


def _sums(reference: Tensor, frame: Tensor) -> tuple[Matrix, Matrix]:
    """Reduce each tile's pixels to the sums that a fit needs.

    Args:
        reference: its tiles with a pixel more on each side; (t, TILE + 2, TILE + 2).
        frame: the same of the frame.

    Returns:
        Products of the reference's slopes along x and y, the frame's, and the frames' difference,
        summed once brightness and contrast are fitted and taken off, (t, 5, 5); and how many
        pixels were compared, (t,).
    """
    mean = ((reference + frame) * 0.5)[:, 1:-1, 1:-1]
    difference = (frame - reference)[:, 1:-1, 1:-1]
    rows = torch.stack(
        (*_slopes(reference), *_slopes(frame), difference, mean, torch.ones_like(mean)), dim=1
    )
    known = torch.isfinite(rows[:, :5].sum(dim=1))
    flat = rows.masked_fill_(~known[:, None], 0).flatten(2)
    gram = (flat @ flat.mT).double().numpy()
    cross, own = gram[:, 5:, :5], gram[:, 5:, 5:] + 1e-6 * np.eye(2)
    sums = gram[:, :5, :5] - cross.transpose(0, 2, 1) @ np.linalg.solve(own, cross)
    return np.asarray(sums), known.sum(dim=(1, 2)).double().numpy()


def _slopes(tiles: Tensor) -> tuple[Tensor, Tensor]:
    """Return the derivatives along x and y, per pixel; (T, TILE, TILE) each."""
    right = (tiles[:, 1:-1, 2:] - tiles[:, 1:-1, :-2]) * 0.5
    down = (tiles[:, 2:, 1:-1] - tiles[:, :-2, 1:-1]) * 0.5
    return right, down


def _fit(sums: Matrix, seen: Matrix, basis: Matrix) -> NDArray[np.float64]:
    """Fit a homography's 8 unknowns to all tiles; least squares, weighed by noise and by fit.

    Args:
        sums: from `_sums`; (T, 5, 5).
        seen: how many pixels they sum; (T,).
        basis: how far the unknowns move each tile, in pixels; (T, 2, 8).

    Returns:
        The unknowns; NaN where the tiles do not determine them.
    """
    usable = seen > SEEN * TILE**2
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
