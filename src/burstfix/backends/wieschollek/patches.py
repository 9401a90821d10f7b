"""Cuts a picture into overlapping patches on a grid fixed to its corner, and joins them again."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from burstfix.backends.wieschollek.config import BORDER, PATCH, RESULT
from burstfix.backends.wieschollek.dft import hann
from burstfix.frame import Box


@dataclass(frozen=True)
class Grid:
    """Which patches there are: result k of a row or column begins at k * stride.

    Args:
        core: what is to be restored [px of the picture].
        stride: from one patch to the next [px].
        rows: the first k, and the one after the last.
        columns: likewise.
    """

    core: Box
    stride: int
    rows: range
    columns: range

    def cut(self, planes: Tensor) -> Tensor:
        """Return all patches as a view of little memory; mirrored beyond the picture's edges.

        Args:
            planes: the picture; (P, F, H, W).

        Returns:
            (P, F, rows, columns, 65, 65).
        """
        for axis, places in ((-2, self.rows), (-1, self.columns)):
            start = places.start * self.stride - BORDER
            stop = (places.stop - 1) * self.stride - BORDER + PATCH
            planes = _run(planes, axis, start, stop)
        return planes.unfold(-2, PATCH, self.stride).unfold(-2, PATCH, self.stride)

    def add(self, result: Tensor, patches: Tensor, row: int, column: int) -> None:
        """Add patches to what is restored.

        Args:
            result: the core of one plane; (h, w).
            patches: windowed; (r, c, 33, 33).
            row: of the grid, where the first patch lies.
            column: likewise.
        """
        rows, columns = patches.shape[:2]
        stride = self.stride
        size = ((rows - 1) * stride + RESULT, (columns - 1) * stride + RESULT)
        flat = patches.flatten(0, 1).flatten(1).T.unsqueeze(0)
        joined = F.fold(flat, size, kernel_size=RESULT, stride=stride)[0, 0]
        whole = Box(
            row * stride, column * stride, row * stride + size[0], column * stride + size[1]
        )
        part = whole.intersect(self.core)
        source, target = (
            part.shift(-whole.top, -whole.left),
            part.shift(-self.core.top, -self.core.left),
        )
        result[target.top : target.bottom, target.left : target.right] += joined[
            source.top : source.bottom, source.left : source.right
        ]

    def coverage(self) -> Tensor:
        """Return the sum of the blending windows over the core; (h, w)."""
        down = self._covered(self.rows, self.core.top, self.core.bottom)
        across = self._covered(self.columns, self.core.left, self.core.right)
        return down[:, None] * across

    def _covered(self, places: range, start: int, stop: int) -> Tensor:
        window = hann(RESULT)
        total = torch.zeros(stop - start)
        for place in places:
            at = place * self.stride - start
            first, last = max(at, 0), min(at + RESULT, len(total))
            total[first:last] += window[first - at : last - at]
        return total


def grid_for(core: Box, stride: int) -> Grid:
    """Place all patches that reach into a core."""
    rows, columns = (
        range((start - RESULT) // stride + 1, (stop - 1) // stride + 1)
        for start, stop in ((core.top, core.bottom), (core.left, core.right))
    )
    return Grid(core, stride, rows, columns)


def inner_grid(height: int, width: int, stride: int) -> Grid:
    """Place the patches that lie in a picture wholly: those worth learning from."""
    first = -(-BORDER // stride)
    rows, columns = (
        range(first, max(first, (side - BORDER - RESULT) // stride) + 1) for side in (height, width)
    )
    return Grid(Box(0, 0, height, width), stride, rows, columns)


def _run(planes: Tensor, axis: int, start: int, stop: int) -> Tensor:
    """Take a run along an axis of the picture, which beyond its ends goes back and forth."""
    length = planes.shape[axis]
    if start >= 0 and stop <= length:
        return planes.narrow(axis, start, stop - start)
    place = torch.arange(start, stop, device=planes.device) % (2 * length)
    return planes.index_select(axis, torch.minimum(place, 2 * length - 1 - place))
