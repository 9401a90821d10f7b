"""Measure how sharp a frame is, undisturbed by noise and comparable across exposures."""

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]

CLIPPED = 0.9  # luminance from where light may be lost
AROUND = 8.0  # Gaussian, in pixels of the half-size picture, of the brightness round a place


def sharpness(luminance: Picture) -> float:
    """Return the power of a frame's fine detail, relative to its brightness.

    The picture is split into the two diagonals of each 2 x 2 square. They see the same light
    with independent noise, so that the product of their slopes is free of the noise's power.

    Args:
        luminance: linear light, 0 to 1; (h, w) with sides of 32 pixels at least.

    Returns:
        0 for a blank frame, more for a sharper one; negative where noise leaves nothing.
    """
    height, width = (side // 2 * 2 for side in luminance.shape)
    if min(height, width) < 4:
        return 0.0
    square = luminance[:height, :width]
    half = np.float32(0.5)
    one = (square[::2, ::2] + square[1::2, 1::2]) * half
    other = (square[::2, 1::2] + square[1::2, ::2]) * half
    around = cv2.GaussianBlur((one + other) * half, (0, 0), AROUND)
    open_to_light = (cv2.blur(np.maximum(one, other), (5, 5)) < CLIPPED).astype(np.float32)
    floor = 0.25 * float(around.mean()) + 1e-6
    weight = open_to_light / np.square(np.maximum(around, 0) + np.float32(floor))
    power = _slope(one, 1, 0) * _slope(other, 1, 0) + _slope(one, 0, 1) * _slope(other, 0, 1)
    return float((power * weight).sum() / (open_to_light.sum() + 1))


def _slope(picture: NDArray[np.floating], dx: int, dy: int) -> Picture:
    """Return the derivative along x or y, per pixel, averaged across the other."""
    return np.asarray(cv2.Sobel(picture, cv2.CV_32F, dx, dy, ksize=3, scale=1 / 8))
