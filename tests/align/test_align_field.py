"""Casts that a gain leaves are taken from the long exposure."""

import numpy as np
import pytest
import torch
from made import scene, to_light

from burstfix.align.field import light_field
from burstfix.frame import Box

SIZE = (120, 160)
SAME_PLACE = np.eye(3)
INSIDE = np.s_[:, 20:-20, 20:-20]


def long_light() -> np.ndarray:
    return (to_light(scene(*SIZE)) * 0.8).transpose(2, 0, 1).astype(np.float32)


def cast() -> np.ndarray:
    """A slow change of colour over the picture; (3, h, w)."""
    x = np.linspace(0, np.pi, SIZE[1])
    return 0.03 * np.stack([np.sin(x), 0 * x, -np.sin(x)])[:, None].astype(np.float32)


def test_a_slow_cast_is_taken_back_and_fine_detail_kept() -> None:
    long, box = long_light(), Box.whole(SIZE)
    tinted = long + cast()
    field = light_field(tinted, long, SAME_PLACE, 1, gain=10)
    changed = field.change(torch.from_numpy(tinted), box).numpy()
    before, after = (np.abs(light - long)[INSIDE].mean() for light in (tinted, changed))
    assert after < 0.35 * before


def test_beside_an_edge_colours_keep_their_hue() -> None:
    """A tone curve that bends bright light darkens what lies beside it, but does not tint it."""
    colours = np.full((3, *SIZE), 0.0, np.float32)
    colours[:, :, :80], colours[:, :, 80:] = np.array([0.3, 0.15, 0.06])[:, None, None], 0.9
    long = colours.copy()
    long[:, :, 80:] = 0.7
    field = light_field(colours, long, SAME_PLACE, 1, gain=1)
    beside = field.change(torch.from_numpy(colours), Box.whole(SIZE))[:, 60, 76]
    assert float(beside[0] / beside[2]) == pytest.approx(5, rel=0.2)


def test_what_stands_only_in_one_picture_is_not_painted_into_the_other() -> None:
    long = long_light()
    moved = long.copy()
    moved[:, 30:90, 50:110] = 0.9
    field = light_field(long, moved, SAME_PLACE, 1, gain=10)
    assert float(field.read(Box(20, 40, 100, 120)).abs().max()) < 0.02  # nor its outline


def test_clipped_light_tells_nothing() -> None:
    long = long_light()
    clipped = long.copy()
    clipped[:, 20:100, 30:130] = 1
    field = light_field(long, clipped, SAME_PLACE, 1, gain=10)
    assert float(field.read(Box(40, 50, 80, 110)).abs().max()) < 1e-3


def test_boxes_read_what_the_whole_has_to_the_bit() -> None:
    long = long_light()
    field = light_field(long + cast(), long, SAME_PLACE, 3, gain=10)
    whole = field.read(Box(0, 0, 360, 480))
    assert torch.equal(field.read(Box(17, 101, 90, 303)), whole[:, 17:90, 101:303])
