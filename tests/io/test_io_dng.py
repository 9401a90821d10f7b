import dataclasses
from datetime import datetime
from pathlib import Path
from typing import Any

import exifread
import numpy as np
import numpy.typing as npt
import pytest
import rawpy
import tifffile

from burstfix.errors import OutputError
from burstfix.frame import Metadata
from burstfix.io.decode import read_frame
from burstfix.io.dng import Sensor, write_dng

BLACK, WHITE = 512, 16383
XYZ_FROM_SRGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
     [0.0193339, 0.1191920, 0.9503041]]
)  # fmt: skip
CAMERA_FROM_XYZ = np.array(  # a real camera's kind of matrix: channels overlap
    [[0.6722, -0.0635, -0.0963], [-0.4287, 1.2460, 0.2028], [-0.0908, 0.2162, 0.5668]]
)
NEUTRAL = CAMERA_FROM_XYZ @ XYZ_FROM_SRGB @ np.ones(3)
NEUTRAL /= NEUTRAL.max()
METADATA = Metadata(
    exposure_s=1 / 30, iso=3200, aperture=1.8, focal_length_mm=35.0, camera="Made Up One",
    lens="Made Up 35mm f/1.8", taken=datetime(2024, 5, 6, 7, 8, 9, 250000),
)  # fmt: skip
PATTERNS = ("RGGB", "BGGR", "GRBG", "GBRG")


def sensor(pattern: str = "RGGB") -> Sensor:
    red, green, blue = (float(value) for value in NEUTRAL)
    return Sensor(
        pattern=pattern, black_level=BLACK, white_level=WHITE,
        as_shot_neutral=(red, green, blue), color_matrix=CAMERA_FROM_XYZ.tolist(),
    )  # fmt: skip


def flat_mosaic(light: npt.NDArray[Any], pattern: str = "RGGB") -> npt.NDArray[np.uint16]:
    """What the camera records of one colour (linear sRGB): 64 x 96 numbers."""
    camera = CAMERA_FROM_XYZ @ XYZ_FROM_SRGB @ light
    camera = camera / (CAMERA_FROM_XYZ @ XYZ_FROM_SRGB @ np.ones(3)).max()
    mosaic = np.empty((64, 96))
    for place, name in enumerate(pattern):
        mosaic[place // 2 :: 2, place % 2 :: 2] = camera["RGB".index(name)]
    return np.round(BLACK + mosaic * (WHITE - BLACK)).astype(np.uint16)


def develop(path: Path) -> npt.NDArray[np.float64]:
    """Render linear sRGB, 0 to 1, by LibRaw; (H, W, 3)."""
    with rawpy.imread(str(path)) as raw:
        rgb = raw.postprocess(
            use_camera_wb=True, no_auto_bright=True, adjust_maximum_thr=0, gamma=(1, 1),
            output_bps=16, output_color=rawpy.ColorSpace.sRGB,
        )  # fmt: skip
    result: npt.NDArray[np.float64] = rgb / 65535
    return result


@pytest.mark.parametrize("pattern", PATTERNS)
def test_libraw_reads_back_what_was_written(tmp_path: Path, pattern: str) -> None:
    rng = np.random.default_rng(0)
    mosaic = rng.integers(BLACK, WHITE, (202, 1406)).astype(np.uint16)
    write_dng(tmp_path / "a.dng", mosaic, sensor=sensor(pattern), metadata=METADATA)
    with rawpy.imread(str(tmp_path / "a.dng")) as raw:
        np.testing.assert_array_equal(raw.raw_image_visible, mosaic)
        colours = "".join(chr(raw.color_desc[int(c)]) for c in raw.raw_pattern.flat)
        assert colours == pattern
        assert raw.black_level_per_channel == [BLACK] * 4
        assert raw.white_level == WHITE
        gains = np.array(raw.camera_whitebalance[:3])
        np.testing.assert_allclose(gains / gains[1], NEUTRAL[1] / NEUTRAL, rtol=1e-3)


@pytest.mark.parametrize("level", [0.02, 0.18, 0.9])
def test_grey_comes_out_neutral(tmp_path: Path, level: float) -> None:
    mosaic = flat_mosaic(np.full(3, level))
    write_dng(tmp_path / "a.dng", mosaic, sensor=sensor(), metadata=METADATA)
    middle = develop(tmp_path / "a.dng")[16:-16, 16:-16]
    np.testing.assert_allclose(middle, level, rtol=0.01, atol=2e-4)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("light", [(0.5, 0.2, 0.1), (0.1, 0.4, 0.3), (0.15, 0.2, 0.6)])
def test_colours_come_out_within_a_per_cent(
    tmp_path: Path, light: tuple[float, float, float], pattern: str
) -> None:
    mosaic = flat_mosaic(np.array(light), pattern)
    write_dng(tmp_path / "a.dng", mosaic, sensor=sensor(pattern), metadata=METADATA)
    middle = develop(tmp_path / "a.dng")[16:-16, 16:-16].reshape(-1, 3)
    np.testing.assert_allclose(middle.mean(axis=0), light, rtol=0.01)


def test_exif_tells_how_it_was_shot(tmp_path: Path) -> None:
    mosaic = flat_mosaic(np.full(3, 0.2))
    write_dng(tmp_path / "a.dng", mosaic, sensor=sensor(), metadata=METADATA, orientation=6)
    with (tmp_path / "a.dng").open("rb") as file:
        tags = exifread.process_file(file, details=False)
    assert [ratio.num / ratio.den for ratio in tags["EXIF ExposureTime"].values] == [1 / 30]
    assert tags["EXIF ISOSpeedRatings"].values == [3200]
    assert [float(ratio) for ratio in tags["EXIF FNumber"].values] == [1.8]
    assert str(tags["EXIF DateTimeOriginal"]) == "2024:05:06 07:08:09"
    assert str(tags["EXIF SubSecTimeOriginal"]) == "25"
    assert (str(tags["Image Make"]), str(tags["Image Model"])) == ("Made", "Up One")
    assert tags["Image Orientation"].values == [6]
    with rawpy.imread(str(tmp_path / "a.dng")) as raw:
        assert raw.sizes.flip == 6
        assert raw.other.shutter_speed == pytest.approx(1 / 30)
        assert raw.other.iso_speed == 3200


def test_the_noise_profile_is_written(tmp_path: Path) -> None:
    noisy = Sensor(
        black_level=0, white_level=65535, as_shot_neutral=(0.5, 1.0, 0.6),
        color_matrix=np.eye(3).tolist(), noise=(0.004, 1e-5),
    )  # fmt: skip
    write_dng(tmp_path / "a.dng", np.zeros((4, 4), np.uint16), sensor=noisy, metadata=METADATA)
    with tifffile.TiffFile(tmp_path / "a.dng") as tiff:
        assert tiff.pages[0].tags[51041].value == (0.004, 1e-5)


@pytest.mark.parametrize(("read", "told"), [(1e-5, True), (0.005, False)])
def test_noise_is_told_unless_the_sensor_cut_it_at_black(
    tmp_path: Path, read: float, told: bool
) -> None:
    noisy = dataclasses.replace(sensor(), noise=(0.004, read))
    mosaic = flat_mosaic(np.full(3, 0.2))
    write_dng(tmp_path / "a.dng", mosaic, sensor=noisy, metadata=METADATA)
    found = read_frame(tmp_path / "a.dng").metadata.noise
    assert found == (pytest.approx((0.004, read)) if told else None)


def test_an_existing_file_is_replaced_only_when_told(tmp_path: Path) -> None:
    path = tmp_path / "a.dng"
    mosaic = flat_mosaic(np.full(3, 0.2))
    write_dng(path, mosaic, sensor=sensor(), metadata=METADATA)
    with pytest.raises(OutputError, match="exists"):
        write_dng(path, mosaic, sensor=sensor(), metadata=METADATA)
    write_dng(path, mosaic, sensor=sensor(), metadata=METADATA, replace=True)


@pytest.mark.parametrize("shape", [(4, 5), (5, 4), (4, 4, 3)])
def test_a_mosaic_that_cuts_the_pattern_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="even"):
        write_dng(
            tmp_path / "a.dng", np.zeros(shape, np.uint16), sensor=sensor(), metadata=METADATA
        )


def test_a_file_without_any_metadata_is_opened(tmp_path: Path) -> None:
    write_dng(
        tmp_path / "a.dng", flat_mosaic(np.full(3, 0.5)), sensor=sensor(), metadata=Metadata()
    )
    assert develop(tmp_path / "a.dng").shape == (64, 96, 3)
