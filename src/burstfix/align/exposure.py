"""Find the factor that brings a frame to the reference's exposure, in linear light."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from burstfix.align.geometry import Matrix, to_level
from burstfix.align.sampling import project, sample
from burstfix.frame import Box

Picture = NDArray[np.float32]

SIGMA = 3.0  # Gaussian, in pixels of the pictures, against noise and unlike blur
STRIDE = 4
BRIGHTEST = 0.75  # smoothed luminance from where clipping may have begun
FEWEST = 200  # places that a measurement needs


def exposure_gain(
    reference: Picture,
    frame: Picture,
    source_from_reference: Matrix,
    factor: int,
    *,
    expected: float | None = None,
) -> float:
    """Return what to multiply a frame's linear light by to match the reference.

    Args:
        reference: luminance in linear light, averaged over blocks; (h, w).
        frame: the other, likewise; (h, w).
        source_from_reference: takes the reference's (x, y) to the frame's, in full-resolution
            pixels; (3, 3).
        factor: side of the blocks in full-resolution pixels.
        expected: the gain that the files' exposure times, apertures and ISO tell, if they do.
            It stands where the pictures hold too little to measure.

    Returns:
        The gain; above 1 for a frame darker than the reference.
    """
    fallback = 1.0 if expected is None else expected
    level = to_level(source_from_reference, factor)
    height, width = frame.shape
    x, y = project(level, Box.whole(reference.shape), STRIDE)
    seen = ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)).numpy()
    one = cv2.GaussianBlur(reference, (0, 0), SIGMA)[::STRIDE, ::STRIDE]
    smooth = torch.from_numpy(cv2.GaussianBlur(frame, (0, 0), SIGMA))
    other = sample(smooth[None], x, y)[0].numpy()
    # Round clipped light, blur mixes lost light into places that look unclipped.
    peaks = cv2.dilate(reference, np.ones((5, 5)))[::STRIDE, ::STRIDE]
    frame_peaks = torch.from_numpy(cv2.dilate(frame, np.ones((5, 5))))
    other_peaks = sample(frame_peaks[None], x, y)[0].numpy()
    good = (
        seen & (np.maximum(one, peaks) < BRIGHTEST) & (np.maximum(other, other_peaks) < BRIGHTEST)
    )
    return _ratio(one[good], other[good], fallback)


def _ratio(one: Picture, other: Picture, fallback: float) -> float:
    """Return how many times brighter `one` is, leaving out what moved.

    The brighter half decides: near black, offsets and clipped noise would.
    """
    if len(one) < FEWEST:
        return fallback
    brightness = one / (one.mean() + 1e-9) + other / (other.mean() + 1e-9)
    bright = (brightness >= np.median(brightness)) & (one > 1e-4) & (other > 1e-4)
    if np.count_nonzero(bright) < FEWEST:
        return fallback
    logs = np.log2(one[bright] / other[bright])
    center = float(np.median(logs))
    spread = 1.4826 * float(np.median(np.abs(logs - center))) + 1e-4
    kept = np.abs(logs - center) < 2.5 * spread
    return float(one[bright][kept].sum() / other[bright][kept].sum())
