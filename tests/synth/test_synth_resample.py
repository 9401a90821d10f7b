import math
from collections.abc import Callable

import pytest
import torch

from burstfix.synth.resample import pixel_grid, sample, spline_sample, transform


def wave(points: torch.Tensor) -> torch.Tensor:
    return torch.sin(0.6 * points[..., 0]) * torch.cos(0.5 * points[..., 1]) + 0.5


TURN = torch.tensor(
    [
        [math.cos(0.03), -math.sin(0.03), 2.3],
        [math.sin(0.03), math.cos(0.03), -1.7],
        [1e-5, 2e-5, 1.0],
    ],
    dtype=torch.float64,
)[None]


@pytest.mark.parametrize(("sampler", "error"), [(spline_sample, 1e-3), (sample, 0.04)])
def test_sampling_a_smooth_function_through_a_homography_gives_its_values(
    sampler: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], error: float
) -> None:
    grid = pixel_grid((64, 80))
    image = wave(grid).float()[None, None]
    points = transform(TURN, grid)

    result = sampler(image, points)[0, 0]

    inside = ((points[0] > 12) & (points[0] < 51)).all(-1)
    assert (result - wave(points)[0]).abs()[inside].max() < error


def test_whole_pixels_are_sampled_exactly() -> None:
    image = torch.rand(2, 3, 40, 50, generator=torch.Generator().manual_seed(0))
    points = pixel_grid((20, 30), top=10, left=8).expand(2, -1, -1, -1)

    for result in (spline_sample(image, points), sample(image, points)):
        torch.testing.assert_close(result, image[..., 10:30, 8:38], atol=1e-4, rtol=0)


def test_transforming_back_returns_to_the_points() -> None:
    grid = pixel_grid((5, 7), top=2, left=3)
    there = transform(TURN, grid)
    back = transform(torch.linalg.inv(TURN), there)

    torch.testing.assert_close(back[0], grid)
