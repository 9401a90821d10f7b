import pytest
import torch

from burstfix import color
from burstfix.backends.base import Explanation
from burstfix.errors import UsageError
from burstfix.train.config import LossWeights
from burstfix.train.losses import (
    blur_loss,
    dark_channel,
    earlier_loss,
    restoration_loss,
    sobel,
    to_display,
)

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


@pytest.mark.parametrize(
    "term", ["absolute", "squared", "charbonnier", "gradient", "fourier", "sobel", "dark"]
)
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


def explanation(psfs: torch.Tensor, pictures: torch.Tensor) -> Explanation:
    return Explanation(psfs.clamp_min(1e-12).log()[:, None], pictures)


def test_blur_that_was_found_costs_nothing_and_any_other_costs_more() -> None:
    truth = torch.rand(2, 3, 64, 64)
    psfs = torch.zeros(2, 3, 51, 51)
    psfs[..., 25, 20:31] = 1 / 11
    found = psfs.clone()
    found[..., 24:27, 19:32] = 1.0  # as wide as the softened truth
    softened = torch.nn.functional.conv2d(
        psfs.flatten(0, 1)[:, None],
        torch.outer(*[torch.tensor([0.25, 0.5, 0.25])] * 2)[None, None],
        padding=1,
    ).view_as(psfs)
    found = found / found.sum(dim=(-2, -1), keepdim=True)
    weights = LossWeights(blur=1.0)
    pictures = truth[:, None]
    exact, near, far = (
        blur_loss(explanation(guess, pictures), truth, psfs, weights)
        for guess in (softened, found, found.transpose(-1, -2))
    )
    assert exact.abs().max() < 1e-4
    assert (exact < near).all()
    assert (near < far).all()


def test_the_deblurred_picture_in_the_middle_is_compared_but_not_its_edges() -> None:
    truth = torch.rand(1, 3, 64, 64)
    pictures = torch.rand(1, 3, 3, 64, 64)
    pictures[:, 1] = truth
    pictures[:, 1, :, :8] = 0
    psfs = torch.zeros(1, 2, 51, 51)
    psfs[..., 25, 25] = 1
    weights = LossWeights(deblurred=1.0, charbonnier=0, absolute=1.0)
    assert blur_loss(explanation(psfs, pictures), truth, psfs, weights).item() < 1e-6
    pictures[:, 1, :, 30] += 0.1
    assert blur_loss(explanation(psfs, pictures), truth, psfs, weights).item() > 1e-3


def test_a_network_that_tells_no_blur_is_refused() -> None:
    with pytest.raises(UsageError, match="blur"):
        blur_loss(None, torch.rand(1, 3, 8, 8), torch.rand(1, 1, 51, 51), LossWeights(blur=1.0))


def to_light(codes: torch.Tensor) -> torch.Tensor:
    """Find the light that `to_display` codes so, by halving intervals."""
    low, high = torch.zeros_like(codes), torch.ones_like(codes)
    for _ in range(40):
        middle = (low + high) / 2
        below = to_display(middle) < codes
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def test_sobel_of_a_ramp_is_eight_times_its_slope_and_of_a_constant_nothing() -> None:
    right = torch.arange(9.0).expand(1, 1, 7, 9)
    pictures = 0.25 * right - 0.5 * torch.arange(7.0).view(1, 1, 7, 1) + 3
    across, down = sobel(pictures).unbind(1)
    torch.testing.assert_close(across, torch.full((1, 5, 7), 8 * 0.25))
    torch.testing.assert_close(down, torch.full((1, 5, 7), -8 * 0.5))
    assert not sobel(torch.full((1, 3, 5, 5), 0.7)).any()


def test_the_sobel_term_of_a_ramp_in_the_code_is_its_slope_eightfold() -> None:
    codes = 0.3 + 0.01 * torch.arange(16.0).expand(1, 3, 12, 16)
    flat = torch.full_like(codes, 0.3)
    weights = LossWeights(**{**vars(NOTHING), "sobel": 50.0})
    loss = restoration_loss(to_light(codes), to_light(flat), weights)
    torch.testing.assert_close(loss, torch.tensor([50 * 8 * 0.01]), rtol=1e-3, atol=0)


def test_the_dark_channel_of_a_constant_is_its_darkest_colour() -> None:
    pictures = torch.tensor([0.5, 0.2, 0.9]).view(1, 3, 1, 1).expand(1, 3, 20, 24)
    assert torch.equal(dark_channel(pictures), torch.full((1, 1, 20, 24), 0.2))


def test_a_dark_pixel_darkens_the_square_of_15_around_it() -> None:
    pictures = torch.ones(1, 3, 30, 40)
    pictures[0, 1, 3, 20] = 0.25
    dark = dark_channel(pictures)[0, 0]
    assert (dark[:11, 13:28] == 0.25).all()  # 7 px each way, cut at the picture's edge
    assert int((dark == 0.25).sum()) == 11 * 15


def test_the_dark_term_is_the_mean_square_of_the_channels_difference() -> None:
    made, true = torch.full((1, 3, 20, 20), 0.6), torch.full((1, 3, 20, 20), 0.5)
    weights = LossWeights(**{**vars(NOTHING), "dark": 250.0})
    loss = restoration_loss(to_light(made), to_light(true), weights)
    torch.testing.assert_close(loss, torch.tensor([250 * 0.1**2]), rtol=1e-3, atol=0)


def test_earlier_pictures_cost_their_mean_absolute_difference() -> None:
    made, true = torch.full((2, 3, 8, 8), 0.6), torch.full((2, 3, 8, 8), 0.5)
    weights = LossWeights(**{**vars(NOTHING), "denoised": 50.0})
    loss = earlier_loss(to_light(made), to_light(true), weights)
    torch.testing.assert_close(loss, torch.full((2,), 5.0), rtol=1e-3, atol=0)
