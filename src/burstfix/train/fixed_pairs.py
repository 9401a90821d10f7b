"""Fixed pairs of a noisy and a blurry exposure, on which networks are compared."""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Literal

import torch

from burstfix.io.photos import Photo
from burstfix.synth.pair import PairSettings, synthesize_pairs
from burstfix.synth.render_pair import LIGHT, PAIR_BLUR, PAIR_NOISE
from burstfix.train.data import stack_light
from burstfix.train.validate import FixedBurst, on_device, rank

PairCase = Literal["plain", "moving", "stranger"]
PAIR_CASES: tuple[PairCase, ...] = ("plain", "moving", "stranger")


def fixed_pairs(
    photos: Sequence[Photo],
    *,
    device: torch.device,
    count: int = 3,
    crop: int = 128,
    noises: Sequence[str] = tuple(PAIR_NOISE),
    blurs: Sequence[str] = tuple(PAIR_BLUR),
    case: PairCase = "plain",
) -> Iterator[FixedBurst]:
    """Make the pairs that every network is measured on: the same at every call.

    Raw pairs whose short frame got an eighth of the light, aligned as well as a sharp and a
    shaken frame can be.

    Args:
        photos: to degrade; those that are nearly flat are left out where others suffice.
        device: where the pairs shall lie; they are drawn on the CPU, so are the same anywhere.
        count: pairs for each noise level and blur.
        crop: side of the frames [px].
        noises: names in `PAIR_NOISE`.
        blurs: names in `PAIR_BLUR`.
        case: plain; or things move over the scene; or the long frame shows another scene.

    Yields:
        The pairs of one noise level and blur.
    """
    ordered = rank(photos, count + 1)
    for index, (noise, blur) in enumerate(product(PAIR_NOISE, PAIR_BLUR)):
        if noise not in noises or blur not in blurs:
            continue
        chosen = [ordered[(index * count + n) % len(ordered)] for n in range(count)]
        if case == "stranger" and count == 1:  # somebody must lend the other scene
            chosen.append(ordered[(index + 1) % len(ordered)])
        settings = plain_pairs(noise, blur, crop, case)
        generator = torch.Generator().manual_seed(2000 + index)
        pairs = synthesize_pairs(stack_light(chosen), settings, generator)
        yield FixedBurst(
            noise=noise, blur=blur, length=2, case=case, burst=on_device(pairs, device)
        )


def plain_pairs(noise: str, blur: str, crop: int, case: PairCase = "plain") -> PairSettings:
    """Return settings with shake and noise and little else."""
    return PairSettings(
        crop=crop,
        noise=(PAIR_NOISE[noise], PAIR_NOISE[noise]),
        light=(LIGHT, LIGHT),
        amplified_share=0,
        unknown_gain_share=0,
        extent=PAIR_BLUR[blur],
        exposure_s=(0.05, 0.25),
        moments=(6, 28),
        centroid_miss=0.03,
        stranger_share=float(case == "stranger"),
        depth_share=0,
        moving_share=float(case == "moving"),
        streak=(8, 20),
        leftover_px=0.3,
        parallax_px=0,
        edge_share=0,
        highlight_share=0,
        brightness_ev=(-0.5, 0),
        gain_error=0,
        white_balance=(1, 1),
        shot_part=(0.5, 0.5),
        unknown_noise_share=0,
        correlated_share=0,
        full_colour_share=0,
        pedestal=(1, 1),
        hot_share=0,
        jpeg_share=0,
    )
