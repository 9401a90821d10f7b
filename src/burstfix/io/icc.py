"""ICC profiles: reads the tone curve of a matrix profile, and builds sRGB and linear ones."""

import struct
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from burstfix.frame import Curve

Columns = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

_HEADER = 128  # bytes; the tag table follows
_GAMMAS = (0.01, 20.0)  # that make sense
_MOST_TAGS = 100  # real profiles have at most some thirty
_MOST_SAMPLES = 65536
_LEAST_STEP = 1 / 65535  # light between two sample values that a profile can tell apart

# Profile connection space (D50) values of sRGB, as in its official profile, and the Bradford
# matrix from D65 to D50 that was used.
_D50 = (0.9642, 1.0, 0.8249)
_SRGB_COLUMNS = {
    b"rXYZ": (0.4360657, 0.2224884, 0.0139160),
    b"gXYZ": (0.3851471, 0.7168732, 0.0970764),
    b"bXYZ": (0.1430664, 0.0606079, 0.7140961),
}
_SRGB_ADAPTATION = (
    (1.0478821, 0.0229187, -0.0502014),
    (0.0295868, 0.9904785, -0.0170593),
    (-0.0092316, 0.0150757, 0.7516785),
)
# How many parameters a parametric curve of types 0 to 4 has.
_PARAMETERS = (1, 3, 4, 5, 7)


def curve_of(profile: bytes) -> Curve | None:
    """Read how a profile codes light.

    Args:
        profile: an ICC profile, possibly damaged.

    Returns:
        Green's curve (grey's in a grey profile), which rises, has an inverse and begins and
        ends near 0 and 1. None where the profile has no such curve: it maps colours by
        tables of more dimensions, or is damaged.
    """
    tags = _tags(profile)
    # Where an A2B0 table stands beside curves, the curves are a legal and close fallback.
    for name in (b"gTRC", b"kTRC", b"rTRC"):
        if name in tags:
            return _parse_curve(tags[name])
    return None


@lru_cache(maxsize=1)
def srgb() -> bytes:
    """Return a small ICC v4 profile of sRGB, with its exact curve."""
    curve = _parametric((2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
    return _matrix_profile("sRGB", _SRGB_COLUMNS, _SRGB_ADAPTATION, curve)


def linear(profile: bytes | None = None) -> bytes:
    """Return a profile of linear light with the primaries and white of another.

    Args:
        profile: a matrix profile. None, or a profile that has no primaries: those of sRGB.
    """
    tags = _tags(profile or b"")
    columns = {name: _xyz(tags.get(name, b"")) for name in _SRGB_COLUMNS}
    identity = struct.pack(">4s4xIH", b"curv", 1, 0x0100)  # gamma 1.0, in 1/256
    known = {name: xyz for name, xyz in columns.items() if xyz is not None}
    if len(known) < len(columns):
        return _matrix_profile("Linear sRGB", _SRGB_COLUMNS, _SRGB_ADAPTATION, identity)
    adaptation = _matrix(tags.get(b"chad", b""))
    return _matrix_profile("Linear light", known, adaptation, identity)


def of_curve(curve: Curve, primaries: Columns | None = None) -> bytes:
    """Return a profile with a curve of its own.

    Args:
        curve: how the profile's codes code light.
        primaries: XYZ under D50 of R, G and B in its columns, (3, 3); None is sRGB's.
    """
    if curve.table:
        samples = np.clip(np.rint(np.array(curve.table) * 65535), 0, 65535).astype(">u2")
        data = struct.pack(">4s4xI", b"curv", len(samples)) + samples.tobytes()
    else:
        data = _parametric((curve.g, curve.a, curve.b, curve.c, curve.d, curve.e, curve.f))
    if primaries is None:
        return _matrix_profile("RGB", _SRGB_COLUMNS, _SRGB_ADAPTATION, data)
    columns = {
        name: (float(x), float(y), float(z))
        for name, (x, y, z) in zip(_SRGB_COLUMNS, primaries.T, strict=True)
    }
    return _matrix_profile("RGB", columns, None, data)


def primaries(profile: bytes) -> Columns | None:
    """Return XYZ under D50 of R, G and B, in the columns; (3, 3).

    Args:
        profile: an RGB profile; empty is sRGB, and so is a grey one, whose pictures have no colour.

    Returns:
        None where the profile maps colours by tables alone, or is damaged.
    """
    tags = _tags(srgb() if not profile or is_grey(profile) else profile)
    columns = [_xyz(tags.get(name, b"")) for name in _SRGB_COLUMNS]
    known = [column for column in columns if column is not None]
    return np.array(known).T if len(known) == len(columns) else None


def looks_sound(profile: bytes) -> bool:
    """Tell whether bytes are a profile of RGB whose tags all lie inside it."""
    if profile[16:20] != b"RGB " or len(profile) < _HEADER + 4:
        return False
    count = int.from_bytes(profile[_HEADER : _HEADER + 4], "big")
    return 0 < count == len(_tags(profile))


def is_grey(profile: bytes) -> bool:
    """Tell whether a profile is one of grey pictures."""
    return profile[16:20] == b"GRAY"


def has_primaries(profile: bytes) -> bool:
    """Tell whether `linear` can keep the colours of a profile."""
    return bool(profile) and primaries(profile) is not None


def _tags(profile: bytes) -> dict[bytes, bytes]:
    """Return the data of every tag that lies inside the profile."""
    if len(profile) < _HEADER + 4 or profile[36:40] != b"acsp":
        return {}
    (count,) = struct.unpack_from(">I", profile, _HEADER)
    tags: dict[bytes, bytes] = {}
    for index in range(min(count, _MOST_TAGS)):
        entry = profile[_HEADER + 4 + 12 * index :][:12]
        if len(entry) < 12:
            break
        name, offset, length = struct.unpack(">4sII", entry)
        if offset + length <= len(profile):
            tags[name] = profile[offset : offset + length]
    return tags


def _parse_curve(data: bytes) -> Curve | None:
    """Parse a `curv` or `para` tag."""
    if len(data) < 12:
        return None
    curve: Curve | None = None
    if data[:4] == b"curv":
        curve = _parse_table(data)
    elif data[:4] == b"para":
        curve = _parse_parametric(data)
    return curve if curve and _sane(curve) else None


def _parse_table(data: bytes) -> Curve | None:
    """Parse a `curv` tag: nothing (linear), one gamma, or samples."""
    (count,) = struct.unpack_from(">I", data, 8)
    if count == 0:
        return Curve()
    if count > _MOST_SAMPLES or len(data) < 12 + 2 * count:
        return None
    samples = np.frombuffer(data, ">u2", count, offset=12)
    if count == 1:
        return Curve(g=float(samples[0]) / 256)
    rising: np.ndarray[tuple[int], np.dtype[np.float64]] = np.maximum.accumulate(samples / 65535)
    return Curve(table=tuple(_tilt_flats(rising).tolist()))


def _tilt_flats(
    table: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Give runs of equal samples a slope, so that the codes between them stay apart in light.

    16-bit samples of a gamma curve repeat near black; 16-bit pictures hold many codes there.

    Args:
        table: light at equally spaced codes, 0 to 1, never falling; (n,).

    Returns:
        Rising samples, each within a quarter of the profile's own step of the given one; (n,).
    """
    starts = np.flatnonzero(np.r_[True, np.diff(table) > 0])
    lengths = np.diff(np.r_[starts, len(table)])
    within = np.arange(len(table)) - np.repeat(starts, lengths)
    last = np.maximum(np.repeat(lengths, lengths) - 1, 1)
    tilt = np.where(np.repeat(lengths, lengths) > 1, within / last - 0.5, 0.0)
    tilted = table + tilt * _LEAST_STEP / 2
    # At the ends light stays in range: tilt towards the inside only, and keep 0 and 1.
    low, high = table[0], table[-1]
    tilted[: lengths[0]] += low - tilted[0]
    if lengths[-1] < len(table):
        tilted[-lengths[-1] :] += high - tilted[-1]
    return tilted


def _parse_parametric(data: bytes) -> Curve | None:
    """Parse a `para` tag of function types 0 to 4 into the form of type 4."""
    (kind,) = struct.unpack_from(">H", data, 8)
    if kind >= len(_PARAMETERS) or len(data) < 12 + 4 * _PARAMETERS[kind]:
        return None
    fixed = struct.unpack_from(f">{_PARAMETERS[kind]}i", data, 12)
    g, a, b, c, d, e, f = (np.array([*fixed, *[0] * (7 - len(fixed))]) / 65536).tolist()
    if not _GAMMAS[0] <= g <= _GAMMAS[1] or (kind > 0 and a <= 0):
        return None
    if kind == 0:
        return Curve(g=g)
    if kind in (1, 2):  # flat below the zero of a x + b, at the height that type 2 calls c
        return Curve(g=g, a=a, b=b, d=max(-b / a, 0.0), e=c, f=c)
    return Curve(g=g, a=a, b=b, c=_meeting_slope((g, a, b, c, d, e, f)), d=d, e=e, f=f)


def _meeting_slope(parameters: tuple[float, ...]) -> float:
    """Return the slope that joins the line to the power at d, where it nearly does.

    Parameters come in steps of 1/65536. The gap that this leaves between the pieces, a
    millionth of light, is about one 16-bit code: there the curve would have no inverse.
    """
    g, a, b, c, d, e, f = parameters
    if not 0 < d <= 1:
        return c  # there is no such place
    power = max(a * d + b, 0.0) ** g + e
    gap = power - (c * d + f)
    return (power - f) / d if abs(gap) < 1e-4 else c


def _sane(curve: Curve) -> bool:
    """Tell whether a curve is finite, never falls, and spans about 0 to 1."""
    if curve.table:
        light = np.array(curve.table)
    else:
        code = np.linspace(0, 1, 1025)
        with np.errstate(all="ignore"):
            power = np.maximum(curve.a * code + curve.b, 0) ** curve.g + curve.e
            light = np.where(code >= curve.d, power, curve.c * code + curve.f)
    if not np.isfinite(light).all() or (np.diff(light) < -1e-4).any():
        return False
    return bool(
        -0.1 <= light[0] <= 0.2 and 0.5 <= light[-1] <= 2 and _GAMMAS[0] <= curve.g <= _GAMMAS[1]
    )


def _xyz(data: bytes) -> tuple[float, float, float] | None:
    """Parse an XYZ tag."""
    if len(data) < 20 or data[:4] != b"XYZ ":
        return None
    x, y, z = (value / 65536 for value in struct.unpack_from(">3i", data, 8))
    return x, y, z


def _matrix(data: bytes) -> tuple[tuple[float, ...], ...] | None:
    """Parse a chromatic adaptation tag: three rows of three."""
    if len(data) < 44 or data[:4] != b"sf32":
        return None
    values = [value / 65536 for value in struct.unpack_from(">9i", data, 8)]
    return tuple(tuple(values[row : row + 3]) for row in (0, 3, 6))


def _parametric(parameters: tuple[float, ...]) -> bytes:
    """Build a `para` tag: of type 3 from g, a, b, c, d, of type 4 from e and f as well."""
    kind = _PARAMETERS.index(len(parameters))
    return struct.pack(">4s4xHxx", b"para", kind) + _fixed(parameters)


def _fixed(values: tuple[float, ...]) -> bytes:
    """Pack numbers as s15Fixed16."""
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _text(text: str) -> bytes:
    """Build a multi-localized text tag of one language."""
    coded = text.encode("utf-16-be")
    return struct.pack(">4s4xII4sII", b"mluc", 1, 12, b"enUS", len(coded), 28) + coded


def _matrix_profile(
    name: str,
    columns: Mapping[bytes, tuple[float, float, float]],
    adaptation: tuple[tuple[float, ...], ...] | None,
    curve: bytes,
) -> bytes:
    """Build an ICC v4.3 display profile of three primaries and one curve.

    Args:
        name: what programs show.
        columns: XYZ of the primaries, relative to D50, by tag name.
        adaptation: matrix from the device's white to D50; None leaves it out.
        curve: a `curv` or `para` tag, for all three channels.
    """
    tags = {b"desc": _text(name), b"cprt": _text("No copyright, use freely")}
    tags[b"wtpt"] = b"XYZ \0\0\0\0" + _fixed(_D50)
    if adaptation is not None:
        tags[b"chad"] = b"sf32\0\0\0\0" + _fixed(tuple(v for row in adaptation for v in row))
    tags |= {tag: b"XYZ \0\0\0\0" + _fixed(column) for tag, column in columns.items()}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)

    table, body, placed = struct.pack(">I", len(tags)), b"", dict[bytes, int]()
    start = _HEADER + 4 + 12 * len(tags)
    for tag, data in tags.items():
        if data not in placed:  # the three channels share one curve
            placed[data] = start + len(body)
            body += data + bytes(-len(data) % 4)
        table += struct.pack(">4sII", tag, placed[data], len(data))
    header = struct.pack(
        ">I4sI4s4s4s6H4s4s24x3i4s44x",
        start + len(body),
        b"\0\0\0\0",  # any colour engine
        0x04300000,
        b"mntr",
        b"RGB ",
        b"XYZ ",
        *(2025, 1, 1, 0, 0, 0),  # fixed, so that the same picture gives the same file
        b"acsp",
        b"\0\0\0\0",
        *(round(value * 65536) for value in _D50),
        b"\0\0\0\0",
    )
    return header + table + body
