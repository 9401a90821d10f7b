"""Find how the light of a short exposure becomes that of a long one: a line for each colour."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from burstfix.align.geometry import Matrix, to_level
from burstfix.align.sampling import project, sample
from burstfix.color import LUMA
from burstfix.frame import Box

Picture = NDArray[np.float32]
Samples = NDArray[np.float64]

SIGMA = 6.0  # Gaussian, in pixels of the pictures: more than the blur of most long exposures
STRIDE = 4
BRIGHTEST = 0.9  # light from where clipping may have begun
FEWEST = 200  # places that a measurement needs
MOST = 16_000  # that it takes: more change the gains by next to nothing
MOST_OFFSET = 0.02  # of linear light, by which a file's black may be lifted
ODDEST = 2.5  # times by which a colour's gain may differ from the luminance's
_SPREAD = 0.2  # of a picture's light, relative to its mean, without which no offset shows
_STEPS = 12


@dataclass(frozen=True)
class LightMatch:
    """What makes the short exposure's light the long one's: (light - offset) * gain.

    Args:
        gains: of red, green and blue.
        offsets: likewise, in the short exposure's linear light.
    """

    gains: tuple[float, float, float]
    offsets: tuple[float, float, float]

    @property
    def gain(self) -> float:
        """The gain of luminance."""
        return float(np.dot(LUMA, self.gains))


def match_light(
    short: Picture,
    long: Picture,
    long_from_short: Matrix,
    factor: int,
    *,
    lifted: bool,
) -> LightMatch | None:
    """Fit a line to each colour's light in both, where neither is clipped and nothing moved.

    Both are smoothed first, against noise and unlike blur.

    Args:
        short: linear light, averaged over blocks; (3, h, w).
        long: the other, likewise; (3, h, w).
        long_from_short: takes the short exposure's (x, y) to the long one's, in full-resolution
            pixels; (3, 3).
        factor: side of the blocks in full-resolution pixels.
        lifted: whether black may lie above 0 in the short exposure, as in developed files, whose
            noise was clipped at black; raw light has no offset.

    Returns:
        None where too few places were seen by both, unclipped.
    """
    one, other = shrink(short, STRIDE), shrink(long, STRIDE)
    x, y = project(to_level(long_from_short, STRIDE * factor), Box.whole(one.shape[1:]))
    there = np.concatenate([_smooth(other), _peak(long)])
    found = sample(torch.from_numpy(there), x, y).numpy()
    height, width = other.shape[1:]
    seen = ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)).numpy()
    good = seen & (_peak(short)[0] < BRIGHTEST) & (found[3] < BRIGHTEST)
    one, other = _smooth(one), found[:3]
    good &= other.max(axis=0) > 1e-4
    if np.count_nonzero(good) < FEWEST:
        return None
    every = 1 + np.count_nonzero(good) // MOST
    from_, to = (picture[:, good][:, ::every].astype(np.float64) for picture in (one, other))
    return _sane([_line(a, b, lifted=lifted) for a, b in zip(from_, to, strict=True)], from_, to)


def shrink(picture: Picture, by: int) -> Picture:
    """Average over squares; (C, h, w) to (C, h // by, w // by)."""
    height, width = (side // by for side in picture.shape[1:])
    whole = picture[:, : height * by, : width * by]
    size = (width, height)
    planes = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in whole]
    return np.asarray(np.stack(planes), np.float32)


def _smooth(picture: Picture) -> Picture:
    """Smooth what was shrunk."""
    return np.stack([cv2.GaussianBlur(plane, (0, 0), SIGMA / STRIDE) for plane in picture])


def _peak(picture: Picture) -> Picture:
    """Return the brightest near each place: blur mixes lost light into what looks unclipped.

    (3, h, w) to (1, h // STRIDE, w // STRIDE).
    """
    height, width = (side // STRIDE for side in picture.shape[1:])
    brightest = picture.max(axis=0)[: height * STRIDE, : width * STRIDE]
    blocks = brightest.reshape(height, STRIDE, width, STRIDE).max(axis=(1, 3))
    side = 2 * round(SIGMA / STRIDE) + 1
    return np.asarray(cv2.dilate(blocks, np.ones((side, side))), np.float32)[None]


def _line(x: Samples, y: Samples, *, lifted: bool) -> tuple[float, float]:
    """Fit y = gain * (x - offset); residuals count relative to y, and what moved not at all."""
    lifted = lifted and float(x.std()) > _SPREAD * float(x.mean())
    scale = y + 0.2 * y.mean()
    gain, offset = _usual_ratio(x, y), 0.0
    for _ in range(_STEPS):
        residual = (y - gain * (x - offset)) / scale
        spread = 1.4826 * float(np.median(np.abs(residual))) + 1e-3
        weight = 1 / (scale * (1 + (residual / (2 * spread)) ** 2)) ** 2
        gain, offset = _weighted_line(x, y, weight, lifted=lifted)
    return gain, offset


def _usual_ratio(x: Samples, y: Samples) -> float:
    """Return y / x where half of the light of y lies below: at night most places are black."""
    ratio = y / np.maximum(x, 1e-6)
    order = np.argsort(ratio)
    below = np.cumsum(y[order])
    return float(ratio[order][np.searchsorted(below, below[-1] / 2)])


def _weighted_line(x: Samples, y: Samples, weight: Samples, *, lifted: bool) -> tuple[float, float]:
    middle = float((weight * x).sum() / weight.sum()) if lifted else 0.0
    height = float((weight * y).sum() / weight.sum()) if lifted else 0.0
    away = x - middle
    gain = float((weight * away * (y - height)).sum() / max((weight * away**2).sum(), 1e-30))
    if not lifted or gain <= 0:
        return gain, 0.0
    offset = middle - height / gain
    if abs(offset) <= MOST_OFFSET:
        return gain, offset
    offset = float(np.copysign(MOST_OFFSET, offset))
    shifted = x - offset
    return float((weight * shifted * y).sum() / max((weight * shifted**2).sum(), 1e-30)), offset


def _sane(lines: list[tuple[float, float]], from_: Samples, to: Samples) -> LightMatch:
    """Let no colour's gain stray far from the usual ratio of all light."""
    usual = _usual_ratio(from_.sum(axis=0), to.sum(axis=0))
    good = [usual / ODDEST < gain < usual * ODDEST for gain, _ in lines]
    kept = [line if ok else (usual, 0.0) for line, ok in zip(lines, good, strict=True)]
    (red, red_offset), (green, green_offset), (blue, blue_offset) = kept
    return LightMatch((red, green, blue), (red_offset, green_offset, blue_offset))
