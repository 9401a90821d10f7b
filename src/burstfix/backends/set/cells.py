"""The grid of cells in which `set` takes blur for uniform: cut out, and joined again."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from burstfix.backends.mirror import mirrored

CELL = 128  # px; a hand's shake changes little over it
FADE = 16  # px beyond a cell over which neighbours fade into each other


def cut(pictures: Tensor, margin: int) -> Tensor:
    """Cut out the cells, each with what lies around it.

    Beyond the picture's edge it is mirrored.

    Args:
        pictures: (N, ..., H, W).
        margin: how much around a cell [px].

    Returns:
        Row by row; (N, cells, ..., s, s) with s = CELL + 2 margin.
    """
    rows, columns = grid(pictures.shape[-2:])
    padded = _extend(pictures, -2, margin, rows * CELL + margin)
    padded = _extend(padded, -1, margin, columns * CELL + margin)
    side = CELL + 2 * margin
    tiles = padded.unfold(-2, side, CELL).unfold(-2, side, CELL)  # (N, ..., rows, columns, s, s)
    return tiles.movedim((-4, -3), (1, 2)).flatten(1, 2)


def join(cells: Tensor, size: tuple[int, int]) -> Tensor:
    """Put cells together, which fade into each other.

    Args:
        cells: each with a margin of `FADE`, in the order of `cut`; (N, cells, C, s, s).
        size: (height, width) of the picture.

    Returns:
        (N, C, H, W).
    """
    rows, columns = grid(size)
    side = CELL + 2 * FADE
    ramp = torch.ones(side, device=cells.device)
    ramp[: 2 * FADE] = (torch.arange(2 * FADE, device=cells.device) + 0.5) / (2 * FADE)
    ramp = torch.minimum(ramp, ramp.flip(0))
    weight = (ramp * ramp[:, None]).expand(1, rows * columns, 1, side, side)
    whole = (rows * CELL + 2 * FADE, columns * CELL + 2 * FADE)
    total = _overlay(cells * weight, whole) / _overlay(weight, whole)
    return total[..., FADE : FADE + size[0], FADE : FADE + size[1]]


def grid(size: tuple[int, int] | torch.Size) -> tuple[int, int]:
    """Return how many rows and columns of cells cover a picture of (height, width)."""
    return math.ceil(size[0] / CELL), math.ceil(size[1] / CELL)


def _overlay(cells: Tensor, size: tuple[int, int]) -> Tensor:
    """Add up cells at their places; (N, cells, C, s, s) to (N, C, H, W)."""
    columns = cells.flatten(2).transpose(1, 2)
    return F.fold(columns, size, kernel_size=cells.shape[-1], stride=CELL)


def _extend(pictures: Tensor, dim: int, before: int, end: int) -> Tensor:
    """Mirror a dimension at its ends, so that it reaches from -before to end."""
    length = pictures.shape[dim]
    if not before and end == length:
        return pictures
    outside = (mirrored(-before, 0, length), mirrored(length, end, length))
    first, last = (pictures.index_select(dim, part.to(pictures.device)) for part in outside)
    return torch.cat([first, pictures, last], dim=dim)
