"""Whether frames support a picture: it is blurred as each frame was, and compared with the frames.

The idea of Chen et al. 2018, section 3, as a check and not for tuning: what was restored must blur
into what was taken. What no frame supports, as texture that a network made up, stays as a
difference from those frames that are sharp enough to show it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from burstfix import __version__, color
from burstfix import device as devices
from burstfix.align.flow import enlarge
from burstfix.backends.base import Network
from burstfix.backends.mirror import mirrored
from burstfix.errors import UsageError
from burstfix.frame import Box, Metadata, Size
from burstfix.io.write import Canvas, Format, Provenance, save
from burstfix.synth.psf import centroids, spectra
from burstfix.tiling import Precision, Source
from burstfix.tiling.runner import computing

MOST_CODES = 8.0  # of 255: differences that the map shows as white
_MARGIN = 64  # px around a cell: twice the reach of a point spread function, and the window's
_STEP = 4  # px that a value of the map stands for
_WINDOW = 5  # steps over which the map averages
_EDGE = 16  # px at the picture's edges, into which blur brings what nobody knows
_AT_ONCE = 4  # rows and columns of cells read at once; fewer read the pixels around them oftener
_BYTES = 80  # for each pixel of a frame that is read


@dataclass(frozen=True, kw_only=True)
class Check:
    """How a picture agrees with its frames.

    Args:
        frames: what each frame differs by from the picture, blurred as the frame is, beyond its
            noise; root mean square in codes of 0 to 255.
        codes: the same of all frames together, once they are undone, around each place; one for
            `_STEP` x `_STEP` pixels; (h, w).
        size: (height, width) of the picture.
    """

    frames: tuple[float, ...]
    codes: Tensor
    size: Size

    @property
    def mean(self) -> float:
        """The root mean square over the picture, in codes of 0 to 255."""
        return float(self.codes.square().mean().sqrt())

    def write(self, path: Path, *, replace: bool = False) -> None:
        """Write the map as PNG; as `io.write.save`."""
        provenance: Provenance = {"version": __version__, "command": "burst --check"}
        save(self.draw(), path, metadata=Metadata(), provenance=provenance, replace=replace)

    def draw(self) -> Canvas:
        """Draw the map, as large as the picture: black where frames agree, white from 8 codes."""
        canvas = Canvas(self.size, Format(container="png", bit_depth=8), color.SRGB)
        levels = (self.codes / MOST_CODES).clamp(0, 1)[..., None].numpy()
        height, width = self.size
        for top in range(0, height, 256):
            rows = enlarge(levels, _STEP, Box(top, 0, min(top + 256, height), width))
            light = color.decode(rows[0], color.SRGB)
            canvas.put(top, 0, light.expand(3, -1, -1))
        return canvas


def check_can(network: Network, backend: str) -> None:
    """Raise UsageError where a network does not tell the blur of its frames."""
    if network.contract.survey is None:
        raise UsageError(
            f"{backend} does not tell how frames are blurred, which --check needs.",
            "Leave --check out, or choose a backend and weights that do: --backend set.",
        )


def check_picture(
    picture: Callable[[Box], Tensor],
    network: Network,
    source: Source,
    *,
    descriptor: Tensor,
    device: torch.device,
    precision: Precision = "auto",
    memory: int | None = None,
    on_cells: Callable[[int, int], None] | None = None,
) -> Check:
    """Blur a picture as its frames were, and compare; cell by cell, in bounded memory.

    Args:
        picture: returns what was restored, for a box inside it; linear light, (3, h, w).
        network: what restored it, and tells the frames' blur; moved to the device.
        source: the aligned burst.
        descriptor: what is known of each frame; (1, F, D).
        device: where to compute.
        precision: of the network.
        memory: what pixels may take [bytes]; None is half of what is free.
        on_cells: receives how many blocks of cells are done, and how many there are.

    Raises:
        UsageError: the network does not tell the frames' blur.
    """
    check_can(network, "This network")
    assert network.contract.survey is not None
    checker = _Checker(network.to(device).eval(), descriptor.to(device), device, precision)
    cell = network.contract.survey.cell
    rows, columns = (-(-side // cell) for side in source.size)
    count = _cells_at_once(source.frames, cell, memory)
    starts = list(product(range(0, rows, count), range(0, columns, count)))
    found: dict[tuple[int, int], _Found] = {}
    for done, (row, column) in enumerate(starts, start=1):
        last = min(row + count, rows), min(column + count, columns)
        block = _read(source, picture, Box(row, column, *last), cell)
        for place in product(range(row, last[0]), range(column, last[1])):
            found[place] = checker.cell(*block.cut(place))
        del block  # before the next is read
        if on_cells:
            on_cells(done, len(starts))
    return _judge(found, source.size, cell)


@dataclass(frozen=True)
class _Found:
    """What a cell tells.

    Args:
        squares: sum over the cell of each frame's squared difference; (F,).
        pixels: how many of the cell each frame saw; (F,).
        noise: deviation of each frame's finest detail; (F,).
        passed: share of white noise that undoing a frame's blur lets by, squared; (F,).
        energy: mean square of the frames' differences, undone and averaged; (cell / step, same).
    """

    squares: Tensor
    pixels: Tensor
    noise: Tensor
    passed: Tensor
    energy: Tensor


class _Checker:
    """Compares one cell after the other."""

    def __init__(
        self, network: Network, descriptor: Tensor, device: torch.device, precision: Precision
    ) -> None:
        self.network = network
        self.descriptor = descriptor
        self.device = device
        self.dtype = devices.choose_precision(precision, device)

    def cell(self, picture: Tensor, burst: Tensor, seen: Tensor) -> _Found:
        """Compare a cell with `_MARGIN` around it.

        Args:
            picture: linear light; (3, s, s).
            burst: aligned frames in linear light; (F, 3, s, s).
            seen: how far each pixel was seen; (F, 1, s, s).
        """
        picture, burst, seen = (part.to(self.device) for part in (picture, burst, seen))
        psfs = self._psfs(burst, seen)
        side = burst.shape[-1]
        transfer = spectra(psfs, (side, side)) * _centring(psfs, side)
        sharp = torch.fft.rfft2(color.luminance(picture)[0])
        inner = slice(_MARGIN, side - _MARGIN)
        squares, noises, shares = [], [], []
        total = torch.zeros(side, side, device=self.device)
        for frame, share, passing in zip(burst, seen[:, 0], transfer, strict=True):
            expected = torch.fft.irfft2(sharp * passing, s=(side, side))
            there = _codes(color.luminance(frame)[0])
            difference = (there - _codes(expected)) * share
            squares.append(difference[inner, inner].square().sum())
            noises.append(_finest(difference[inner, inner]))
            shares.append(share[inner, inner].sum())
            spectrum = torch.fft.rfft2(difference)
            total += torch.fft.irfft2(spectrum * passing.conj(), s=(side, side))
        together = total / seen[:, 0].sum(dim=0).clamp_min(1)
        return _Found(
            torch.stack(squares).cpu(),
            torch.stack(shares).cpu(),
            torch.stack(noises).cpu(),
            psfs.square().sum(dim=(1, 2)).cpu(),
            _around(together).cpu(),
        )

    def _psfs(self, burst: Tensor, seen: Tensor) -> Tensor:
        """Ask the network for the blur of each frame in the cell; (F, k, k)."""
        inner = slice(_MARGIN, burst.shape[-1] - _MARGIN)
        cell, shown = (part[None, ..., inner, inner] for part in (burst, seen))
        with computing(self.device, self.dtype):
            found = self.network.find_blur(self.network.code(cell), shown, self.descriptor)
        if found is None:
            raise ValueError("The network has a first pass, but tells no blur.")
        return found[0, 0].float().exp()


@dataclass(frozen=True)
class _Block:
    """Some cells with `_MARGIN` around them.

    Args:
        cells: rows and columns of cells.
        cell: side of one [px].
        picture: linear light; (3, h, w).
        burst: likewise, of the aligned frames; (F, 3, h, w).
        seen: how far each pixel was seen, 0 at and beyond the picture's edge; (F, 1, h, w).
    """

    cells: Box
    cell: int
    picture: Tensor
    burst: Tensor
    seen: Tensor

    def cut(self, place: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """Return picture, burst and what was seen of one cell with the margin around."""
        top = (place[0] - self.cells.top) * self.cell
        left = (place[1] - self.cells.left) * self.cell
        side = self.cell + 2 * _MARGIN
        rows, columns = slice(top, top + side), slice(left, left + side)
        return (
            self.picture[:, rows, columns],
            self.burst[..., rows, columns],
            self.seen[..., rows, columns],
        )


def _read(source: Source, picture: Callable[[Box], Tensor], cells: Box, cell: int) -> _Block:
    """Read cells and what lies around them; beyond the picture it is mirrored."""
    height, width = source.size
    around = Box(*(cell * edge for edge in cells)).grow(_MARGIN)
    down = mirrored(around.top, around.bottom, height)
    across = mirrored(around.left, around.right, width)
    top, left = int(down.min()), int(across.min())
    box = Box(top, left, int(down.max()) + 1, int(across.max()) + 1)
    burst, seen = source.read(box)
    light = picture(box)
    known = [
        (torch.arange(start, stop) >= _EDGE) & (torch.arange(start, stop) < length - _EDGE)
        for start, stop, length in (
            (around.top, around.bottom, height),
            (around.left, around.right, width),
        )
    ]
    taken = [
        part.index_select(-2, down - top).index_select(-1, across - left)
        for part in (light, burst, seen)
    ]
    return _Block(cells, cell, taken[0], taken[1], taken[2] * (known[0][:, None] & known[1]))


def _cells_at_once(frames: int, cell: int, memory: int | None) -> int:
    """Return how many rows and columns of cells fit into the memory, from 1 to 4."""
    if memory is None:
        memory = devices.free_memory(torch.device("cpu")) // 2
    for count in range(_AT_ONCE, 1, -1):
        if (count * cell + 2 * _MARGIN) ** 2 * (frames + 1) * _BYTES <= memory:
            return count
    return 1


def _judge(found: Mapping[tuple[int, int], _Found], size: Size, cell: int) -> Check:
    """Take the noise off: each frame's is the median of its cells'."""
    cells = list(found.values())
    noise = torch.stack([each.noise for each in cells]).median(dim=0).values
    pixels = torch.stack([each.pixels for each in cells]).sum(dim=0).clamp_min(1)
    squares = torch.stack([each.squares for each in cells]).sum(dim=0) / pixels
    frames = 255 * (squares - noise.square()).clamp_min(0).sqrt()
    rows, columns = (max(place[axis] for place in found) + 1 for axis in (0, 1))
    side = cell // _STEP
    codes = torch.zeros(rows * side, columns * side)
    for (row, column), each in found.items():
        share = each.pixels / cell**2
        floor = (noise.square() * each.passed * share).sum() / share.sum().clamp_min(1e-3).square()
        there = 255 * (each.energy - floor).clamp_min(0).sqrt()
        codes[row * side : (row + 1) * side, column * side : (column + 1) * side] = there
    height, width = (-(-length // _STEP) for length in size)
    return Check(frames=tuple(frames.tolist()), codes=codes[:height, :width], size=size)


def _codes(light: Tensor) -> Tensor:
    """Code light as it is displayed, so that a difference counts as the eye sees it."""
    return color.encode(light.clamp(0, 1), color.SRGB)


def _centring(psfs: Tensor, side: int) -> Tensor:
    """Return phases that bring the centroids of point spread functions to no displacement.

    Frames are aligned as they are blurred: by their centroids.

    Args:
        psfs: (F, k, k).
        side: of the pictures [px].

    Returns:
        (F, side, side // 2 + 1) complex.
    """
    offset = centroids(psfs)
    down = torch.fft.fftfreq(side, device=psfs.device)
    across = torch.fft.rfftfreq(side, device=psfs.device)
    turns = offset[:, 1, None, None] * down[:, None] + offset[:, 0, None, None] * across
    return torch.polar(torch.ones_like(turns), 2 * torch.pi * turns)


def _finest(difference: Tensor) -> Tensor:
    """Estimate noise from the finest detail, after Immerkaer 1996; of (h, w)."""
    across = difference[:, :-2] - 2 * difference[:, 1:-1] + difference[:, 2:]
    both = across[:-2] - 2 * across[1:-1] + across[2:]
    sigma: Tensor = both.abs().mean() * ((math.pi / 2) ** 0.5 / 6)
    return sigma


def _around(together: Tensor) -> Tensor:
    """Average squares around each place of the cell; (s, s) to ((s - 2 margin) / step, same)."""
    squares = F.avg_pool2d(together.square()[None, None], _STEP)
    around = F.avg_pool2d(squares, _WINDOW, stride=1, padding=_WINDOW // 2)[0, 0]
    edge = _MARGIN // _STEP
    return around[edge:-edge, edge:-edge]
