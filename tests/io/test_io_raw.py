"""Raw files: made-up DNG with a known answer, and real ones where they are at hand."""

import io
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import rawpy
import tifffile

from burstfix.errors import InputError
from burstfix.io.raw import PEDESTAL_BLACK, check_libraw, probe_raw, read_raw

BLACK, WHITE = 512, 16383
GAINS = (2.0, 1.0, 1.5)
XTRANS = "GBGGRGRGRBGBGBGGRGGRGGBGBGBRGRGRGGBG"
_XYZ_D65 = [3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570]


def _fractions(values: Iterable[float]) -> list[int]:
    return [part for value in values for part in (round(value * 10000), 10000)]


def make_dng(
    mosaic: np.ndarray,
    *,
    gains: tuple[float, float, float] = GAINS,
    pattern: tuple[int, ...] = (0, 1, 1, 2),
    orientation: int = 1,
    black: int = BLACK,
) -> bytes:
    """Write a mosaic, (H, W) uint16, as DNG; its camera's primaries are sRGB."""
    side = round(len(pattern) ** 0.5)
    tags = [
        (50706, "B", 4, (1, 4, 0, 0), True),
        (50708, "s", 0, "Made Up", True),
        (271, "s", 0, "Made", True),
        (272, "s", 0, "Up", True),
        (274, "H", 1, orientation, True),
        (50714, "H", 1, black, True),
        (50717, "H", 1, WHITE, True),
        (50721, "2i", 9, _fractions(_XYZ_D65), True),
        (50778, "H", 1, 21, True),
        (50728, "2I", 3, _fractions(1 / gain for gain in gains), True),
        (33421, "H", 2, (side, side), True),
        (33422, "B", len(pattern), pattern, True),
    ]
    file = io.BytesIO()
    tifffile.imwrite(file, mosaic, photometric=32803, extratags=tags, metadata=None)
    return file.getvalue()


def expose(light: np.ndarray, pattern: tuple[int, ...] = (0, 1, 1, 2)) -> np.ndarray:
    """Let a sensor with the gains see linear light, (H, W, 3); not rounded, not clipped."""
    side = round(len(pattern) ** 0.5)
    mosaic = np.empty(light.shape[:2])
    for place, channel in enumerate(pattern):
        rows, columns = slice(place // side, None, side), slice(place % side, None, side)
        mosaic[rows, columns] = light[rows, columns, channel] / GAINS[channel]
    return mosaic * (WHITE - BLACK) + BLACK


def quantise(mosaic: np.ndarray) -> np.ndarray:
    return np.clip(np.round(mosaic), 0, WHITE).astype(np.uint16)


def light_of(codes: np.ndarray, black: int) -> np.ndarray:
    return (codes.astype(np.float64) - black) / (65535 - black)


def smooth_scene(height: int = 96, width: int = 128) -> np.ndarray:
    y, x = np.mgrid[:height, :width] / 64
    waves = [0.3 + 0.25 * np.sin(x * a) * np.cos(y * b) for a, b in ((2, 1), (1, 2), (1.5, 1.5))]
    return np.stack(waves, axis=-1)


def test_bayer_light_is_recovered() -> None:
    scene = smooth_scene()
    decoded = read_raw(make_dng(quantise(expose(scene))), "made.dng")
    assert decoded.codes is not None
    assert decoded.codes.dtype == np.uint16
    light = light_of(decoded.codes, decoded.black)
    assert np.abs(light - scene)[4:-4, 4:-4].max() < 0.01
    np.testing.assert_allclose(decoded.white_balance, (2, 1, 1.5, 1), rtol=1e-3)
    assert decoded.facts.camera == "Made Up"


def test_xtrans_light_is_recovered() -> None:
    pattern = tuple("RGB".index(colour) for colour in XTRANS)
    scene = smooth_scene(540, 600)  # LibRaw reads no smaller one
    data = make_dng(quantise(expose(scene, pattern)), pattern=pattern)
    decoded = read_raw(data, "xtrans.dng")
    assert decoded.codes is not None
    error = np.abs(light_of(decoded.codes, decoded.black) - scene)[8:-8, 8:-8]
    assert error.mean() < 0.01


def test_noise_around_black_keeps_its_mean() -> None:
    random = np.random.default_rng(3)
    mosaic = expose(np.zeros((128, 128, 3))) + random.normal(0, 200, (128, 128))
    decoded = read_raw(make_dng(quantise(mosaic)), "dark.dng")
    assert decoded.codes is not None
    assert decoded.black == PEDESTAL_BLACK
    means = light_of(decoded.codes, decoded.black).mean(axis=(0, 1))
    assert np.abs(means).max() < 1.5e-3  # clipped at black, it would be 0.005 and more


def test_clipped_highlights_are_neutral() -> None:
    mosaic = np.full((64, 64), WHITE, np.uint16)
    decoded = read_raw(make_dng(mosaic), "white.dng")
    assert decoded.codes is not None
    assert decoded.codes.min() >= 65535 - 8


def test_given_gains_replace_the_as_shot_ones() -> None:
    data = make_dng(quantise(expose(np.full((64, 64, 3), 0.2))))
    decoded = read_raw(data, "made.dng", (1.0, 1.0, 1.0, 1.0))
    assert decoded.codes is not None
    light = light_of(decoded.codes, decoded.black)[32, 32]
    np.testing.assert_allclose(light, [0.1, 0.2, 0.2 / 1.5], atol=2e-3)


def test_brightness_does_not_depend_on_the_content() -> None:
    dark = np.full((64, 64, 3), 0.01)
    partly = dark.copy()
    partly[:, 40:] = 0.9
    lights = []
    for scene in (dark, partly):
        decoded = read_raw(make_dng(quantise(expose(scene))), "made.dng")
        assert decoded.codes is not None
        lights.append(light_of(decoded.codes, decoded.black)[32, 10])
    np.testing.assert_allclose(lights[0], lights[1], atol=1e-4)


def test_a_turned_raw_comes_upright_and_probe_knows_it() -> None:
    scene = np.full((64, 96, 3), 0.1)
    scene[:32, :48] = 0.7  # top left of what the sensor saw
    data = make_dng(quantise(expose(scene)), orientation=6)  # turn clockwise: to the top right
    decoded = read_raw(data, "turned.dng")
    assert decoded.codes is not None
    assert decoded.size == probe_raw(data, "turned.dng").size == (96, 64)
    light = light_of(decoded.codes, decoded.black)[..., 1]
    assert light[10, 50] == pytest.approx(0.7, abs=0.01)
    assert light[10, 10] == pytest.approx(0.1, abs=0.01)


def test_a_monochrome_sensor_gives_equal_channels() -> None:
    gray = np.linspace(1000, 15000, 64 * 80).reshape(64, 80).astype(np.uint16)
    tags = [
        (50706, "B", 4, (1, 4, 0, 0), True),
        (50708, "s", 0, "Made Mono", True),
        (50714, "H", 1, BLACK, True),
        (50717, "H", 1, WHITE, True),
    ]
    file = io.BytesIO()
    tifffile.imwrite(file, gray, photometric=1, extratags=tags, metadata=None)
    as_gray = (262).to_bytes(2, "little") + b"\3\0\1\0\0\0\1\0"  # PhotometricInterpretation
    as_linear_raw = as_gray[:-2] + (34892).to_bytes(2, "little")  # of one channel
    assert file.getvalue().count(as_gray) == 1
    decoded = read_raw(file.getvalue().replace(as_gray, as_linear_raw), "mono.dng")
    assert decoded.codes is not None
    light = light_of(decoded.codes, decoded.black)
    assert decoded.codes.shape == (64, 80, 3)
    assert np.ptp(light, axis=2).max() == 0
    np.testing.assert_allclose(light[..., 0], (gray - 512.0) / (WHITE - BLACK), atol=1e-3)


def test_missing_pixel_data_is_an_error_that_names_the_file() -> None:
    data = make_dng(quantise(expose(smooth_scene())))
    with pytest.raises(InputError, match=r"cut\.dng"):
        read_raw(data[: len(data) // 2], "cut.dng")


def test_an_old_libraw_is_refused_with_the_mend() -> None:
    check_libraw((0, 22, 1))
    with pytest.raises(InputError, match=r"0\.21\.4.*rawpy>=0\.28"):
        check_libraw((0, 21, 4))


def test_own_colour_conversion_agrees_with_that_of_libraw(shared: Path) -> None:
    data = (shared / "raw" / "CRW.CRW").read_bytes()
    decoded = read_raw(data, "CRW.CRW")
    with rawpy.imread(io.BytesIO(data)) as raw:
        theirs = raw.postprocess(
            user_wb=list(decoded.white_balance),
            no_auto_bright=True,
            adjust_maximum_thr=0,
            gamma=(1, 1),
            output_bps=16,
        )
    assert decoded.codes is not None
    expected = theirs / 65535.0
    error = np.abs(light_of(decoded.codes, decoded.black) - expected)
    moderate = (expected.min(axis=2) > 0.02) & (expected.max(axis=2) < 0.9)
    assert np.median(error[moderate]) < 2e-3


def test_a_headerless_file_taken_for_another_camera_is_refused(shared: Path) -> None:
    with pytest.raises(InputError, match="no header"):
        read_raw((shared / "raw" / "test.RAW").read_bytes(), "test.RAW")


def test_a_black_raw_is_a_picture(shared: Path) -> None:
    decoded = read_raw((shared / "raw" / "DSC8695.dng").read_bytes(), "DSC8695.dng")
    assert decoded.codes is not None
    assert decoded.codes.max() < 600
    assert decoded.facts.camera == "NIKON D500"


@pytest.mark.parametrize("name", ["130-DNG.dng", "135-Panasonic.rw2", "004-IMG_1361.dng"])
def test_a_raw_without_pixel_data_is_refused(shared: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"ends early|no picture"):
        read_raw((shared / "damaged" / name).read_bytes(), name)


@pytest.mark.parametrize("read", [probe_raw, read_raw])
def test_a_file_that_is_no_photograph_is_told_as_such_and_not_as_a_raw_file(
    read: Callable[[bytes, str], object],
) -> None:
    with pytest.raises(InputError) as caught:
        read(b"hello, this is a text file\n" * 40, "x.jpg")
    assert "x.jpg is no photograph" in caught.value.what
    assert "raw developer" not in caught.value.mend
