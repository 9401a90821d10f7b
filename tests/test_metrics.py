"""The metrics agree with scikit-image, and the shift is found."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from burstfix.metrics import corner_error, psnr, shift_compensated_psnr, ssim


def pair(seed: int, height: int = 47, width: int = 61) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    truth = torch.rand(3, height, width, generator=generator)
    noise = torch.randn(3, height, width, generator=generator)
    return truth + 0.05 * (seed + 1) * noise, truth


@pytest.mark.parametrize("seed", range(4))
def test_psnr_is_that_of_scikit_image(seed: int) -> None:
    picture, truth = pair(seed)
    expected = peak_signal_noise_ratio(truth.numpy(), picture.numpy(), data_range=1)
    assert float(psnr(picture, truth)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_ssim_is_that_of_scikit_image(seed: int) -> None:
    picture, truth = pair(seed)
    _, expected = structural_similarity(
        truth.numpy().astype(np.float64),
        picture.numpy().astype(np.float64),
        data_range=1,
        channel_axis=0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    inside = expected[:, 5:-5, 5:-5].mean()
    assert float(ssim(picture, truth)) == pytest.approx(inside, abs=1e-6)


def test_equal_pictures_are_perfect() -> None:
    _, truth = pair(0)
    assert psnr(truth, truth) == torch.inf
    torch.testing.assert_close(ssim(truth, truth), torch.tensor(1.0))


def test_a_batch_has_one_value_each() -> None:
    pictures, truths = (torch.stack(parts) for parts in zip(pair(0), pair(1), strict=True))
    for metric in (psnr, ssim, shift_compensated_psnr):
        values = metric(pictures[:, None], truths[:, None])
        assert values.shape == (2, 1)
        torch.testing.assert_close(values[1, 0], metric(pictures[1], truths[1]))


@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.0, -2.0), (0.4, 0.3), (-2.6, 3.7)])
def test_a_global_shift_is_compensated(shift: tuple[float, float]) -> None:
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(120.0), indexing="ij")

    def scene(down: float, right: float) -> Tensor:
        wave = 0.5 + 0.2 * torch.sin((y + down) / 5 + 1) + 0.2 * torch.cos((x + right) / 7)
        return torch.stack([wave, wave * (0.5 + (x + right) / 300), 1 - wave])

    assert shift_compensated_psnr(scene(*shift), scene(0, 0)) > 55


def test_compensation_never_lowers_the_psnr_of_the_same_part() -> None:
    picture, truth = pair(1)
    inside = psnr(picture[:, 8:-8, 8:-8], truth[:, 8:-8, 8:-8])
    assert shift_compensated_psnr(picture, truth) >= inside - 1e-4


def test_a_blur_is_not_compensated() -> None:
    _, truth = pair(0)
    blurred = F.avg_pool2d(F.pad(truth, (2, 2, 2, 2), mode="reflect"), 5, stride=1)
    assert shift_compensated_psnr(blurred, truth) < 20


def test_a_shift_moves_every_corner_by_its_length() -> None:
    truth = torch.eye(3)
    estimate = torch.eye(3)
    estimate[:2, 2] = torch.tensor([3.0, 4.0])
    assert float(corner_error(estimate, truth, (100, 200))) == pytest.approx(5)


def test_the_scale_of_a_homography_does_not_matter() -> None:
    truth = torch.tensor([[1.01, 0.02, 5], [-0.02, 0.99, -3], [1e-5, -2e-5, 1]])
    error = corner_error(torch.stack([truth * 2, truth]), truth, (100, 200))
    torch.testing.assert_close(error, torch.zeros(2, dtype=torch.float64), atol=1e-4, rtol=0)
