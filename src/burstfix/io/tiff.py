"""Writes TIFF with its metadata: strips are differenced and compressed in threads."""

import struct
import zlib
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from burstfix.io import ifd
from burstfix.io.deflate import bands, in_order
from burstfix.io.ifd import Directory

_DEFLATE, _INTEGER, _FLOAT = 8, 2, 3  # compression; predictors
_LEVEL = 1  # as for PNG: higher ones gain a few per cent for twice the time


def write_tiff(
    file: BinaryIO,
    codes: npt.NDArray[Any],
    *,
    icc: bytes = b"",
    exif: Directory | None = None,
    xmp: bytes = b"",
) -> None:
    """Encode a picture as TIFF, compressed without loss.

    Args:
        file: where to write, from its start; seekable.
        codes: RGB samples; (H, W, 3) of uint8, uint16 or float32.
        icc: profile to embed; empty for none.
        exif: what `exif_directory` returned; None for none.
        xmp: an XMP packet; empty for none.

    Raises:
        ValueError: the file would pass 4 GB.
    """
    strips = bands(codes)
    file.write(b"II*\0\0\0\0\0")
    offsets, lengths, end = [], [], 8
    for data in in_order(lambda strip: zlib.compress(_predicted(codes[strip]), _LEVEL), strips):
        file.write(data + bytes(len(data) % 2))
        offsets.append(end)
        lengths.append(len(data))
        end += len(data) + len(data) % 2
        if end > 0xFFFF0000:
            raise ValueError("A TIFF file holds 4 GB.")
    source = exif or Directory()
    layout = _layout(codes, strips[0].stop)
    layout |= {273: ifd.long(*offsets), 279: ifd.long(*lengths)}
    layout |= {34675: ifd.undefined(icc)} if icc else {}
    layout |= {700: ifd.byte(xmp)} if xmp else {}
    file.write(ifd.write_directory(Directory(source.fields | layout, source.children), end))
    file.seek(4)
    file.write(struct.pack("<I", end))


def _layout(codes: npt.NDArray[Any], strip_rows: int) -> dict[int, ifd.Field]:
    """Return the fields that say how the samples are stored."""
    height, width = codes.shape[:2]
    floating = codes.dtype.kind == "f"
    return {
        254: ifd.long(0),  # the main picture
        256: ifd.long(width),
        257: ifd.long(height),
        258: ifd.short(*[8 * codes.itemsize] * 3),
        259: ifd.short(_DEFLATE),
        262: ifd.short(2),  # RGB
        274: ifd.short(1),
        277: ifd.short(3),
        278: ifd.long(strip_rows),
        284: ifd.short(1),  # channels of a pixel side by side
        317: ifd.short(_FLOAT if floating else _INTEGER),
        339: ifd.short(*[3 if floating else 1] * 3),
    }


def _predicted(strip: npt.NDArray[Any]) -> bytes:
    """Return the differences that a reader with the predictor sums up again.

    Args:
        strip: samples; (h, W, 3).
    """
    if strip.dtype.kind != "f":
        difference = strip.astype(strip.dtype.newbyteorder("<"))
        difference[:, 1:] -= strip[:, :-1]
        return difference.tobytes()
    # Adobe's: the most significant bytes of a line first, then the next; each row of bytes
    # differenced by the number of channels.
    big_endian = np.ascontiguousarray(strip.astype(">f4")).view(np.uint8)
    planes = big_endian.reshape(len(strip), -1, 4).transpose(0, 2, 1).reshape(len(strip), -1)
    difference = planes.copy()
    difference[:, 3:] -= planes[:, :-3]
    return difference.tobytes()
