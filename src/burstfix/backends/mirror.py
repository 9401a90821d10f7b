"""What lies beyond a picture's edges: the picture, mirrored."""

import torch
from torch import Tensor


def mirrored(start: int, stop: int, length: int) -> Tensor:
    """Return the positions inside a picture that stand for positions in and around it.

    Args:
        start: first position; negative before the picture.
        stop: one past the last.
        length: of the picture along this axis [px].

    Returns:
        Positions from 0 to length - 1; (stop - start,) int64.
    """
    period = max(1, 2 * (length - 1))
    position = torch.arange(start, stop) % period
    return torch.minimum(position, period - position)
