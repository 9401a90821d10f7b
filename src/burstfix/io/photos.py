"""Photographs to train on: read from a folder or from one compact file, the pack."""

import json
import os
import struct
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from burstfix.errors import InputError, OutputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")
LONG_SIDE = 1536  # larger photographs are halved: at full size they hold noise and blur
_MAGIC = b"burstfix photos 1\n"


@dataclass(frozen=True)
class Photo:
    """A sharp, clean photograph.

    Args:
        name: the file's name without its suffix.
        pixels: sRGB, RGB order; (H, W, 3) uint8.
        detail: mean absolute Laplacian of luma [codes]; how much there is to learn from.
        later: files of the frames that follow it in a clip; empty for a photograph.
    """

    name: str
    pixels: NDArray[np.uint8]
    detail: float
    later: tuple[bytes, ...] = ()

    def frame(self, number: int) -> NDArray[np.uint8]:
        """Decode a frame of the clip, as `pixels`; 0 is the first."""
        if number == 0:
            return self.pixels
        return decode_photo(f"{self.name} + {number}", self.later[number - 1]).pixels


def read_photos(source: Path) -> list[Photo]:
    """Read photographs.

    Args:
        source: a folder, searched through, or a pack that `pack_photos` wrote.

    Raises:
        InputError: there is no photograph, or one cannot be decoded.
    """
    items = _read_pack(source) if source.is_file() else _read_folder(source)
    with ThreadPoolExecutor() as pool:
        photos = list(pool.map(lambda item: decode_photo(*item), items))
    if not photos:
        raise InputError(
            f"No photographs in {source}.", f"Give a folder of {', '.join(SUFFIXES)} files."
        )
    return photos


def pack_photos(source: Path, target: Path, *, quality: int = 85) -> int:
    """Write the photographs of a folder into one compact file, as WebP.

    Args:
        source: a folder, searched through.
        target: the pack; replaced if it exists.
        quality: of the compression, 1 to 100.

    Returns:
        How many photographs were packed.
    """
    entries: list[tuple[str, bytes]] = []
    for photo in read_photos(source):
        bgr = photo.pixels[..., ::-1]
        done, data = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, quality])
        if not done:
            raise OutputError(f"Cannot compress {photo.name}.", "Leave that photograph out.")
        entries.append((photo.name, data.tobytes()))
    index = json.dumps([[name, len(data)] for name, data in entries]).encode()
    partial = target.with_name(target.name + ".part")
    try:
        with partial.open("wb") as file:
            file.write(_MAGIC + struct.pack("<Q", len(index)) + index)
            file.writelines(data for _, data in entries)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(
            f"Cannot write {target}: {error.strerror}.", "Choose another place."
        ) from error
    return len(entries)


def _read_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of every photograph under a folder, in order of their paths."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InputError(
                f"Cannot read the photograph {path}: {error.strerror}.",
                "Change its permissions, or move it elsewhere.",
            ) from error
        if not data:
            raise InputError(f"The photograph {path} is empty.", "Remove it, and run again.")
        yield path.stem, data


def _read_pack(path: Path) -> Iterable[tuple[str, bytes]]:
    """Return name and bytes of every photograph in a pack."""
    data = path.read_bytes()
    start = len(_MAGIC) + 8
    try:
        if not data.startswith(_MAGIC):
            raise ValueError("it does not begin as one")
        (length,) = struct.unpack("<Q", data[len(_MAGIC) : start])
        index = json.loads(data[start : start + length])
        start += length
        if len(data) != start + sum(size for _, size in index):
            raise ValueError("its length is not as its index says")
    except (ValueError, struct.error) as error:
        raise InputError(
            f"{path} is no photo pack: {error}.", "Make it again with `burstfix pack`."
        ) from error
    entries = []
    for name, size in index:
        entries.append((name, data[start : start + size]))
        start += size
    return entries


def decode_photo(name: str, data: bytes, later: tuple[bytes, ...] = ()) -> Photo:
    """Decode one photograph to 8 bits, halving it while it is very large.

    Args:
        name: as in `Photo`.
        data: the file's content.
        later: as in `Photo`.

    Raises:
        InputError: it cannot be decoded.
    """
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise InputError(f"Cannot decode the photograph {name}.", "Remove it, and run again.")
    while max(bgr.shape[:2]) > LONG_SIDE and min(bgr.shape[:2]) > 1:
        bgr = cv2.resize(bgr, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return photo_of(name, np.ascontiguousarray(bgr[..., ::-1]), later)


def photo_of(name: str, pixels: NDArray[np.uint8], later: tuple[bytes, ...] = ()) -> Photo:
    """Measure the detail of pixels, (H, W, 3) in RGB order; `name` and `later` as in `Photo`."""
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    detail = float(np.abs(cv2.Laplacian(luma, cv2.CV_32F)).mean())
    return Photo(name, pixels, detail, later)
