"""Decode JPEG, PNG, TIFF, WebP, AVIF, JPEG 2000, BMP and PNM files to upright RGB codes.

Runs in the decoding process, so it must not import torch. Bit depth follows the file's type,
never its values.
"""

import io
from collections.abc import Callable
from typing import Any, Literal

import cv2
import numpy as np
from PIL import Image

from burstfix.errors import InputError
from burstfix.io.decoded import Codes, Decoded, check_size, damaged
from burstfix.io.intact import (
    TIFF_MAGIC,
    TiffImage,
    avif_depth,
    jpeg2000_depth,
    jpeg2000_fault,
    jpeg_fault,
    png_fault,
    pnm_fault,
    tiff_fault,
    tiff_images,
    webp_fault,
)
from burstfix.io.metadata import ORIENTATION, UPRIGHT, Facts, raster_facts, tiff_facts

Image.MAX_IMAGE_PIXELS = None  # `check_size` refuses what is hostile, at six times Pillow's limit

KINDS = ("JPEG", "PNG", "TIFF", "WebP", "AVIF", "JPEG 2000", "BMP", "PNM")
_PIL_NAMES = {"PNM": "PPM", "JPEG 2000": "JPEG2000"}  # where they are not the kind's own
_OTHERS = {
    "HEIC": "Convert it to JPEG or TIFF, or set the phone to take its most compatible format.",
    "JPEG XL": "Convert it to PNG or TIFF; djxl of libjxl does so without loss.",
    "GIF": "Give photographs: raw, JPEG, PNG, TIFF or WebP.",
}
_CHECKS: dict[str, Callable[[bytes], str | None]] = {
    "JPEG": jpeg_fault,
    "PNG": png_fault,
    "TIFF": tiff_fault,
    "WebP": webp_fault,
    "JPEG 2000": jpeg2000_fault,
    "PNM": pnm_fault,
}
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_AS_STORED = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
_RGB = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION


def kind_of(data: bytes) -> str:
    """Name the format that the file's first bytes tell; empty for raw and unknown ones."""
    brand = data[8:12] if data[4:8] == b"ftyp" else b""
    signs = {
        "JPEG": data.startswith(b"\xff\xd8\xff"),
        "PNG": data.startswith(b"\x89PNG\r\n\x1a\n"),
        "TIFF": data[:4] in TIFF_MAGIC[:4],
        "WebP": data.startswith(b"RIFF") and data[8:12] == b"WEBP",
        "AVIF": brand in (b"avif", b"avis"),
        "HEIC": brand in _HEIF_BRANDS,
        "JPEG XL": data.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")),
        "JPEG 2000": data.startswith((b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")),
        "BMP": data.startswith(b"BM") and data[6:10] == bytes(4),
        "PNM": data[:1] == b"P" and data[1:2] in b"123456" and data[2:3] in b" \t\r\n",
        "GIF": data.startswith((b"GIF87a", b"GIF89a")),
    }
    return next((kind for kind, fits in signs.items() if fits), "")


def probe_raster(data: bytes, name: str, kind: str) -> Decoded:
    """Read size and metadata without the pixels.

    Raises:
        InputError: the file is of no format that burstfix reads, or damaged.
    """
    if kind in _OTHERS:
        raise InputError(f"{name} is a {kind} file, which burstfix cannot read.", _OTHERS[kind])
    facts, (width, height) = _look(data, name, kind)
    turned = facts.orientation >= 5
    return Decoded(kind=kind, size=(width, height) if turned else (height, width), facts=facts)


def _look(data: bytes, name: str, kind: str) -> tuple[Facts, tuple[int, int]]:
    """Return metadata, and width and height as stored."""
    if kind == "TIFF":
        image = max(tiff_images(data), key=lambda image: image.pixels, default=TiffImage())
        if not image.tags:
            raise damaged(name, "is no TIFF file that can be read")
        check_size(name, (image.height, image.width))
        return tiff_facts(data), (image.width, image.height)
    try:
        picture = Image.open(io.BytesIO(data), formats=[_PIL_NAMES.get(kind, kind.upper())])
    except Exception as error:  # PIL raises whatever its parsers stumble over
        raise damaged(name, f"is no {kind} file that can be read") from error
    check_size(name, (picture.height, picture.width))
    if picture.mode == "CMYK":
        raise InputError(
            f"{name} holds {picture.mode} values, for print.", "Convert it to RGB in an editor."
        )
    if getattr(picture, "is_animated", False) and picture.format != "MPO":
        raise InputError(
            f"{name} is an animation of {picture.n_frames} pictures.",  # type: ignore[attr-defined]
            "Give each picture as a file of its own.",
        )
    return raster_facts(picture, data), picture.size


def read_raster(data: bytes, name: str, kind: str) -> Decoded:
    """Decode to upright RGB codes: uint8, uint16, or float32 where the file holds floats.

    Gray is repeated. Alpha is dropped where it is opaque; where it is not, the file is refused,
    since what lies under it is not part of a photograph.

    Raises:
        InputError: the file is damaged, ends early, or is no photograph.
    """
    seen = probe_raster(data, name, kind)
    check = _CHECKS.get(kind)
    fault = check(data) if check else None
    if fault:
        raise damaged(name, fault)
    decode = {"TIFF": _read_tiff, "AVIF": _read_avif, "JPEG 2000": _read_jpeg2000}.get(
        kind, _read_by_opencv
    )
    codes, orientation = decode(data, name), seen.facts.orientation
    upright = np.ascontiguousarray(_turn(codes, orientation))
    return Decoded(kind=kind, size=upright.shape[:2], facts=seen.facts, codes=upright)


def _read_by_opencv(data: bytes, name: str) -> Codes:
    buffer = np.frombuffer(data, np.uint8)
    plain = data.startswith((b"\xff\xd8", b"BM"))  # no alpha: to RGB in one pass
    decoded = cv2.imdecode(buffer, _RGB if plain else _AS_STORED)
    if decoded is None:
        raise damaged(name, "is damaged: it cannot be decoded")
    return decoded if plain else _opaque_rgb(_from_bgr(decoded), name)


def _from_bgr(decoded: Codes) -> Codes:
    """Return what OpenCV decoded in the order RGB, before alpha; gray as it is."""
    order = {3: (2, 1, 0), 4: (2, 1, 0, 3)}.get(decoded.shape[2] if decoded.ndim == 3 else 1)
    return decoded[..., order] if order else decoded


def _read_avif(data: bytes, name: str) -> Codes:
    """Decode; 10 and 12 bits by OpenCV, where it knows AVIF: Pillow cuts them to 8."""
    depth = avif_depth(data)
    if depth > 8:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), _AS_STORED)
        if decoded is not None and decoded.dtype == np.uint16:
            return _opaque_rgb(_stretch(_from_bgr(decoded), depth), name)
    return _read_by_pil(data, name)


def _read_jpeg2000(data: bytes, name: str) -> Codes:
    """Decode depths of 8 to 16 bits."""
    depth = jpeg2000_depth(data)
    if not 8 <= depth <= 16:
        raise InputError(
            f"{name} is a JPEG 2000 file of {depth} bits.", "Convert it to 8 or 16 bits."
        )
    codes = _read_by_opencv(data, name)
    return codes if depth in {8, 16} else _stretch(codes, depth)


def _stretch(codes: Codes, depth: int) -> Codes:
    """Bring codes of no whole number of bytes to 16 bits: OpenCV leaves them dark."""
    most = 2**depth - 1
    wide = codes.astype(np.uint32)  # half the memory of floats that would round as well
    wide *= 2 * 65535
    wide += most
    wide //= 2 * most
    return wide.astype(np.uint16)


def _read_by_pil(data: bytes, name: str) -> Codes:
    picture = Image.open(io.BytesIO(data))
    alpha = picture.has_transparency_data
    return _opaque_rgb(np.asarray(picture.convert("RGBA" if alpha else "RGB")), name)


def _read_tiff(data: bytes, name: str) -> Codes:
    """Read the largest image of a TIFF file."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page: Any = max(
            (page for page in file.pages if isinstance(page, tifffile.TiffPage)),
            key=lambda page: page.imagewidth * page.imagelength,
        )
        if page.bitspersample in (1, 2, 4):
            return _read_by_pil(data, name)
        _check_tiff_kind(page, name)
        check_size(name, (page.imagelength, page.imagewidth))
        codes = _tiff_codes(page, data)
        if codes is None:
            raise damaged(name, "is damaged, or compressed in a way that burstfix cannot read")
        floats = codes.dtype.kind == "f"
        if floats and not np.isfinite(codes).all():
            raise damaged(name, "holds values that are no numbers")
        if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and not floats:
            codes = np.iinfo(codes.dtype).max - codes
    return _opaque_rgb(codes.astype(np.float32) if floats else codes, name)


def _check_tiff_kind(page: Any, name: str) -> None:  # noqa: ANN401
    """Refuse what is no picture in gray or RGB of a depth that is known."""
    photometric = getattr(page.photometric, "name", str(page.photometric))
    depth = str(page.dtype)
    if photometric not in ("MINISWHITE", "MINISBLACK", "RGB", "PALETTE", "YCBCR"):
        raise InputError(
            f"{name} is a TIFF file of kind {photometric}.", "Convert it to RGB in an editor."
        )
    if depth not in ("uint8", "uint16", "float16", "float32", "float64"):
        raise InputError(
            f"{name} is a TIFF file of {page.bitspersample} bits of kind {depth}.",
            "Convert it to 8 or 16 bits, or to float.",
        )


def _tiff_codes(page: Any, data: bytes) -> Codes | None:  # noqa: ANN401
    """Decode by tifffile, or where it lacks the compression by OpenCV; None where both fail."""
    plain = page.photometric.name in ("RGB", "MINISBLACK", "MINISWHITE")
    try:
        if plain:
            codes: Codes = page.asarray()
            return np.moveaxis(codes, 0, -1) if page.axes.startswith("S") else codes
    except Exception:  # noqa: BLE001 tifffile raises anything where a codec is missing or fails
        plain = False
    decoded = cv2.imdecode(np.frombuffer(_as_if_upright(data), np.uint8), _AS_STORED)
    if decoded is None or decoded.shape[:2] != (page.imagelength, page.imagewidth):
        return None
    if decoded.ndim == 3:
        return decoded[..., (2, 1, 0, 3)[: decoded.shape[2]]]
    return decoded


def _as_if_upright(data: bytes) -> bytes:
    """Return a TIFF file without its orientation, which OpenCV applies to some kinds unasked."""
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
    wide = 8 if data[2:4] in (b"+\0", b"\0+") else 4
    fields = ((ORIENTATION, 2), (3, 2), (1, wide))  # tag, type SHORT, count
    entry = b"".join(value.to_bytes(size, order) for value, size in fields)
    start = data.find(entry)
    if start < 0:
        return data
    value = start + len(entry)
    return data[:value] + UPRIGHT.to_bytes(2, order) + data[value + 2 :]


def _opaque_rgb(codes: Codes, name: str) -> Codes:
    """Bring gray, gray + alpha, RGB or RGB + alpha to RGB; (H, W, 3)."""
    deep = codes[..., None] if codes.ndim == 2 else codes
    channels = deep.shape[2]
    if channels not in (1, 2, 3, 4) or deep.ndim != 3:
        raise InputError(
            f"{name} has {channels} channels.", "Convert it to RGB without extra channels."
        )
    if channels in (2, 4):
        alpha = deep[..., -1]
        opaque = 1 if alpha.dtype.kind == "f" else np.iinfo(alpha.dtype).max
        if alpha.min() < opaque:
            raise InputError(
                f"{name} has transparent parts.", "Flatten it to an opaque picture in an editor."
            )
    colour = deep[..., : 1 if channels < 3 else 3]
    return np.repeat(colour, 3, axis=2) if colour.shape[2] == 1 else colour


def _turn(codes: Codes, orientation: int) -> Codes:
    """Turn upright from the EXIF orientation, 1 to 8; a view where that suffices."""
    turns: dict[int, Callable[[Codes], Codes]] = {
        2: lambda c: c[:, ::-1],
        3: lambda c: c[::-1, ::-1],
        4: lambda c: c[::-1],
        5: lambda c: c.transpose(1, 0, 2),
        6: lambda c: cv2.rotate(np.ascontiguousarray(c), cv2.ROTATE_90_CLOCKWISE),
        7: lambda c: c.transpose(1, 0, 2)[::-1, ::-1],
        8: lambda c: cv2.rotate(np.ascontiguousarray(c), cv2.ROTATE_90_COUNTERCLOCKWISE),
    }
    turn = turns.get(orientation)
    return turn(codes) if turn else codes
