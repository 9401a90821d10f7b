"""Plain arithmetic of homographies: scales, corners, and which ones a hand can have made."""

import numpy as np
from numpy.typing import NDArray

from burstfix.frame import Size

Matrix = NDArray[np.float64]

MAX_ROTATION_DEG = 15.0
SCALE_RANGE = (0.8, 1.25)
MAX_KEYSTONE = 0.2  # how far the picture may shrink or grow towards one corner
MIN_OVERLAP = 0.25


def full_from_level(factor: int) -> Matrix:
    """Return what takes pixels of a picture averaged over blocks to full-resolution pixels.

    Args:
        factor: side of the blocks in pixels. Block i has its centre at factor * i +
            (factor - 1) / 2.
    """
    middle = (factor - 1) / 2
    return np.array([[factor, 0, middle], [0, factor, middle], [0, 0, 1]], dtype=np.float64)


def to_level(full: Matrix, factor: int) -> Matrix:
    """Bring a homography of full-resolution pixels to pixels averaged over blocks."""
    scaling = full_from_level(factor)
    return np.asarray(np.linalg.inv(scaling) @ full @ scaling)


def to_full(level: Matrix, factor: int) -> Matrix:
    """Bring a homography of pixels averaged over blocks to full-resolution pixels."""
    scaling = full_from_level(factor)
    return np.asarray(scaling @ level @ np.linalg.inv(scaling))


def apply(homography: Matrix, points: Matrix) -> Matrix:
    """Take points (x, y) through a homography; (N, 2) to (N, 2), in pixels."""
    image = np.column_stack((points, np.ones(len(points)))) @ homography.T
    return np.asarray(image[:, :2] / image[:, 2:])


def corners(size: Size) -> Matrix:
    """Return the centres of the four corner pixels (x, y), clockwise; (4, 2)."""
    bottom, right = size[0] - 1, size[1] - 1
    return np.array([(0, 0), (right, 0), (right, bottom), (0, bottom)], dtype=np.float64)


def corner_error(one: Matrix, other: Matrix, size: Size) -> float:
    """Return how far two homographies lie apart: mean over the corners of a picture, in pixels."""
    at = corners(size)
    return float(np.linalg.norm(apply(one, at) - apply(other, at), axis=1).mean())


def plausible(source_from_reference: Matrix, size: Size) -> bool:
    """Tell whether a hand that holds a camera can have made this.

    Args:
        source_from_reference: of pictures of `size`, in their pixels; (3, 3).
        size: (height, width) of both pictures.
    """
    matrix = source_from_reference
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-9:
        return False
    height, width = size
    center = np.array([(width - 1) / 2, (height - 1) / 2, 1.0])
    depth = matrix @ center
    if depth[2] <= 0:
        return False
    keystone = np.abs(matrix[2, :2] / depth[2]) @ center[:2]
    linear = (matrix[:2, :2] - np.outer(depth[:2] / depth[2], matrix[2, :2])) / depth[2]
    stretch = np.linalg.svd(linear, compute_uv=False)
    rotation_deg = np.degrees(np.arctan2(linear[1, 0] - linear[0, 1], np.trace(linear)))
    return bool(
        keystone < MAX_KEYSTONE
        and SCALE_RANGE[0] < stretch[1]
        and stretch[0] < SCALE_RANGE[1]
        and abs(rotation_deg) < MAX_ROTATION_DEG
        and overlap(matrix, size) >= MIN_OVERLAP
    )


def overlap(source_from_reference: Matrix, size: Size, samples: int = 32) -> float:
    """Return the share of the reference which the frame saw too, 0 to 1."""
    height, width = size
    x, y = np.meshgrid(np.linspace(0, width - 1, samples), np.linspace(0, height - 1, samples))
    seen = apply(source_from_reference, np.column_stack((x.ravel(), y.ravel())))
    inside = (seen >= 0) & (seen <= (width - 1, height - 1))
    return float(inside.all(axis=1).mean())
