"""Bring a rough homography to a few hundredths of a pixel, by Gauss-Newton steps.

Shaken frames have no common sharp detail to lock onto. What they share is where the light's
centre of gravity went: a blur kernel (PSF) shifts low frequencies w by its centroid, and bends
the phase by its third moments times w^3. So pictures are smoothed first, and the second and
third moments in which the two PSFs differ are solved for together with the homography: to this
order, only the centroid remains in it. So are gain, offset, vignetting and the unknown tone
curve in which two exposures may differ.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from burstfix.align.geometry import Matrix, corner_error
from burstfix.align.sampling import project, sample
from burstfix.align.smooth import detail, evenness, slopes, smooth
from burstfix.frame import Box, Size

Picture = NDArray[np.float32]
Mask = NDArray[np.bool_]

UNCLIPPED = 0.99  # share of unclipped light round a place that is compared
CONVERGED = 0.01  # pixels of the level that a last step moves the corners
ROBUST = 3.0  # residuals, in robust standard deviations, that count half of what they say
FEWEST = 20  # places to compare for each unknown


@dataclass(frozen=True, kw_only=True)
class Stage:
    """How one level of the pyramid is aligned.

    Args:
        sigma: of the Gaussian that smooths both pictures, in pixels of the level.
        stride: every stride-th pixel of a row and column is compared.
        freedoms: 4 for turn, scale and shift; 8 for a homography.
        moments: whether to solve for the difference of the PSFs too.
        steps: Gauss-Newton steps, at most.
    """

    sigma: float
    stride: int
    freedoms: int
    moments: bool
    steps: int


class Template:
    """The reference at one level, ready to compare frames with.

    Args:
        luminance: linear light of the reference, averaged over blocks; (h, w).
        stage: how to compare.
    """

    def __init__(self, luminance: Picture, stage: Stage) -> None:
        self.stage = stage
        self.size: Size = (luminance.shape[0], luminance.shape[1])
        self.box = Box.whole(self.size)
        light, unclipped = self.prepare(luminance)
        self.light = self._pick(light)  # at the points that are compared, as all that follows
        self.detail = self._pick(detail(light, stage.sigma))
        self.weight = self._pick(evenness(light, stage.sigma))
        x, y = (np.arange(0, side, stage.stride, dtype=np.float64) for side in self.size[::-1])
        self.inside = self._inside(x[None, :], y[:, None]) & (self._pick(unclipped) > UNCLIPPED)
        # How each of P unknowns changes n points; (P, n). Torch multiplies it: were numpy to, its
        # threads and those of torch would wait for each other's cores.
        self.basis = torch.from_numpy(self._basis(light))

    def prepare(self, luminance: Picture) -> Picture:
        """Bring a frame's luminance, (h, w), to the form that is compared, (2, h, w)."""
        return smooth(luminance, self.stage.sigma)

    def warp(self, prepared: Picture, frame_from_reference: Matrix) -> tuple[Picture, Mask]:
        """Lay a frame onto the reference.

        Args:
            prepared: the frame, from `prepare`; (2, h, w).
            frame_from_reference: in pixels of this level.

        Returns:
            The frame's light at the points that are compared, and where both frames saw it.
        """
        x, y = project(frame_from_reference, self.box, self.stage.stride)
        light, unclipped = sample(torch.from_numpy(prepared), x, y).numpy()
        seen = self._inside(x.numpy(), y.numpy()) & self.inside & (unclipped > UNCLIPPED)
        return np.ascontiguousarray(light), seen

    def correlation(self, prepared: Picture, frame_from_reference: Matrix) -> tuple[float, float]:
        """Correlate the detail of a frame with the reference's, where both saw it.

        Args:
            prepared: the frame, from `prepare`; (2, h, w).
            frame_from_reference: in pixels of this level.

        Returns:
            The correlation, -1 to 1; and its standard deviation were the pictures unlike.
        """
        fine = np.stack((detail(prepared[0], self.stage.sigma), prepared[1]))
        fine, seen = self.warp(fine, frame_from_reference)
        spots = float(seen.sum()) * (self.stage.stride / self.stage.sigma) ** 2 / (4 * np.pi)
        root = np.sqrt(self.weight[seen])  # one lamp shall not decide
        one, other = self.detail[seen] * root, fine[seen] * root
        power = float(np.linalg.norm(one) * np.linalg.norm(other))
        return float(one @ other) / (power + 1e-12), float(1 / np.sqrt(spots + 1))

    def _pick(self, picture: Picture) -> Picture:
        """Take the pixels that are compared."""
        stride = self.stage.stride
        return np.ascontiguousarray(picture[::stride, ::stride])

    def _inside(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> Mask:
        """Tell which points lie inside the picture and away from its border."""
        height, width = self.size
        far = int(np.ceil(3 * self.stage.sigma)) + 1  # nearer, the smoothing made up light
        inside = (x >= far) & (x <= width - 1 - far) & (y >= far) & (y <= height - 1 - far)
        return np.asarray(inside)

    def _basis(self, light: Picture) -> Picture:
        """Return how each unknown changes the picture; (P, n), homography first."""
        height, width = self.size
        half = np.hypot(height, width) / 2
        x = np.arange(0, width, self.stage.stride, dtype=np.float32)[None, :]
        y = np.arange(0, height, self.stage.stride, dtype=np.float32)[:, None]
        x, y = np.broadcast_arrays((x - (width - 1) / 2) / half, (y - (height - 1) / 2) / half)
        slope_x, slope_y = slopes(light)
        gx, gy = self._pick(slope_x) * half, self._pick(slope_y) * half
        swell = x * gx + y * gy
        if self.stage.freedoms == 4:
            rows = [swell, x * gy - y * gx, gx, gy]
        else:
            rows = [x * gx, y * gx, gx, x * gy, y * gy, gy, -x * swell, -y * swell]
        rows += [np.ones_like(self.light), self.light, x, y, x * self.light, y * self.light]
        rows += [np.square(self.light), np.sqrt(np.maximum(self.light, 0) + 1e-3)]
        if self.stage.moments:
            xx, xy = slopes(slope_x)
            yy = slopes(slope_y)[1]
            rows += [self._pick(p) for p in (xx, xy, yy, *slopes(xx), *slopes(yy))]
        return np.stack([row.ravel() for row in rows]).astype(np.float32, copy=False)


def refine(template: Template, prepared: Picture, frame_from_reference: Matrix) -> Matrix:
    """Improve a homography.

    Args:
        template: the reference at this level.
        prepared: the frame at this level, from `template.prepare`; (2, h, w).
        frame_from_reference: where to begin, in pixels of this level.

    Returns:
        The same, improved; NaN where the pictures do not determine it.
    """
    matrix = frame_from_reference
    for _ in range(template.stage.steps):
        light, seen = template.warp(prepared, matrix)
        unknowns = _solve(template, light, seen)
        if not np.isfinite(unknowns).all():
            return np.full((3, 3), np.nan)
        before, matrix = matrix, matrix @ np.linalg.inv(_step(template, unknowns))
        matrix = matrix / matrix[2, 2]
        if corner_error(before, matrix, template.size) < CONVERGED:
            break
    return matrix


def _solve(template: Template, light: Picture, seen: Mask) -> NDArray[np.float64]:
    """Return the unknowns, in the order of the basis, that best explain a frame's difference."""
    basis, unknowns = template.basis, template.basis.shape[0]
    weight = seen * template.weight
    if np.count_nonzero(seen) < FEWEST * unknowns:
        return np.full(unknowns, np.nan)
    gain = _contrast(template.light, light, weight)
    if not gain > 1e-3:
        return np.full(unknowns, np.nan)
    difference = light / np.float32(gain) - template.light
    difference -= np.float32((difference * weight).sum() / weight.sum())
    some = difference[::3, ::3][seen[::3, ::3]]
    spread = 1.4826 * float(np.median(np.abs(some))) + 1e-6
    weight /= 1 + np.square(difference / np.float32(ROBUST * spread))
    weighted = basis * torch.from_numpy(weight.ravel())
    normal = (weighted @ basis.T).double().numpy()
    right = (weighted @ torch.from_numpy(difference.ravel())).double().numpy()
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-30))
    normal /= np.outer(scale, scale)
    normal[np.diag_indices(unknowns)] += 1e-6
    return np.asarray(np.linalg.solve(normal, right / scale) / scale)


def _contrast(reference: Picture, light: Picture, weight: Picture) -> float:
    """Return the factor that takes the reference's contrast to the frame's."""
    centered = (reference - (reference * weight).sum() / weight.sum()) * weight
    return float((centered * light).sum() / ((centered * reference).sum() + 1e-12))


def _step(template: Template, unknowns: NDArray[np.float64]) -> Matrix:
    """Return 1 + the step that the unknowns mean, in pixels of the level."""
    height, width = template.size
    half = np.hypot(height, width) / 2
    across, down = (width - 1) / 2 / half, (height - 1) / 2 / half
    normal_from_level = np.array([[1 / half, 0, -across], [0, 1 / half, -down], [0, 0, 1]])
    if template.stage.freedoms == 4:
        swell, turn, right, low = unknowns[:4]
        move = np.array([[swell, -turn, right], [turn, swell, low], [0, 0, 0]])
    else:
        move = np.append(unknowns[:8], 0).reshape(3, 3)
    return np.asarray(np.linalg.inv(normal_from_level) @ (np.eye(3) + move) @ normal_from_level)
