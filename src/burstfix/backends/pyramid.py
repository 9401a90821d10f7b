"""Gaussian pyramids whose pixels stand for whole cells of 2x2."""

import torch
import torch.nn.functional as F
from torch import Tensor

_TAPS = (1, 3, 3, 1)  # in eighths; binomial, and symmetric about a cell's middle


def halve(pictures: Tensor) -> Tensor:
    """Smooth and take one pixel for four; what lies beyond the edges repeats them.

    Args:
        pictures: any numbers; (N, C, H, W), sides even.

    Returns:
        (N, C, H / 2, W / 2).
    """
    channels = pictures.shape[1]
    taps = torch.tensor(_TAPS, dtype=pictures.dtype, device=pictures.device) / sum(_TAPS)
    padded = F.pad(pictures, (1, 1, 1, 1), mode="replicate")
    across = F.conv2d(padded, taps.expand(channels, 1, 1, -1), stride=(1, 2), groups=channels)
    columns = taps[:, None].expand(channels, 1, -1, -1)
    return F.conv2d(across, columns, stride=(2, 1), groups=channels)


def pyramid(pictures: Tensor, levels: int) -> list[Tensor]:
    """Halve again and again.

    Args:
        pictures: any numbers; (N, C, H, W), sides multiples of 2 ** (levels - 1).
        levels: at least 1.

    Returns:
        The pictures first, the smallest last.
    """
    scales = [pictures]
    for _ in range(levels - 1):
        scales.append(halve(scales[-1]))
    return scales
