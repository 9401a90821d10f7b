"""Homographies change scale rightly, and only what a hand can do is plausible."""

import numpy as np
import pytest
from align_scene import hand_shake

from burstfix.align.geometry import apply, corner_error, plausible, to_full, to_level

SIZE = (3000, 4000)


def test_blocks_of_a_shifted_picture_shift_by_the_shift_over_their_side() -> None:
    full = np.array([[1, 0, 12.0], [0, 1, -6.0], [0, 0, 1]])
    np.testing.assert_allclose(to_level(full, 4), [[1, 0, 3.0], [0, 1, -1.5], [0, 0, 1]])


def test_a_scaling_about_the_origin_keeps_the_half_pixel_of_block_centres() -> None:
    full = np.diag([1.5, 1.5, 1.0])
    block = np.array([[2.0, 5.0]])  # the centre of its 4 x 4 pixels is (9.5, 21.5)
    np.testing.assert_allclose(apply(to_level(full, 4), block) * 4 + 1.5, [[14.25, 32.25]])


def test_there_and_back_is_the_same() -> None:
    full = hand_shake(SIZE, degrees=2, right=30, down=-70, keystone=0.02)
    assert corner_error(to_full(to_level(full, 8), 8), full, SIZE) < 1e-9


def test_hand_shake_is_plausible() -> None:
    assert plausible(hand_shake(SIZE, degrees=5, right=300, down=-200, keystone=0.05), SIZE)


@pytest.mark.parametrize(
    "matrix",
    [
        np.zeros((3, 3)),
        np.full((3, 3), np.nan),
        hand_shake(SIZE, degrees=20, right=0, down=0),
        hand_shake(SIZE, degrees=0, right=3500, down=0),
        hand_shake(SIZE, degrees=0, right=0, down=0, keystone=0.9),
        np.diag([1.4, 1.4, 1.0]),
        np.diag([-1.0, 1.0, 1.0]),
    ],
)
def test_what_no_hand_does_is_not(matrix: np.ndarray) -> None:
    assert not plausible(matrix, SIZE)
