"""JPEG, PNG, TIFF, WebP and AVIF: made-up pictures come back as they were written."""

import io
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from burstfix.errors import InputError
from burstfix.io.decoded import Codes
from burstfix.io.raster import kind_of, probe_raster, read_raster

RANDOM = np.random.default_rng(0)
RGB8 = RANDOM.integers(0, 256, (37, 53, 3), dtype=np.uint8)
RGB16 = RANDOM.integers(0, 65536, (37, 53, 3), dtype=np.uint16)
FLOATS = RANDOM.normal(0.5, 1, (37, 53, 3)).astype(np.float32)  # outside 0..1 too
GRAY8 = np.repeat(RGB8[..., :1], 3, axis=2)
GRAY16 = np.repeat(RGB16[..., :1], 3, axis=2)
WHOLE = (cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000)  # without loss
LZW = (cv2.IMWRITE_TIFF_COMPRESSION, 5)


def tiff(codes: Codes, **options: Any) -> bytes:  # noqa: ANN401
    file = io.BytesIO()
    tifffile.imwrite(file, codes, metadata=None, **options)
    return file.getvalue()


def by_opencv(extension: str, codes: Codes, *options: int) -> bytes:
    encoded = cv2.imencode(extension, codes[..., ::-1] if codes.ndim == 3 else codes, options)[1]
    return encoded.tobytes()


def by_pil(kind: str, picture: Image.Image, **options: Any) -> bytes:  # noqa: ANN401
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def decoded_by_pil(data: bytes) -> Codes:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def read(data: bytes) -> Codes:
    codes = read_raster(data, "made", kind_of(data)).codes
    assert codes is not None
    assert codes.flags.c_contiguous
    return codes


LOSSLESS = {
    "PNG 8": (by_pil("PNG", Image.fromarray(RGB8)), RGB8),
    "PNG 16": (by_opencv(".png", RGB16), RGB16),
    "PNG gray 16": (by_opencv(".png", RGB16[..., 0]), GRAY16),
    "WebP": (by_pil("WEBP", Image.fromarray(RGB8), lossless=True), RGB8),
    "TIFF 8": (tiff(RGB8, photometric="rgb"), RGB8),
    "TIFF 16": (tiff(RGB16, photometric="rgb"), RGB16),
    "TIFF 16, high byte first": (tiff(RGB16, photometric="rgb", byteorder=">"), RGB16),
    "TIFF 16, big": (tiff(RGB16, photometric="rgb", bigtiff=True), RGB16),
    "TIFF 16, tiles": (tiff(RGB16, photometric="rgb", tile=(16, 16)), RGB16),
    "TIFF 16, deflate": (tiff(RGB16, photometric="rgb", compression="zlib"), RGB16),
    "TIFF 16, planes": (
        tiff(RGB16.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate"),
        RGB16,
    ),
    "TIFF 8, LZW": (by_opencv(".tif", RGB8, *LZW), RGB8),
    "TIFF 16, LZW": (by_opencv(".tif", RGB16, *LZW), RGB16),
    "TIFF float": (tiff(FLOATS, photometric="rgb"), FLOATS),
    "TIFF half float": (
        tiff(FLOATS.astype(np.float16), photometric="rgb"),
        FLOATS.astype(np.float16).astype(np.float32),
    ),
    "JPEG 2000, 8": (by_opencv(".jp2", RGB8, *WHOLE), RGB8),
    "JPEG 2000, 16": (by_opencv(".jp2", RGB16, *WHOLE), RGB16),
    "JPEG 2000, gray": (by_opencv(".jp2", RGB16[..., 0], *WHOLE), GRAY16),
    "JPEG 2000, bare": (by_pil("JPEG2000", Image.fromarray(RGB8), no_jp2=True), RGB8),
    "BMP": (by_pil("BMP", Image.fromarray(RGB8)), RGB8),
    "BMP, 4 bytes a pixel": (by_pil("BMP", Image.fromarray(RGB8).convert("RGBA")), RGB8),
    "BMP, gray": (by_pil("BMP", Image.fromarray(RGB8[..., 0])), GRAY8),
    "PPM 8": (by_opencv(".ppm", RGB8), RGB8),
    "PPM 16": (by_opencv(".ppm", RGB16), RGB16),
    "PGM 16": (by_opencv(".pgm", RGB16[..., 0]), GRAY16),
    "PPM, with a comment": (b"P6\n# by hand\n53 37\n255\n" + RGB8.tobytes(), RGB8),
    "TIFF gray": (tiff(RGB16[..., 0]), GRAY16),
    "TIFF gray, 0 is white": (tiff(255 - RGB8[..., 0], photometric="miniswhite"), GRAY8),
}


@pytest.mark.parametrize("case", LOSSLESS)
def test_lossless_codes_come_back_as_written(case: str) -> None:
    data, expected = LOSSLESS[case]
    codes = read(data)
    assert codes.dtype == expected.dtype
    np.testing.assert_array_equal(codes, expected)


DECODED_ALIKE = {
    "JPEG": by_pil("JPEG", Image.fromarray(RGB8), quality=92),
    "progressive JPEG": by_pil("JPEG", Image.fromarray(RGB8), progressive=True),
    "gray JPEG": by_pil("JPEG", Image.fromarray(RGB8[..., 0])),
    "AVIF": by_pil("AVIF", Image.fromarray(RGB8)),
    "PNG palette": by_pil("PNG", Image.fromarray(RGB8).quantize(32)),
    "PNG 1 bit": by_pil("PNG", Image.fromarray(RGB8).convert("1")),
    "TIFF palette": by_pil("TIFF", Image.fromarray(RGB8).quantize(32)),
    "TIFF 1 bit": by_pil("TIFF", Image.fromarray(RGB8).convert("1")),
}


@pytest.mark.parametrize("case", DECODED_ALIKE)
def test_codes_agree_with_another_decoder(case: str) -> None:
    codes = read(DECODED_ALIKE[case])
    assert codes.dtype == np.uint8
    difference = codes.astype(int) - decoded_by_pil(DECODED_ALIKE[case])
    assert np.abs(difference).max() <= 1


def test_dark_16_bit_pictures_stay_16_bit() -> None:
    dark = (RGB16 // 300).astype(np.uint16)
    np.testing.assert_array_equal(read(by_opencv(".png", dark)), dark)


TURNS = {
    1: lambda c: c,
    2: np.fliplr,
    3: lambda c: np.rot90(c, 2),
    4: np.flipud,
    5: lambda c: np.rot90(np.fliplr(c)),
    6: lambda c: np.rot90(c, -1),
    7: lambda c: np.rot90(np.fliplr(c), -1),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", TURNS)
def test_orientation_is_applied_once_in_every_format(orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    picture = Image.fromarray(RGB8)
    tag = [(274, "H", 1, orientation, True)]
    files = [
        by_pil("PNG", picture, exif=exif),
        by_pil("WEBP", picture, lossless=True, exif=exif),
        by_pil("TIFF", picture, exif=exif, compression="tiff_lzw"),
        tiff(RGB8, photometric="rgb", extratags=tag),
    ]
    expected = TURNS[orientation](RGB8)
    for data in files:
        np.testing.assert_array_equal(read(data), expected)
        assert probe_raster(data, "made", kind_of(data)).size == expected.shape[:2]


def test_opaque_alpha_is_dropped_and_transparent_parts_are_refused() -> None:
    alpha = np.full((37, 53, 1), 65535, np.uint16)
    opaque = np.concatenate([RGB16, alpha], axis=2)
    alpha[3, 3] = 7
    clear = np.concatenate([RGB16, alpha], axis=2)
    options = {"photometric": "rgb", "extrasamples": ["unassalpha"]}
    np.testing.assert_array_equal(read(tiff(opaque, **options)), RGB16)
    for data in (
        tiff(clear, **options),
        by_pil("PNG", Image.fromarray((clear // 257).astype(np.uint8))),
        by_pil("WEBP", Image.fromarray((clear // 257).astype(np.uint8)), exact=True),
    ):
        with pytest.raises(InputError, match="transparent"):
            read(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.3, 0.8, 0.99])
def test_a_file_cut_short_is_an_error_that_names_it(kind: str, share: float) -> None:
    data = by_pil(kind, Image.fromarray(RGB8))
    with pytest.raises(InputError, match="holiday"):
        read_raster(data[: int(len(data) * share)], "holiday", kind_of(data))


def test_what_follows_the_end_of_a_jpeg_is_no_fault() -> None:
    data = by_pil("JPEG", Image.fromarray(RGB8))
    np.testing.assert_array_equal(read(data + data[: len(data) // 2]), read(data))


def test_a_changed_byte_in_a_png_is_an_error() -> None:
    data = bytearray(by_pil("PNG", Image.fromarray(RGB8)))
    data[len(data) // 2] ^= 1
    with pytest.raises(InputError, match="checksum"):
        read(bytes(data))


def test_what_is_no_photograph_is_refused_with_its_reason() -> None:
    frames = [Image.fromarray(RGB8), Image.fromarray(255 - RGB8)]
    refused = {
        "CMYK": by_pil("JPEG", Image.fromarray(RGB8).convert("CMYK")),
        "GIF": by_pil("GIF", frames[0]),
        "animation": by_pil("WEBP", frames[0], save_all=True, append_images=frames[1:]),
        "HEIC": b"\0\0\0\x18ftypheic" + bytes(40),
        "JPEG XL": b"\xff\x0a" + bytes(40),
        "no numbers": tiff(np.full((8, 8, 3), np.nan, np.float32), photometric="rgb"),
    }
    for reason, data in refused.items():
        with pytest.raises(InputError, match=reason):
            read(data)


def test_an_absurd_size_is_refused_before_decoding() -> None:
    data = bytearray(by_pil("PNG", Image.fromarray(RGB8)))
    data[16:24] = (200_000).to_bytes(4, "big") * 2
    with pytest.raises(InputError):
        read(bytes(data))


def test_two_hundred_megapixels_are_no_hostile_header() -> None:
    picture = Image.fromarray(np.zeros((12240, 16320), bool))
    found = probe_raster(by_pil("PNG", picture), "large.png", "PNG")
    assert found.size == (12240, 16320)


@pytest.mark.parametrize("kind", ["JPEG 2000, 16", "JPEG 2000, bare", "BMP", "PPM 8", "PPM 16"])
@pytest.mark.parametrize("missing", [1, 10, 0.5])
def test_further_formats_that_end_early_are_refused(kind: str, missing: float) -> None:
    data, _ = LOSSLESS[kind]
    short = data[: -int(missing)] if missing >= 1 else data[: int(len(data) * missing)]
    with pytest.raises(InputError, match="made"):
        read(short)


def test_twelve_bits_of_jpeg_2000_fill_the_range() -> None:
    twelve = (RGB16[..., 0] >> 4).astype(np.uint16)
    # 16 bits declared as 12, whose middle lies elsewhere: no encoder here writes 12 bits.
    data = bytearray(by_opencv(".jp2", twelve + (2**15 - 2**11), *WHOLE))
    place = data.find(b"\xff\x4f\xff\x51") + 42
    assert data[place] == 15
    data[place] = 11
    box = data.find(b"ihdr") + 14
    assert data[box] == 15
    data[box] = 11
    expected = np.repeat(np.rint(twelve * (65535 / 4095))[..., None], 3, axis=2)
    np.testing.assert_array_equal(read(bytes(data)), expected)


AVIF_WHOLE = (cv2.IMWRITE_AVIF_QUALITY, 100)  # without loss
HAS_AVIF = pytest.mark.skipif(not cv2.haveImageWriter("a.avif"), reason="OpenCV without AVIF")


def deep_avif(codes: Codes, depth: int) -> bytes:
    ordered = codes[..., (2, 1, 0, 3)[: codes.shape[2]]] if codes.ndim == 3 else codes
    options = (*AVIF_WHOLE, cv2.IMWRITE_AVIF_DEPTH, depth)
    return cv2.imencode(".avif", ordered, options)[1].tobytes()


def turned_avif(data: bytes, quarter_turns: int) -> bytes:
    """Put a rotation, as phones write it, where the file names its colour space."""
    place = data.find(b"colr") - 4
    rotation = b"\0\0\0\x09irot" + bytes([quarter_turns]) + b"\0\0\0\x0aabcd\0\0"
    turned = data[:place] + rotation + data[place + 19 :]
    assert turned.count(b"\x83\x04") == 1
    return turned.replace(b"\x83\x04", b"\x83\x84")  # a reader must know the fourth property


@HAS_AVIF
@pytest.mark.parametrize("depth", [10, 12])
def test_ten_and_twelve_bits_of_avif_fill_the_range(depth: int) -> None:
    most = 2**depth - 1
    deep = (RGB16 >> (16 - depth)).astype(np.uint16)
    opaque = np.dstack([deep, np.full_like(deep[..., :1], most)])
    for codes, colours in ((deep, deep), (opaque, deep), (deep[..., 0], deep[..., :1])):
        found = read(deep_avif(codes, depth))
        assert found.dtype == np.uint16
        expected = np.broadcast_to(np.rint(colours * (65535 / most)), found.shape)
        np.testing.assert_array_equal(found, expected)


@HAS_AVIF
@pytest.mark.parametrize(("quarter_turns", "orientation"), [(1, 8), (2, 3), (3, 6)])
def test_a_rotation_of_avif_is_applied_once(quarter_turns: int, orientation: int) -> None:
    deep = (RGB16 >> 6).astype(np.uint16)
    data = turned_avif(deep_avif(deep, 10), quarter_turns)
    expected = TURNS[orientation](np.rint(deep * (65535 / 1023)))
    np.testing.assert_array_equal(read(data), expected)
    assert probe_raster(data, "made", "AVIF").size == expected.shape[:2]


@HAS_AVIF
def test_transparent_parts_of_a_deep_avif_are_refused() -> None:
    clear = np.full((37, 53, 4), 1023, np.uint16)
    clear[3, 3, 3] = 7
    with pytest.raises(InputError, match="transparent"):
        read(deep_avif(clear, 10))


@HAS_AVIF
def test_a_deep_avif_is_read_in_8_bits_where_opencv_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    data = deep_avif((RGB16 >> 6).astype(np.uint16), 10)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)
    np.testing.assert_array_equal(read(data), decoded_by_pil(data))


@pytest.mark.parametrize("head", [b"P3\n2 1\n255\n1 2 3 4 5 6", b"P5\n2 1\n4095\n\0\1\0\2"])
def test_pnm_of_other_kinds_is_refused_rather_than_read_dark(head: bytes) -> None:
    with pytest.raises(InputError, match=r"binary|greatest value"):
        read(head)
