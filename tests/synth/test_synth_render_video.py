from statistics import fmean

import pytest
import torch
import torch.nn.functional as F

from burstfix.align.flow import find_flow, grey_of
from burstfix.errors import InputError
from burstfix.metrics import psnr
from burstfix.synth.render_video import VIDEO_NOISE, RenderedVideo, render_video


def photo(side: int = 300) -> torch.Tensor:
    seeds = torch.rand(1, 3, 60, 60, generator=torch.Generator().manual_seed(1))
    return 0.1 + 0.7 * F.interpolate(seeds, size=(side, side), mode="bicubic")[0].clamp(0, 1)


def mean_psnr(rendered: RenderedVideo) -> float:
    numbers = range(rendered.frames)
    return fmean(float(psnr(rendered.linear(n)[None], rendered.truth(n)[None])) for n in numbers)


def test_without_shake_and_noise_frames_are_the_truth_and_more_shake_differs_more() -> None:
    still, small, large = (
        render_video(photo(), frames=3, noise=0.0, blur=blur, seed=4)
        for blur in ("none", "small", (8.0, 8.0))
    )
    assert mean_psnr(still) > 38
    assert mean_psnr(still) > mean_psnr(small) + 3
    assert mean_psnr(small) > mean_psnr(large)


def test_frames_are_shaken_as_far_as_asked_on_average_and_not_all_alike() -> None:
    rendered = render_video(photo(), frames=7, blur="small", seed=2)
    extents = rendered.extents_px()
    assert len(extents) == rendered.frames == 7
    assert 2 <= fmean(extents) <= 6
    assert max(extents) > 1.2 * min(extents)


def test_noise_has_the_deviation_of_its_name_and_is_another_in_each_frame() -> None:
    quiet, noisy = (render_video(photo(), frames=2, noise=noise) for noise in (0.0, "high"))
    noise = [noisy.linear(n) - quiet.linear(n) for n in (0, 1)]
    assert 0.8 * VIDEO_NOISE["high"] < float(noise[0].std()) < 2.5 * VIDEO_NOISE["high"]
    assert abs(float(torch.corrcoef(torch.stack([n.flatten() for n in noise]))[0, 1])) < 0.05


def test_a_blurred_frame_lies_where_its_truth_lies() -> None:
    rendered = render_video(photo(), frames=3, noise=0.0, blur="small", seed=4)
    for number in range(3):
        greys = [grey_of(light, 1) for light in (rendered.truth(number), rendered.linear(number))]
        flow = find_flow(*greys)[40:-40, 40:-40]
        assert float(abs(flow.mean(axis=(0, 1))).max()) < 0.5


def test_the_same_seed_gives_the_same_film() -> None:
    first, same, other = (render_video(photo(), frames=2, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.linear(1), same.linear(1))
    assert first.size != other.size or not torch.equal(first.linear(1), other.linear(1))


def test_a_photograph_too_small_for_the_drift_is_refused() -> None:
    with pytest.raises(InputError, match="drifts by up to"):
        render_video(photo(200), frames=40, blur="large")
