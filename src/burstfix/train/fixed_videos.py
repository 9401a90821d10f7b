"""Fixed clips of films, on which networks are compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch

from burstfix.backends.base import Alignment
from burstfix.io.photos import Photo
from burstfix.synth.plan import Range
from burstfix.synth.render_video import VIDEO_BLUR
from burstfix.synth.render_video import VIDEO_NOISE as _NOISES
from burstfix.synth.video import FilmedClips, VideoSettings, film_clips, in_order
from burstfix.train.clips import align_clips
from burstfix.train.data import stack_light
from burstfix.train.validate import FixedBurst, on_device, rank

VIDEO_NOISE = {name: _NOISES[name] for name in ("low", "high")}


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
    "small shake": VideoCase(extent=VIDEO_BLUR["small"]),
    "large shake": VideoCase(extent=VIDEO_BLUR["large"]),
    "moving": VideoCase(extent=(0.5, 2), moving=True),
}


@dataclass(frozen=True, kw_only=True)
class FixedFilms:
    """Films of one kind.

    Args:
        noise: name of the noise level.
        case: what befalls them, in a word.
        settings: likewise, in figures.
        clips: the frames, not aligned, and their truth.
    """

    noise: str
    case: str
    settings: VideoSettings
    clips: FilmedClips

    @property
    def order(self) -> list[int]:
        """Where the frames of each film stand among the clips' frames."""
        places = in_order(self.clips.frames.shape[1])
        return [places.index(number) for number in range(len(places))]


def fixed_films(
    photos: Sequence[Photo],
    *,
    alignment: Alignment = "flow",
    length: int = 5,
    count: int = 3,
    crop: int = 128,
    noises: Sequence[str] = tuple(VIDEO_NOISE),
    cases: Sequence[str] = tuple(VIDEO_CASES),
    every_truth: bool = False,
) -> Iterator[FixedFilms]:
    """Make the films that every network is measured on: the same at every call.

    Args:
        photos: to film; those that are nearly flat are left out where others suffice.
        alignment: how neighbours will be brought to the frame's geometry.
        length: frames of each film.
        count: films for each case and noise level.
        crop: side of the frames [px].
        noises: names in `VIDEO_NOISE`.
        cases: names in `VIDEO_CASES`.
        every_truth: whether to render what every frame should show, not the middle one alone.

    Yields:
        The films of one case and noise level, on the CPU.
    """
    ordered = rank(photos, count)
    for index, (case, noise) in enumerate(product(VIDEO_CASES, VIDEO_NOISE)):
        if case not in cases or noise not in noises:
            continue
        chosen = [ordered[(index * count + n) % len(ordered)] for n in range(count)]
        settings = plain_videos(case, noise, crop, alignment)
        generator = torch.Generator().manual_seed(4000 + index)
        light = stack_light(chosen)
        clips = film_clips(light, settings, generator, length, every_truth=every_truth)
        yield FixedFilms(noise=noise, case=case, settings=settings, clips=clips)


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
    """Align the films of `fixed_films`, for networks to restore the middle frames.

    Args:
        photos: as `fixed_films` takes them, and likewise all others.
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
    for films in fixed_films(
        photos,
        alignment=alignment,
        length=length,
        count=count,
        crop=crop,
        noises=noises,
        cases=cases,
    ):
        burst = on_device(align_clips(films.clips, films.settings), device)
        yield FixedBurst(
            noise=films.noise, blur=films.case, length=length, case=films.case, burst=burst
        )


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
