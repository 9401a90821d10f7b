"""Light between pixels is right, to the bit at pixels, and alike in every box."""

import numpy as np
import torch
from align_scene import hand_shake
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from burstfix.align.sampling import project, sample
from burstfix.frame import Box


def wave(x: Tensor, y: Tensor) -> Tensor:
    return 0.5 + 0.3 * torch.sin(0.1 * x + 1) * torch.cos(0.13 * y)


def grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float64),
        torch.arange(width, dtype=torch.float64),
        indexing="ij",
    )
    return x, y


def test_a_smooth_picture_is_read_right_between_its_pixels() -> None:
    picture = wave(*grid(200, 260)).float()[None]
    x, y = project(hand_shake((200, 260), degrees=2, right=1.3, down=2.7), Box(20, 20, 180, 240))
    inside = (x > 2) & (x < 256) & (y > 2) & (y < 196)
    assert ((sample(picture, x, y)[0] - wave(x, y))[inside]).abs().max() < 1e-3


def test_ramps_are_exact_to_the_step_of_positions() -> None:
    x, y = grid(30, 40)
    ramp = (0.02 * x + 0.01 * y).float()[None]
    at_x, at_y = x[4:-4, 4:-4] + 0.211, y[4:-4, 4:-4] + 0.789
    expected = 0.02 * at_x + 0.01 * at_y
    assert (sample(ramp, at_x, at_y)[0] - expected).abs().max() < 0.03 / 2048


def test_whole_pixels_are_read_to_the_bit() -> None:
    torch.manual_seed(0)
    picture = torch.rand(3, 33, 47)
    assert torch.equal(sample(picture, *grid(33, 47)), picture)


def test_points_outside_read_the_border() -> None:
    picture = torch.rand(1, 8, 9)
    x, y = torch.tensor([[-5.0, 20.0]]).double(), torch.tensor([[-1.0, 30.0]]).double()
    assert torch.equal(
        sample(picture, x, y)[0, 0], torch.stack((picture[0, 0, 0], picture[0, 7, 8]))
    )


@settings(max_examples=30, deadline=None)
@given(top=st.integers(0, 90), left=st.integers(0, 90), height=st.integers(1, 60))
def test_any_box_equals_the_same_part_of_the_whole(top: int, left: int, height: int) -> None:
    picture = torch.from_numpy(np.random.default_rng(0).random((3, 180, 170), np.float32))
    matrix = hand_shake((150, 150), degrees=1.7, right=8.3, down=9.1, keystone=0.01)
    whole = sample(picture, *project(matrix, Box(0, 0, 150, 150)))
    box = Box(top, left, top + height, left + 31)
    part = sample(picture, *project(matrix, box))
    torch.testing.assert_close(
        part, whole[:, box.top : box.bottom, box.left : box.right], rtol=0, atol=1e-6
    )
