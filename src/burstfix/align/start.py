"""Find roughly how a frame lies to the reference: phase correlation at several rotations."""

import cv2
import numpy as np
from numpy.typing import NDArray

from burstfix.align.geometry import Matrix

Picture = NDArray[np.float32]

LONGEST = 144  # side in pixels, at most, of the pictures that are compared
ROTATIONS_DEG = tuple(range(-12, 13))  # a step turns a corner by about one pixel


def coarse(reference: Picture, frame: Picture, candidates: int = 2) -> list[Matrix]:
    """Return the likeliest turns and shifts of a frame, the best first.

    Args:
        reference: luminance of a small picture, its longer side LONGEST at most; (h, w).
        frame: the other, of the same size.
        candidates: how many to return.

    Returns:
        frame_from_reference in pixels of these pictures; (3, 3) each.
    """
    height, width = reference.shape
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    window = window.astype(np.float32)
    spectrum = np.conj(np.fft.rfft2(_flatten(reference) * window))
    flat = _flatten(frame)
    center = (width - 1) / 2, (height - 1) / 2
    found = []
    for degrees in ROTATIONS_DEG:
        turn = np.vstack((cv2.getRotationMatrix2D(center, degrees, 1.0), (0, 0, 1)))
        turned = cv2.warpPerspective(
            flat, turn, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        faded = turned * window
        peak = np.fft.irfft2(np.fft.rfft2(faded) * spectrum, s=(height, width))
        row, column = np.unravel_index(np.argmax(peak), peak.shape)
        score = float(peak[row, column] / (np.linalg.norm(faded) + 1e-12))
        shift = np.eye(3)
        shift[0, 2] = (column + width // 2) % width - width // 2
        shift[1, 2] = (row + height // 2) % height - height // 2
        found.append((score, turn @ shift))
    found.sort(key=lambda candidate: -candidate[0])
    return [np.asarray(matrix) for _, matrix in found[:candidates]]


def _flatten(picture: Picture) -> Picture:
    """Keep detail of middle size, at the same strength in bright and dark places."""
    detail = cv2.GaussianBlur(picture, (0, 0), 1) - cv2.GaussianBlur(picture, (0, 0), 6)
    power = cv2.GaussianBlur(detail * detail, (0, 0), 8)
    return np.asarray(detail / np.sqrt(power + 0.05 * power.mean() + 1e-12), dtype=np.float32)
