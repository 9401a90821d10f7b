"""Sharper frames measure sharper, whatever the noise and the exposure."""

import numpy as np
import pytest
from align_scene import Camera, shaken_psf

from burstfix.align.sharpness import sharpness


@pytest.mark.parametrize("noise", [0.01, 0.03, 0.1])
def test_frames_rank_by_their_blur_at_every_noise_level(camera: Camera, noise: float) -> None:
    lengths = [0, 4, 8, 12, 20]
    measured = [
        sharpness(
            camera.take(
                np.eye(3),
                noise=noise,
                psf=shaken_psf(length, 5) if length else None,
                seed=length,
            )
        )
        for length in lengths
    ]
    assert measured == sorted(measured, reverse=True)


def test_noise_alone_is_not_sharp(camera: Camera) -> None:
    random = np.random.default_rng(0)
    noise = random.normal(0.3, 0.1, camera.size).astype(np.float32)
    blurred = camera.take(np.eye(3), psf=shaken_psf(20, 5))
    assert abs(sharpness(noise)) < 0.2 * sharpness(blurred)


@pytest.mark.parametrize("exposure", [0.125, 0.5])
def test_exposure_changes_sharpness_little(camera: Camera, exposure: float) -> None:
    bright, dark = (camera.take(np.eye(3), exposure=light) for light in (1.0, exposure))
    assert sharpness(dark) == pytest.approx(sharpness(bright), rel=0.02)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (40, 31)])
def test_a_blank_frame_of_any_size_has_none(size: tuple[int, int]) -> None:
    assert sharpness(np.full(size, 0.2, np.float32)) == pytest.approx(0, abs=1e-9)
