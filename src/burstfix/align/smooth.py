"""Smooth pictures so that shaken, noisy and unlike exposed frames can be compared."""

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]

CLIPPED = 0.9  # luminance from where light may be lost
AROUND = 5.0  # Gaussian of the surroundings that detail stands out from, in Gaussians of it
COMMON = 9.0  # Gaussian of the region over which the power of detail is averaged, likewise


def smooth(luminance: Picture, sigma: float) -> Picture:
    """Smooth a picture, and tell where clipped light reaches.

    Args:
        luminance: linear light, 0 to 1; (h, w).
        sigma: Gaussian in pixels.

    Returns:
        The smoothed light; and how far each place is free of clipped light, 0 to 1; (2, h, w).
    """
    side = 2 * round(2 * sigma) + 1
    unclipped = (luminance < CLIPPED).astype(np.float32)
    light = cv2.GaussianBlur(luminance, (0, 0), sigma)
    return np.stack((light, cv2.blur(unclipped, (side, side)))).astype(np.float32, copy=False)


def detail(light: Picture, sigma: float) -> Picture:
    """Return how a smoothed picture, (h, w), differs from its surroundings.

    Args:
        light: the picture, smoothed by `sigma`.
        sigma: Gaussian in pixels.
    """
    return np.asarray(light - _wide_blur(light, AROUND * sigma), dtype=np.float32)


def evenness(light: Picture, sigma: float) -> Picture:
    """Return weights which make richly lit places count little more than dim ones.

    Args:
        light: a picture, smoothed by `sigma`; (h, w).
        sigma: Gaussian in pixels.

    Returns:
        The inverse of the power of detail round each place, up to 1; (h, w).
    """
    fine = detail(light, sigma)
    power = _wide_blur(fine * fine, COMMON * sigma)
    mean = np.float32(power.mean() + 1e-12)
    return np.asarray(mean / (np.maximum(power, 0) + mean), dtype=np.float32)


def slopes(picture: Picture) -> tuple[Picture, Picture]:
    """Return the derivatives along x and y, per pixel."""
    return (
        np.asarray(cv2.Sobel(picture, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8), dtype=np.float32),
        np.asarray(cv2.Sobel(picture, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8), dtype=np.float32),
    )


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
