"""From light to what a reader finds in the files: sensor, camera, JPEG, for a planned batch."""

import torch
from torch import Tensor

from burstfix import color
from burstfix.synth import camera, sensor
from burstfix.synth.motion import inverse
from burstfix.synth.plan import CameraSettings, Choices, Plan

_QUIET = 1.5 / 255  # deviation of codes: of frames below it cameras leave the colours alone


def record(
    light: Tensor, settings: CameraSettings, plan: Plan, generator: torch.Generator
) -> Tensor:
    """Pass light through sensor and camera; linear light as read from the files."""
    count, frames = plan.extent.shape
    balance = plan.white_balance.view(count, 1, 3, 1, 1)
    if settings.mixed_share > 0:
        light = _mixed(light, plan.mixing)
    exposed = light * (plan.exposure_ev.exp2().view(count, frames, 1, 1, 1) / balance)
    bayer = sensor.mosaic(exposed.flatten(0, 1))
    bayer = sensor.add_noise(bayer, plan.shot.flatten(), plan.read.flatten(), generator)
    for n, choice in enumerate(plan.choices):
        if choice.hot:
            own = slice(n * frames, (n + 1) * frames)
            bayer[own] = sensor.add_hot_pixels(bayer[own], settings.hot_pixels, generator)
    lowest = torch.tensor([-choice.pedestal for choice in plan.choices], device=light.device)
    lowest = lowest.view(count, 1, 1, 1, 1)
    bayer = bayer.view(count, frames, 1, *bayer.shape[-2:]).clamp_max_(1).maximum(lowest)
    developed = sensor.demosaic(bayer.flatten(0, 1)).view(light.shape)
    for n, choice in enumerate(plan.choices):
        if choice.full_colour:
            white = sensor.add_noise(exposed[n], plan.shot[n], plan.read[n], generator)
            developed[n] = white.clamp_(-choice.pedestal, 1)
    developed *= balance
    if settings.mixed_share > 0:  # every channel clips first: highlights stay neutral
        developed = _mixed(developed.clamp_max_(1), inverse(plan.mixing))
    developed *= plan.drift.view(count, frames, 3, 1, 1)
    for n, choice in enumerate(plan.choices):
        if choice.correlated:
            _add_grain(developed[n], plan.read[n] + 0.18 * plan.shot[n], generator)
    developed.clamp_max_(1)
    for n, choice in enumerate(plan.choices):
        if choice.jpeg:
            developed[n] = _develop_jpeg(developed[n], n, choice, plan)
        elif choice.eight_bit:
            developed[n] = _round_to_srgb(developed[n])
    return developed


def _mixed(light: Tensor, matrices: Tensor) -> Tensor:
    """Make each colour a mixture of all three; (N, F, 3, h, w), (N, 3, 3)."""
    return torch.einsum("nij,nfjhw->nfihw", matrices, light)


def _add_grain(frames: Tensor, variance: Tensor, generator: torch.Generator) -> None:
    """Add noise of unknown processing to a burst in place, about as strong as it has already."""
    shape = (frames.shape[0], frames.shape[1], frames.shape[2], frames.shape[3])
    grain = sensor.correlated_noise(shape, generator)
    split = 0.7 * torch.rand(2, generator=generator, device=generator.device)
    strength = variance.sqrt().view(-1, 1, 1, 1)
    # The factor is relative to middle grey, so that both parts are of one size there.
    factor = (split[1] * strength / 0.18).clamp_max(0.3)
    frames.mul_(1 + factor * grain).add_(split[0] * strength * grain)


def _develop_jpeg(frames: Tensor, n: int, choice: Choices, plan: Plan) -> Tensor:
    """Tone, clean, sharpen and compress a burst, and decode it as sRGB; (F, 3, w, w)."""
    each = (len(frames),)
    deviation = _noise_of_codes(frames, n, plan)
    noise = plan.clean_noise[n] * deviation
    codes = frames.clamp(0, 1).pow_(1 / plan.gamma[n])
    ycc = camera.to_ycc(codes)
    for _ in range(2 if choice.cleans_twice else 1):
        ycc = camera.clean(ycc, plan.clean_luma[n] + noise, plan.clean_chroma[n].expand(each))
    if choice.smooths_chroma:
        share = deviation.square() / (deviation.square() + _QUIET**2)
        ycc = camera.smooth_chroma(ycc, noise, share)
    ycc = camera.sharpen(ycc, plan.sharpen[n].expand(each))
    ycc = camera.quantise(ycc, plan.quality[n].expand(each), subsample=choice.subsample)
    return _decode_srgb(camera.from_ycc(ycc))


def _noise_of_codes(frames: Tensor, n: int, plan: Plan) -> Tensor:
    """Return the noise's deviation in each frame's codes, where it is as light as on average; (F,).

    A camera knows it from its ISO setting, and denoises accordingly.
    """
    light = frames.mean(dim=(1, 2, 3)).clamp(1e-4, 1)
    slope = light.pow(1 / plan.gamma[n] - 1) / plan.gamma[n]
    return slope * (plan.read[n] + plan.shot[n] * light).sqrt()


def _round_to_srgb(frames: Tensor) -> Tensor:
    """Pass linear light through a file of 8-bit sRGB, which knows nothing below black."""
    return _decode_srgb(color.encode(frames.clamp(0, 1), color.SRGB))


def _decode_srgb(codes: Tensor) -> Tensor:
    """Round codes to 8 bits and return their light; (F, 3, w, w)."""
    levels = codes.mul(255).round_().clamp_(0, 255).int()
    table = torch.arange(256, dtype=torch.float32, device=codes.device) / 255
    return color.decode(table, color.SRGB)[levels]
