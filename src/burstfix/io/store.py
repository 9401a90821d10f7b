"""Decoded codes, in memory or in a file, read box by box as linear light."""

import os
import tempfile
import threading
import weakref
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import torch
from torch import Tensor

from burstfix import color
from burstfix.errors import DeviceError
from burstfix.frame import Box, Curve, Pixels, Size

Codes = np.ndarray[Any, Any]
Light = np.ndarray[Any, np.dtype[np.float32]]

_STRIP_PIXELS = 1 << 18  # of a strip: its light, 3 MB, stays in the cache


class Spill:
    """An array kept in a file without a name, which goes when the process does.

    Args:
        shape: of the array, (H, W, 3).
        dtype: of its values.

    Raises:
        DeviceError: the disk has no room.
    """

    def __init__(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> None:
        self.shape = shape
        self.dtype = dtype
        self._pixel_bytes = shape[2] * dtype.itemsize
        self._file: BinaryIO = tempfile.TemporaryFile(buffering=0, dir=_spill_folder())  # noqa: SIM115
        self._lock = threading.Lock()
        weakref.finalize(self, self._file.close)  # a picture is dropped whenever no frame needs it

    def write_rows(self, top: int, rows: memoryview) -> None:
        """Write whole rows, beginning at row `top`; bytes."""
        try:
            with self._lock:
                self._file.seek(top * self.shape[1] * self._pixel_bytes)
                while rows:
                    rows = rows[self._file.write(rows) :]
        except OSError as error:
            size_gb = np.prod(self.shape) * self.dtype.itemsize / 1e9
            raise DeviceError(
                f"Cannot keep {size_gb:.1f} GB of decoded picture on disk: {error.strerror}.",
                "Free space there, set TMPDIR to another disk, or allow more with --memory.",
            ) from error

    def read(self, box: Box) -> Codes:
        """Return the codes of a box; (h, w, 3)."""
        height, width = box.size
        codes = np.empty((height, width, self.shape[2]), self.dtype)
        target = codes.data.cast("B") if codes.size else memoryview(b"")
        row_bytes, skip = self.shape[1] * self._pixel_bytes, box.left * self._pixel_bytes
        if width == self.shape[1]:
            self._read_at(target, box.top * row_bytes)
            return codes
        length = width * self._pixel_bytes
        for row in range(height):
            part = target[row * length : (row + 1) * length]
            self._read_at(part, (box.top + row) * row_bytes + skip)
        return codes

    def _read_at(self, target: memoryview, offset: int) -> None:
        if hasattr(os, "preadv"):  # needs no lock: it does not move the file's position
            while target:
                count = os.preadv(self._file.fileno(), [target], offset)
                if not count:
                    raise EOFError("a spilled picture was cut short")
                target, offset = target[count:], offset + count
            return
        with self._lock:
            self._file.seek(offset)
            while target:
                target = target[self._file.readinto(target) :]  # type: ignore[attr-defined]


class StoredCodes:
    """Pixels of a decoded file, kept as its codes; implements `frame.Pixels`.

    Reading is thread-safe.

    Args:
        codes: (H, W, 3) RGB, uint8, uint16 or float32; whole numbers span 0 to the type's
            largest. Never changed.
        curve: how the codes code light.
        black: the code of no light; smaller codes are noise below black. Whole numbers only.
    """

    def __init__(self, codes: Codes | Spill, curve: Curve, black: int = 0) -> None:
        self._codes = codes
        self._curve = curve
        self._black = black

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self._codes.shape[0], self._codes.shape[1]

    @property
    def bits(self) -> int:
        """Of a sample."""
        return int(self._codes.dtype.itemsize) * 8

    @property
    def spilled(self) -> bool:
        """Whether the codes lie in a file."""
        return isinstance(self._codes, Spill)

    @property
    def stored_bytes(self) -> int:
        """How many bytes the codes take."""
        return int(np.prod(self._codes.shape)) * self._codes.dtype.itemsize

    def read(self, box: Box) -> Tensor:
        """Return the box, which lies inside the picture, in linear light; (3, h, w) float32."""
        codes = self._read_codes(box)
        if codes.size == 0:
            return torch.empty((3, *box.size))
        light = np.empty((3, *box.size), np.float32)
        for channel, plane in enumerate(cv2.split(codes)):
            self._plane_to_light(plane, light[channel])
        return torch.from_numpy(light)

    def reduced_luminance(self, factor: int) -> Tensor:
        """Return the luminance in linear light, averaged over squares; (H//factor, W//factor)."""
        height, width = (side // factor for side in self.size)
        reduced = np.empty((height, width), np.float32)
        weights = np.array([color.LUMA], np.float32)
        for rows, small in self._reduced_strips(factor):
            reduced[rows] = cv2.transform(small, weights)
        return torch.from_numpy(reduced)

    def reduced_light(self, factor: int) -> Tensor:
        """Return the linear light, averaged over squares; (3, H//factor, W//factor)."""
        height, width = (side // factor for side in self.size)
        reduced = np.empty((3, height, width), np.float32)
        for rows, small in self._reduced_strips(factor):
            reduced[:, rows] = small.transpose(2, 0, 1)
        return torch.from_numpy(reduced)

    def _reduced_strips(self, factor: int) -> Iterator[tuple[slice, Light]]:
        """Yield rows of the reduced picture, and their linear light; (rows, W//factor, 3)."""
        height, width = (side // factor for side in self.size)
        if not height or not width:
            return
        rows = max(1, _STRIP_PIXELS // (self.size[1] * factor))
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            codes = self._read_codes(Box(top * factor, 0, bottom * factor, width * factor))
            light = self._interleaved_light(codes)
            small = cv2.resize(light, (width, bottom - top), interpolation=cv2.INTER_AREA)
            yield slice(top, bottom), np.asarray(small, np.float32)

    def _read_codes(self, box: Box) -> Codes:
        if isinstance(self._codes, Spill):
            return self._codes.read(box)
        return self._codes[box.top : box.bottom, box.left : box.right]

    def _plane_to_light(self, plane: Codes, out: Light) -> None:
        """Decode one channel, (h, w), into `out`."""
        if plane.dtype == np.float32:
            out[...] = color.decode(torch.from_numpy(plane), self._curve).numpy()
        elif self._curve == color.LINEAR:
            slope, offset = self._line
            np.multiply(plane, slope, out=out, dtype=np.float32)
            np.add(out, offset, out=out)
        elif plane.dtype == np.uint8:
            cv2.LUT(plane, self._table, out)
        else:
            self._table.take(plane, out=out, mode="clip")  # without clip, numpy copies first

    def _interleaved_light(self, codes: Codes) -> Light:
        """Decode (h, w, 3) codes without parting the channels."""
        if codes.dtype == np.uint8 and self._curve != color.LINEAR:
            return cv2.LUT(codes, self._table)  # type: ignore[return-value]
        flat = np.ascontiguousarray(codes).reshape(codes.shape[0], -1)
        light = np.empty(flat.shape, np.float32)
        self._plane_to_light(flat, light)
        return light.reshape(codes.shape)

    @cached_property
    def _table(self) -> Light:
        return _light_table(self._curve, np.iinfo(self._codes.dtype).max, self._black)

    @cached_property
    def _line(self) -> tuple[np.float32, np.float32]:
        span = int(np.iinfo(self._codes.dtype).max) - self._black
        return np.float32(1 / span), np.float32(-self._black / span)


def reduced_luminance(pixels: Pixels, factor: int) -> Tensor:
    """Average the linear-light luminance over squares of pixels, in bounded memory.

    Rows and columns beyond the last whole square are left out.

    Args:
        pixels: a picture of (H, W).
        factor: side of the squares; 1 keeps every pixel.

    Returns:
        Luminance in linear light; (H // factor, W // factor) float32.
    """
    if isinstance(pixels, StoredCodes):
        return pixels.reduced_luminance(factor)
    return color.luminance(reduced_light(pixels, factor))[0]


def reduced_light(pixels: Pixels, factor: int) -> Tensor:
    """Average the linear light over squares of pixels, in bounded memory.

    Args:
        pixels: a picture of (H, W).
        factor: side of the squares; 1 keeps every pixel.

    Returns:
        Linear light; (3, H // factor, W // factor) float32.
    """
    if isinstance(pixels, StoredCodes):
        return pixels.reduced_light(factor)
    height, width = (side // factor for side in pixels.size)
    rows = max(1, _STRIP_PIXELS // max(pixels.size[1] * factor, 1))
    strips = [torch.empty((3, 0, width))]
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        light = pixels.read(Box(top * factor, 0, bottom * factor, width * factor))
        squares = light.reshape(3, bottom - top, factor, width, factor)
        strips.append(squares.mean(dim=(2, 4)))
    return torch.cat(strips, dim=1)


@lru_cache(maxsize=16)
def _light_table(curve: Curve, largest: int, black: int) -> Light:
    """Return the light of every code; (largest + 1,) float32."""
    codes = torch.arange(largest + 1, dtype=torch.float64) - black
    return color.decode((codes / (largest - black)).float(), curve).numpy()


def _spill_folder() -> str | None:
    """Choose a folder that is on a disk: /tmp is memory on many systems."""
    if os.environ.get("TMPDIR"):
        return None  # the user chose; tempfile heeds it
    on_disk = Path("/var/tmp")
    return str(on_disk) if on_disk.is_dir() and os.access(on_disk, os.W_OK) else None
