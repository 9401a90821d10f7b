"""The gain between two exposures is found, and nothing is made up where it cannot be."""

import numpy as np
import pytest
from align_scene import Camera, hand_shake, shaken_psf

from burstfix.align.exposure import exposure_gain

SIZE = (480, 640)
VIEW = hand_shake(SIZE, degrees=1.5, right=20.3, down=-9.2)
FRAME_FROM_REFERENCE = np.linalg.inv(VIEW)


@pytest.mark.parametrize("stops", [-3, -1, 0, 0.05, 1, 3])
def test_exposures_up_to_three_stops_apart_are_matched(camera: Camera, stops: float) -> None:
    reference = camera.take(np.eye(3), noise=0.01)
    frame = camera.take(VIEW, noise=0.01, exposure=2.0**-stops, seed=1)
    gain = exposure_gain(reference, frame, FRAME_FROM_REFERENCE, 1)
    assert np.log2(gain) == pytest.approx(stops, abs=0.04)


@pytest.mark.parametrize("noise", [0.03, 0.1])
def test_noise_and_blur_leave_equal_exposures_equal(camera: Camera, noise: float) -> None:
    reference = camera.take(np.eye(3), noise=noise)
    frame = camera.take(VIEW, noise=noise, psf=shaken_psf(15, 1), seed=1)
    assert exposure_gain(reference, frame, FRAME_FROM_REFERENCE, 1) == pytest.approx(1, abs=0.01)


def test_something_bright_that_comes_into_the_frame_does_not_count(camera: Camera) -> None:
    frame = camera.take(VIEW, exposure=0.5).copy()
    frame[50:200, 100:300] = 0.7
    gain = exposure_gain(camera.take(np.eye(3)), frame, FRAME_FROM_REFERENCE, 1)
    assert gain == pytest.approx(2, abs=0.03)


@pytest.mark.parametrize(("expected", "gain"), [(None, 1.0), (3.5, 3.5)])
def test_frames_that_are_all_clipped_take_what_the_files_tell(
    camera: Camera, expected: float | None, gain: float
) -> None:
    white = np.ones(SIZE, np.float32)
    measured = exposure_gain(
        camera.take(np.eye(3)), white, FRAME_FROM_REFERENCE, 1, expected=expected
    )
    assert measured == gain


def test_a_black_frame_has_no_gain_but_one(camera: Camera) -> None:
    black = np.zeros(SIZE, np.float32)
    assert exposure_gain(camera.take(np.eye(3)), black, np.eye(3), 1) == 1
