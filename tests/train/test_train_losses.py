import pytest
import torch

from burstfix import color
from burstfix.train.config import LossWeights
from burstfix.train.losses import restoration_loss, to_display

NOTHING = LossWeights(charbonnier=0, gradient=0, fourier=0)


def test_the_code_is_near_srgb() -> None:
    light = torch.linspace(0, 1, 1001)
    assert (to_display(light) - color.encode(light, color.SRGB)).abs().max() < 0.05


def test_the_code_has_a_finite_gradient_around_black() -> None:
    light = torch.tensor([-0.5, -1e-6, 1e-6, 0.5], requires_grad=True)
    to_display(light).sum().backward()
    assert light.grad is not None
    assert torch.isfinite(light.grad).all()
    assert (light.grad > 0).all()


@pytest.mark.parametrize("term", ["absolute", "squared", "charbonnier", "gradient", "fourier"])
def test_every_term_is_least_at_the_truth_and_grows_with_the_error(term: str) -> None:
    torch.manual_seed(0)
    truth = torch.rand(2, 3, 16, 16)
    error = torch.randn(2, 3, 16, 16)
    weights = LossWeights(**{**vars(NOTHING), term: 1.0})
    losses = [restoration_loss(truth + k * error, truth, weights).mean() for k in (0, 0.01, 0.1)]
    assert losses[0] < 2e-3
    assert losses[0] < losses[1] < losses[2]


def test_the_gradient_term_does_not_see_a_constant_offset_in_the_code() -> None:
    weights = LossWeights(**{**vars(NOTHING), "gradient": 1.0})
    flat = torch.full((1, 3, 8, 8), 0.2)
    assert restoration_loss(flat, torch.full_like(flat, 0.5), weights).item() == 0


def test_each_picture_has_its_own_loss() -> None:
    truth = torch.rand(2, 3, 16, 16)
    output = truth.clone()
    output[1] += 0.1
    loss = restoration_loss(output, truth, LossWeights())
    assert loss.shape == (2,)
    assert loss[0] < 0.01 < loss[1]
