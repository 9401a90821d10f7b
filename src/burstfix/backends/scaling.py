"""What the papers' networks share: widths by a factor, and codes with a usual picture's spread."""

import math

from torch import Tensor

GREY, CONTRAST = 0.5, 0.25  # mean and deviation of usual display codes


class Scaled:
    """Scales numbers of channels; to multiples of 8, on which processors are quick."""

    def __init__(self, width: float) -> None:
        self.width = width

    def __call__(self, channels: int) -> int:
        """Return the channels that take the place of so many."""
        return max(8, 8 * math.floor(channels * self.width / 8 + 0.5))


def standardise(codes: Tensor) -> Tensor:
    """Bring display codes near zero mean and unit variance; any shape."""
    return (codes - GREY) / CONTRAST
