"""Planes of films to linear light and back."""

import numpy as np
import pytest
import torch

from burstfix.color import decode, encode
from burstfix.io.video.planes import Chroma, PlaneFormat, to_light, to_planes
from burstfix.io.video.tags import Tags, curve_for, luma_weights

RANDOM = np.random.default_rng(0)


def kind(
    chroma: Chroma = "420",
    bits: int = 8,
    size: tuple[int, int] = (24, 32),
    *,
    full: bool = False,
    tags: Tags | None = None,
) -> PlaneFormat:
    tags = tags or Tags(matrix=1)
    return PlaneFormat(
        size=size,
        chroma=chroma,
        bits=bits,
        full=full,
        luma=luma_weights(tags, size),
        curve=curve_for(tags),
    )


def noise(form: PlaneFormat) -> tuple[np.ndarray, ...]:
    low, high = (0, 2**form.bits) if form.full else (16 << form.bits - 8, 236 << form.bits - 8)
    dtype = np.uint8 if form.bits == 8 else np.uint16
    return tuple(RANDOM.integers(low, high, shape).astype(dtype) for shape in form.shapes)


@pytest.mark.parametrize("transfer", [1, 4, 13, 16, 18])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("size", [(24, 32), (23, 31)])
@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("chroma", ["420", "422", "444", "gray", "rgb"])
def test_what_nothing_touched_comes_back_to_the_code_even_noise(
    chroma: Chroma, bits: int, size: tuple[int, int], full: bool, transfer: int
) -> None:
    form = kind(chroma, bits, size, full=full, tags=Tags(matrix=9, transfer=transfer))
    planes = noise(form)
    for before, after in zip(planes, to_planes(to_light(planes, form), form), strict=True):
        np.testing.assert_array_equal(before, after)


def test_codes_of_primary_colours_in_bt709_are_those_of_the_standard() -> None:
    form = kind("444")
    red = torch.zeros(3, *form.size)
    red[0] = 1
    assert [int(plane[0, 0]) for plane in to_planes(red, form)] == [63, 102, 240]
    white = torch.ones(3, *form.size)
    assert [int(plane[0, 0]) for plane in to_planes(white, form)] == [235, 128, 128]
    black = torch.zeros(3, *form.size)
    assert [int(plane[0, 0]) for plane in to_planes(black, form)] == [16, 128, 128]


def test_small_untagged_films_have_the_matrix_of_bt601_and_large_ones_of_bt709() -> None:
    assert luma_weights(Tags(), (480, 720)) == (0.299, 0.114)
    assert luma_weights(Tags(), (720, 1280)) == (0.2126, 0.0722)


def test_an_edge_of_colour_is_put_where_the_luma_lies() -> None:
    form = kind("420", size=(16, 32))
    light = torch.full((3, 16, 32), 0.2)
    light[0, :, 16:] = 0.6
    again = to_light(to_planes(light, form), form)
    assert (again - light).abs()[:, :, :13].max() < 0.02
    assert (again - light).abs()[:, :, 19:].max() < 0.03


def test_pq_puts_1000_candela_at_1_and_hlg_its_knee_at_a_twelfth() -> None:
    pq, hlg = (curve_for(Tags(transfer=transfer)) for transfer in (16, 18))
    assert float(decode(torch.tensor([0.751827]), pq)) == pytest.approx(1, rel=1e-3)
    assert float(encode(torch.tensor([0.1]), pq)) == pytest.approx(0.508078, rel=1e-3)
    assert float(decode(torch.tensor([0.5]), hlg)) == pytest.approx(1 / 12, rel=1e-3)


def test_light_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="no numbers"):
        to_planes(torch.full((3, 24, 32), float("nan")), kind())
