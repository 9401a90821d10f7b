"""Share memory out between the output, the decoded frames and the tiles."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from burstfix import device
from burstfix.errors import DeviceError, InputError
from burstfix.frame import Size
from burstfix.io.decode import probe
from burstfix.io.pool import Pool
from burstfix.io.write import Format
from burstfix.restore.options import Options

RESERVE_BYTES = 450 << 20  # interpreter, torch and codecs
LEAST_TILES_BYTES = 256 << 20
MOST_TILES_BYTES = 1400 << 20  # more gains no time
FILM_CODERS_BYTES = 200 << 20  # of decoder and encoder, and of holes between what is kept
FRAMES_AROUND = 6  # of a film, beside a window's: read ahead, restored and on their way out
WRITING = 1.7  # canvas and what encoding holds of it, over the canvas


@dataclass(frozen=True)
class Budget:
    """What memory each part may take [bytes]."""

    codes: int
    tiles: int


def expected_size(paths: Sequence[Path], options: Options, pool: Pool | None = None) -> Size:
    """Look up the size of the first frame that can be read; `pool` as `io.decode.probe` has it."""
    for path in paths[:-1] if options.skip_bad else ():
        try:
            return probe([path], pool)[0].size
        except InputError:
            continue  # told when it is skipped
    return probe(paths[-1:] if options.skip_bad else paths[:1], pool)[0].size


def share_out_film(size: Size, radius: int, options: Options) -> int:
    """Return what memory of a film's is left for windows and tiles [bytes].

    Args:
        size: (height, width) of a frame.
        radius: neighbours on each side that a frame is restored from.
        options: what memory may be used.

    Raises:
        DeviceError: what was allowed does not even hold the frames.
    """
    total = options.memory or device.free_memory(torch.device("cpu")) // 2
    height, width = size
    taken = RESERVE_BYTES + FILM_CODERS_BYTES
    taken += (2 * radius + FRAMES_AROUND) * height * width * 3 * 4
    left = total - taken
    if left < LEAST_TILES_BYTES:
        needed = (taken + LEAST_TILES_BYTES) / (1 << 30)
        raise DeviceError(
            f"{total / (1 << 30):.1f} GB of memory do not suffice for frames of "
            f"{height} x {width} pixels.",
            f"Give --memory {needed:.1f} or more.",
        )
    return left


def share_out(size: Size, kind: Format, options: Options, reserve: int = 0) -> Budget:
    """Divide the memory between the output, decoded frames and tiles.

    Args:
        size: (height, width) of the picture.
        kind: how it is written.
        options: what memory may be used.
        reserve: what else is taken [bytes].

    Raises:
        DeviceError: what was allowed does not even hold the output.
    """
    total = options.memory or device.free_memory(torch.device("cpu")) // 2
    height, width = size
    canvas = int(height * width * 3 * kind.bit_depth / 8 * WRITING)
    reserve += RESERVE_BYTES
    left = total - reserve - canvas
    if left < LEAST_TILES_BYTES:
        needed = (reserve + canvas + LEAST_TILES_BYTES) / (1 << 30)
        raise DeviceError(
            f"{total / (1 << 30):.1f} GB of memory do not suffice for a picture of "
            f"{height} x {width} pixels.",
            f"Give --memory {needed:.1f} or more.",
        )
    tiles = min(max(LEAST_TILES_BYTES, left // 3), MOST_TILES_BYTES)
    return Budget(codes=left - tiles, tiles=tiles)
