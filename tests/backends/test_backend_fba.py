"""Fourier burst accumulation against its formula and its known answers."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from burstfix.backends.base import plain_descriptor
from burstfix.backends.fba import BACKEND, Config
from burstfix.metrics import psnr
from burstfix.tiling import TensorSource, run_whole


def fuse(burst: Tensor, config: Config | None = None) -> Tensor:
    frames = len(burst)
    source = TensorSource(burst, torch.ones(frames, 1, *burst.shape[-2:]))
    return run_whole(
        BACKEND.build(config),
        source,
        descriptor=plain_descriptor(frames),
        device=torch.device("cpu"),
    )


def shares(burst: Tensor, config: Config | None = None) -> Tensor:
    network = BACKEND.build(config)
    seen = torch.ones(1, len(burst), 1, *burst.shape[-2:])
    return network.frame_weights(burst[None], seen, plain_descriptor(len(burst)))[0]


def smooth_scene(height: int, width: int, frames: int = 1, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(frames, 3, height // 3 + 1, width // 3 + 1, generator=generator)
    return F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)


def box_blur(picture: Tensor, side: int) -> Tensor:
    padded = F.pad(picture, (side // 2,) * 4, mode="reflect")
    return F.avg_pool2d(padded, side, stride=1)


def formula(blocks: np.ndarray, p: float, sigma: float) -> np.ndarray:
    """The paper's formula for one block, by whole spectra and direct smoothing."""
    side = blocks.shape[-1]
    spectra = np.fft.fft2(blocks.astype(np.float64))
    magnitude = np.abs(spectra).mean(axis=1)
    frequency = np.minimum(np.arange(side), side - np.arange(side))
    bell = np.exp(-0.5 * (frequency / sigma) ** 2)
    kernel = np.fft.fft2(np.outer(bell, bell) / bell.sum() ** 2)
    smooth = np.real(np.fft.ifft2(np.fft.fft2(magnitude) * kernel))
    weights = (smooth / smooth.max(axis=0)) ** p
    weights /= weights.sum(axis=0)
    return np.real(np.fft.ifft2((weights[:, None] * spectra).sum(axis=0)))


@pytest.mark.parametrize("config", [Config(), Config(block=128, overlap=32), Config(smoothing=200)])
def test_one_block_is_as_the_formula_says(config: Config) -> None:
    network = BACKEND.build(config)
    scene = smooth_scene(config.block, config.block)
    burst = torch.cat([box_blur(scene, side) for side in (1, 5, 9)])
    burst += 0.02 * torch.randn(burst.shape, generator=torch.Generator().manual_seed(1))
    spectra = torch.fft.rfft2(burst[None] * network.window)
    network._accumulate(spectra, network._weights(spectra))
    result = torch.fft.irfft2(spectra[:, 0])[0]
    expected = formula((burst * network.window).numpy(), config.p, config.block / config.smoothing)
    assert np.abs(result.numpy() - expected).max() < 0.01 * np.ptp(expected)
    assert np.sqrt(np.mean((result.numpy() - expected) ** 2)) < 5e-4


def test_exponent_zero_is_the_mean() -> None:
    burst = torch.rand(4, 3, 230, 310, generator=torch.Generator().manual_seed(0))
    fused = fuse(burst, Config(p=0, coded=False))
    torch.testing.assert_close(fused, burst.mean(dim=0), rtol=0, atol=2e-6)


def test_one_frame_comes_out_as_it_is() -> None:
    burst = torch.rand(1, 3, 230, 310, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(fuse(burst), burst[0], rtol=0, atol=2e-6)


def test_a_clipped_highlight_rings_less_when_coded() -> None:
    scene = torch.full((1, 3, 256, 256), 0.02)
    scene[:, :, 120:124, 120:124] = 20.0
    across = F.avg_pool2d(F.pad(scene, (6, 6, 0, 0), mode="reflect"), (1, 13), stride=1)
    down = F.avg_pool2d(F.pad(scene, (0, 0, 6, 6), mode="reflect"), (13, 1), stride=1)
    burst = torch.cat([across, down]).clamp_max(1)
    ringing = {}
    for coded in (False, True):
        around = fuse(burst, Config(coded=coded))
        around[:, 100:144, 100:144] = 0.02
        ringing[coded] = float((around - 0.02).abs().max())
    assert ringing[True] < 0.5 * ringing[False]


def test_constant_frames_stay_constant() -> None:
    burst = torch.full((5, 3, 200, 300), 0.4)
    torch.testing.assert_close(fuse(burst), burst[0], rtol=0, atol=2e-6)


def test_black_frames_stay_black_and_share_evenly() -> None:
    burst = torch.zeros(3, 3, 192, 192)
    assert fuse(burst).abs().max() < 1e-9
    torch.testing.assert_close(shares(burst), torch.full((3,), 1 / 3))


def test_one_sharp_frame_among_blurred_ones_wins() -> None:
    scene = smooth_scene(300, 300)
    blurred = [box_blur(scene, 9) for _ in range(6)]
    burst = torch.cat([*blurred[:3], scene, *blurred[3:]])
    fused = fuse(burst, Config(coded=False))  # where blur only takes magnitude away
    assert psnr(fused, scene[0]) > 35
    assert psnr(fused, scene[0]) > psnr(burst.mean(dim=0), scene[0]) + 10


def test_sharp_frames_of_each_direction_are_joined() -> None:
    scene = smooth_scene(300, 300)
    across = F.avg_pool2d(F.pad(scene, (4, 4, 0, 0), mode="reflect"), (1, 9), stride=1)
    down = F.avg_pool2d(F.pad(scene, (0, 0, 4, 4), mode="reflect"), (9, 1), stride=1)
    fused = fuse(torch.cat([across, down]))
    assert psnr(fused, scene[0]) > max(psnr(across, scene), psnr(down, scene)) + 3


def test_the_sharp_frame_has_the_largest_share() -> None:
    scene = smooth_scene(384, 384)
    share = shares(torch.cat([box_blur(scene, 7), scene, box_blur(scene, 7)]))
    assert share[1] > 0.6
    assert abs(share[0] - share[2]) < 1e-6


def test_noise_is_averaged_where_frames_are_alike() -> None:
    generator = torch.Generator().manual_seed(3)
    noise = 0.1 * torch.randn(8, 3, 384, 384, generator=generator)
    assert fuse(0.5 + noise).std() < 0.1 / np.sqrt(8) * 1.25


def test_the_order_of_frames_does_not_matter() -> None:
    burst = torch.rand(5, 3, 200, 260, generator=torch.Generator().manual_seed(4))
    difference = fuse(burst) - fuse(burst[[3, 1, 4, 0, 2]])
    assert difference.abs().max() < 1e-6


@pytest.mark.parametrize("config", [Config(block=100), Config(overlap=0), Config(overlap=200)])
def test_impossible_blocks_are_refused(config: Config) -> None:
    with pytest.raises(ValueError, match="no such blocks"):
        BACKEND.build(config)
