"""What a file tells of the photograph: exposure, camera, lens, date, burst; never pixels.

Runs in the decoding process, so it must not import torch. Bad metadata never fails a picture:
whatever cannot be understood is left out.
"""

import math
import re
import struct
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any, TypeVar

from burstfix.io.ifd import GPS, INTEROP, Directory, read_directory, write_structure

T = TypeVar("T")

MAKE, MODEL, ORIENTATION, DATE, PROFILE, EXIF_IFD = 271, 272, 274, 306, 34675, 34665
EXPOSURE, APERTURE, ISO, DATE_TAKEN = 33434, 33437, 34855, 36867
FOCAL_LENGTH, MAKER_NOTE, SUBSECONDS, SUBSECONDS_TAKEN, LENS = 37386, 37500, 37520, 37521, 42036
NOISE_PROFILE, DOUBLE = 51041, 12
COLOR_SPACE, INTEROP_INDEX = 40961, 1
# Description, make, model, resolution and its unit, date, artist, computer, rating (2),
# copyright, and Windows' title, comment, author, keywords and subject. The rest of a first
# directory describes how the file's own pixels are stored.
DESCRIBING = frozenset(
    {270, 271, 272, 282, 283, 296, 306, 315, 316, 18246, 18249, 33432, *range(40091, 40096)}
)
UPRIGHT = 1  # EXIF orientation of a picture that needs no turning

_SRGB, _ADOBE = 1, 2  # of EXIF's ColorSpace; the second is no standard, but some cameras write it
_ADOBE_FILE = "R03"  # interoperability index of DCF's optional files, which are Adobe RGB
# Of Adobe RGB (1998): gamma, then x and y of white, red, green, blue, as PNG's chunks say it
_ADOBE_GAMMA = 256 / 563
_ADOBE_POINTS = (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)

_BURST_IN_XMP = re.compile(rb'GCamera:BurstID(?:="|>)([^"<]{1,128})')
_BURST_IN_APPLE = re.compile(rb"\x00\x0b\x00\x02(.{4})(.{4})", re.DOTALL)  # tag 11, ASCII
_XMP_REACH = 1 << 18  # XMP stands near the front; further on lie pixels


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The fields of `frame.Metadata`, and what decoding needs.

    `taken` is ISO 8601. `gamma` and `chromaticities` are PNG's gAMA and cHRM, where no profile
    and no sRGB chunk stands beside them; where EXIF alone tells that a picture is Adobe RGB, they
    are that space's. `noise` is DNG's NoiseProfile, averaged over colours: shot and read variance
    of the sensor's light, where saturation is 1.
    """

    exposure_s: float | None = None
    iso: float | None = None
    aperture: float | None = None
    focal_length_mm: float | None = None
    camera: str = ""
    lens: str = ""
    taken: str = ""
    burst_id: str = ""
    exif: bytes = b""
    icc: bytes = b""
    orientation: int = UPRIGHT
    gamma: float | None = None
    chromaticities: tuple[float, ...] = ()
    noise: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON can hold them."""
        held = asdict(self)
        return held | {name: b64encode(held[name]).decode() for name in ("exif", "icc")}

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> "Facts":
        """Invert `to_json`."""
        plain = {field.name: held[field.name] for field in fields(cls)}
        return cls(**(plain | {name: b64decode(held[name]) for name in ("exif", "icc")}))


def raster_facts(picture: Any, data: bytes) -> Facts:  # noqa: ANN401 PIL must load lazily
    """Read the facts of a JPEG, PNG, WebP or AVIF file.

    Args:
        picture: the opened, not yet decoded PIL.Image.Image.
        data: the file.
    """
    tags = _quietly(lambda: _pil_tags(picture.getexif()), _nothing())
    facts = _facts(tags)
    block = picture.info.get("exif") or b""
    return Facts(
        **facts,
        burst_id=_burst_id(tags.get(MAKER_NOTE), data),
        exif=block.removeprefix(b"Exif\0\0") if block else compact_exif(tags),
        icc=_own_profile(picture.info.get("icc_profile")),
        orientation=_orientation(tags),
        **_told_colour(picture),
    )


def tiff_facts(data: bytes) -> Facts:
    """Read the facts of a TIFF file; its EXIF block is built anew, free of strips and sizes."""
    from PIL import Image

    def read() -> dict[int, Any]:
        block = Image.Exif()
        block.load(data)  # an EXIF block is a TIFF file, and the other way round
        return _pil_tags(block)

    tags = _quietly(read, _nothing())
    return Facts(
        **_facts(tags),
        burst_id=_burst_id(tags.get(MAKER_NOTE), data),
        exif=_quietly(lambda: _exif_of(data, tags), b""),
        icc=_own_profile(tags.get(PROFILE)),
        orientation=_orientation(tags),
    )


def raw_facts(data: bytes, other: Any = None, lens: Any = None) -> Facts:  # noqa: ANN401
    """Read the facts of a raw file; orientation stays upright, for LibRaw turns the pixels.

    Args:
        data: the file.
        other: rawpy's `other`, which knows the exposure where EXIF cannot be read.
        lens: rawpy's `lens`.
    """
    tags = _quietly(lambda: _exifread_tags(data), _nothing())
    for tag, value in _quietly(lambda: _libraw_tags(other, lens), _nothing()).items():
        if not tags.get(tag) and value:
            tags[tag] = value
    return Facts(
        **_facts(tags),
        burst_id=_burst_id(tags.get(MAKER_NOTE), data),
        exif=_quietly(lambda: _exif_of(data, tags), b""),
        noise=_quietly(lambda: _noise(data), ()),
    )


def _noise(data: bytes) -> tuple[float, ...]:
    """Return shot and read noise as a DNG's first directory tells; empty where it does not."""
    told = read_directory(data).fields.get(NOISE_PROFILE)
    if told is None or told.kind != DOUBLE:
        return ()
    numbers = struct.unpack(f"<{len(told.data) // 8}d", told.data)  # shot, read of each colour
    shot, read = fmean(numbers[::2]), fmean(numbers[1::2])
    sane = 0 <= shot < 1 and 0 <= read < 1 and shot + read > 0
    return (shot, read) if sane else ()


def _libraw_tags(other: Any, lens: Any) -> dict[int, Any]:  # noqa: ANN401
    if other is None or lens is None:
        return {}
    moment = other.timestamp
    known = bool(moment) and moment.year > 1980  # 0 is 1970: unset
    return {
        EXPOSURE: other.shutter_speed,
        APERTURE: other.aperture,
        ISO: other.iso_speed,
        FOCAL_LENGTH: other.focal_length,
        LENS: lens.model,
        DATE_TAKEN: moment.strftime("%Y:%m:%d %H:%M:%S") if known else "",
    }


def _exif_of(data: bytes, tags: Mapping[int, Any]) -> bytes:
    """Build the EXIF block of a TIFF or raw file: what it tells itself, and the known tags.

    Raw files that are no TIFF structure tell the known tags alone.
    """
    own, known = read_directory(data), read_directory(compact_exif(tags))
    fields = {tag: field for tag, field in own.fields.items() if tag in DESCRIBING}
    children = dict(known.children)
    if EXIF_IFD in own.children:
        known_shot = known.children.get(EXIF_IFD, Directory()).fields
        shot = {k: v for k, v in own.children[EXIF_IFD].fields.items() if k != MAKER_NOTE}
        children[EXIF_IFD] = Directory(known_shot | shot)
    if GPS in own.children:
        children[GPS] = own.children[GPS]
    whole = Directory(known.fields | fields, children)
    if not whole.fields and not whole.children:
        return b""
    return write_structure(whole)


def compact_exif(tags: Mapping[int, Any]) -> bytes:
    """Build an EXIF block of the known tags; empty where nothing is known.

    Returns:
        A TIFF structure without the "Exif" prefix of JPEG.
    """
    return _quietly(lambda: _build_exif(tags), b"")


def _build_exif(tags: Mapping[int, Any]) -> bytes:
    from PIL import Image

    block = Image.Exif()
    for tag in (MAKE, MODEL, DATE):
        if text := _text(tags.get(tag)):
            block[tag] = text
    inner = block.get_ifd(EXIF_IFD)
    for tag in (DATE_TAKEN, SUBSECONDS_TAKEN, LENS):
        if text := _text(tags.get(tag)):
            inner[tag] = text
    for tag in (EXPOSURE, APERTURE, FOCAL_LENGTH):
        if number := _positive(tags.get(tag)):
            inner[tag] = number
    if number := _positive(tags.get(ISO)):
        inner[ISO] = min(round(number), 65535)
    if not inner and not len(block):
        return b""
    return block.tobytes().removeprefix(b"Exif\0\0")


def _facts(tags: Mapping[int, Any]) -> dict[str, Any]:
    """Translate EXIF tags to the fields that rasters and raws share."""
    return {
        "exposure_s": _positive(tags.get(EXPOSURE)),
        "iso": _positive(tags.get(ISO)),
        "aperture": _positive(tags.get(APERTURE)),
        "focal_length_mm": _positive(tags.get(FOCAL_LENGTH)),
        "camera": _camera(_text(tags.get(MAKE)), _text(tags.get(MODEL))),
        "lens": _text(tags.get(LENS)),
        "taken": _taken(tags),
    }


def _pil_tags(block: Any) -> dict[int, Any]:  # noqa: ANN401
    return dict(block) | _quietly(lambda: dict(block.get_ifd(EXIF_IFD)), _nothing())


def _orientation(tags: Mapping[int, Any]) -> int:
    value = tags.get(ORIENTATION)
    return value if isinstance(value, int) and 1 <= value <= 8 else UPRIGHT


def _own_profile(icc: object) -> bytes:
    """Return an ICC profile of RGB or gray; none where it is of ink, which fits no such picture."""
    return icc if isinstance(icc, bytes) and icc[16:20] in {b"RGB ", b"GRAY"} else b""


def _told_colour(picture: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return what PNG's gAMA and cHRM say, or EXIF; a profile outranks them all."""
    info = picture.info
    if info.get("icc_profile") or "srgb" in info:
        return {}
    if "gamma" in info or "chromaticity" in info:
        return {
            "gamma": _positive(info.get("gamma")),
            "chromaticities": tuple(info.get("chromaticity", ())),
        }
    own_word = picture.format == "AVIF"  # its container names the colours
    if own_word or not _quietly(lambda: _is_adobe_rgb(picture.getexif()), False):
        return {}
    return {"gamma": _ADOBE_GAMMA, "chromaticities": _ADOBE_POINTS}


def _is_adobe_rgb(block: Any) -> bool:  # noqa: ANN401
    """Tell whether EXIF says so: cameras write "uncalibrated" and DCF's index, not a profile."""
    space = block.get_ifd(EXIF_IFD).get(COLOR_SPACE)
    index = _text(block.get_ifd(INTEROP).get(INTEROP_INDEX))
    return space == _ADOBE or (space != _SRGB and index == _ADOBE_FILE)


def _nothing() -> dict[int, Any]:
    return {}


def _exifread_tags(data: bytes) -> dict[int, Any]:
    """Read the tags that burstfix knows, of the main image, by number."""
    import io

    import exifread

    found = exifread.process_file(io.BytesIO(data), details=False)
    tags: dict[int, Any] = {}
    for name, entry in found.items():
        if name.startswith(("Image ", "EXIF ")) and hasattr(entry, "tag"):
            values = entry.values
            single = isinstance(values, list) and values
            tags.setdefault(entry.tag, values[0] if single else values)
    return tags


def _camera(make: str, model: str) -> str:
    """Join make and model, which often repeats the make."""
    if make and not model.lower().startswith(make.split(maxsplit=1)[0].lower()):
        return f"{make} {model}".strip()
    return model


def _taken(tags: Mapping[int, Any]) -> str:
    """Return when the picture was taken, with sub-seconds; empty where unknown."""
    for date_tag, sub_tag in ((DATE_TAKEN, SUBSECONDS_TAKEN), (DATE, SUBSECONDS)):
        text = _text(tags.get(date_tag))[:19].replace("-", ":")
        try:
            moment = datetime.strptime(text, "%Y:%m:%d %H:%M:%S")
        except ValueError:
            continue
        digits = re.match(r"\d*", _text(tags.get(sub_tag)))
        fraction = float(f"0.{digits.group()}") if digits and digits.group() else 0.0
        return (moment + timedelta(seconds=fraction)).isoformat()
    return ""


def _burst_id(maker_note: object, data: bytes) -> str:
    """Find the identity that phones give to all pictures of one burst; else empty."""
    found = _BURST_IN_XMP.search(data, 0, _XMP_REACH)
    if found:
        return found.group(1).decode("utf-8", "replace")
    if isinstance(maker_note, bytes) and maker_note.startswith(b"Apple iOS\0"):
        entry = _BURST_IN_APPLE.search(maker_note)
        if entry:
            length, start = (int.from_bytes(part, "big") for part in entry.groups())
            return _text(maker_note[start : start + min(length, 128)])
    return ""


def _positive(value: object) -> float | None:
    """Return a finite number above zero, or None."""
    number = value[0] if isinstance(value, tuple | list) and value else value
    converted: float = _quietly(lambda: float(number), math.nan)  # type: ignore[arg-type]
    return converted if math.isfinite(converted) and converted > 0 else None


def _text(value: object) -> str:
    """Return printable text up to the first NUL; empty for anything that is no text."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return ""
    return "".join(c for c in value.split("\0")[0] if c.isprintable()).strip()


def _quietly(read: Callable[[], T], otherwise: T) -> T:
    """Return what `read` gives, or `otherwise` where the metadata is malformed."""
    try:
        return read()
    except Exception:  # noqa: BLE001 parsers raise anything on hostile metadata; it fails no picture
        return otherwise
