"""Lay one frame of a film onto another as photographs of a scene that keeps still."""

from burstfix.align import homography
from burstfix.align.flow import Motion
from burstfix.align.homography import Picture
from burstfix.frame import Size


def plane_motion(reference: Picture, neighbour: Picture, size: Size) -> Motion:
    """Align as the frames of a burst are, and return the homography's flow.

    Args:
        reference: luminance, reduced by `homography.reduction_for`; (h, w).
        neighbour: likewise.
        size: (height, width) of the full pictures.
    """
    factor = homography.reduction_for(size)
    found = homography.align_burst([reference, neighbour], 0, factor=factor, size=size)[1]
    correlation = found.correlation if found.ok else 0.0
    return Motion.of_homography(found.source_from_reference, size, correlation)
