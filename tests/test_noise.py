"""The noise that was added is the noise that is found."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from burstfix.noise import NoiseModel, compare, estimate


def textured(height: int = 512, width: int = 640, seed: int = 0) -> Tensor:
    """Return a ramp in the upper two thirds, busy texture below, and a clipped corner."""
    generator = torch.Generator().manual_seed(seed)
    picture = torch.linspace(0.03, 0.85, width).expand(3, height, width).clone()
    busy = height // 3
    picture[:, -busy:] += 0.3 * torch.rand(3, busy, width, generator=generator)
    picture[:, :60, :60] = 1.0
    return picture


def noisy(picture: Tensor, model: NoiseModel, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return picture + model.sigma(picture) * torch.randn(picture.shape, generator=generator)


@pytest.mark.parametrize(
    ("shot", "read"), [(1e-3, 1e-4), (1e-2, 1e-3), (1e-4, 2e-5), (2e-2, 1e-2), (1e-5, 1e-6)]
)
def test_the_variance_is_found_within_a_fifth(shot: float, read: float) -> None:
    model = NoiseModel(shot=shot, read=read)
    found = estimate(noisy(textured(), model))
    signal = torch.linspace(0.05, 0.8, 20)
    ratio = found.variance(signal) / model.variance(signal)
    assert ratio.min() > 0.8
    assert ratio.max() < 1.2


@pytest.mark.parametrize("size", [1, 2, 3])
def test_beside_a_clean_picture_smoothed_noise_is_seen_too(size: int) -> None:
    model, clean = NoiseModel(shot=4e-3, read=4e-4), textured()
    grain = torch.randn(clean.shape, generator=torch.Generator().manual_seed(2))
    grain = F.avg_pool2d(grain, size, 1, size // 2)[:, : clean.shape[1], : clean.shape[2]] * size
    found = compare(clean + model.sigma(clean) * grain, clean)
    assert found is not None
    signal = torch.linspace(0.05, 0.8, 20)
    ratio = found.variance(signal) / model.variance(signal)
    assert ratio.min() > 0.7  # of coarse grain, a block's mean takes a part
    assert ratio.max() < 1.2


def test_detail_that_blur_took_from_the_clean_picture_is_no_noise() -> None:
    model, picture = NoiseModel(shot=4e-3, read=4e-4), textured()
    blurred = F.avg_pool2d(picture, (1, 15), 1, (0, 7), count_include_pad=False)
    blurred[:, :70, :70] = 1.0  # not to be counted
    found = compare(noisy(picture, model), blurred)
    assert found is not None
    signal = torch.linspace(0.05, 0.8, 20)
    ratio = found.variance(signal) / model.variance(signal)
    assert ratio.min() > 0.8
    assert ratio.max() < 1.25


def test_beside_white_nothing_is_known() -> None:
    assert compare(textured(), torch.ones(3, 512, 640)) is None


def test_noise_that_does_not_depend_on_the_signal_has_little_shot_noise() -> None:
    found = estimate(noisy(textured(), NoiseModel(shot=0, read=0.01)))
    assert found.shot < 0.002
    assert 0.008 < found.read < 0.012


def test_neither_part_is_ever_negative() -> None:
    for seed in range(5):
        picture = torch.rand(3, 128, 128, generator=torch.Generator().manual_seed(seed))
        found = estimate(picture)
        assert found.shot >= 0
        assert found.read >= 0


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_flat_or_clipped_picture_has_no_noise(value: float) -> None:
    found = estimate(torch.full((3, 64, 64), value))
    assert found.shot == pytest.approx(0, abs=1e-9)
    assert found.read == pytest.approx(0, abs=1e-9)


def test_a_gain_scales_the_model_as_it_scales_the_light() -> None:
    model, gain = NoiseModel(shot=1e-3, read=1e-4), 4.0
    light = torch.linspace(0, 1, 11)
    torch.testing.assert_close(model.scaled(gain).sigma(gain * light), gain * model.sigma(light))
