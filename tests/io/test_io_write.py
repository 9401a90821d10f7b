import io
import struct
import warnings
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import exifread
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import torch
from PIL import Image

from burstfix import color
from burstfix.errors import OutputError
from burstfix.frame import Curve, Metadata
from burstfix.io import icc
from burstfix.io.write import Canvas, Format, Provenance, format_for, save

KINDS = [
    ("a.png", 8),
    ("a.png", 16),
    ("a.tif", 8),
    ("a.tiff", 16),
    ("a.tif", 32),
    ("a.jpg", 8),
    ("a.webp", 8),
]
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
PROVENANCE: Provenance = {
    "inputs": ("IMG <1> & \u96ea.dng", "b\udcff\x07.dng"),
    "backend": "fba",
    "weights_sha256": "ab" * 32,
    "iterations": 11,
    "note": "a<b",
    "empty": "",
    "version": "9.8.7",
}
TAKEN = datetime(2024, 2, 29, 23, 59, 58, 120000)


def reference_exif() -> bytes:
    """A camera's block: turned, with a thumbnail, a maker note, GPS and stale sizes."""
    exif = Image.Exif()
    exif[271], exif[272], exif[274], exif[305] = "Kamera", "Kamera 1", 6, "Firmware 3"
    ifd = exif.get_ifd(0x8769)
    ifd[33434], ifd[33437], ifd[34855] = 1 / 125, 2.8, 400
    ifd[36867], ifd[37521] = "2024:02:29 23:59:58", "12"
    ifd[37500], ifd[40962], ifd[40963], ifd[40961] = b"maker" * 9, 4000, 3000, 1
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2] = "N", (48.0, 51.0, 30.0)
    return exif.tobytes()[6:]


METADATA = Metadata(exif=reference_exif(), exposure_s=1 / 125, iso=400, taken=TAKEN)


def canvas_of(light: torch.Tensor, kind: Format, curve: Curve = color.SRGB) -> Canvas:
    canvas = Canvas((light.shape[1], light.shape[2]), kind, curve)
    canvas.put(0, 0, light)
    return canvas


def write(path: Path, bit_depth: int | None = None, **changes: object) -> npt.NDArray[Any]:
    """Write a smooth picture with some texture, and return its codes."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 37), torch.linspace(0, 1, 53), indexing="ij")
    light = torch.stack([x, y, (x * y + 0.02 * torch.sin(40 * x)).clamp(0, 1)])
    canvas = canvas_of(light, format_for(path, bit_depth=bit_depth))
    options: dict[str, Any] = {"metadata": METADATA, "provenance": PROVENANCE, **changes}
    assert save(canvas, path, **options) == []
    return canvas.array


def read(path: Path) -> npt.NDArray[Any]:
    """Decode by a library that had no part in the writing."""
    if path.suffix in (".tif", ".tiff"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    else:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    assert picture is not None
    return picture[..., ::-1]


@pytest.mark.parametrize(
    ("name", "bit_depth"), [kind for kind in KINDS if kind[0] not in ("a.jpg", "a.webp")]
)
def test_lossless_files_give_the_codes_back(tmp_path: Path, name: str, bit_depth: int) -> None:
    codes = write(tmp_path / name, bit_depth)
    back = read(tmp_path / name)
    assert back.dtype == codes.dtype
    np.testing.assert_array_equal(back, codes)


@pytest.mark.parametrize(("name", "most"), [("a.jpg", 1.5), ("a.webp", 5)])
def test_lossy_files_come_close(tmp_path: Path, name: str, most: float) -> None:
    codes = write(tmp_path / name)
    assert np.abs(read(tmp_path / name).astype(int) - codes).mean() <= most


def test_webp_of_quality_100_is_lossless(tmp_path: Path) -> None:
    torch.manual_seed(0)
    canvas = canvas_of(torch.rand(3, 20, 31), format_for(tmp_path / "a.webp", quality=100))
    save(canvas, tmp_path / "a.webp", metadata=Metadata(), provenance=PROVENANCE)
    np.testing.assert_array_equal(read(tmp_path / "a.webp"), canvas.array)


def test_jpeg_keeps_full_chroma(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (700, 1003)])
def test_tiff_of_any_shape_is_read_alike_by_two_libraries(
    tmp_path: Path, shape: tuple[int, int], dtype: type
) -> None:
    torch.manual_seed(1)
    depth = np.dtype(dtype).itemsize * 8
    kind = Format(container="tiff", bit_depth=depth)
    canvas = canvas_of(torch.rand(3, *shape), kind)
    save(canvas, tmp_path / "a.tif", metadata=METADATA, provenance=PROVENANCE)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), canvas.array)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert len(tiff.pages) == 1
        assert tiff.pages[0].shape == (*shape, 3)
        if dtype is not np.float32 and shape[1] > 1:
            assert tiff.pages[0].predictor == 2


@pytest.mark.parametrize("bit_depth", [8, 16])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (700, 1003)])
def test_png_of_any_shape_is_read_alike_by_two_libraries(
    tmp_path: Path, shape: tuple[int, int], bit_depth: int
) -> None:
    torch.manual_seed(2)
    ramp = torch.linspace(0, 1, shape[0])[None, :, None]
    canvas = canvas_of(
        (torch.rand(3, *shape) * ramp), format_for(Path("a.png"), bit_depth=bit_depth)
    )
    save(canvas, tmp_path / "a.png", metadata=METADATA, provenance=PROVENANCE)
    np.testing.assert_array_equal(read(tmp_path / "a.png"), canvas.array)
    with Image.open(tmp_path / "a.png") as image:
        image.verify()  # every checksum
    if bit_depth == 8:
        with Image.open(tmp_path / "a.png") as image:
            np.testing.assert_array_equal(np.asarray(image), canvas.array)


@pytest.mark.parametrize(("name", "bit_depth"), KINDS)
def test_profile_exif_and_provenance_are_in_every_format(
    tmp_path: Path, name: str, bit_depth: int
) -> None:
    path = tmp_path / name
    write(path, bit_depth)
    if bit_depth == 32:  # Pillow opens no floating point colour
        with tifffile.TiffFile(path) as tiff:
            tags = tiff.pages[0].tags
            profile, xmp, software = tags[34675].value, tags[700].value, tags[305].value
            assert tags[34665].value["ISOSpeedRatings"] == 400
            assert tags[34853].value["GPSLatitudeRef"] == "N"
    else:
        with Image.open(path) as image:
            exif = image.getexif()
            assert exif[274] == 1
            shot = exif.get_ifd(0x8769)
            assert (shot[33437], shot[34855], shot[37521]) == (2.8, 400, "12")
            assert float(shot[33434]) == 1 / 125
            assert (shot[40962], shot[40963]) == (53, 37)
            assert 37500 not in shot
            assert not exif.get_ifd(1)  # no thumbnail
            assert exif.get_ifd(0x8825)[2] == (48.0, 51.0, 30.0)
            software, profile = exif[305], image.info["icc_profile"]
            xmp = image.info.get("xmp") or exif[700]
    assert software == "burstfix 9.8.7"
    assert profile == icc.srgb()
    told = ElementTree.fromstring(bytes(xmp).decode())
    ours = "{urn:burstfix:provenance:1#}"
    assert [item.text for item in told.iter(f"{RDF}li")] == [
        "IMG <1> & \u96ea.dng",
        "b\ufffd\ufffd.dng",
    ]
    for key in ("backend", "weights_sha256", "iterations", "note", "version"):
        assert [item.text for item in told.iter(f"{ours}{key}")] == [str(PROVENANCE[key])]
    assert not list(told.iter(f"{ours}empty"))


@pytest.mark.parametrize(
    ("name", "bit_depth"),
    [kind for kind in KINDS if kind[0] != "a.webp"],  # there exifread expects a JPEG's header
)
def test_exif_is_read_by_exifread(tmp_path: Path, name: str, bit_depth: int) -> None:
    write(tmp_path / name, bit_depth)
    with (tmp_path / name).open("rb") as file:
        tags = exifread.process_file(file, details=False)
    assert str(tags["EXIF DateTimeOriginal"]) == "2024:02:29 23:59:58"
    assert str(tags["Image Model"]) == "Kamera 1"
    assert tags["Image Orientation"].values == [1]


def test_what_a_file_without_exif_knows_is_written(tmp_path: Path) -> None:
    known = Metadata(
        exposure_s=0.5, iso=100_000, aperture=1.8, focal_length_mm=35, camera="Make Model Two",
        lens="Lens 35", taken=TAKEN,
    )  # fmt: skip
    write(tmp_path / "a.jpg", metadata=known)
    with Image.open(tmp_path / "a.jpg") as image:
        exif = image.getexif()
        shot = exif.get_ifd(0x8769)
    assert (exif[271], exif[272]) == ("Make", "Model Two")
    assert (shot[33434], shot[34866], shot[33437], shot[42036]) == (0.5, 100_000, 1.8, "Lens 35")
    assert (shot[36867], shot[37521]) == ("2024:02:29 23:59:58", "12")


def test_strip_keeps_the_profile_alone(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", keep_metadata=False)
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.info["icc_profile"] == icc.srgb()
        assert not image.getexif()
        assert "xmp" not in image.info


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.webp"])
def test_the_profile_of_the_reference_goes_along(tmp_path: Path, name: str) -> None:
    profile = icc.of_curve(Curve(g=1.8))
    write(tmp_path / name, metadata=Metadata(icc=profile))
    with Image.open(tmp_path / name) as image:
        assert image.info["icc_profile"] == profile


def test_a_damaged_profile_warns_and_the_picture_is_written(tmp_path: Path) -> None:
    canvas = canvas_of(torch.rand(3, 5, 5), format_for(Path("a.png")))
    broken = Metadata(icc=icc.srgb()[:300])
    (warning,) = save(canvas, tmp_path / "a.png", metadata=broken, provenance=PROVENANCE)
    assert "profile" in warning
    np.testing.assert_array_equal(read(tmp_path / "a.png"), canvas.array)


def test_uncalibrated_colours_without_a_profile_warn(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[40961] = 65535
    told = Metadata(exif=exif.tobytes()[6:])
    raw = color.NEUTRAL  # developed to sRGB, whatever the camera was set to
    for curve, profile, warns in ((color.SRGB, b"", 1), (raw, b"", 0), (color.SRGB, icc.srgb(), 0)):
        metadata = replace(told, icc=profile)
        canvas = canvas_of(torch.rand(3, 5, 5), format_for(Path("a.png")), curve)
        path = tmp_path / "a.png"
        found = save(canvas, path, metadata=metadata, provenance=PROVENANCE, replace=True)
        assert len(found) == warns
        assert all("sRGB is assumed" in warning for warning in found)


def test_a_grey_profile_becomes_one_of_the_same_curve(tmp_path: Path) -> None:
    grey = bytearray(icc.of_curve(Curve(g=1.8)))
    grey[16:20] = b"GRAY"
    canvas = canvas_of(torch.rand(3, 5, 5), format_for(Path("a.png")), Curve(g=1.8))
    metadata = Metadata(icc=bytes(grey))
    assert save(canvas, tmp_path / "a.png", metadata=metadata, provenance=PROVENANCE) == []
    with Image.open(tmp_path / "a.png") as image:
        curve = icc.curve_of(image.info["icc_profile"])
    assert curve is not None
    assert curve.g == pytest.approx(1.8, abs=1e-4)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.webp"])
def test_metadata_that_fits_no_file_warns_and_the_picture_is_written(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> bytes:
        raise struct.error("too large")

    monkeypatch.setattr("burstfix.io.write.exif_directory", fail)
    canvas = canvas_of(torch.rand(3, 5, 5), format_for(Path(name)))
    (warning,) = save(canvas, tmp_path / name, metadata=METADATA, provenance=PROVENANCE)
    assert "EXIF" in warning
    assert read(tmp_path / name).shape == (5, 5, 3)


def test_xmp_too_long_for_a_jpeg_warns_and_the_picture_is_written(tmp_path: Path) -> None:
    canvas = canvas_of(torch.rand(3, 5, 5), format_for(Path("a.jpg")))
    many = {"inputs": tuple(f"{'long' * 40}{n}.dng" for n in range(1000))}
    (warning,) = save(canvas, tmp_path / "a.jpg", metadata=METADATA, provenance=many)
    assert "without metadata" in warning
    assert read(tmp_path / "a.jpg").shape == (5, 5, 3)


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_damaged_exif_never_stops_a_picture(tmp_path: Path, cut: int) -> None:
    rng = np.random.default_rng(cut)
    exif = bytearray(reference_exif())
    for place in rng.integers(4, len(exif), 6):
        exif[place] = rng.integers(256)
    for damaged in (bytes(exif), bytes(exif[:cut]), b"MM\0*" + bytes(exif[4:])):
        canvas = canvas_of(torch.rand(3, 2, 2), format_for(Path("a.png")))
        save(
            canvas, tmp_path / "a.png", metadata=Metadata(exif=damaged), provenance=PROVENANCE,
            replace=True,
        )  # fmt: skip
        with Image.open(tmp_path / "a.png") as image:
            assert image.getexif()[274] == 1


def test_big_endian_exif_is_kept(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.endian = ">"
    exif[271] = "Kamera"
    exif.get_ifd(0x8769)[33434] = 1 / 250
    data = exif.tobytes()[6:]
    assert data[:2] == b"MM"
    write(tmp_path / "a.jpg", metadata=Metadata(exif=data))
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.getexif()[271] == "Kamera"
        assert float(image.getexif().get_ifd(0x8769)[33434]) == 1 / 250


def test_exif_too_long_for_a_jpeg_loses_its_largest_field_alone(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271] = "Kamera"
    exif.get_ifd(0x8769)[37510] = b"ASCII\0\0\0" + bytes(64_000)
    write(tmp_path / "a.jpg", metadata=Metadata(exif=exif.tobytes()[6:]))
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.getexif()[271] == "Kamera"
        assert 37510 not in image.getexif().get_ifd(0x8769)


def test_linear_tiff_holds_light_and_says_so(tmp_path: Path) -> None:
    light = torch.tensor([-0.25, 0.0, 0.5, 7.5]).expand(3, 2, 4)
    canvas = canvas_of(light, format_for(Path("a.tif"), linear=True), color.NEUTRAL)
    save(canvas, tmp_path / "a.tif", metadata=METADATA, provenance=PROVENANCE)
    back = tifffile_read(tmp_path / "a.tif")
    np.testing.assert_array_equal(back, light.permute(1, 2, 0).numpy())
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert icc.curve_of(tiff.pages[0].tags[34675].value) == color.LINEAR
        assert tiff.pages[0].tags[34665].value["ColorSpace"] == 65535


def tifffile_read(path: Path) -> npt.NDArray[Any]:
    data = np.frombuffer(path.read_bytes(), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return picture[..., ::-1]


def test_linear_tiff_of_16_bits_clips() -> None:
    light = torch.tensor([-0.25, 0.0, 0.5, 7.5]).expand(3, 2, 4)
    canvas = canvas_of(light, format_for(Path("a.tif"), linear=True, bit_depth=16))
    assert canvas.array[0, :, 0].tolist() == [0, 0, 32768, 65535]


def test_tiles_make_the_whole() -> None:
    torch.manual_seed(4)
    light = torch.rand(3, 50, 70)
    for kind in (Format(container="tiff", bit_depth=16), Format(container="tiff", bit_depth=32)):
        whole = canvas_of(light, kind).array
        tiled = Canvas((50, 70), kind, color.SRGB)
        for top in range(0, 50, 32):
            for left in range(0, 70, 32):
                tiled.put(top, left, light[:, top : top + 32, left : left + 32])
        np.testing.assert_array_equal(tiled.array, whole)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("bit_depth", [16, 32])
def test_values_that_are_no_numbers_are_never_written(bad: float, bit_depth: int) -> None:
    light = torch.rand(3, 90, 9)
    light[1, 77, 5] = bad
    with pytest.raises(ValueError, match="no numbers"):
        canvas_of(light, Format(container="tiff", bit_depth=bit_depth))


@pytest.mark.parametrize(("top", "left"), [(-1, 0), (0, 5), (9, 0)])
def test_a_tile_outside_the_picture_is_refused(top: int, left: int) -> None:
    canvas = Canvas((10, 10), format_for(Path("a.png")), color.SRGB)
    with pytest.raises(ValueError, match="leaves the picture"):
        canvas.put(top, left, torch.zeros(3, 6, 6))


def test_a_picture_too_long_for_webp_is_refused_before_work() -> None:
    with pytest.raises(OutputError, match="16384"):
        Canvas((2, 16384), format_for(Path("a.webp")), color.SRGB)


def test_the_same_picture_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "a.tif", "a.jpg"):
        first, second = tmp_path / name, tmp_path / f"b{Path(name).suffix}"
        write(first)
        write(second)
        assert first.read_bytes() == second.read_bytes()


def test_the_profile_is_read_by_little_cms(tmp_path: Path) -> None:
    from PIL import ImageCms

    write(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    assert ImageCms.getProfileDescription(profile).strip() == "sRGB"
