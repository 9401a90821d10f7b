"""Fixed single frames, shaken, soft, noisy or clean, on which networks are compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch

from burstfix.io.photos import Photo
from burstfix.synth.plan import Range
from burstfix.synth.render_single import SINGLE_BLUR, SINGLE_NOISE
from burstfix.synth.single import Kind, SingleSettings, synthesize_singles
from burstfix.train.data import stack_light
from burstfix.train.validate import FixedBurst, on_device, rank


@dataclass(frozen=True, kw_only=True)
class SingleCase:
    """What befalls the frames of a case.

    Args:
        kind: how they are blurred.
        extent: of the blur [px].
        moving: whether a thing moves over every scene.
        noises: names of the noise levels it is measured at.
    """

    kind: Kind = "film"
    extent: Range = SINGLE_BLUR["none"]
    moving: bool = False
    noises: tuple[str, ...] = ("low", "high")


SINGLE_CASES = {
    "small shake": SingleCase(extent=SINGLE_BLUR["small"]),
    "large shake": SingleCase(extent=SINGLE_BLUR["large"]),
    "moving": SingleCase(moving=True),
    "defocus": SingleCase(kind="defocus", extent=(8, 20)),
    "noise": SingleCase(kind="noisy"),
    "clean": SingleCase(kind="clean", noises=("none",)),
}


def fixed_singles(
    photos: Sequence[Photo],
    *,
    device: torch.device,
    count: int = 3,
    crop: int = 128,
    noises: Sequence[str] = tuple(SINGLE_NOISE),
    cases: Sequence[str] = tuple(SINGLE_CASES),
) -> Iterator[FixedBurst]:
    """Make the frames that every network is measured on: the same at every call.

    Raw frames with blur and noise and little else, but clean ones, which are JPEGs: as
    photographs are that nothing is wrong with.

    Args:
        photos: to degrade; those that are nearly flat are left out where others suffice.
        device: where the frames shall lie; they are drawn on the CPU, so are the same anywhere.
        count: frames for each case and noise level.
        crop: side of the frames [px].
        noises: names in `SINGLE_NOISE`; a case is made at those of its own.
        cases: names in `SINGLE_CASES`.

    Yields:
        The frames of one case and noise level.
    """
    ordered = rank(photos, count)
    for index, (name, noise) in enumerate(product(SINGLE_CASES, SINGLE_NOISE)):
        if name not in cases or noise not in noises or noise not in SINGLE_CASES[name].noises:
            continue
        chosen = [ordered[(index * count + n) % len(ordered)] for n in range(count)]
        settings = plain_singles(name, noise, crop)
        generator = torch.Generator().manual_seed(3000 + index)
        frames = synthesize_singles(stack_light(chosen), settings, generator)
        yield FixedBurst(
            noise=noise, blur=name, length=1, case=name, burst=on_device(frames, device)
        )


def plain_singles(name: str, noise: str, crop: int) -> SingleSettings:
    """Return settings of a case with its blur, noise and little else."""
    case, deviation = SINGLE_CASES[name], SINGLE_NOISE[noise]
    return SingleSettings(
        crop=crop,
        kinds=(case.kind,),
        noise=(deviation, deviation),
        extent=case.extent,
        moments=(7, 29),
        rotating_share=0,
        permutes=False,
        saturation=(1, 1),
        focal=(3000, 3000),  # so long that shake is nearly the same all over a crop
        off_axis=0,
        translation=(0, 0),
        depth_share=0,
        moving_share=float(case.moving),
        streak=(8, 20),
        highlight_share=0,
        brightness_ev=(-0.5, 0),
        white_balance=(1, 1),
        shot_part=(0.5, 0.5),
        unknown_noise_share=0,
        correlated_share=0,
        full_colour_share=0,
        pedestal=(1, 1),
        hot_share=0,
        jpeg_share=float(case.kind == "clean"),
        quality=(90, 98),
    )
