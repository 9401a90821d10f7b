"""Run a network over a picture of any size, tile by tile, in bounded memory."""

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from burstfix import device as devices
from burstfix.backends.base import Contract, Network
from burstfix.device import Precision
from burstfix.errors import UsageError
from burstfix.frame import Box, Size
from burstfix.tiling.ahead import ahead
from burstfix.tiling.layout import Layout, layout_for
from burstfix.tiling.place import CPU, Place
from burstfix.tiling.reader import LIGHT_BYTES, Reader, Room, Source, TensorSource, Tile, delivered
from burstfix.tiling.runner import LEAST_SIDE, Runner, computing, settle
from burstfix.tiling.survey import OneAtATime, Surveyor, bytes_needed, make_surveyor

__all__ = [
    "Place",
    "Precision",
    "Room",
    "Source",
    "TensorSource",
    "delivered",
    "frame_shares",
    "run_tiled",
    "run_whole",
]

# px; larger tiles save little halo and cost memory
_CPU_SIDE = 768
_LONE_SIDE = 1152  # of a frame alone, on a CPU: little memory, and much halo
_GPU_SIDE = 2048
_WEIGHING_SIDE = 320  # of the square in the middle on which the frames' shares are measured
_KEEP_BYTES = 150 << 20  # of pixels that the next tiles read again; more gains little


def run_tiled(
    network: Network,
    source: Source,
    *,
    descriptor: Tensor,
    place: Place,
    tile: int | None = None,
    memory: int | None = None,
    halo: int | None = None,
    on_tile: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """Restore a picture tile by tile, in bounded memory.

    Moves the network to its place, its weights to channels_last. A tile that finds no memory is
    redone in smaller pieces, and where none is small enough on the CPU, if the place may be left;
    one that overflows in half precision is redone in fp32. So are all after it.

    Args:
        network: what restores.
        source: the aligned burst.
        descriptor: what is known of each frame; (1, F, D).
        place: where to compute, and in what; keeps what had to be given up.
        tile: side of a tile, without its halo [px]; None chooses from the memory.
        memory: what tiles may take in main memory [bytes]; None is half of what is free. On
            another device they take at most half of what is free there.
        halo: how far tiles read around [px]; None takes the contract's.
        on_tile: receives how many tiles are done, and how many there are.

    Yields:
        The first row and the linear light of each finished band, top to bottom; (3, h, W) float32
        on the CPU, not clipped.

    Raises:
        UsageError: the backend does not take this number of frames.
        DeviceError: memory does not suffice for the smallest tile.
        InputError: the frames hold values that are no numbers.
    """
    contract = network.contract
    if contract.frames not in {None, source.frames}:
        raise UsageError(
            f"This backend takes {contract.frames} frames, not {source.frames}.",
            "Choose another backend, or give it as many frames as it takes.",
        )
    room = memory or devices.free_memory(CPU) // 2
    if contract.survey:
        rows = (_CPU_SIDE if source.frames > 1 else _LONE_SIDE) + 2 * (
            contract.halo or contract.receptive_radius
        )
        needed = bytes_needed(contract.survey, source.frames, source.size[1], rows)
        room -= min(needed, room // 2)

    def begin() -> int:
        settle(network, place.device)
        return tile or _auto_side(
            contract,
            source.frames,
            place.device,
            room,
            halo,
            place.dtype(network),
            whole=source.size,
        )

    layout = layout_for(contract, source.size, place.attempt(begin, "for the network"), halo)
    if contract.survey:
        source = OneAtATime(_read_once(source, layout))
    reader = Reader(
        source, layout, keep=min(room // 3, _KEEP_BYTES), pinned=place.device.type == "cuda"
    )
    runner = Runner(
        network,
        layout,
        descriptor=descriptor,
        place=place,
        cpu_side=_auto_side(contract, source.frames, CPU, room, halo),
    )
    surveyor = make_surveyor(network, source, layout.padded, runner)
    yield from _bands(layout, ahead(reader.tiles()), runner, surveyor, on_tile)


def _read_once(source: Source, layout: Layout) -> Source:
    """Read a picture that is one tile, and so would be read whole by each of the two passes."""
    if sum(map(len, layout.bands())) > 1:
        return source
    return TensorSource(*source.read(Box.whole(source.size)))


def run_whole(
    network: Network,
    source: Source,
    *,
    descriptor: Tensor,
    device: torch.device,
    precision: Precision = "auto",
    tile: int | None = None,
    memory: int | None = None,
    halo: int | None = None,
) -> Tensor:
    """Restore a picture as `run_tiled` does, and return it whole; (3, H, W) on the CPU."""
    bands = run_tiled(
        network,
        source,
        descriptor=descriptor,
        place=Place(device, precision),
        tile=tile,
        memory=memory,
        halo=halo,
    )
    return torch.cat([band for _, band in bands], dim=1)


def frame_shares(
    network: Network,
    source: Source,
    *,
    descriptor: Tensor,
    place: Place,
    memory: int | None = None,
) -> Tensor | None:
    """Measure each frame's share of the picture on a square in its middle.

    Args:
        network: what restores; moved to the place.
        source: the aligned burst.
        descriptor: what is known of each frame; (1, F, D).
        place: where to compute, and in what.
        memory: as `run_tiled` takes it.

    Returns:
        Shares that sum to 1; (F,) float32 on the CPU. None where memory does not suffice: no
        picture hangs on them.
    """
    memory = memory or devices.free_memory(CPU) // 2
    try:
        return _shares(network, source, descriptor, place, memory)
    except (MemoryError, RuntimeError) as error:
        if not devices.is_out_of_memory(error):
            raise
    return None


def _shares(
    network: Network, source: Source, descriptor: Tensor, place: Place, memory: int
) -> Tensor:
    contract, device, dtype = network.contract, place.device, place.dtype(network)
    side = min(_WEIGHING_SIDE, _auto_side(contract, source.frames, device, memory, None, dtype))
    burst, seen = (part[None].to(device) for part in _middle(source, side, contract.multiple_of))
    with computing(device, dtype):
        shares = network.to(device).frame_weights(network.code(burst), seen, descriptor.to(device))
    return shares[0].float().cpu()


def _middle(source: Source, side: int, multiple: int) -> tuple[Tensor, Tensor]:
    """Read a square in the middle; beyond a small picture its edge is repeated, to whole cells."""
    height, width = (min(length, max(side // multiple, 1) * multiple) for length in source.size)
    top, left = (
        (whole - part) // 2 for whole, part in zip(source.size, (height, width), strict=True)
    )
    below, beyond = -height % multiple, -width % multiple
    burst, seen = (
        F.pad(part, (0, beyond, 0, below), mode="replicate")
        for part in source.read(Box(top, left, top + height, left + width))
    )
    return burst, seen


def _auto_side(
    contract: Contract,
    frames: int,
    device: torch.device,
    memory: int,
    halo: int | None,
    dtype: torch.dtype = torch.float32,
    whole: Size = (0, 0),
) -> int:
    """Return the largest side whose tiles fit into the memory [px].

    A whole picture that is no larger than such a tile with its halo is one tile: it has no halo.
    """
    coding = 12 if contract.coding == "display" else 0
    working = contract.working_bytes * dtype.itemsize // 4
    once = contract.once_bytes * dtype.itemsize // 4  # bytes per pixel
    computing = LIGHT_BYTES + coding + working  # bytes per pixel and frame
    reading = 2 * LIGHT_BYTES  # the tile, and what the source returned or the next tile
    spare = memory * 2 // 3  # the rest is for what bands share
    if device.type == "cpu":
        box = math.isqrt(spare // (frames * (reading + computing - LIGHT_BYTES) + once))
    else:
        there = devices.free_memory(device) // 2
        box = math.isqrt(min(spare // (frames * reading), there // (frames * computing + once)))
    least = layout_for(contract, (1, 1), 1, halo)
    around = -(-(least.margin + least.blend) // contract.multiple_of)  # whole cells are read
    cells = max(0, box // contract.multiple_of - 2 * around)
    most = (_CPU_SIDE if frames > 1 else _LONE_SIDE) if device.type == "cpu" else _GPU_SIDE
    side = max(min(cells * contract.multiple_of, most), LEAST_SIDE)
    height, width = (-(-length // contract.multiple_of) * contract.multiple_of for length in whole)
    read = min(box, side + 2 * around * contract.multiple_of)
    return max(height, width) if 0 < height * width <= read**2 else side


def _bands(
    layout: Layout,
    tiles: Iterator[Tile],
    runner: Runner,
    surveyor: Surveyor | None,
    on_tile: Callable[[int, int], None] | None,
) -> Iterator[tuple[int, Tensor]]:
    """Restore the tiles in their order and put them together, band by band."""
    height, width = layout.size
    bands = layout.bands()
    total, done = sum(len(band) for band in bands), 0
    carried = torch.empty(3, 0, layout.padded.right)  # rows that the next band adds to
    for band in bands:
        top, bottom = layout.region(band[0]).top, layout.region(band[0]).bottom
        light = torch.zeros(3, bottom - top, layout.padded.right)
        light[:, : carried.shape[1]] = carried
        if surveyor:
            rows = layout.box(layout.region(band[0]))
            surveyor.prepare(rows.top, rows.bottom)
        surveyed = surveyor.read if surveyor else None
        for core in band:
            region = layout.region(core)
            restored = runner.restore(next(tiles), surveyed)
            if layout.blend:
                restored = restored * layout.weight(core)
            at = region.shift(-top, 0)
            light[:, at.top : at.bottom, at.left : at.right] += restored
            done += 1
            if on_tile:
                on_tile(done, total)
        finished = bottom if band is bands[-1] else bottom - 2 * layout.blend
        carried = light[:, finished - top :].clone()
        yield top, light[:, : min(finished, height) - top, :width]
