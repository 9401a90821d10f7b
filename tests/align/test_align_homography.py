"""Frames are found where they lie, and what cannot be found is said to be lost."""

import numpy as np
import pytest
from align_scene import Camera, hand_shake, make_camera, shaken_psf

from burstfix.align import homography
from burstfix.align.geometry import corner_error
from burstfix.align.homography import align_burst, reduction_for, shrink

SIZE = (480, 640)
SHAKES = [
    hand_shake(SIZE, degrees=3, right=25, down=-18, keystone=0.01),
    hand_shake(SIZE, degrees=-2, right=-30, down=9),
    hand_shake(SIZE, degrees=0.3, right=0.4, down=-0.3),
]


def errors(frames: list[np.ndarray], factor: int = 1) -> list[float]:
    size = (frames[0].shape[0] * factor, frames[0].shape[1] * factor)
    found = align_burst(frames, 0, factor=factor, size=size)
    assert all(alignment.ok for alignment in found)
    return [
        corner_error(alignment.source_from_reference, np.linalg.inv(truth), size)
        for alignment, truth in zip(found[1:], SHAKES, strict=True)
    ]


@pytest.mark.parametrize(("noise", "limit"), [(0.01, 0.05), (0.1, 0.3)])
def test_sharp_frames_are_found_to_a_few_hundredths_of_a_pixel(
    camera: Camera, noise: float, limit: float
) -> None:
    views = [np.eye(3), *SHAKES]
    frames = [camera.take(view, noise=noise, seed=seed) for seed, view in enumerate(views)]
    assert max(errors(frames)) < limit


@pytest.mark.parametrize("noise", [0.01, 0.03])
def test_shaken_frames_are_found_by_the_centroids_of_their_psfs(
    camera: Camera, noise: float
) -> None:
    views = [np.eye(3), *SHAKES]
    frames = [
        camera.take(view, noise=noise, psf=shaken_psf(4 + 2 * seed, seed), seed=seed)
        for seed, view in enumerate(views)
    ]
    assert max(errors(frames)) < 0.5


def test_a_frame_with_strong_blur_and_noise_is_still_found() -> None:
    big = make_camera((768, 1024), seed=3)
    view = hand_shake(big.size, degrees=1, right=10, down=5)
    frames = [
        big.take(np.eye(3), noise=0.1),
        big.take(view, noise=0.1, psf=shaken_psf(30, 7), seed=1),
    ]
    found = align_burst(frames, 0, factor=1, size=big.size)[1]
    assert found.ok
    assert corner_error(found.source_from_reference, np.linalg.inv(view), big.size) < 3


def test_homographies_are_in_full_resolution_pixels_whatever_the_reduction() -> None:
    big = make_camera((960, 1280), seed=4)
    view = hand_shake(big.size, degrees=2, right=40.3, down=-21.7, keystone=0.01)
    frames = [shrink(big.take(np.eye(3)), 2), shrink(big.take(view), 2)]
    found = align_burst(frames, 0, factor=2, size=big.size)[1]
    assert corner_error(found.source_from_reference, np.linalg.inv(view), big.size) < 0.1


@pytest.mark.parametrize("exposure", [0.25, 4.0])
def test_exposures_two_stops_apart_align(camera: Camera, exposure: float) -> None:
    frames = [
        camera.take(np.eye(3), noise=0.005),
        camera.take(SHAKES[0], noise=0.005, exposure=exposure, seed=1),
    ]
    found = align_burst(frames, 0, factor=1, size=SIZE)[1]
    assert found.ok
    assert corner_error(found.source_from_reference, np.linalg.inv(SHAKES[0]), SIZE) < 0.3


def test_another_tone_curve_does_not_move_the_frame(camera: Camera) -> None:
    frames = [camera.take(np.eye(3)), camera.take(SHAKES[1]) ** 1.3]
    found = align_burst(frames, 0, factor=1, size=SIZE)[1]
    assert corner_error(found.source_from_reference, np.linalg.inv(SHAKES[1]), SIZE) < 0.3


def test_something_that_moves_through_the_scene_does_not_pull_the_frame(camera: Camera) -> None:
    moved = camera.take(SHAKES[1]).copy()
    moved[100:220, 150:300] = camera.take(SHAKES[0])[200:320, 350:500]
    found = align_burst([camera.take(np.eye(3)), moved], 0, factor=1, size=SIZE)[1]
    assert found.ok
    assert corner_error(found.source_from_reference, np.linalg.inv(SHAKES[1]), SIZE) < 0.15


def test_frames_that_show_nothing_of_the_scene_are_lost(
    camera: Camera, other_camera: Camera
) -> None:
    random = np.random.default_rng(0)
    frames = [
        camera.take(np.eye(3), noise=0.01),
        other_camera.take(np.eye(3), noise=0.01),
        np.zeros(SIZE, np.float32),
        np.ones(SIZE, np.float32),
        np.full(SIZE, 0.4, np.float32),
        random.normal(0.2, 0.1, SIZE).astype(np.float32),
        camera.take(np.eye(3))[::-1].copy(),
        camera.take(np.eye(3))[:, ::-1].copy(),
    ]
    found = align_burst(frames, 0, factor=1, size=SIZE)
    assert [alignment.ok for alignment in found] == [True] + [False] * 7
    for alignment in found[1:]:
        np.testing.assert_array_equal(alignment.source_from_reference, np.eye(3))


def test_the_order_of_the_frames_changes_no_bit(
    camera: Camera, other_camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The start fails, so that what lies far is found only from where other frames lie.
    monkeypatch.setattr(homography, "coarse", lambda *_: [np.eye(3)])
    views = [hand_shake(SIZE, degrees=0, right=right, down=0) for right in (0, 5, 40, 80, 84)]
    frames = [camera.take(view, noise=0.02, seed=seed) for seed, view in enumerate(views)]
    frames.append(other_camera.take(np.eye(3), noise=0.02))
    wanted = align_burst(frames, 0, factor=1, size=SIZE)
    assert [alignment.ok for alignment in wanted] == [True] * 5 + [False]
    for seed in range(6):
        order = np.random.default_rng(seed).permutation(len(frames))
        reference = int(np.flatnonzero(order == 0)[0])
        found = align_burst([frames[n] for n in order], reference, factor=1, size=SIZE)
        for number, alignment in zip(order, found, strict=True):
            assert alignment.ok == wanted[number].ok
            np.testing.assert_array_equal(
                alignment.source_from_reference, wanted[number].source_from_reference
            )


def test_nothing_aligns_with_a_blank_reference(camera: Camera) -> None:
    blank = np.zeros(SIZE, np.float32)
    found = align_burst([camera.take(np.eye(3)), blank], 1, factor=1, size=SIZE)
    assert [alignment.ok for alignment in found] == [False, True]


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (40, 30), (65, 333)])
def test_pictures_of_any_size_are_answered(camera: Camera, size: tuple[int, int]) -> None:
    frame = camera.take(np.eye(3))[: size[0], : size[1]].copy()
    found = align_burst([frame, frame.copy()], 0, factor=1, size=size)[1]
    assert corner_error(found.source_from_reference, np.eye(3), size) < 0.05


def test_reduction_leaves_about_a_thousand_pixels_a_side() -> None:
    assert [reduction_for(size) for size in [(720, 1080), (3072, 4096), (8736, 11648)]] == [
        1,
        4,
        11,
    ]
