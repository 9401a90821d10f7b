import pytest
import torch
import torch.nn.functional as F

from burstfix.errors import InputError
from burstfix.metrics import psnr
from burstfix.synth.render import BLACK_LEVEL_DN, WHITE_LEVEL_DN
from burstfix.synth.render_single import SINGLE_NOISE, RenderedSingle, render_single


def photo(side: int = 220) -> torch.Tensor:
    seeds = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(1))
    return 0.1 + 0.7 * F.interpolate(seeds, size=(side, side), mode="bicubic")[0].clamp(0, 1)


def deviation(rendered: RenderedSingle) -> float:
    return float((rendered.linear() - rendered.truth()).std())


def test_without_shake_and_noise_the_frame_is_the_truth() -> None:
    rendered = render_single(photo(), noise=1e-6, blur="none")
    assert float(psnr(rendered.linear()[None], rendered.truth()[None])) > 38
    assert len(rendered.way()) >= 7


def test_noise_has_the_deviation_of_its_name_and_more_shake_differs_more() -> None:
    still = render_single(photo(), noise=0.0, blur="none")
    noisy = render_single(photo(), noise="high", blur="none")
    noise = noisy.linear() - still.linear()
    assert 0.8 * SINGLE_NOISE["high"] < float(noise.std()) < 2.5 * SINGLE_NOISE["high"]
    small, large = (render_single(photo(), noise=0.0, blur=blur) for blur in ("small", "large"))
    assert deviation(still) < deviation(small) < deviation(large)
    assert 4 <= small.extent_px <= 9


def test_the_middle_of_the_picture_is_centred_on_the_truth() -> None:
    rendered = render_single(photo(), blur="large", seed=3)
    assert float(rendered.way().mean(dim=0).abs().max()) < 1e-3
    spread = torch.cdist(rendered.way(), rendered.way()).max()
    assert float(spread) == pytest.approx(rendered.extent_px, rel=0.1)


def test_the_same_seed_gives_the_same_frame_and_its_mosaic_is_14_bits() -> None:
    first, same, other = (render_single(photo(), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.mosaic(), same.mosaic())
    assert not torch.equal(first.mosaic(), other.mosaic())
    levels = first.mosaic().int()
    assert int(levels.max()) <= WHITE_LEVEL_DN
    assert int(levels.float().mean()) > BLACK_LEVEL_DN


def test_a_photograph_too_small_for_its_shake_is_refused() -> None:
    with pytest.raises(InputError, match="too small"):
        render_single(photo(120), blur="large")
