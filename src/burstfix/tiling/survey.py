"""The first pass of networks that have one: over cells, a few rows ahead of the tiles."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from burstfix.backends.base import Network, Survey
from burstfix.backends.mirror import mirrored
from burstfix.frame import Box, Size
from burstfix.tiling.ahead import ahead, at_once, together
from burstfix.tiling.reader import LIGHT_BYTES, Room, Source
from burstfix.tiling.runner import Runner

_AT_ONCE = 4  # rows and columns of cells read at once; fewer read the pixels around them oftener
FRAMES_AT_ONCE = 32  # of all cells that are computed at once; with 8, each takes twice as long
_WORKING = 5  # times what computing holds, over the cells and their margins


class OneAtATime:
    """A source that two threads may read: the one for tiles ahead, and the first pass.

    Args:
        source: the burst.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.lock = threading.Lock()

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self.source.size

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return self.source.frames

    def read(self, box: Box, into: Room | None = None) -> Room:
        """Read a box, as `Source.read`."""
        with self.lock:
            return self.source.read(box, into)


@dataclass(frozen=True)
class _Block:
    """Some cells, read at once.

    Args:
        rows: of cells.
        columns: of cells.
        burst: linear light of the cells and the margin around; (F, 3, h, w) float32.
        seen: how far each pixel was seen; (F, 1, h, w).
    """

    rows: range
    columns: range
    burst: Tensor
    seen: Tensor


_Task = tuple[_Block, list[tuple[int, int]]]  # and rows and columns of some cells of it


class Surveyor:
    """Keeps the planes of the rows that tiles still need.

    Args:
        survey: cells, and what is made of them.
        source: the burst.
        padded: the picture, padded to whole cells of the second pass.
        runner: computes.
    """

    def __init__(self, survey: Survey, source: Source, padded: Box, runner: Runner) -> None:
        self.survey = survey
        self.source = source
        self.padded = padded
        self.runner = runner
        self.rows, self.columns = (-(-length // survey.cell) for length in padded.size)
        self.done = 0  # rows of cells
        self.kept = Box(0, 0, 0, self.columns * survey.cell)
        half = torch.float32 if runner.dtype == torch.float32 else torch.float16
        self.planes = torch.zeros(survey.planes, 0, self.kept.right, dtype=half)

    def prepare(self, top: int, bottom: int) -> None:
        """Make the planes of rows of the padded picture, and forget those above."""
        survey = self.survey
        until = min(self.rows, (bottom - 1 + survey.fade) // survey.cell + 1)
        self._make_room(top, max(until, self.done) * survey.cell + survey.fade)
        count = at_once(self.runner.place.device)
        for cells, pieces in together(self._measure, self._tasks(until), count):
            for cell, piece in zip(cells, pieces, strict=True):
                self._add(*cell, piece)
        self.done = max(until, self.done)

    def read(self, box: Box) -> Tensor:
        """Return the planes of a box inside prepared rows; (planes, h, w) float32."""
        at = box.shift(-self.kept.top, 0)
        return self.planes[:, at.top : at.bottom, at.left : at.right].float()

    def _make_room(self, top: int, bottom: int) -> None:
        kept, old = self.kept._replace(top=top, bottom=bottom), self.planes
        self.planes = old.new_zeros(old.shape[0], bottom - top, old.shape[2])
        both = kept.intersect(self.kept)
        if not both.empty:
            new, was = both.shift(-top, 0), both.shift(-self.kept.top, 0)
            self.planes[:, new.top : new.bottom] = old[:, was.top : was.bottom]
        self.kept = kept

    def _blocks(self, until: int) -> Iterator[_Block]:
        """Read the cells of the rows that are not done yet, some at once."""
        for row in range(self.done, until, _AT_ONCE):
            for column in range(0, self.columns, _AT_ONCE):
                rows = range(row, min(row + _AT_ONCE, until))
                columns = range(column, min(column + _AT_ONCE, self.columns))
                block = [self._read(rows, columns)]
                yield block.pop()  # no reference stays here while the block is computed

    def _tasks(self, until: int) -> Iterator[_Task]:
        """Take as many cells at once as give a device enough to do."""
        count = max(1, FRAMES_AT_ONCE // self.source.frames)
        for block in ahead(self._blocks(until)):
            cells = list(product(block.rows, block.columns))
            for start in range(0, len(cells), count):
                yield block, cells[start : start + count]
            del block  # before the next is taken

    def _measure(self, task: _Task) -> tuple[list[tuple[int, int]], Tensor]:
        """Compute some cells of a block; returns them too."""
        block, cells = task
        pieces, seen = (
            torch.stack(parts)
            for parts in zip(*(self._cut(block, *cell) for cell in cells), strict=True)
        )
        return cells, self.runner.survey(pieces, seen)

    def _cut(self, block: _Block, row: int, column: int) -> tuple[Tensor, Tensor]:
        """Return a cell with the margin around; and what was seen of it, without."""
        cell, margin = self.survey.cell, self.survey.margin
        side = cell + 2 * margin
        top, left = (row - block.rows[0]) * cell, (column - block.columns[0]) * cell
        inner = slice(margin, margin + cell)
        burst, seen = (
            part[..., top : top + side, left : left + side] for part in (block.burst, block.seen)
        )
        return burst, seen[..., inner, inner]

    def _read(self, rows: range, columns: range) -> _Block:
        """Read cells and the margin around them; beyond the padded picture it is mirrored."""
        margin, cell = self.survey.margin, self.survey.cell
        positions = [
            # Padding repeats the picture's edge.
            mirrored(part[0] * cell - margin, (part[-1] + 1) * cell + margin, whole).clamp(max=last)
            for part, whole, last in zip(
                (rows, columns),
                self.padded.size,
                (self.source.size[0] - 1, self.source.size[1] - 1),
                strict=True,
            )
        ]
        down, across = positions
        top, left = int(down.min()), int(across.min())
        box = Box(top, left, int(down.max()) + 1, int(across.max()) + 1)
        burst, seen = (
            _taken(_taken(part, -2, down - top), -1, across - left)
            for part in self.source.read(box)
        )
        return _Block(rows, columns, burst, seen)

    def _add(self, row: int, column: int, piece: Tensor) -> None:
        """Fade a cell into its neighbours; at the picture's edges there are none."""
        fade, cell = self.survey.fade, self.survey.cell
        across = _ramp(cell, fade, first=column == 0, last=column == self.columns - 1)
        along = _ramp(cell, fade, first=row == 0, last=row == self.rows - 1)
        top, left = row * cell - fade, column * cell - fade
        whole = Box(top, left, top + cell + 2 * fade, left + cell + 2 * fade)
        box = whole.intersect(self.kept)
        part, at = box.shift(-top, -left), box.shift(-self.kept.top, 0)
        weighed = (piece * along[:, None] * across).to(self.planes.dtype)
        self.planes[:, at.top : at.bottom, at.left : at.right] += weighed[
            :, part.top : part.bottom, part.left : part.right
        ]


def bytes_needed(survey: Survey, frames: int, width: int, rows: int) -> int:
    """Tell what the first pass takes in memory beside the tiles [bytes].

    Args:
        survey: cells, and what is made of them.
        frames: of the burst.
        width: of the picture [px].
        rows: whose planes are kept for the tiles [px].
    """
    side = survey.cell + 2 * survey.margin
    block = ((_AT_ONCE - 1) * survey.cell + side) ** 2 * frames * LIGHT_BYTES
    computing = 2 * max(frames, FRAMES_AT_ONCE) * side**2 * LIGHT_BYTES * _WORKING
    planes = survey.planes * width * (rows + 2 * survey.cell) * 4
    return 3 * block + computing + planes  # one more is read ahead, and while it is, twice


def _taken(part: Tensor, dim: int, positions: Tensor) -> Tensor:
    """Take positions along an axis; no copy where they are all there are."""
    if len(positions) == part.shape[dim]:
        return part
    return part.index_select(dim, positions)


def make_surveyor(network: Network, source: Source, padded: Box, runner: Runner) -> Surveyor | None:
    """Make what does the first pass; None where the network has none."""
    survey = network.contract.survey
    return Surveyor(survey, source, padded, runner) if survey else None


def _ramp(cell: int, fade: int, *, first: bool, last: bool) -> Tensor:
    """Return weights along a cell that sum to 1 with its neighbours'; (cell + 2 fade,)."""
    weight = torch.ones(cell + 2 * fade)
    rising = (torch.arange(2 * fade) + 0.5) / (2 * fade)
    if not first:
        weight[: 2 * fade] = rising
    if not last:
        weight[cell:] = rising.flip(0)
    return weight
