"""Frames blurred again by their flow are what the camera saw."""

from dataclasses import replace
from typing import get_args

import cv2
import numpy as np
import pytest
import torch

from burstfix.metrics import psnr
from burstfix.synth.film import FilmSettings, film
from burstfix.synth.reblur import RANGE, BlurModel, kernel_table, reblur, segment_kernels
from burstfix.synth.sequence import Film

SIDE, MARGIN, EDGE = 112, 20, 12
MODELS: tuple[BlurModel, ...] = get_args(BlurModel)


def kernel_of(u: float, v: float) -> torch.Tensor:
    segment = torch.tensor([float(u), float(v)]).view(1, 2, 1, 1)
    return segment_kernels(segment)[0, :, :, 0, 0]


@pytest.mark.parametrize(("u", "v"), [(0, 0), (7, 0), (0, -16), (5, 3), (-16, 11), (-2, -9)])
def test_kernels_are_rasterised_lines(u: int, v: int) -> None:
    kernel = kernel_of(u, v).numpy()
    line = np.zeros((2 * RANGE + 1, 2 * RANGE + 1), np.uint8)
    cv2.line(line, (RANGE, RANGE), (RANGE + u, RANGE + v), 1)
    near = cv2.dilate(line, np.ones((3, 3), np.uint8)) > 0
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert (kernel >= 0).all()
    assert kernel[~near].max(initial=0) == 0
    y, x = np.mgrid[-RANGE : RANGE + 1, -RANGE : RANGE + 1]
    assert (kernel * x).sum() == pytest.approx(u / 2, abs=1e-4)
    assert (kernel * y).sum() == pytest.approx(v / 2, abs=1e-4)


@pytest.mark.parametrize(("u", "v"), [(7, 0), (0, -16), (5, 3), (-16, 11), (-2, -9)])
def test_each_step_along_a_kernel_weighs_the_same(u: int, v: int) -> None:
    along, axis = (u, 0) if abs(u) >= abs(v) else (v, 1)
    profile = kernel_of(u, v).sum(dim=axis)
    sign = 1 if along > 0 else -1
    inside = profile[[RANGE + sign * step for step in range(1, abs(along))]]
    torch.testing.assert_close(inside, torch.full_like(inside, 1 / abs(along)), atol=2e-3, rtol=0)


def test_kernels_between_whole_flows_mix_the_four_around() -> None:
    mixed = 0.75 * (0.5 * kernel_of(3, 2) + 0.5 * kernel_of(4, 2)) + 0.25 * (
        0.5 * kernel_of(3, 3) + 0.5 * kernel_of(4, 3)
    )
    torch.testing.assert_close(kernel_of(3.5, 2.25), mixed, atol=1e-6, rtol=0)


def test_flows_beyond_the_table_are_cut_to_its_range() -> None:
    torch.testing.assert_close(kernel_of(40, -23), kernel_of(RANGE, -RANGE))
    assert kernel_table().shape == (33, 33, 33, 33)


@pytest.mark.parametrize("model", MODELS)
def test_the_gradient_is_that_of_finite_differences(model: BlurModel) -> None:
    generator = torch.Generator().manual_seed(1)
    sharp = torch.rand(1, 3, 7, 6, generator=generator, dtype=torch.float64)
    # Away from whole numbers, where interpolation has kinks.
    whole = torch.randint(-2, 2, (2, 1, 2, 7, 6), generator=generator).double()
    flows = whole + 0.2 + 0.6 * torch.rand(whole.shape, generator=generator, dtype=torch.float64)
    sharp.requires_grad_()
    later, earlier = (flow.clone().requires_grad_() for flow in flows)

    def blurred(*given: torch.Tensor) -> torch.Tensor:
        return reblur(*given, exposure_cycle=1.0, model=model)

    assert torch.autograd.gradcheck(blurred, (sharp, later, earlier), eps=1e-6, atol=1e-6)


def filmed(*, layers: bool, extent: float = 9.0) -> Film:
    """Film frames of which moments 0 to 16 lie between the middles of two others."""
    generator = torch.Generator().manual_seed(3)
    seeds = torch.rand(3, 3, 24, 24, generator=generator)
    scenes = torch.nn.functional.interpolate(seeds, size=(SIDE, SIDE), mode="bicubic").clamp(0, 1)
    share = 1.0 if layers else 0.0
    return film(
        scenes,
        scenes.flip(0),
        times=torch.arange(-16, 17.0),
        frames_per_s=torch.full((3,), 2400.0),  # so quick that ways are nearly straight
        exposed=range(8, 25),
        extent=torch.full((3,), extent),
        margin=MARGIN,
        settings=FilmSettings(depth_share=share, moving_share=share, streak=(4.0, 6.0)),
        generator=generator,
    )


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("layers", [False, True])
def test_true_flow_makes_the_true_blur(model: BlurModel, layers: bool) -> None:
    sequence = filmed(layers=layers)
    here, later, earlier = 16, 32, 0  # a frame is exposed for half of its interval
    truth = sequence.average(range(8, 25))
    rest = torch.zeros_like(sequence.path)  # sharp frames lie at their blur's centroid
    rest[:, here] = sequence.path[:, here] - sequence.path[:, 8:25].mean(dim=1)
    sharp = replace(sequence, rest=rest).frame(here)
    flows = [sequence.flow(other, here).permute(0, 3, 1, 2) for other in (later, earlier)]
    three = reblur(sharp, *flows, exposure_cycle=0.5, model=model)
    two = reblur(sharp, flows[0], exposure_cycle=0.5, model=model)
    inner = (..., slice(EDGE, -EDGE), slice(EDGE, -EDGE))
    plain, by_three, by_two = (
        float(psnr(picture[inner], truth[inner]).mean()) for picture in (sharp, three, two)
    )
    assert by_three > (32 if layers else 37)
    assert by_three > plain + 6
    assert by_three > by_two
