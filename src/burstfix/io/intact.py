"""Tell whether a file holds all its bytes, before a codec paints the missing part gray."""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

# TIFF of both byte orders, BigTIFF, then the dialects of Panasonic and Olympus
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"IIU\0", b"IIRO", b"IIRS", b"MMOR")

RAW_TAGS = frozenset({50706, 33421, 33422})  # DNGVersion, and the pattern of a mosaic

CUT_SHORT = "ends early: part of the picture is missing"
DAMAGED = "is damaged"

_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # stuffing and restarts lie in the data
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9
_CODESTREAM, _JPEG2000_END = b"\xff\x4f\xff\x51", b"\xff\xd9"
_DEPTH_OFFSET = 42  # of the first component's depth, from the codestream's start
_AV1_SETTINGS = re.compile(rb"av1C\x81.(.)", re.DOTALL)  # marker and version, profile, flags
_AV1_DEPTHS = {0x40: 10, 0x60: 12}  # by the flags "high bit depth" and "twelve bit"
_PNM_GAP = rb"(?:\s+(?:#[^\n]*\n\s*)*)"
_PNM_HEADER = re.compile(rb"P[56]" + (_PNM_GAP + rb"\d+") * 2 + _PNM_GAP + rb"(\d+)\s")
_PNG_CHUNKS = 8  # offset of the first one
_NO_OFFSET = 0xFFFFFFFF  # Panasonic: the strip begins elsewhere
_LOSSLESS_JPEG = 7
_LEAST_BITS = 0.03  # per sample; one 8x8 block of JPEG, lossy or not, needs more


def jpeg_fault(data: bytes) -> str | None:
    """Say what is missing of a JPEG file, or None.

    Whatever follows the end marker (a second picture, a clip, padding) is no fault.
    """
    position = 2
    while True:
        found = _JPEG_MARKER.search(data, position)
        if not found:
            return CUT_SHORT
        marker = found.group()[1]
        if marker == _JPEG_END:
            return None
        if marker in (0x01, 0xD8):  # no length follows
            position = found.end()
            continue
        length = int.from_bytes(data[found.end() : found.end() + 2], "big")
        if length < 2:
            return CUT_SHORT if found.end() + 2 > len(data) else DAMAGED
        position = found.end() + length


def png_fault(data: bytes) -> str | None:
    """Say what is missing or changed in a PNG file, or None; every checksum is verified."""
    position, pixels = _PNG_CHUNKS, 0
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            return CUT_SHORT
        critical = not kind[0] & 0x20  # lower case: may be ignored
        body = memoryview(data)[position + 4 : end - 4]
        if critical and zlib.crc32(body) != int.from_bytes(data[end - 4 : end], "big"):
            return f"{DAMAGED}: a checksum does not match"
        pixels += length if kind == b"IDAT" else 0
        if kind == b"IEND":
            return None if pixels else CUT_SHORT
        position = end
    return CUT_SHORT


def webp_fault(data: bytes) -> str | None:
    """Say what is missing of a WebP file, or None."""
    return CUT_SHORT if int.from_bytes(data[4:8], "little") + 8 > len(data) else None


def pnm_fault(data: bytes) -> str | None:
    """Say why a PNM file is not taken, or None; its pixels' count OpenCV checks."""
    found = _PNM_HEADER.match(data)
    if not found:
        return "is of a kind of PNM that burstfix cannot read: it must be binary, PGM or PPM"
    if found[1] not in {b"255", b"65535"}:
        return "has an odd greatest value: it must be 255 or 65535"
    return None


def jpeg2000_fault(data: bytes) -> str | None:
    """Say what is missing of a JPEG 2000 file, or None."""
    if data.startswith(_CODESTREAM):
        return None if data.rstrip(b"\0").endswith(_JPEG2000_END) else CUT_SHORT
    position = 0
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if length == 1 and position + 16 <= len(data):  # the length follows, in eight bytes
            (length,) = struct.unpack_from(">Q", data, position + 8)
        end = position + length if length else len(data)  # 0: as far as the file goes
        if kind == b"jp2c":
            whole = end <= len(data) and data[:end].endswith(_JPEG2000_END)
            return None if whole else CUT_SHORT
        if end < position + 8:
            return DAMAGED
        position = end
    return CUT_SHORT


def jpeg2000_depth(data: bytes) -> int:
    """Return the bits of a sample of a JPEG 2000 file; 0 where it does not tell."""
    start = data.find(_CODESTREAM)
    place = start + _DEPTH_OFFSET
    signed = start < 0 or place >= len(data) or data[place] & 0x80
    return 0 if signed else data[place] + 1


def avif_depth(data: bytes) -> int:
    """Return the bits of a sample of an AVIF file: 8, 10 or 12; 0 where it does not tell."""
    found = _AV1_SETTINGS.search(data)
    return _AV1_DEPTHS.get(found[1][0] & 0x60, 8) if found else 0


def tiff_fault(data: bytes) -> str | None:
    """Say what is missing of a TIFF picture, or None."""
    images = list(tiff_images(data))
    if not images:
        return f"{DAMAGED}: its directory cannot be read"
    image = max(images, key=lambda image: image.pixels)
    for offset, count in zip(image.offsets, image.counts, strict=False):
        if offset + count > len(data):
            return CUT_SHORT
    return None


def raw_fault(data: bytes, pixels: int) -> str | None:
    """Say why a raw file cannot hold its pixels, or None: LibRaw opens some that do not.

    Args:
        data: the file.
        pixels: how many LibRaw says there are.
    """
    images = [image for image in tiff_images(data) if image.offsets and image.counts]
    if not images:
        return CUT_SHORT if len(data) * 8 < _LEAST_BITS * pixels else None
    image = max(images, key=lambda image: image.pixels)
    for offset, count in zip(image.offsets, image.counts, strict=False):
        beyond = count > len(data) if offset == _NO_OFFSET else offset >= len(data)
        if count and beyond:  # a strip cut in its middle is LibRaw's to notice
            return CUT_SHORT
    if image.compression == _LOSSLESS_JPEG and sum(image.counts) * 8 < _LEAST_BITS * image.pixels:
        return "holds no picture: its pixel data were removed"
    return None


@dataclass(frozen=True, kw_only=True)
class TiffImage:
    """Where one image of a TIFF-like file lies."""

    width: int = 0
    height: int = 0
    compression: int = 1
    offsets: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()
    tags: frozenset[int] = frozenset()

    @property
    def pixels(self) -> int:
        """How many there are."""
        return self.width * self.height


def tiff_images(data: bytes) -> Iterator[TiffImage]:
    """Walk the directories of a TIFF, BigTIFF or TIFF-based raw file; sub-directories too."""
    if data[:4] not in TIFF_MAGIC or len(data) < 16:
        return
    order = "<" if data.startswith(b"II") else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    start = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0]
    ahead, seen = [start], set[int]()
    while ahead and len(seen) < 64:
        start = ahead.pop(0)
        if start in seen or not 0 < start < len(data):
            continue
        seen.add(start)
        try:
            entries, following = _directory(data, start, order, big)
        except struct.error:
            continue
        ahead += [following, *entries.get(330, ())]
        yield _image(entries)


def _image(entries: dict[int, tuple[int, ...]]) -> TiffImage:
    def first(tag: int, otherwise: int) -> int:
        return (entries.get(tag) or (otherwise,))[0]

    return TiffImage(
        width=first(256, 0),
        height=first(257, 0),
        compression=first(259, 1),
        offsets=entries.get(273) or entries.get(324) or (),
        counts=entries.get(279) or entries.get(325) or (),
        tags=frozenset(entries),
    )


def _directory(
    data: bytes, start: int, order: str, big: bool
) -> tuple[dict[int, tuple[int, ...]], int]:
    """Read the whole-number entries of one directory, and where the next one lies."""
    counter, head, room = ("Q", "HHQ", 8) if big else ("H", "HHI", 4)
    (count,) = struct.unpack_from(order + counter, data, start)
    position = start + struct.calcsize(order + counter)
    step = struct.calcsize(order + head) + room
    entries: dict[int, tuple[int, ...]] = {}
    for _ in range(min(count, 4096)):
        tag, kind, length = struct.unpack_from(order + head, data, position)
        form = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}.get(kind)
        if form:
            where = position + step - room
            if length * struct.calcsize(order + form) > room:
                (where,) = struct.unpack_from(order + counter.replace("H", "I"), data, where)
            entries[tag] = _values(data, where, order, form, length)
        else:
            entries[tag] = ()
        position += step
    following = struct.unpack_from(order + ("Q" if big else "I"), data, position)
    return entries, following[0]


def _values(data: bytes, where: int, order: str, form: str, length: int) -> tuple[int, ...]:
    if where + length * struct.calcsize(order + form) > len(data):
        return ()
    return struct.unpack_from(f"{order}{length}{form}", data, where)
