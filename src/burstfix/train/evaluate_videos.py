"""How well films are restored, beside the frames as they are."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from burstfix import metrics
from burstfix.io.photos import Photo
from burstfix.synth.video import VideoSettings
from burstfix.train.data import large_enough
from burstfix.train.evaluate import Score
from burstfix.train.evaluate_singles import INPUT
from burstfix.train.fixed_videos import (
    VIDEO_CASES,
    VIDEO_NOISE,
    FixedFilms,
    fixed_films,
    plain_videos,
)
from burstfix.train.validate import to_codes

RestoreFilm = Callable[[Iterable[Tensor]], Iterable[Tensor]]  # of linear light, (3, H, W) each

LENGTH = 7  # frames of each film, all of which are restored and scored


@dataclass(frozen=True, kw_only=True)
class VideoConditions:
    """What to score on.

    Args:
        cases: names in `VIDEO_CASES`.
        noises: names in `VIDEO_NOISE`.
        count: films for each case and noise level.
        crop: side of the frames [px].
    """

    cases: tuple[str, ...] = tuple(VIDEO_CASES)
    noises: tuple[str, ...] = tuple(VIDEO_NOISE)
    count: int = 4
    crop: int = 256

    def kinds(self) -> int:
        """Count the kinds of films that each method is scored on."""
        return len(self.cases) * len(self.noises)


@dataclass(frozen=True, kw_only=True)
class FilmFigures:
    """How one film was restored: means over its frames.

    Args:
        psnr: on sRGB codes [dB].
        ssim: likewise.
        shifted_psnr: with one shift of each frame allowed [dB].
        flicker: mean absolute change of the error from each frame to the next, in codes of 0
            to 255.
    """

    psnr: float
    ssim: float
    shifted_psnr: float
    flicker: float


@dataclass(frozen=True, kw_only=True)
class FilmScore(Score):
    """How one method did on films of one kind.

    Args:
        flicker: as `FilmFigures.flicker`.
    """

    flicker: float


def evaluate_videos(
    methods: Mapping[str, RestoreFilm],
    photos: Sequence[Photo],
    conditions: VideoConditions,
    *,
    report: Callable[[FilmScore], None] | None = None,
) -> list[FilmScore]:
    """Score methods on fixed films; the frames as they are come along.

    Args:
        methods: what restores a film, by the names to print.
        photos: sharp photographs that no network was trained on.
        conditions: what to film.
        report: called with each score as it is known.

    Returns:
        One score for each method and kind of film.

    Raises:
        InputError: no photograph is large enough.
    """
    scores: list[FilmScore] = []
    for films in made_films(photos, conditions):
        for method, restore in {INPUT: _unchanged, **methods}.items():
            each = [
                film_figures(_cut(restore(frames), films.settings), truths)
                for frames, truths in _each(films)
            ]
            scores.append(_score(method, films, each))
            if report:
                report(scores[-1])
    return scores


def made_films(photos: Sequence[Photo], conditions: VideoConditions) -> Iterator[FixedFilms]:
    """Yield films of each kind, as `fixed_films` makes them; arguments as `evaluate_videos`."""
    case, noise = conditions.cases[0], conditions.noises[0]
    large = large_enough(photos, plain_videos(case, noise, conditions.crop, "flow"))
    return fixed_films(
        large,
        length=LENGTH,
        count=conditions.count,
        crop=conditions.crop,
        noises=conditions.noises,
        cases=conditions.cases,
        every_truth=True,
    )


def film_figures(pictures: Iterable[Tensor], truths: Iterable[Tensor]) -> FilmFigures:
    """Score a film.

    Args:
        pictures: linear light; (3, H, W) each.
        truths: likewise.
    """
    psnrs, ssims, shifted, flickers = list[float](), list[float](), list[float](), list[float]()
    before: Tensor | None = None
    for picture, truth in zip(pictures, truths, strict=True):
        codes, wanted = to_codes(picture)[None], to_codes(truth)[None]
        psnrs.append(float(metrics.psnr(codes, wanted)))
        ssims.append(float(metrics.ssim(codes, wanted)))
        shifted.append(float(metrics.shift_compensated_psnr(codes, wanted)))
        error = codes - wanted
        if before is not None:
            flickers.append(255 * float((error - before).abs().mean()))
        before = error
    return FilmFigures(
        psnr=fmean(psnrs),
        ssim=fmean(ssims),
        shifted_psnr=fmean(shifted),
        flicker=fmean(flickers) if flickers else 0.0,
    )


def _each(films: FixedFilms) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the frames of each film in order, with their surroundings; and their truths."""
    order = torch.tensor(films.order)
    assert films.clips.truths is not None
    yield from zip(films.clips.frames[:, order], films.clips.truths[:, order], strict=True)


def _unchanged(frames: Iterable[Tensor]) -> Iterable[Tensor]:
    return frames


def _cut(frames: Iterable[Tensor], settings: VideoSettings) -> Iterator[Tensor]:
    """Cut frames to where their truth is known."""
    inner = slice(settings.guard, settings.guard + settings.crop)
    for light in frames:
        yield light[:, inner, inner]


def _score(method: str, films: FixedFilms, each: Sequence[FilmFigures]) -> FilmScore:
    return FilmScore(
        method=method,
        case=films.case,
        noise=films.noise,
        blur=films.case,
        length=LENGTH,
        drawn=LENGTH,
        bursts=len(each),
        psnr=fmean(figures.psnr for figures in each),
        ssim=fmean(figures.ssim for figures in each),
        shifted_psnr=fmean(figures.shifted_psnr for figures in each),
        flicker=fmean(figures.flicker for figures in each),
    )
