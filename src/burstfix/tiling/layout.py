"""Where tiles lie on a picture, what each reads, and how neighbours blend."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from burstfix.backends.base import Contract
from burstfix.frame import Box, Size

_BLEND = 16  # px on each side of a seam; the seam is under 1/1024 to begin with


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where tiles lie on a picture that is padded, below and on the right, to whole cells.

    Each tile owns a core; the cores partition the padded picture. It computes its `region`, the
    core grown by `blend`, from its `box`, which reaches `margin` farther.

    Args:
        size: (height, width) of the picture.
        multiple: side of a cell [px].
        margin: how far a box reaches beyond its region [px].
        blend: how far neighbouring tiles fade into each other beyond the seam [px].
        rows: where cores begin, top to bottom, and where the last one ends [px].
        columns: the same from left to right.
    """

    size: Size
    multiple: int
    margin: int
    blend: int
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @property
    def padded(self) -> Box:
        """The picture, padded to whole cells."""
        return Box(0, 0, self.rows[-1], self.columns[-1])

    def bands(self) -> list[list[Box]]:
        """Return the cores, row by row."""
        return [
            [Box(top, left, bottom, right) for left, right in pairwise(self.columns)]
            for top, bottom in pairwise(self.rows)
        ]

    def region(self, core: Box) -> Box:
        """Return what a tile computes."""
        return core.grow(self.blend).intersect(self.padded)

    def box(self, region: Box) -> Box:
        """Return what must be read to compute a region: whole cells, inside the picture."""
        wide = region.grow(self.margin)
        m = self.multiple
        return Box(
            wide.top // m * m, wide.left // m * m, -(-wide.bottom // m) * m, -(-wide.right // m) * m
        ).intersect(self.padded)

    def weight(self, core: Box) -> Tensor:
        """Return the blend weights of a tile's region, which sum to 1 over tiles; (h, w)."""
        region = self.region(core)
        rows = _fade(core.top, core.bottom, region.top, region.bottom, self.blend)
        columns = _fade(core.left, core.right, region.left, region.right, self.blend)
        return rows[:, None] * columns


def layout_for(contract: Contract, size: Size, tile: int, halo: int | None = None) -> Layout:
    """Place tiles.

    Args:
        contract: tells cells, radius and default halo.
        size: (height, width) of the picture.
        tile: greatest side of a core [px]; rounded down to whole cells, at least one.
        halo: how far tiles read around; None takes the contract's. Below the receptive radius
            neighbouring tiles are blended.
    """
    wanted = contract.halo if halo is None else halo
    full = wanted is None or wanted >= contract.receptive_radius
    reach = contract.receptive_radius if wanted is None or full else wanted
    multiple = contract.multiple_of
    rows, columns = (_cuts(length, tile, multiple) for length in size)
    least = min(stop - start for cuts in (rows, columns) for start, stop in pairwise(cuts))
    blend = 0 if full else min(_BLEND, reach // 4, least // 2)  # seams must not overlap
    return Layout(
        size=size, multiple=multiple, margin=reach - blend, blend=blend, rows=rows, columns=columns
    )


def _cuts(length: int, tile: int, multiple: int) -> tuple[int, ...]:
    """Cut a length, padded to whole cells, into like parts of at most `tile`, or one cell."""
    cells = -(-length // multiple)
    parts = -(-cells // max(1, tile // multiple))
    return tuple(multiple * (cells * part // parts) for part in range(parts + 1))


def _fade(start: int, stop: int, first: int, last: int, blend: int) -> Tensor:
    """Return weights along one axis that fade over 2 `blend` pixels about inner seams."""
    weight = torch.ones(last - first)
    ramp = (torch.arange(2 * blend) + 0.5) / max(1, 2 * blend)
    if first < start:
        weight[: 2 * blend] *= ramp
    if last > stop:
        weight[len(weight) - 2 * blend :] *= ramp.flip(0)
    return weight
