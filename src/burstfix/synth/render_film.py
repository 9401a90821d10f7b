"""Whole pictures filmed by hand and recorded raw: what rendered pairs and singles share."""

import math

import torch
from torch import Tensor

from burstfix.errors import InputError
from burstfix.synth import sensor
from burstfix.synth.film import FilmSettings, film
from burstfix.synth.plan import Range
from burstfix.synth.render import (
    BLACK_LEVEL_DN,
    LEAST_SIDE,
    MIDDLE_GREY,
    SHOT_PART,
    WHITE_LEVEL_DN,
)
from burstfix.synth.sequence import Film

Balance = tuple[float, float, float]
BALANCE: Balance = (2.0, 1.0, 1.6)  # gains of red, green and blue, as of a camera in daylight


def noise_of(sigma: float) -> tuple[float, float]:
    """Return shot and read noise for a deviation at middle grey: variances, saturation is 1."""
    return SHOT_PART * sigma**2 / MIDDLE_GREY, (1 - SHOT_PART) * sigma**2


def add_noise(light: Tensor, noise: tuple[float, float], seed: int) -> Tensor:
    """Add shot and read noise to light (3 or 1, h, w), not clipped; each seed draws its own."""
    generator = torch.Generator().manual_seed(seed)
    shot, read = (torch.tensor([variance]) for variance in noise)
    return sensor.add_noise(light[None], shot, read, generator)[0]


def raw_mosaic(light: Tensor, noise: tuple[float, float], balance: Balance, seed: int) -> Tensor:
    """Record light as raw data: RGGB mosaic, shot and read noise, 14 bits.

    Args:
        light: linear, in the scene's colours; (3, h, w).
        noise: shot and read noise, variances; saturation is 1.
        balance: gains of red, green, blue that turn the mosaic's colours into the scene's.
        seed: of the noise.

    Returns:
        `BLACK_LEVEL_DN` is black, `WHITE_LEVEL_DN` saturation; (h, w) uint16.
    """
    bayer = sensor.mosaic(light[None] / torch.tensor(balance).view(1, 3, 1, 1))[0]
    coded = add_noise(bayer, noise, seed) * (WHITE_LEVEL_DN - BLACK_LEVEL_DN) + BLACK_LEVEL_DN
    return coded.round_().clamp_(0, WHITE_LEVEL_DN)[0].to(torch.uint16)


def film_picture(
    photo: Tensor,
    *,
    times: Tensor,
    exposed: range,
    frames_per_s: float,
    extent: Tensor,
    blur: Range,
    moving: bool,
    generator: torch.Generator,
) -> Film:
    """Film a photograph by a lens as people use; frames are smaller than the photograph.

    Args:
        photo: linear light; (3, H, W).
        times: of the moments, in frames; (T,).
        exposed: moments of the long exposure.
        frames_per_s: frames a second.
        extent: of the shake over the exposure [px]; (1,).
        blur: the least and largest that it may be: the margin is what the largest brings in.
        moving: whether a thing moves over the scene.
        generator: draws everything.

    Raises:
        InputError: the photograph is too small for such a shake.
    """
    height, width = photo.shape[-2] // 2 * 2, photo.shape[-1] // 2 * 2
    margin = math.ceil(2 * blur[1]) + 8
    if min(height, width) - 2 * margin < LEAST_SIDE:
        raise InputError(
            f"The photograph ({width}x{height} px) is too small: such shake needs a margin of "
            f"{margin} px on every side.",
            "Take a larger photograph, or less shake.",
        )
    side = float(max(height, width))
    scene = photo[None, :, :height, :width]
    return film(
        scene,
        scene.flip(-1),
        times=times,
        frames_per_s=torch.tensor([frames_per_s]),
        exposed=exposed,
        extent=extent,
        margin=margin,
        settings=FilmSettings(
            focal=(0.8 * side, 1.5 * side),
            off_axis=0,
            depth_share=0,
            moving_share=float(moving),
            streak=(max(blur[0], 8), max(blur[1], 8)),
        ),
        generator=generator,
    )


def draw_extent(blur: Range, generator: torch.Generator) -> Tensor:
    """Draw a shake's extent between the least and the largest [px]; (1,)."""
    low, high = blur
    return low + (high - low) * torch.rand(1, generator=generator)
