"""What files tell of a photograph, and that malformed metadata harm nothing."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from burstfix.frame import Metadata
from burstfix.io import metadata
from burstfix.io.exif import exif_for_output
from burstfix.io.metadata import Facts, compact_exif, raster_facts, tiff_facts

PIXELS = Image.fromarray(np.zeros((8, 8, 3), np.uint8))


def full_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[271], exif[272] = "Canon", "Canon EOS 6D"
    inner = exif.get_ifd(0x8769)
    inner[33434], inner[33437], inner[34855], inner[37386] = 1 / 60, 2.8, 3200, 35.0
    inner[36867], inner[37521], inner[42036] = "2024:02:29 23:59:58", "045", "EF35mm f/2"
    return exif


def facts_of(kind: str, exif: Image.Exif) -> Facts:
    if kind == "TIFF":
        return tiff_facts(exif.tobytes().removeprefix(b"Exif\0\0"))
    file = io.BytesIO()
    PIXELS.save(file, kind, exif=exif)
    return raster_facts(Image.open(file), file.getvalue())


def test_every_format_tells_exposure_camera_and_moment() -> None:
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        facts = facts_of(kind, full_exif())
        assert abs((facts.exposure_s or 0) - 1 / 60) < 1e-6
        assert (facts.iso, facts.aperture, facts.focal_length_mm) == (3200, 2.8, 35)
        assert facts.camera == "Canon EOS 6D"  # the make is not said twice
        assert facts.lens == "EF35mm f/2"
        assert facts.taken == "2024-02-29T23:59:58.045000"


def test_sub_seconds_are_a_decimal_fraction() -> None:
    for digits, expected in (("5", ".500000"), ("50", ".500000"), ("0512", ".051200"), ("", "")):
        exif = full_exif()
        exif.get_ifd(0x8769)[37521] = digits
        assert facts_of("JPEG", exif).taken == f"2024-02-29T23:59:58{expected}"


def test_a_tiff_keeps_what_describes_it_and_not_how_it_is_stored() -> None:
    exif = full_exif()
    exif[270], exif[315], exif[33432], exif[256] = "A street", "Ann", "2024 Ann", 640
    exif.get_ifd(0x8769)[37380] = 0.5  # exposure bias
    exif.get_ifd(0x8769)[37500] = b"maker"
    exif.get_ifd(0x8825)[1] = "N"
    for kind in ("JPEG", "TIFF"):
        facts = facts_of(kind, exif)
        metadata = Metadata(exif=facts.exif)
        block = Image.Exif()
        block.load(exif_for_output(metadata, (10, 20), "burstfix"))
        assert (block[270], block[315], block[33432]) == ("A street", "Ann", "2024 Ann")
        assert block.get_ifd(0x8769)[37380] == 0.5
        assert 37500 not in block.get_ifd(0x8769)
        assert block.get_ifd(0x8825)[1] == "N"
        assert 256 not in block


def test_compact_exif_says_again_what_was_read() -> None:
    first = facts_of("TIFF", full_exif())
    again = Image.Exif()
    again.load(first.exif)
    assert facts_of("JPEG", again) == Facts(**(first.__dict__ | {"exif": again.tobytes()[6:]}))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    ("space", "index", "adobe"),
    [
        (65535, "R03", True),
        (None, "R03", True),
        (2, None, True),
        (65535, None, False),
        (65535, "R98", False),
        (1, "R03", False),  # converted to sRGB by a program that left the index
        (1, "R98", False),
        (None, None, False),
    ],
)
def test_exif_tells_adobe_rgb(kind: str, space: int | None, index: str | None, adobe: bool) -> None:
    exif = full_exif()
    if space:
        exif.get_ifd(0x8769)[40961] = space
    if index:
        exif.get_ifd(0x8769)[0xA005] = {1: index}
    facts = facts_of(kind, exif)
    assert (facts.gamma, len(facts.chromaticities)) == ((256 / 563, 8) if adobe else (None, 0))
    assert facts.exposure_s  # the tags beside them are read as ever


def test_impossible_values_are_left_out() -> None:
    exif = full_exif()
    inner = exif.get_ifd(0x8769)
    inner[33434], inner[33437], inner[36867] = 0.0, float("inf"), "2024:13:77 99:00:00"
    facts = facts_of("JPEG", exif)
    assert (facts.exposure_s, facts.taken) == (None, "")


def test_nothing_known_gives_no_exif_block() -> None:
    assert compact_exif({}) == b""


def test_google_and_apple_burst_identities_are_found() -> None:
    xmp = b'<rdf:Description GCamera:BurstID="1234-abcd" />'
    file = io.BytesIO()
    PIXELS.save(file, "JPEG", xmp=xmp)
    assert raster_facts(Image.open(file), file.getvalue()).burst_id == "1234-abcd"

    identity = b"01234567-89AB-CDEF-0123-456789ABCDEF\0"
    entry = b"\x00\x0b\x00\x02" + len(identity).to_bytes(4, "big") + (32).to_bytes(4, "big")
    note = b"Apple iOS\0\0\1MM\0\1" + entry + bytes(4) + identity
    exif = full_exif()
    exif.get_ifd(0x8769)[37500] = note
    assert facts_of("JPEG", exif).burst_id == identity[:-1].decode()


def test_facts_survive_json() -> None:
    facts = facts_of("JPEG", full_exif())
    assert facts.exif
    assert Facts.from_json(facts.to_json()) == facts


def test_profiles_of_rgb_and_gray_are_kept_and_those_of_ink_are_not() -> None:
    for space, kept in ((b"RGB ", True), (b"GRAY", True), (b"CMYK", False)):
        profile = bytes(16) + space + bytes(108)
        for kind in ("JPEG", "TIFF"):
            file = io.BytesIO()
            PIXELS.convert("L").save(file, kind, icc_profile=profile)
            jpeg = kind == "JPEG"
            data = file.getvalue()
            facts = raster_facts(Image.open(file), data) if jpeg else tiff_facts(data)
            assert facts.icc == (profile if kept else b"")


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=300))
def test_garbage_never_raises(garbage: bytes) -> None:
    assert metadata.raw_facts(b"II*\0\x08\0\0\0" + garbage).camera is not None
