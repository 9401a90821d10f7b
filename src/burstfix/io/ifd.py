"""TIFF directories, the bones of EXIF, TIFF and DNG: reads them defensively, and writes them."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

EXIF, GPS, INTEROP = 0x8769, 0x8825, 0xA005  # tags that point to directories of their own

# Bytes of one value, and of the parts that byte order applies to, by field type.
_SIZES = {1: (1, 1), 2: (1, 1), 3: (2, 2), 4: (4, 4), 5: (8, 4), 6: (1, 1), 7: (1, 1)}
_SIZES |= {8: (2, 2), 9: (4, 4), 10: (8, 4), 11: (4, 4), 12: (8, 8), 13: (4, 4)}
_MOST_FIELDS = 500
_MOST_BYTES = 1 << 20  # of one field; EXIF in a JPEG has 64 KB in all


@dataclass(frozen=True)
class Field:
    """One value of a directory: its TIFF type, and its bytes in little-endian order."""

    kind: int
    data: bytes


@dataclass(frozen=True)
class Directory:
    """Fields and directories by tag."""

    fields: dict[int, Field] = field(default_factory=dict)
    children: dict[int, "Directory"] = field(default_factory=dict)


def byte(values: bytes) -> Field:
    """Make a field of bytes."""
    return Field(1, values)


def ascii_text(text: str) -> Field:
    """Make a text field; UTF-8, as practice is, though the standard knows ASCII alone."""
    return Field(2, text.replace("\0", "").encode("utf-8", "replace") + b"\0")


def short(*values: int) -> Field:
    """Make a field of 16-bit numbers."""
    return Field(3, struct.pack(f"<{len(values)}H", *values))


def long(*values: int) -> Field:
    """Make a field of 32-bit numbers."""
    return Field(4, struct.pack(f"<{len(values)}I", *values))


def rational(*values: float) -> Field:
    """Make a field of fractions that are not negative."""
    return Field(5, b"".join(struct.pack("<II", *_fraction(value)) for value in values))


def signed_rational(*values: float) -> Field:
    """Make a field of fractions."""
    return Field(10, b"".join(struct.pack("<ii", *_fraction(value)) for value in values))


def undefined(data: bytes) -> Field:
    """Make a field of opaque bytes."""
    return Field(7, data)


def read_directory(data: bytes) -> Directory:
    """Read the first directory of a TIFF structure, with its EXIF and GPS directories.

    Args:
        data: the structure; possibly damaged, and then as much as is sound is returned.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return Directory()
    (offset,) = struct.unpack_from(f"{order}I", data, 4)
    return _read(data, offset, order, (EXIF, GPS))


def _read(data: bytes, offset: int, order: str, pointers: Sequence[int]) -> Directory:
    """Read the directory at an offset; those that `pointers` point to become children."""
    directory = Directory()
    if offset < 8 or offset + 2 > len(data):
        return directory
    (count,) = struct.unpack_from(f"{order}H", data, offset)
    for index in range(min(count, _MOST_FIELDS)):
        start = offset + 2 + 12 * index
        if start + 12 > len(data):
            break
        tag, kind, number = struct.unpack_from(f"{order}HHI", data, start)
        size, part = _SIZES.get(kind, (0, 1))
        length = size * number
        (place,) = struct.unpack_from(f"{order}I", data, start + 8)
        where = place if length > 4 else start + 8
        if not 0 < length <= _MOST_BYTES or where + length > len(data):
            continue
        if tag in pointers:
            directory.children[tag] = _read(data, place, order, ())
        elif tag not in directory.fields:
            value = data[where : where + length]
            directory.fields[tag] = Field(kind, value if order == "<" else _swapped(value, part))
    return directory


def write_directory(directory: Directory, offset: int) -> bytes:
    """Lay out a directory, its long values and its children, little-endian.

    Args:
        directory: what to write.
        offset: where the bytes will stand in the file; even.
    """
    pointers = {tag: long(0) for tag in directory.children}
    entries = sorted({**directory.fields, **pointers}.items())
    table = struct.pack("<H", len(entries))
    end = offset + 2 + 12 * len(entries) + 4  # behind the pointer to a next directory: none
    body = b""
    for tag, value in entries:
        data = value.data
        if tag in directory.children:
            data = struct.pack("<I", end + len(body))
            body += write_directory(directory.children[tag], end + len(body))
        count = len(data) // _SIZES[value.kind][0]
        place = data.ljust(4, b"\0")
        if len(data) > 4:
            place = struct.pack("<I", end + len(body))
            body += data + bytes(len(data) % 2)
        table += struct.pack("<HHI", tag, value.kind, count) + place
    return table + bytes(4) + body


def write_structure(directory: Directory) -> bytes:
    """Lay out a whole TIFF structure, as an EXIF block is one."""
    return b"II*\0\x08\0\0\0" + write_directory(directory, 8)


def _swapped(data: bytes, part: int) -> bytes:
    """Reverse the bytes of every part."""
    return b"".join(data[start : start + part][::-1] for start in range(0, len(data), part))


def _fraction(value: float) -> tuple[int, int]:
    """Return a numerator and a denominator that fit 31 bits."""
    limited = max(-(2.0**30), min(value, 2.0**30))
    fraction = Fraction(limited).limit_denominator(1_000_000 if abs(limited) < 2000 else 1)
    return fraction.numerator, fraction.denominator
