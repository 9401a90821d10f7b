"""A short exposure's light becomes a long one's."""

import numpy as np
import pytest
from made import scene, to_light

from burstfix.align.light import match_light

SIZE = (120, 160)
GAINS, OFFSETS = np.array([6.0, 5.0, 8.0]), np.array([0.002, 0.001, 0.004])
SAME_PLACE = np.eye(3)


def pictures(offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a short and a long exposure; (3, h, w) each."""
    long = to_light(scene(*SIZE)).transpose(2, 0, 1) * 0.9
    short = long / GAINS[:, None, None] + offsets[:, None, None]
    return short.astype(np.float32), long.astype(np.float32)


def test_gain_and_lifted_black_of_each_colour_are_found() -> None:
    match = match_light(*pictures(OFFSETS), SAME_PLACE, 1, lifted=True)
    assert match is not None
    np.testing.assert_allclose(match.gains, GAINS, rtol=0.01)
    np.testing.assert_allclose(match.offsets, OFFSETS, atol=1e-4)


def test_raw_light_has_no_offset() -> None:
    match = match_light(*pictures(np.zeros(3)), SAME_PLACE, 1, lifted=False)
    assert match is not None
    np.testing.assert_allclose(match.gains, GAINS, rtol=0.01)
    assert match.offsets == (0, 0, 0)


def test_clipped_places_and_what_moved_do_not_count() -> None:
    short, long = pictures(np.zeros(3))
    moved = np.minimum(2.2 * long, 1)  # the brightest blobs clip
    assert 0.02 < (moved == 1).mean() < 0.5
    moved[:, :40, :40] = 0.02  # someone stands there
    match = match_light(short, moved, SAME_PLACE, 1, lifted=False)
    assert match is not None
    np.testing.assert_allclose(match.gains, 2.2 * GAINS, rtol=0.03)


def test_a_shift_between_the_two_is_followed() -> None:
    short, long = pictures(np.zeros(3))
    away = np.array([[1, 0, 12], [0, 1, -7], [0, 0, 1]], np.float64)
    moved = np.roll(long, (-7, 12), axis=(1, 2))
    match = match_light(short, moved, away, 1, lifted=False)
    assert match is not None
    np.testing.assert_allclose(match.gains, GAINS, rtol=0.02)


def test_nothing_is_told_where_one_shows_only_what_the_other_clipped() -> None:
    short, long = pictures(np.zeros(3))
    assert match_light(short, np.ones_like(long), SAME_PLACE, 1, lifted=True) is None


@pytest.mark.parametrize("lifted", [False, True])
def test_a_flat_scene_gives_a_plain_gain(lifted: bool) -> None:
    flat = np.full((3, *SIZE), 0.3, np.float32)
    match = match_light(flat / 4, flat, SAME_PLACE, 1, lifted=lifted)
    assert match is not None
    np.testing.assert_allclose(match.gains, 4, rtol=1e-3)
    assert match.offsets == (0, 0, 0)
