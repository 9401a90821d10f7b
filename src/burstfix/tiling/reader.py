"""Reads tiles of a burst, each pixel once where memory allows: reading warps, which is dear."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from types import EllipsisType
from typing import Protocol

import torch
from torch import Tensor

from burstfix.frame import Box, Size
from burstfix.tiling.layout import Layout

LIGHT_BYTES = 16  # three colours and the mask of a pixel of a frame

Room = tuple[Tensor, Tensor]  # of a box: light, (F, 3, h, w), and what was seen, (F, 1, h, w)


class Source(Protocol):
    """An aligned burst that can be read box by box."""

    @property
    def size(self) -> Size:
        """(height, width)."""
        ...

    @property
    def frames(self) -> int:
        """How many frames there are."""
        ...

    def read(self, box: Box, into: Room | None = None) -> Room:
        """Read a box inside the picture.

        Args:
            box: what to read.
            into: tensors of what is returned to fill, and return; None makes them.

        Returns:
            The burst in linear light, reference first, (F, 3, h, w); how far each pixel was
            seen, 0 to 1, (F, 1, h, w); both float32.
        """
        ...


def delivered(read: Room, into: Room | None) -> Room:
    """Return what was read where it is wanted: for sources that cannot read into a place."""
    if into is None:
        return read
    for target, part in zip(into, read, strict=True):
        target.copy_(part)
    return into


@dataclass(frozen=True)
class TensorSource:
    """A source that is in memory already.

    Args:
        burst: linear light, reference first; (F, 3, H, W) float32.
        seen: how far each pixel was seen, 0 to 1; (F, 1, H, W).
    """

    burst: Tensor
    seen: Tensor

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self.burst.shape[-2], self.burst.shape[-1]

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return self.burst.shape[0]

    def read(self, box: Box, into: Room | None = None) -> Room:
        """Return views of the box, or copy it; as `Source.read`."""
        rows, columns = slice(box.top, box.bottom), slice(box.left, box.right)
        return delivered((self.burst[..., rows, columns], self.seen[..., rows, columns]), into)


@dataclass(frozen=True)
class Tile:
    """One tile's input.

    Args:
        core: what the tile owns, in pixels of the padded picture.
        box: what was read.
        burst: linear light, beyond the picture repeated from its edge; (F, 3, h, w).
        seen: how far each pixel was seen; (F, 1, h, w).
    """

    core: Box
    box: Box
    burst: Tensor
    seen: Tensor


@dataclass
class _Kept:
    """Pixels that a later tile reads again: two tensors over one box."""

    box: Box
    parts: Room

    def view(self, box: Box) -> Room:
        """Return what lies in a box inside."""
        burst, seen = (part[_within(box, self.box)] for part in self.parts)
        return burst, seen

    def copy(self, box: Box, source: Room, source_box: Box) -> None:
        """Overwrite what `box` covers from another pair of tensors."""
        part = box.intersect(self.box).intersect(source_box)
        if not part.empty:
            for own, other in zip(self.parts, source, strict=True):
                own[_within(part, self.box)] = other[_within(part, source_box)]


class Reader:
    """Reads the tiles of a layout in their order.

    What the tile on the left has read already is copied from there, and what the band above has
    read from a strip of rows, if the strip fits. Tiles lie in two rooms by turns: one is computed
    while the next is read, and pieces that come and go would leave gaps in the heap.

    Args:
        source: the burst.
        layout: where tiles lie.
        keep: what the strip may take [bytes].
        pinned: whether tiles are made in page-locked memory, from which CUDA copies quickly.
    """

    def __init__(self, source: Source, layout: Layout, *, keep: int, pinned: bool = False) -> None:
        self.source = source
        self.layout = layout
        self.keep = keep
        self.pinned = pinned
        self.rooms: list[Room] = []

    def tiles(self) -> Iterator[Tile]:
        """Yield the tiles, left to right, top to bottom; each holds until the next but one."""
        bands = [[self._box(core) for core in band] for band in self.layout.bands()]
        rows = [(below[0].top, above[0].bottom) for above, below in pairwise(bands)]
        storage = self._make_strip(rows)
        strip: _Kept | None = None
        for number, (cores, boxes) in enumerate(zip(self.layout.bands(), bands, strict=True)):
            # Both strips lie in one storage: each tile takes its columns, then fills them anew.
            following = _strip(storage, rows[number]) if number < len(rows) else None
            left: _Kept | None = None
            for place, (core, box) in enumerate(zip(cores, boxes, strict=True)):
                parts = self._assemble(box, left, strip)
                if following:  # the columns further left are there already
                    start = left.box.right if left else box.left
                    following.copy(box._replace(left=start), parts, box)
                last = place + 1 == len(boxes)
                left = None if last or boxes[place + 1].left >= box.right else _Kept(box, parts)
                yield Tile(core, box, *parts)
                del parts
            strip = following

    def _box(self, core: Box) -> Box:
        return self.layout.box(self.layout.region(core))

    def _make_strip(self, rows: list[tuple[int, int]]) -> Room | None:
        """Make room for the rows that two bands share, if it may be had."""
        height = max((stop - start for start, stop in rows), default=0)
        strip = Box(0, 0, height, self.layout.padded.right)
        needed = height * strip.right * self.source.frames * LIGHT_BYTES
        return self._empty(strip, pinned=False) if 0 < needed <= self.keep else None

    def _assemble(self, box: Box, left: _Kept | None, strip: _Kept | None) -> Room:
        """Put a box together from what was kept and what must be read."""
        fresh = Box(
            strip.box.bottom if strip else box.top,
            left.box.right if left else box.left,
            box.bottom,
            box.right,
        )
        inside = fresh.intersect(Box.whole(self.source.size))
        tile = _Kept(box, self._room(box))
        if left:
            tile.copy(box, left.parts, left.box)
        if strip:
            tile.copy(Box(box.top, fresh.left, fresh.top, box.right), strip.parts, strip.box)
        if not inside.empty:
            self.source.read(inside, into=tile.view(inside))
        self._pad(tile)
        return tile.parts

    def _room(self, box: Box) -> Room:
        """Take the room of the tile before the last; there is one more, to be read meanwhile."""
        if len(self.rooms) < 2:
            boxes = [self._box(core) for band in self.layout.bands() for core in band]
            sides = [max(lengths) for lengths in zip(*(each.size for each in boxes), strict=True)]
            self.rooms.append(self._empty(Box.whole((sides[0], sides[1])), pinned=self.pinned))
        else:
            self.rooms.reverse()
        burst, seen = (part.flatten() for part in self.rooms[-1])
        pixels = self.source.frames * box.size[0] * box.size[1]
        return (
            burst[: 3 * pixels].view(-1, 3, *box.size),
            seen[:pixels].view(-1, 1, *box.size),
        )

    def _empty(self, box: Box, *, pinned: bool) -> Room:
        burst, seen = (
            torch.empty(self.source.frames, channels, *box.size, pin_memory=pinned)
            for channels in (3, 1)
        )
        return burst, seen

    def _pad(self, tile: _Kept) -> None:
        """Repeat the picture's last column and row beyond it."""
        height, width = self.source.size
        for part in tile.parts:
            if tile.box.right > width:
                edge = width - tile.box.left
                part[..., edge:] = part[..., edge - 1 : edge]
            if tile.box.bottom > height:
                edge = height - tile.box.top
                part[..., edge:, :] = part[..., edge - 1 : edge, :]


def _strip(storage: Room | None, rows: tuple[int, int]) -> _Kept | None:
    """Lay rows of the picture, first and last, out in the storage."""
    if storage is None or rows[1] <= rows[0]:
        return None
    burst, seen = (part[..., : rows[1] - rows[0], :] for part in storage)
    return _Kept(Box(rows[0], 0, rows[1], burst.shape[-1]), (burst, seen))


def _within(part: Box, whole: Box) -> tuple[EllipsisType, slice, slice]:
    """Return the index of a part in tensors that cover a whole box."""
    at = part.shift(-whole.top, -whole.left)
    return ..., slice(at.top, at.bottom), slice(at.left, at.right)
