"""Sharp frames are found to thousandths of a pixel, others are left where they were."""

import numpy as np
import pytest
from align_scene import Camera, hand_shake, make_camera, shaken_psf

from burstfix.align.geometry import Matrix, apply, corner_error, to_full, to_level
from burstfix.align.homography import align_burst, closer_reduction, shrink
from burstfix.align.polish import Tiles, polish

SIZE = (480, 640)
VIEW = hand_shake(SIZE, degrees=1, right=20.3, down=-12.6, keystone=0.005)
TRUTH = np.linalg.inv(VIEW)
OFF = hand_shake(SIZE, degrees=0.01, right=0.06, down=-0.05, keystone=0.0001)


def polished(reference: np.ndarray, frame: np.ndarray) -> float:
    """Return the error that is left of one between 0.05 and 0.2 pixel."""
    assert corner_error(TRUTH @ OFF, TRUTH, SIZE) > 0.05
    return corner_error(polish(Tiles.of(reference), frame, TRUTH @ OFF), TRUTH, SIZE)


@pytest.mark.parametrize(("noise", "limit"), [(0.0, 0.008), (0.01, 0.02), (0.03, 0.05)])
def test_a_few_hundredths_of_a_pixel_are_found(camera: Camera, noise: float, limit: float) -> None:
    frames = [camera.take(view, noise=noise, seed=n) for n, view in enumerate((np.eye(3), VIEW))]
    assert polished(frames[0], frames[1]) < limit


def test_noise_in_the_slopes_does_not_hold_a_frame_back() -> None:
    # A plain Gauss-Newton step takes noise for detail, and falls short of the truth.
    big = make_camera((960, 1280), seed=4)
    off = hand_shake(big.size, degrees=0, right=0.1, down=-0.1)
    ends = [
        polish(
            Tiles.of(big.take(np.eye(3), noise=0.1, seed=2 * n)),
            big.take(np.eye(3), noise=0.1, seed=2 * n + 1),
            off,
        )
        for n in range(4)
    ]
    mean: Matrix = np.mean(ends, axis=0)
    center = apply(mean, np.array([[639.5, 479.5]])) - (639.5, 479.5)
    assert np.abs(center).max() < 0.025


def test_exposure_vignetting_and_tone_do_not_move_a_frame(camera: Camera) -> None:
    frame = camera.take(VIEW)
    across = np.linspace(-1, 1, SIZE[1], dtype=np.float32)
    other = 0.8 * (1 - 0.3 * across**2) * frame**1.2 + np.float32(0.01)
    assert polished(camera.take(np.eye(3)), other) < 0.05


def test_something_that_moves_does_not_pull_the_frame(camera: Camera) -> None:
    moved = camera.take(VIEW, noise=0.01, seed=1)
    moved[100:220, 150:300] = moved[101:221, 151:301].copy()
    assert polished(camera.take(np.eye(3), noise=0.01), moved) < 0.02


def test_clipped_light_is_left_out(camera: Camera) -> None:
    reference, frame = camera.take(np.eye(3)), camera.take(VIEW)
    reference[200:280, 300:400] = 1
    frame[50:150, 50:200] = 1
    assert polished(reference, frame) < 0.005


@pytest.mark.parametrize("size", [(1, 1), (30, 200), (96, 96)])
def test_small_pictures_are_not_judged(camera: Camera, size: tuple[int, int]) -> None:
    small = camera.take(np.eye(3))[: size[0], : size[1]].copy()
    assert np.isnan(polish(Tiles.of(small), small, np.eye(3))).all()


def test_a_clipped_frame_is_not_judged(camera: Camera) -> None:
    tiles = Tiles.of(camera.take(np.eye(3)))
    assert np.isnan(polish(tiles, np.ones(SIZE, np.float32), np.eye(3))).all()


def test_a_blank_frame_gives_an_answer() -> None:
    tiles = Tiles.of(np.full(SIZE, 0.3, np.float32))
    found = polish(tiles, np.full(SIZE, 0.3, np.float32), np.eye(3))
    assert corner_error(found, np.eye(3), SIZE) < 1e-3


def test_a_closer_look_makes_sharp_frames_more_exact() -> None:
    big = make_camera((960, 1280), seed=4)
    view = hand_shake(big.size, degrees=2, right=40.3, down=-21.7, keystone=0.01)
    full = [big.take(each, noise=0.03, seed=n) for n, each in enumerate((np.eye(3), view))]
    small = [shrink(light, 2) for light in full]
    assert closer_reduction(2) == 1
    far = align_burst(small, 0, factor=2, size=big.size)[1]
    near = align_burst(small, 0, factor=2, size=big.size, closer=full.__getitem__)[1]
    errors = [
        corner_error(found.source_from_reference, np.linalg.inv(view), big.size)
        for found in (far, near)
    ]
    assert errors[1] < 0.7 * errors[0]


def test_shaken_frames_get_no_closer_look(camera: Camera) -> None:
    asked = []

    def closer(number: int) -> np.ndarray:
        asked.append(number)
        return frames[number]

    frames = [
        camera.take(np.eye(3), noise=0.01),
        camera.take(VIEW, noise=0.01, seed=1),
        camera.take(VIEW, noise=0.01, psf=shaken_psf(12, 3), seed=2),
    ]
    found = align_burst(frames, 0, factor=1, size=SIZE, closer=closer)
    assert [alignment.ok for alignment in found] == [True] * 3
    assert asked == [0, 1]


def test_positions_are_right_at_any_reduction() -> None:
    big = make_camera((960, 1280), seed=4)
    view = hand_shake(big.size, degrees=1, right=20.3, down=-12.6, keystone=0.005)
    tiles = Tiles.of(shrink(big.take(np.eye(3)), 2))
    truth = np.linalg.inv(view)
    found = polish(tiles, shrink(big.take(view), 2), to_level(truth, 2))
    assert corner_error(to_full(found, 2), truth, big.size) < 0.02
