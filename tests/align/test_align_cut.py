"""Cuts are told from motion, changes of brightness, noise and blur."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from made import scene, to_light

from burstfix.align.cut import Thumbnail, is_cut, thumbnail


def small(picture: np.ndarray) -> Thumbnail:
    light = torch.from_numpy(to_light(picture).astype(np.float32)).permute(2, 0, 1)
    return thumbnail(light)


def test_other_scenes_are_cuts() -> None:
    views = [small(scene(90, 160, seed)) for seed in range(8)]
    assert all(is_cut(one, other) for one, other in pairwise(views))


@pytest.mark.parametrize("shift", [(0, 0), (20, 40), (-30, -50)])
def test_pans_noise_and_flashes_are_no_cuts(shift: tuple[int, int]) -> None:
    whole = scene(280, 460)
    before = whole[50:230, 70:390]
    after = whole[50 + shift[0] : 230 + shift[0], 70 + shift[1] : 390 + shift[1]]
    noise = np.random.default_rng(0).normal(0, 0.05, after.shape)
    assert not is_cut(small(before), small(np.clip(after + noise, 0, 1)))
    assert not is_cut(small(before), small(np.clip(1.6 * after, 0, 1)))


def test_black_to_a_picture_is_a_cut_and_black_to_black_is_none() -> None:
    black, picture = small(np.zeros((90, 160, 3))), small(scene(90, 160))
    assert is_cut(black, picture)
    assert is_cut(picture, black)
    assert not is_cut(black, black)
