from collections.abc import Callable, Iterable, Iterator

import pytest
import torch

from burstfix.io.photos import Photo
from burstfix.train.evaluate_singles import INPUT, below_input
from burstfix.train.evaluate_videos import (
    LENGTH,
    VideoConditions,
    evaluate_videos,
    film_figures,
    made_films,
)
from burstfix.train.fixed_videos import fixed_films
from burstfix.train.validate import psnr

CROP = 32
SOME = VideoConditions(cases=("small shake",), noises=("low",), count=1, crop=CROP)


def flickering(frames: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
    for number, light in enumerate(frames):
        yield light * (0.5 if number % 2 else 1.0)


def test_flicker_is_the_change_of_the_error_from_frame_to_frame() -> None:
    truth = torch.full((4, 3, 16, 16), 1.0)
    white, black = torch.ones(3, 16, 16), torch.zeros(3, 16, 16)
    steady = film_figures([black] * 4, truth)
    assert steady.flicker == 0
    assert steady.psnr == pytest.approx(0, abs=1e-3)
    assert film_figures([white, black, white, black], truth).flicker == pytest.approx(255, abs=0.1)


def test_every_frame_has_its_truth_where_it_is_centred(
    make_photos: Callable[[int], list[Photo]],
) -> None:
    (films,) = made_films(make_photos(2), SOME)
    (plain,) = fixed_films(make_photos(2), length=LENGTH, count=1, crop=CROP, **names())
    clips, truths = films.clips, films.clips.truths
    assert truths is not None
    assert torch.equal(clips.frames, plain.clips.frames)  # truths change no draw
    assert plain.clips.truths is None
    torch.testing.assert_close(truths[:, 0], clips.truth, atol=1e-3, rtol=0)
    inner = slice(films.settings.guard, films.settings.guard + CROP)
    frames = clips.frames[0, :, :, inner, inner]
    own = psnr(frames, truths[0])
    assert float(own.min()) > 18
    shifted = psnr(frames, truths[0].roll(4, dims=-1))
    assert bool((own > shifted + 1).all())


def names() -> dict[str, tuple[str, ...]]:
    return {"cases": SOME.cases, "noises": SOME.noises}


def test_methods_are_scored_beside_the_input_on_films_in_their_order(
    make_photos: Callable[[int], list[Photo]],
) -> None:
    given: list[list[torch.Tensor]] = []

    def same(frames: Iterable[torch.Tensor]) -> Iterable[torch.Tensor]:
        given.append(list(frames))
        return given[-1]

    scores = evaluate_videos({"same": same, "flickering": flickering}, make_photos(2), SOME)
    assert [score.method for score in scores] == [INPUT, "same", "flickering"]
    assert scores[0].psnr == scores[1].psnr
    assert scores[2].flicker > scores[0].flicker + 5
    assert {name: len(below) for name, below in below_input(scores).items()} == {
        "same": 0,
        "flickering": 1,
    }
    (films,) = made_films(make_photos(2), SOME)
    assert torch.equal(given[0][LENGTH // 2], films.clips.frames[0, 0])  # the middle one
    assert torch.equal(given[0][0], films.clips.frames[0, 1])
