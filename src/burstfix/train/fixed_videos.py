"""Fixed clips of films, on which networks are compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch

from burstfix.backends.base import Alignment
from burstfix.io.photos import Photo
from burstfix.synth.plan import Range
from burstfix.synth.video import VideoSettings, film_clips
from burstfix.train.clips import align_clips
from burstfix.train.data import stack_light
from burstfix.train.validate import FixedBurst, on_device, rank

VIDEO_NOISE = {"low": 0.005, "high": 0.03}  # deviation at middle grey


@dataclass(frozen=True, kw_only=True)
class VideoCase:
    """What befalls the clips of a case.

    Args:
        extent: of the shake of one of the frames [px].
        moving: whether things move over every scene.
    """

    extent: Range
    moving: bool = False


VIDEO_CASES = {
    "small shake": VideoCase(extent=(2, 6)),
    "large shake": VideoCase(extent=(10, 20)),
    "moving": VideoCase(extent=(0.5, 2), moving=True),
}


def fixed_videos(
    photos: Sequence[Photo],
    *,
    device: torch.device,
    alignment: Alignment = "flow",
    length: int = 5,
    count: int = 3,
    crop: int = 128,
    noises: Sequence[str] = tuple(VIDEO_NOISE),
    cases: Sequence[str] = tuple(VIDEO_CASES),
) -> Iterator[FixedBurst]:
    """Make the clips that every network is measured on: the same at every call.

    Args:
        photos: to film; those that are nearly flat are left out where others suffice.
        device: where the clips shall lie; they are drawn on the CPU, so are the same anywhere.
        alignment: how neighbours are brought to the frame's geometry.
        length: frames of each clip.
        count: clips for each case and noise level.
        crop: side of the frames [px].
        noises: names in `VIDEO_NOISE`.
        cases: names in `VIDEO_CASES`.

    Yields:
        The clips of one case and noise level.
    """
    ordered = rank(photos, count)
    for index, (name, noise) in enumerate(product(VIDEO_CASES, VIDEO_NOISE)):
        if name not in cases or noise not in noises:
            continue
        chosen = [ordered[(index * count + n) % len(ordered)] for n in range(count)]
        settings = plain_videos(name, noise, crop, alignment)
        generator = torch.Generator().manual_seed(4000 + index)
        clips = film_clips(stack_light(chosen), settings, generator, length)
        burst = on_device(align_clips(clips, settings), device)
        yield FixedBurst(noise=noise, blur=name, length=length, case=name, burst=burst)


def plain_videos(name: str, noise: str, crop: int, alignment: Alignment) -> VideoSettings:
    """Return settings of a case with its blur, noise and what every film goes through."""
    case, deviation = VIDEO_CASES[name], VIDEO_NOISE[noise]
    return VideoSettings(
        crop=crop,
        alignment=alignment,
        extent=case.extent,
        duty=(0.5, 0.9),
        interval_s=(1 / 30, 1 / 30),
        coarse_share=0,
        missing_share=0,
        noise=(deviation, deviation),
        focal=(1500, 1500),
        off_axis=0.3,
        depth_share=0.3 if case.moving else 0,
        moving_share=float(case.moving),
        streak=(6, 15),
        highlight_share=0,
        brightness_ev=(-0.5, 0),
        shot_part=(0.5, 0.5),
        correlated_share=0,
        full_colour_share=0,
        hot_share=0,
        jpeg_share=1,
        quality=(85, 95),
        edge_share=0,
    )
