"""Fixed degraded bursts, on which networks are compared."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import torch
from torch import Tensor

from burstfix import color, metrics
from burstfix.io.photos import Photo
from burstfix.synth.burst import SyntheticBurst, synthesize
from burstfix.synth.plan import BurstSettings, Range
from burstfix.train.data import stack_light

Blur = Literal["easy", "mixed", "hard"]
Case = Literal["plain", "ruined", "moving"]
CASES: tuple[Case, ...] = ("plain", "ruined", "moving")
Restore = Callable[[Tensor, Tensor, Tensor], Tensor]

NOISE = {"low": 0.01, "medium": 0.03, "high": 0.10}  # deviation at middle grey
LEAST_DETAIL = 3.0  # flatter photographs tell nothing
BLUR: dict[Blur, Range] = {"easy": (3.0, 9.0), "mixed": (3.0, 25.0), "hard": (9.0, 25.0)}


@dataclass(frozen=True, kw_only=True)
class FixedBurst:
    """Bursts of one kind.

    Args:
        noise: name of the noise level.
        blur: name of the blur.
        length: frames of each burst.
        case: plain; or what else befalls every burst, in a word.
        burst: the frames and their truth.
    """

    noise: str
    blur: str
    length: int
    case: str
    burst: SyntheticBurst

    def first(self, length: int) -> "FixedBurst":
        """Return the first frames alone: the same reference, the same truth."""
        burst = self.burst
        shorter = replace(
            burst,
            frames=burst.frames[:, :length],
            seen=burst.seen[:, :length],
            descriptor=burst.descriptor[:, :length],
            psfs=burst.psfs[:, :length],
            source_from_reference=burst.source_from_reference[:, :length],
        )
        return replace(self, length=length, burst=shorter)


def fixed_bursts(
    photos: Sequence[Photo],
    *,
    device: torch.device,
    length: int = 8,
    count: int = 3,
    crop: int = 128,
    noises: Sequence[str] = tuple(NOISE),
    blurs: Sequence[Blur] = tuple(BLUR),
    case: Case = "plain",
) -> Iterator[FixedBurst]:
    """Make the bursts that every network is measured on: the same at every call.

    Raw bursts with nothing but blur, noise on the Bayer mosaic, and what a good alignment leaves
    over. The reference is the frame with the least shake, and each frame after it is shaken more.

    Args:
        photos: to degrade; those that are nearly flat are left out where others suffice.
        device: where the bursts shall lie; they are drawn on the CPU, so are the same anywhere.
        length: frames of each burst.
        count: bursts for each noise level and blur.
        crop: side of the frames [px].
        noises: names in `NOISE`.
        blurs: names in `BLUR`.
        case: what else befalls every burst.

    Yields:
        The bursts of one noise level and blur; drawn when asked for, since all fill memory.
    """
    ordered = rank(photos, count)
    # Counted over all kinds: a kind's bursts do not depend on which others are asked for.
    for index, (noise, blur) in enumerate(product(NOISE, BLUR)):
        if noise not in noises or blur not in blurs:
            continue
        settings = replace(
            plain_settings(noise, blur, crop),
            ruined_share=float(case == "ruined"),
            moving_share=float(case == "moving"),
        )
        chosen = [ordered[(index * count + n) % len(ordered)] for n in range(count)]
        generator = torch.Generator().manual_seed(1000 + index)
        burst = on_device(synthesize(stack_light(chosen), settings, generator, length), device)
        yield FixedBurst(noise=noise, blur=blur, length=length, case=case, burst=burst)


def rank(photos: Sequence[Photo], count: int) -> list[Photo]:
    """Leave out what is nearly flat, where enough is left, and shuffle."""
    ordered = sorted(photos, key=lambda photo: (photo.detail < LEAST_DETAIL, photo.name))
    enough = sum(photo.detail >= LEAST_DETAIL for photo in photos)
    ordered = ordered[: max(enough, count)]
    random.Random(0).shuffle(ordered)
    return ordered


def plain_settings(noise: str, blur: Blur, crop: int) -> BurstSettings:
    """Return settings with blur and noise and little else."""
    return BurstSettings(
        crop=crop,
        sharp_share=0,
        hard_share=1,
        lucky_share=0,
        hard_extent=BLUR[blur],
        reference_sharpest_share=1,
        disc_share=0,
        rotating_share=0,
        leftover_px=0.3,
        parallax_px=0,
        moving_share=0,
        ruined_share=0,
        edge_share=0,
        highlight_share=0,
        brightness_ev=(-0.5, 0),
        bracket_share=0,
        exposure_ev=0,
        gain_error=0,
        white_balance=(1, 1),
        noise=(NOISE[noise], NOISE[noise]),
        shot_part=(0.5, 0.5),
        unknown_noise_share=0,
        correlated_share=0,
        full_colour_share=0,
        pedestal=(1, 1),
        hot_share=0,
        jpeg_share=0,
    )


def mean_psnr(restore: Restore, bursts: Sequence[FixedBurst]) -> float:
    """Return the mean PSNR over bursts [dB], on what is display-coded and clipped."""
    if not bursts:
        return float("nan")
    return float(torch.cat([psnrs(restore, fixed.burst) for fixed in bursts]).mean())


def psnrs(restore: Restore, burst: SyntheticBurst) -> Tensor:
    """Return the PSNR of each restored burst [dB]; (N,)."""
    with torch.no_grad():
        output = restore(burst.frames, burst.seen, burst.descriptor)
    return psnr(output, burst.truth)


def psnr(output: Tensor, truth: Tensor) -> Tensor:
    """Compare linear light (N, 3, H, W) as displayed; (N,) dB."""
    return metrics.psnr(to_codes(output), to_codes(truth))


def to_codes(light: Tensor) -> Tensor:
    """Code linear light as it is displayed: clipped, sRGB; any shape."""
    return color.encode(light.float().clamp(0, 1), color.SRGB)


def on_device(burst: SyntheticBurst, device: torch.device) -> SyntheticBurst:
    """Move a burst to a device."""
    return SyntheticBurst(**{name: part.to(device) for name, part in vars(burst).items()})
