import io
import struct

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from PIL import Image, ImageCms

from burstfix import color
from burstfix.frame import Curve
from burstfix.io import icc

# XYZ of Adobe RGB (1998), relative to D50
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))


def build(tags: dict[bytes, bytes], space: bytes = b"RGB ") -> bytes:
    """Lay out a profile of the given tags."""
    start = 132 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = bytearray(128)
    struct.pack_into(">I", header, 0, start + len(body))
    struct.pack_into(">I", header, 8, 0x02100000)
    header[12:24] = b"mntr" + space + b"XYZ "
    header[36:40] = b"acsp"
    struct.pack_into(">3i", header, 68, 63190, 65536, 54061)
    return bytes(header) + table + body


def table_tag(samples: list[int]) -> bytes:
    return struct.pack(f">4s4xI{len(samples)}H", b"curv", len(samples), *samples)


def parametric_tag(kind: int, values: list[float]) -> bytes:
    fixed = [round(value * 65536) for value in values]
    return struct.pack(f">4s4xHxx{len(fixed)}i", b"para", kind, *fixed)


def matrix_profile(curve: bytes) -> bytes:
    tags = {b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)}
    for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), ADOBE, strict=True):
        fixed = (round(value * 65536) for value in column)
        tags[name] = b"XYZ \0\0\0\0" + struct.pack(">3i", *fixed)
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return build(tags)


def transform(source: bytes, target: bytes, rgb: tuple[int, int, int]) -> tuple[int, ...]:
    """Convert one 8-bit colour by Little CMS, relative colorimetric."""
    profiles = [ImageCms.ImageCmsProfile(io.BytesIO(data)) for data in (source, target)]
    flags = ImageCms.Flags.NOOPTIMIZE | ImageCms.Flags.NOCACHE
    change = ImageCms.buildTransform(*profiles, "RGB", "RGB", 1, flags)
    result = ImageCms.applyTransform(Image.new("RGB", (1, 1), rgb), change)
    assert result is not None
    pixel = result.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return tuple(int(value) for value in pixel)


def test_the_srgb_profile_is_what_little_cms_takes_for_srgb() -> None:
    reference = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for rgb in [(0, 0, 0), (255, 255, 255), (255, 0, 0), (12, 200, 90), (3, 7, 250)]:
        for pair in ((icc.srgb(), reference), (reference, icc.srgb())):
            assert np.abs(np.subtract(transform(*pair, rgb), rgb)).max() <= 1


def test_the_srgb_profile_carries_the_srgb_curve() -> None:
    curve = icc.curve_of(icc.srgb())
    assert curve is not None
    codes = torch.linspace(0, 1, 256)
    torch.testing.assert_close(
        color.decode(codes, curve), color.decode(codes, color.SRGB), atol=1e-5, rtol=1e-4
    )


def test_linear_profile_decodes_to_the_same_colour_as_its_model() -> None:
    model = matrix_profile(table_tag([563]))  # gamma 2.2
    for rgb in [(255, 255, 255), (0, 128, 255), (200, 180, 30)]:
        light = [round(255 * (value / 255) ** (563 / 256)) for value in rgb]
        shown = transform(icc.linear(model), model, (light[0], light[1], light[2]))
        assert np.abs(np.subtract(shown, rgb)).max() <= 2  # 8-bit light is coarse


def test_linear_profile_without_a_model_has_the_primaries_of_srgb() -> None:
    for profile in (None, b"", b"rubbish" * 50, build({b"kTRC": table_tag([])}, b"GRAY")):
        shown = transform(icc.linear(profile), icc.srgb(), (55, 55, 55))
        assert set(shown) == {round(255 * (1.055 * (55 / 255) ** (1 / 2.4) - 0.055))}


def test_linear_profile_has_a_linear_curve() -> None:
    curve = icc.curve_of(icc.linear())
    assert curve == color.LINEAR


def test_a_grey_profile_has_the_primaries_of_srgb() -> None:
    grey = icc.primaries(build({b"kTRC": table_tag([461])}, b"GRAY"))
    np.testing.assert_array_equal(grey, icc.primaries(b""))


def test_has_primaries_tells_matrix_profiles_from_others() -> None:
    assert icc.has_primaries(icc.srgb())
    assert not icc.has_primaries(build({b"A2B0": b"mft2" + bytes(40)}))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (0, [2.2]),
        (1, [2.0, 0.9, 0.1]),
        (2, [1.8, 0.9, 0.0, 0.05]),
        (3, [2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045]),
        (4, [2.2, 0.95, 0.01, 0.05, 0.1, 0.01, 0.012]),
    ],
)
def test_parametric_curves_decode_as_the_icc_standard_says(kind: int, values: list[float]) -> None:
    g, a, b, c, d, e, f = (values + [0.0] * 7)[:7]
    x = np.linspace(0, 1, 101)
    expected = {
        0: x**g,
        1: np.where(x >= -b / (a or 1), np.maximum(a * x + b, 0) ** g, 0),
        2: np.where(x >= -b / (a or 1), np.maximum(a * x + b, 0) ** g + c, c),
        3: np.where(x >= d, np.maximum(a * x + b, 0) ** g, c * x),
        4: np.where(x >= d, np.maximum(a * x + b, 0) ** g + e, c * x + f),
    }[kind]
    curve = icc.curve_of(matrix_profile(parametric_tag(kind, values)))
    assert curve is not None
    light = color.decode(torch.from_numpy(x).float(), curve)
    np.testing.assert_allclose(light.numpy(), expected, atol=2e-4)


def test_a_count_of_none_is_linear_and_of_one_a_gamma() -> None:
    assert icc.curve_of(matrix_profile(table_tag([]))) == Curve()
    assert icc.curve_of(matrix_profile(table_tag([0x0180]))) == Curve(g=1.5)


def test_channels_that_differ_take_the_curve_of_green() -> None:
    tags = {b"rTRC": table_tag([256]), b"gTRC": table_tag([512]), b"bTRC": table_tag([600])}
    assert icc.curve_of(build(tags)) == Curve(g=2.0)


def test_grey_profiles_have_a_curve() -> None:
    assert icc.curve_of(build({b"kTRC": table_tag([0x0200])}, b"GRAY")) == Curve(g=2.0)


def test_profiles_without_curves_have_none() -> None:
    assert icc.curve_of(build({b"A2B0": b"mft2" + bytes(60)})) is None


@pytest.mark.parametrize("top", [255, 65535])
@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
@pytest.mark.parametrize("samples", [17, 1024, 4096])
def test_every_code_survives_a_table_whose_samples_repeat(
    samples: int, gamma: float, top: int
) -> None:
    table = np.round(np.linspace(0, 1, samples) ** gamma * 65535).astype(int).tolist()
    curve = icc.curve_of(matrix_profile(table_tag(table)))
    assert curve is not None
    codes = torch.arange(top + 1).float() / top
    back = color.encode(color.decode(codes, curve), curve)
    assert torch.equal((back * top).round(), torch.arange(top + 1).float())


def test_tables_are_kept_within_their_own_precision() -> None:
    table = [0, 0, 0, 1, 1, 2, 40000, 40000, 65535, 65535]
    curve = icc.curve_of(matrix_profile(table_tag(table)))
    assert curve is not None
    np.testing.assert_allclose(curve.table, np.array(table) / 65535, atol=0.51 / 65535)
    assert curve.table[0] == 0
    assert curve.table[-1] == 1


@pytest.mark.parametrize(
    "curve",
    [
        parametric_tag(0, [-2.0]),
        parametric_tag(1, [2.0, 0.0, 0.0]),
        parametric_tag(9, [2.0]),
        parametric_tag(4, [2.0, 1.0]),
        parametric_tag(3, [2.0, 1.0, 0.0, 5.0, 0.9]),  # falls at 0.9
        table_tag([7] * 300),  # flat
        table_tag([65535, 30000, 0]),  # falls
        struct.pack(">4s4xI", b"curv", 0xFFFFFFFF),
        b"curv",
        b"",
    ],
)
def test_curves_without_an_inverse_are_refused(curve: bytes) -> None:
    assert icc.curve_of(matrix_profile(curve)) is None


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=400), start=st.integers(0, 700), cut=st.integers(0, 700))
def test_hostile_bytes_never_raise(data: bytes, start: int, cut: int) -> None:
    profile = matrix_profile(parametric_tag(3, [2.4, 0.95, 0.05, 0.08, 0.04]))
    broken = (profile[:start] + data + profile[start + len(data) :])[: max(cut, 1)]
    for hostile in (data, broken, bytes(36) + b"acsp" + data):
        curve = icc.curve_of(hostile)
        if curve is not None:
            assert torch.isfinite(color.decode(torch.linspace(0, 1, 64), curve)).all()
        assert icc.curve_of(icc.linear(hostile)) == color.LINEAR


def test_a_line_that_ends_beyond_all_codes_meets_no_power() -> None:
    assert icc.curve_of(matrix_profile(parametric_tag(3, [16384, 2, 0.05, 1, 16384]))) is None
