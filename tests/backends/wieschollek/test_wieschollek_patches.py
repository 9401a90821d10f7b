"""The grid of patches covers every pixel, and joins what it cut."""

import pytest
import torch

from burstfix.backends.wieschollek.dft import hann
from burstfix.backends.wieschollek.patches import grid_for, inner_grid
from burstfix.frame import Box


def random(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("stride", [5, 8, 11, 16])
@pytest.mark.parametrize("core", [Box(0, 0, 96, 80), Box(33, 17, 70, 41)])
def test_patches_blended_give_the_picture_back(stride: int, core: Box) -> None:
    picture = random(1, 1, 96, 80)
    grid = grid_for(core, stride)
    middles = grid.cut(picture)[0, 0, :, :, 16:49, 16:49] * hann(33)[:, None] * hann(33)
    result = torch.zeros(core.size)
    grid.add(result, middles[:1], grid.rows[0], grid.columns[0])
    grid.add(result, middles[1:], grid.rows[1], grid.columns[0])
    coverage = grid.coverage()
    assert coverage.min() > 0.3  # every pixel lies well inside some patch
    expected = picture[0, 0, core.top : core.bottom, core.left : core.right]
    torch.testing.assert_close(result / coverage, expected, rtol=0, atol=1e-5)


def test_the_grid_does_not_move_with_the_core() -> None:
    wide, narrow = grid_for(Box(0, 0, 200, 200), 11), grid_for(Box(61, 100, 90, 130), 11)
    assert set(narrow.rows) <= set(wide.rows)
    assert set(narrow.columns) <= set(wide.columns)


def test_pictures_smaller_than_a_patch_are_mirrored_often_enough() -> None:
    picture = random(1, 2, 3, 4)
    patches = grid_for(Box(0, 0, 3, 4), 5).cut(picture)
    assert patches.shape[-2:] == (65, 65)
    assert set(patches.unique().tolist()) == set(picture.unique().tolist())


@pytest.mark.parametrize("stride", [5, 16, 33])
def test_inner_patches_see_nothing_mirrored(stride: int) -> None:
    picture = random(1, 1, 128, 100)
    grid = inner_grid(128, 100, stride)
    assert grid.rows[0] * stride >= 16
    assert grid.rows[-1] * stride + 33 + 16 <= 128
    assert grid.columns[-1] * stride + 33 + 16 <= 100
    assert grid.cut(picture).shape[2:4] == (len(grid.rows), len(grid.columns))
