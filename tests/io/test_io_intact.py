"""Missing parts of files are noticed from the structure alone."""

import io
import struct

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from burstfix.io.intact import jpeg_fault, png_fault, raw_fault, tiff_fault, tiff_images

NOISE = np.random.default_rng(1).integers(0, 256, (40, 56, 3), dtype=np.uint8)


def encoded(kind: str, **options: bool) -> bytes:
    file = io.BytesIO()
    Image.fromarray(NOISE).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_is_whole_only_with_its_last_byte(progressive: bool) -> None:
    data = encoded("JPEG", progressive=progressive)
    assert jpeg_fault(data) is None
    for length in range(2, len(data) - 1, 97):
        assert jpeg_fault(data[:length])
    assert jpeg_fault(data[:-1])


def test_zeros_in_place_of_a_jpegs_end_are_a_fault() -> None:
    data = encoded("JPEG")
    assert jpeg_fault(data[: len(data) // 2] + bytes(len(data) // 2))


def test_a_png_is_whole_only_with_its_end_chunk() -> None:
    data = encoded("PNG")
    assert png_fault(data) is None
    for length in range(8, len(data), 97):
        assert png_fault(data[:length])


@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_is_whole_only_with_its_last_strip(big: bool) -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, NOISE, photometric="rgb", bigtiff=big, rowsperstrip=7, metadata=None)
    data = file.getvalue()
    assert tiff_fault(data) is None
    assert tiff_fault(data[:-1])
    image = next(tiff_images(data))
    assert (image.width, image.height, sum(image.counts)) == (56, 40, NOISE.size)


def test_a_raw_whose_strips_lie_beyond_its_end_holds_no_picture() -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, NOISE[..., 0].copy(), rowsperstrip=10, metadata=None)
    data = file.getvalue()
    assert raw_fault(data, 40 * 56) is None
    assert raw_fault(data[: -15 * 56], 40 * 56)


def test_a_headerless_raw_far_too_small_for_its_pixels_holds_no_picture() -> None:
    assert raw_fault(bytes(1000), 12_000_000)
    assert raw_fault(bytes(1_000_000), 1_000_000) is None


def test_directories_that_point_to_themselves_end() -> None:
    entry = struct.pack("<H", 0)
    data = b"II*\0\x08\0\0\0" + entry + struct.pack("<I", 8) + bytes(8)
    assert len(list(tiff_images(data))) == 1


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([b"II*\0", b"MM\0*", b"II+\0", b"IIU\0"]), st.binary(max_size=200))
def test_garbage_never_raises_in_the_structure_checks(magic: bytes, garbage: bytes) -> None:
    data = magic + garbage
    assert all(image.pixels >= 0 for image in tiff_images(data))
    for fault in (jpeg_fault(b"\xff\xd8" + garbage), png_fault(garbage), tiff_fault(data)):
        assert fault is None or fault
