from collections.abc import Callable
from contextlib import closing

import pytest
import torch

from burstfix.io.photos import Photo
from burstfix.train.ahead import Batches
from burstfix.train.config import Recipe, Stage
from burstfix.train.data import draw_batch

CPU = torch.device("cpu")
Maker = Callable[[int], list[Photo]]


@pytest.mark.parametrize("ahead", [False, True])
def test_batches_are_those_of_their_seeds_expected_or_not(
    make_photos: Maker, recipe: Recipe, ahead: bool
) -> None:
    photos, stage = make_photos(4), recipe.stages[0]
    with closing(Batches(photos, recipe, CPU, ahead=ahead)) as batches:
        for step, expected in enumerate([(1, 0), (7, 1), (3, 0)]):  # the second is in vain
            batch = batches.draw(step, 0, stage)
            batches.expect(*expected, stage)
            wanted = draw_batch(photos, recipe, stage, seed=(recipe.seed, step, 0), device=CPU)
            for name, part in vars(wanted).items():
                torch.testing.assert_close(
                    getattr(batch, name), part, rtol=0, atol=0, equal_nan=True
                )


def test_what_was_expected_for_another_stage_is_drawn_anew(
    make_photos: Maker, recipe: Recipe
) -> None:
    with closing(Batches(make_photos(4), recipe, CPU, ahead=True)) as batches:
        batches.expect(1, 0, recipe.stages[0])
        assert batches.draw(1, 0, Stage(crop=48, frames=4)).frames.shape[-1] == 48


def test_an_error_of_the_thread_is_raised_where_the_batch_is_asked_for(
    make_photos: Maker, recipe: Recipe
) -> None:
    with closing(Batches(make_photos(4), recipe, CPU, ahead=True)) as batches:
        stage = Stage(crop=512, frames=4)
        batches.expect(1, 0, stage)
        with pytest.raises(ValueError, match="empty range"):
            batches.draw(1, 0, stage)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_stream_of_its_own_changes_no_batch(make_photos: Maker, recipe: Recipe) -> None:
    photos, stage, device = make_photos(4), recipe.stages[0], torch.device("cuda")
    with closing(Batches(photos, recipe, device)) as batches:
        for step in range(4):
            batches.expect(step, 0, stage)
            batch = batches.draw(step, 0, stage)
            wanted = draw_batch(photos, recipe, stage, seed=(recipe.seed, step, 0), device=device)
            torch.testing.assert_close(batch.frames, wanted.frames)
