"""Bring pictures to a form in which shaken, noisy and unlike exposed frames can be compared."""

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]

CLIPPED = 0.9  # luminance from where light may be lost
AROUND = 5.0  # Gaussian of the surroundings, in Gaussians of the detail
COMMON = 9.0  # Gaussian over which detail is brought to a common strength, likewise
FLOOR = 0.3  # of the mean power, below which detail is not lifted


def detail(luminance: Picture, sigma: float) -> Picture:
    """Return detail of one size, equally strong in bright and dark, soft and rich places.

    Both the tone curve of an unknown camera and vignetting are, to detail this small, no more
    than a factor that changes slowly over the picture: it is divided out. Light stays linear
    otherwise, so that a blur kernel's centroid keeps its meaning.

    Args:
        luminance: linear light, 0 to 1; (h, w).
        sigma: Gaussian in pixels against noise and what blur has made unlike.

    Returns:
        Detail, of power 1 or less; and how far each place is free of clipped light, 0 to 1;
        (2, h, w).
    """
    smooth = np.asarray(cv2.GaussianBlur(luminance, (0, 0), sigma), dtype=np.float32)
    fine = smooth - _wide_blur(smooth, AROUND * sigma)
    side = 2 * round(2 * sigma) + 1
    unclipped = (luminance < CLIPPED).astype(np.float32)
    unclipped = np.asarray(cv2.blur(unclipped, (side, side)), dtype=np.float32)
    power = _wide_blur(fine * fine * (unclipped > 0.99), COMMON * sigma)
    strength = np.sqrt(power + np.float32(FLOOR * float(power.mean()) + 1e-12))
    return np.stack((fine / strength, unclipped))


def _wide_blur(picture: Picture, sigma: float) -> Picture:
    """Blur by a wide Gaussian, by way of a smaller picture."""
    by = max(1, int(sigma / 2))
    height, width = picture.shape
    size = max(1, round(width / by)), max(1, round(height / by))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / by)
    return np.asarray(
        cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32
    )
