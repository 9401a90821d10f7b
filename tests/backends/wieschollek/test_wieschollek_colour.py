"""Lightness is exchanged, a and b of CIE Lab stay."""

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from burstfix.backends.wieschollek.colour import luminance_of, with_lightness
from burstfix.color import SRGB, encode


def random(seed: int) -> torch.Tensor:
    return torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(seed))


def lab(light: torch.Tensor) -> np.ndarray:
    codes = encode(light, SRGB)[0].permute(1, 2, 0).double().numpy()
    return rgb2lab(codes)


def test_a_and_b_stay_and_lightness_is_the_other_s() -> None:
    colour = 0.3 + 0.05 * random(0)  # so that no result leaves the gamut
    luminance = luminance_of(0.3 + 0.05 * random(1))
    result = with_lightness(colour, luminance)
    before, after = lab(colour), lab(result)
    assert np.abs(after[..., 1:] - before[..., 1:]).max() < 0.02
    expected = lab(luminance.expand(-1, 3, -1, -1))
    assert np.abs(after[..., 0] - expected[..., 0]).max() < 0.02


def test_a_picture_with_its_own_lightness_is_itself() -> None:
    light = random(2) - 0.1  # below black too
    result = with_lightness(light, luminance_of(light))
    torch.testing.assert_close(result, light, rtol=0, atol=2e-6)


def test_grey_stays_grey() -> None:
    grey = random(3)[:, :1]
    result = with_lightness(0.5 * grey.expand(-1, 3, -1, -1), grey)
    torch.testing.assert_close(result, grey.expand(-1, 3, -1, -1), rtol=0, atol=2e-3)


def test_gradients_are_finite_at_black() -> None:
    luminance = torch.zeros(1, 1, 2, 2, requires_grad=True)
    with_lightness(torch.zeros(1, 3, 2, 2), luminance).sum().backward()
    assert luminance.grad is not None
    assert torch.isfinite(luminance.grad).all()
    assert luminance.grad.sum() == pytest.approx(12, rel=0.01)
