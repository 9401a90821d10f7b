"""Decode raw files of any camera that LibRaw knows, to linear codes.

Runs in the decoding process, so it must not import torch.
"""

import io
import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import rawpy

from burstfix.errors import InputError
from burstfix.io.decoded import Codes, Decoded, check_size, damaged
from burstfix.io.intact import raw_fault, tiff_images
from burstfix.io.metadata import Facts, raw_facts

OLDEST_LIBRAW = (0, 22, 1)  # before it, damaged files corrupt memory
FULL = 65535
PEDESTAL_BLACK = (
    3855  # code of black where noise below it is kept: 1/17 of the codes, a whole number
)
DNG_VERSION = 50706

_STRIP = 128  # rows converted at once
_HEADERS = (  # how files begin that name their own format; the others LibRaw guesses by size
    *(b"II", b"MM", b"FUJIFILM", b"FOVb", b"\0MRM", b"RIFF", b"ARRI", b"IIII", b"MMMM"),
    *(b"\xff\xd8\xff", b"BRRV", b"NOKIARAW", b"NRAW", b"STI", b"OmniVision", b"SIMPLE", b"ATOM"),
)
_ISO_MEDIA = b"ftyp"  # at byte 4: Canon's CR3
_XYZ_FROM_SRGB = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)

Matrix = np.ndarray[Any, np.dtype[np.float32]]
Gains = tuple[float, ...]


def probe_raw(data: bytes, name: str) -> Decoded:
    """Read size and metadata of a raw file, without its pixels where its EXIF tells enough.

    The white balance stays unknown: LibRaw tells it only of unpacked files.

    Raises:
        InputError: LibRaw does not know the file.
    """
    with _opened(data, name) as raw:
        facts = raw_facts(data)
        if not facts.taken:
            _unpack(raw, name)
            facts = raw_facts(data, raw.other, raw.lens)
        return Decoded(kind="raw", size=_upright_size(raw.sizes), facts=facts)


def read_raw(data: bytes, name: str, gains: Gains | None = None) -> Decoded:
    """Decode a raw file to linear sRGB primaries.

    Subtracts the black level, balances white, demosaics and turns upright. Adds no tone curve
    and no brightness that depends on the content. Every channel clips at the same level, so
    that clipped highlights are neutral. Noise below black is kept where the sensor recorded it.

    Args:
        data: the file.
        name: what errors call it.
        gains: of R, G1, B and G2; None takes them as shot. Give the reference's to every
            other frame, else the burst flickers.

    Raises:
        InputError: LibRaw cannot decode the file, or it holds no picture.
    """
    with _opened(data, name) as raw:
        fault = raw_fault(data, raw.sizes.raw_height * raw.sizes.raw_width)
        if fault:
            raise damaged(name, fault)
        _unpack(raw, name)
        _check_guess(raw, data, name)
        balance = gains or _as_shot(raw)
        try:
            codes, black = _develop(raw, balance, dng=_is_dng(data))
        except rawpy.LibRawError as error:
            raise _undecodable(name, error) from error
        return Decoded(
            kind="raw",
            size=codes.shape[:2],
            facts=_without_clipped_noise(raw_facts(data, raw.other, raw.lens), raw),
            codes=codes,
            white_balance=balance,
            black=black,
        )


def _without_clipped_noise(facts: Facts, raw: Any) -> Facts:  # noqa: ANN401
    """Forget the noise profile where the sensor's numbers end within it.

    Noise that is cut at black has another variance than its model says, and another mean: a
    network that was told the model would trust the mean.
    """
    if not facts.noise:
        return facts
    lowest = min(raw.black_level_per_channel)
    room = lowest / max(raw.white_level - lowest, 1)
    return facts if room > math.sqrt(facts.noise[1]) else replace(facts, noise=())


def _opened(data: bytes, name: str) -> Any:  # noqa: ANN401 rawpy has no types
    """Open a raw file without unpacking its pixels."""
    check_libraw(rawpy.libraw_version)
    raw = rawpy.RawPy()
    try:
        raw.open_buffer(io.BytesIO(data))
    except rawpy.LibRawError as error:
        raise (_undecodable(name, error) if _has_header(data) else _unknown(name)) from error
    check_size(name, (raw.sizes.raw_height, raw.sizes.raw_width))
    return raw


def check_libraw(version: tuple[int, ...]) -> None:
    """Raise InputError where LibRaw is too old to be given files that may be damaged."""
    if version < OLDEST_LIBRAW:
        have, need = (".".join(map(str, numbers)) for numbers in (version, OLDEST_LIBRAW))
        raise InputError(
            f"Cannot read raw files: LibRaw {have} is installed, and versions before {need} "
            "corrupt memory on damaged files.",
            "Type: pip install --upgrade 'rawpy>=0.28'",
        )


def _unpack(raw: Any, name: str) -> None:  # noqa: ANN401
    try:
        raw.unpack()
    except rawpy.LibRawError as error:
        raise _undecodable(name, error) from error


def _upright_size(sizes: Any) -> tuple[int, int]:  # noqa: ANN401
    """Return (height, width) after LibRaw has stretched to square pixels and turned."""
    height, width = sizes.iheight, sizes.iwidth
    if sizes.pixel_aspect < 1:
        height = round(height / sizes.pixel_aspect)
    else:
        width = round(width * sizes.pixel_aspect)
    return (width, height) if sizes.flip in (5, 6) else (height, width)


def _as_shot(raw: Any) -> Gains:  # noqa: ANN401
    """Return the gains of R, G1, B, G2 as shot, else for daylight, else 1; the least is 1."""
    if raw.num_colors == 1:
        return (1.0, 1.0, 1.0, 1.0)
    for gains in (raw.camera_whitebalance, raw.daylight_whitebalance):
        red, green, blue, green2 = (float(gain) for gain in gains)
        if all(np.isfinite(gain) and gain > 0 for gain in (red, green, blue)):
            whole = (red, green, blue, green2 if green2 > 0 else green)
            least = min(whole) if raw.num_colors > 3 else min(whole[:3])
            return tuple(gain / least for gain in whole)
    return (1.0, 1.0, 1.0, 1.0)


def _develop(raw: Any, gains: Gains, *, dng: bool) -> tuple[Codes, int]:  # noqa: ANN401
    """Return upright codes, (H, W, 3) uint16, and the code of black."""
    options = {
        "user_wb": list(gains),
        "demosaic_algorithm": rawpy.DemosaicAlgorithm.AHD,
        "no_auto_bright": True,
        "adjust_maximum_thr": 0,  # else LibRaw picks each frame's gain from its content
        "gamma": (1, 1),
        "output_bps": 16,
    }
    levels = raw.black_level_per_channel
    bayer = raw.raw_type == rawpy.RawType.Flat and raw.num_colors == 3
    if not bayer or min(levels) <= 0:
        developed = raw.postprocess(
            output_color=rawpy.ColorSpace.sRGB,
            highlight_mode=rawpy.HighlightMode.Clip,
            **options,
        )
        return _three_channels(developed), 0
    # LibRaw clips at black, which lifts the mean of dark, noisy areas and would stay after
    # averaging a burst. So black is lowered to code 0, and taken off again after demosaicing;
    # until then nothing may clip at the top, where the lowered black would tint it.
    lowest = min(levels)
    developed = raw.postprocess(
        output_color=rawpy.ColorSpace.raw,
        highlight_mode=rawpy.HighlightMode.Ignore,
        user_black=0,
        user_cblack=[level - lowest for level in levels],
        **options,
    )
    share = lowest / max(raw.white_level - lowest, 1)
    _take_pedestal(developed, share, gains, _srgb_from_camera(raw, dng=dng))
    return developed, PEDESTAL_BLACK


def _take_pedestal(codes: Codes, share: float, gains: Gains, matrix: Matrix) -> None:
    """Turn balanced camera RGB with a pedestal to linear sRGB codes, in place.

    Args:
        codes: (H, W, 3) uint16; full scale is saturation of the channel of the highest gain.
        share: the pedestal over the range from black to saturation, before the gains.
        gains: what the channels, pedestal included, were multiplied with.
        matrix: sRGB from camera; (3, 3).
    """
    slope = np.float32((1 + share) * max(gains) / FULL)
    offset = np.array([gain * share for gain in gains[:3]], np.float32)
    for top in range(0, len(codes), _STRIP):
        strip = codes[top : top + _STRIP]
        camera = np.minimum(
            strip * slope - offset, 1
        )  # every channel clips: highlights are neutral
        light = cv2.transform(camera, matrix)
        np.multiply(light, FULL - PEDESTAL_BLACK, out=light)
        np.add(light, PEDESTAL_BLACK + 0.5, out=light)
        strip[...] = np.clip(light, 0, FULL, out=light)


def _srgb_from_camera(raw: Any, *, dng: bool) -> Matrix:  # noqa: ANN401
    """Return the matrix that LibRaw would apply after white balance; (3, 3)."""
    embedded = raw.color_matrix[:, :3]
    if dng and embedded[0, 0] > 0.25:
        return np.ascontiguousarray(embedded, np.float32)
    camera_from_srgb = raw.rgb_xyz_matrix[:3] @ _XYZ_FROM_SRGB
    sums = camera_from_srgb.sum(axis=1, keepdims=True)
    if np.abs(sums).min() < 1e-3 or abs(np.linalg.det(camera_from_srgb / sums)) < 1e-3:
        return np.eye(3, dtype=np.float32)  # an unknown camera: its RGB is taken for sRGB
    return np.linalg.inv(camera_from_srgb / sums).astype(np.float32)  # white stays white


def _three_channels(developed: Codes) -> Codes:
    """Repeat a monochrome sensor's gray; refuse nothing else."""
    gray = developed[..., None] if developed.ndim == 2 else developed
    return np.repeat(gray, 3, axis=2) if gray.shape[2] == 1 else np.ascontiguousarray(gray[..., :3])


def _is_dng(data: bytes) -> bool:
    return any(DNG_VERSION in image.tags for image in tiff_images(data))


def _check_guess(raw: Any, data: bytes, name: str) -> None:  # noqa: ANN401
    """Refuse a headerless file that LibRaw took, by its size alone, for another camera's.

    The sign: the upper two bits, or more, of the range that the guessed camera has are unused.
    """
    if _has_header(data):
        return
    if int(raw.raw_image.max()) * 4 < raw.white_level:
        raise InputError(
            f"{name} has no header: its camera was guessed by its size, and wrongly.",
            "Convert it to DNG with software of the camera's maker, which knows its layout.",
        )


def _has_header(data: bytes) -> bool:
    """Tell whether a file begins as one of a format that names itself."""
    return data.startswith(_HEADERS) or data[4:8] == _ISO_MEDIA


def _unknown(name: str) -> InputError:
    return InputError(
        f"{name} is no photograph in a format that burstfix knows, whatever its name says.",
        "Give raw, JPEG, PNG, TIFF, WebP or AVIF files. If it should be one, it is damaged: copy "
        "it again from the camera or a backup.",
    )


def _undecodable(name: str, error: Exception) -> InputError:
    if isinstance(error, rawpy.LibRawFileUnsupportedError):
        return _unknown(name)
    reason = error.args[0] if error.args else type(error).__name__
    text = reason.decode("ascii", "replace") if isinstance(reason, bytes) else str(reason)
    return InputError(
        f"{name} is damaged, or of a kind that LibRaw cannot decode ({text.lower()}).",
        "Check that it opens in a raw developer, copy it again from the camera, "
        "or convert it to DNG.",
    )
