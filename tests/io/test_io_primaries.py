"""Primaries: what PNG and EXIF say of them, and frames of one burst that differ in them."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from made import MadeBurst
from PIL import Image, ImageCms
from test_io_icc import build, table_tag

from burstfix import Options, align_frames, read_frame, restore_burst
from burstfix.color import LINEAR, SRGB, decode, encode
from burstfix.frame import Curve, Frame
from burstfix.io import icc
from burstfix.io.primaries import match_primaries, profile_of_points
from burstfix.restore.report import Reporter

SRGB_POINTS = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
WIDE_POINTS = (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)  # Adobe RGB (1998)
GAMMA = 1 / 2.19921875


def png_with(pixels: np.ndarray, gamma: float | None, points: tuple[float, ...]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    data, chunks = file.getvalue(), b""
    for kind, values in ((b"gAMA", (gamma,) if gamma else ()), (b"cHRM", points)):
        body = kind + struct.pack(f">{len(values)}I", *(round(100000 * v) for v in values))
        if values:
            chunks += struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunks + data[33:]  # after the header


class Warnings(Reporter):
    def __init__(self) -> None:
        self.told: list[str] = []

    def warn(self, message: str) -> None:
        self.told.append(message)


@pytest.mark.parametrize("gamma", [None, 0.45455])
@pytest.mark.parametrize("points", [(), SRGB_POINTS])
def test_numbers_of_srgb_mean_srgb(gamma: float | None, points: tuple[float, ...]) -> None:
    assert profile_of_points(gamma, points) == b""


@pytest.mark.parametrize("points", [(0.3,) * 8, (0.0,) * 8, (1.0, 2.0), (float("nan"),) * 8])
def test_chromaticities_without_sense_are_ignored(points: tuple[float, ...]) -> None:
    assert profile_of_points(None, points) == b""


def test_a_gamma_chunk_gives_the_curve(tmp_path: Path) -> None:
    codes = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    for gamma, curve in ((1.0, LINEAR), (0.5, Curve(g=2.0)), (0.45455, SRGB)):
        path = tmp_path / f"{gamma}.png"
        path.write_bytes(png_with(codes, gamma, ()))
        light = read_frame(path).whole()[0].flatten()
        expected = decode(torch.arange(256) / 255, curve)
        torch.testing.assert_close(light, expected, rtol=0, atol=1e-5)


def test_chromaticities_give_the_colours_that_littlecms_sees() -> None:
    profile = profile_of_points(GAMMA, WIDE_POINTS)
    found = icc.primaries(profile)
    assert found is not None
    expected = [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.745]]
    np.testing.assert_allclose(found, expected, atol=5e-4)  # Adobe's own, under D50
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    green = opened.profile.green_primary
    assert green is not None
    np.testing.assert_allclose(green[0], found[:, 1], atol=1e-3)


def test_what_a_png_says_of_its_colours_goes_to_the_output(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    path, output = tmp_path / "in.png", tmp_path / "out.png"
    path.write_bytes(png_with(pixels, GAMMA, WIDE_POINTS))
    restore_burst([path], output, Options(backend="mean", bit_depth=8))
    restored = Image.open(output)
    assert np.array_equal(np.asarray(restored), pixels)
    found = icc.primaries(restored.info["icc_profile"])
    np.testing.assert_allclose(found, icc.primaries(profile_of_points(GAMMA, WIDE_POINTS)))


def adobe_jpeg(path: Path, pixels: np.ndarray, **more: object) -> Path:
    """Write a JPEG as cameras do that are set to Adobe RGB: EXIF tells it, and no profile."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[40961] = 65535  # uncalibrated
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    Image.fromarray(pixels).save(path, exif=exif, quality=95, subsampling=0, **more)
    return path


def test_adobe_rgb_that_exif_alone_tells_gives_curve_and_primaries(tmp_path: Path) -> None:
    codes = np.arange(256, dtype=np.uint8).reshape(16, 16).repeat(3).reshape(16, 16, 3)
    frame = read_frame(adobe_jpeg(tmp_path / "adobe.jpg", codes))
    assert frame.curve == Curve(g=563 / 256)
    found = icc.primaries(frame.metadata.icc)
    np.testing.assert_allclose(found, icc.primaries(profile_of_points(GAMMA, WIDE_POINTS)))
    light = torch.from_numpy(np.asarray(Image.open(tmp_path / "adobe.jpg"))[..., 1] / 255) ** 2.2
    torch.testing.assert_close(frame.whole()[1], light.float(), rtol=0, atol=1e-3)


def test_a_profile_outranks_what_exif_tells(tmp_path: Path) -> None:
    pixels = np.full((16, 16, 3), 90, np.uint8)
    path = adobe_jpeg(tmp_path / "a.jpg", pixels, icc_profile=icc.srgb())
    assert read_frame(path).metadata.icc == icc.srgb()


def test_adobe_rgb_of_exif_goes_to_the_output_as_a_profile(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    path, output = adobe_jpeg(tmp_path / "in.jpg", pixels), tmp_path / "out.png"
    restore_burst([path], output, Options(backend="mean", bit_depth=8))
    restored = Image.open(output)
    assert np.array_equal(np.asarray(restored), np.asarray(Image.open(path)))
    found = icc.primaries(restored.info["icc_profile"])
    np.testing.assert_allclose(found, icc.primaries(profile_of_points(GAMMA, WIDE_POINTS)))
    assert restored.getexif().get_ifd(0x8769)[40961] == 65535


GREY = build({b"kTRC": table_tag([461])}, b"GRAY")  # gamma 1.8


def grey_tiff(path: Path, codes: np.ndarray) -> Path:
    tifffile.imwrite(path, codes, photometric="minisblack", iccprofile=GREY, metadata=None)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_gray_picture_of_its_own_curve_comes_back_unchanged(tmp_path: Path, dtype: type) -> None:
    codes = np.linspace(0, np.iinfo(dtype).max, 40 * 60).astype(dtype).reshape(40, 60)
    path, output = grey_tiff(tmp_path / "in.tif", codes), tmp_path / "out.tif"
    assert read_frame(path).curve == Curve(g=461 / 256)
    bits = codes.dtype.itemsize * 8
    restore_burst([path], output, Options(backend="mean", bit_depth=bits))
    with tifffile.TiffFile(output) as file:
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        np.testing.assert_array_equal(page.asarray(), codes[..., None].repeat(3, axis=2))
        profile = page.tags[34675].value
        assert page.tags[34665].value["ColorSpace"] == 65535
    assert icc.looks_sound(profile)  # of RGB, as the pixels are
    assert icc.curve_of(profile) == Curve(g=461 / 256)


def test_gray_and_colour_of_one_burst_need_no_warning(
    made_burst: MadeBurst, tmp_path: Path
) -> None:
    colour = [read_frame(path) for path in made_burst.paths[:2]]
    codes = encode(colour[1].whole()[1], Curve(g=461 / 256)).clamp(0, 1) * 65535
    grey = read_frame(grey_tiff(tmp_path / "grey.tif", codes.numpy().astype(np.uint16)))
    torch.testing.assert_close(grey.whole()[1], colour[1].whole()[1], rtol=0, atol=1e-3)
    for frames in ([colour[0], grey], [grey, colour[0]]):
        matched, left = match_primaries(frames, 0)
        assert matched == frames
        assert left == []


def in_wide_primaries(frame: Frame, path: Path) -> Path:
    """Write a frame's light as a PNG of other primaries and another curve."""
    wide, own = icc.primaries(profile_of_points(GAMMA, WIDE_POINTS)), icc.primaries(b"")
    assert wide is not None
    assert own is not None
    light = torch.from_numpy(np.linalg.solve(wide, own)).float() @ frame.whole().flatten(1)
    codes = encode(light.clamp(0, 1), Curve(g=1 / GAMMA)).view(3, *frame.size).permute(1, 2, 0)
    pixels = (codes * 255).round().to(torch.uint8).numpy()
    path.write_bytes(png_with(pixels, GAMMA, WIDE_POINTS))
    return path


def test_a_frame_of_other_primaries_is_brought_to_the_reference(
    made_burst: MadeBurst, tmp_path: Path
) -> None:
    first, second = (read_frame(path) for path in made_burst.paths[:2])
    other = read_frame(in_wide_primaries(second, tmp_path / "wide.png"))
    assert (other.whole() - second.whole()).abs().mean() > 0.003
    frames, left = match_primaries([first, other], 0)
    assert left == []
    assert frames[0] is first
    inside = (second.whole() > 0.02) & (second.whole() < 0.98)
    assert (frames[1].whole() - second.whole()).abs()[inside].max() < 0.01
    warnings = Warnings()
    aligned = align_frames([first, other], Options(reference="first"), warnings)
    assert torch.equal(aligned.source.views[1].whole(), frames[1].whole())
    assert warnings.told == []


def test_a_profile_that_cannot_be_matched_is_told(made_burst: MadeBurst) -> None:
    first, second = (read_frame(path) for path in made_burst.paths[:2])
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    odd = Frame(
        pixels=second.pixels,
        curve=second.curve,
        metadata=type(second.metadata)(icc=lab),
        path=second.path,
    )
    warnings = Warnings()
    align_frames([first, odd], Options(reference="first"), warnings)
    assert len(warnings.told) == 1
    assert second.name in warnings.told[0]
