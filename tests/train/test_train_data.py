import dataclasses
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch

from burstfix.errors import InputError, UsageError
from burstfix.io.photos import Photo
from burstfix.train.config import Recipe, Stage
from burstfix.train.data import draw_batch, held_out, split_photos, to_light, unseen_photos
from burstfix.train.validate import fixed_bursts, mean_psnr, psnr

CPU = torch.device("cpu")
Maker = Callable[[int], list[Photo]]


def photo(name: str, side: int = 100) -> Photo:
    return Photo(name, np.zeros((side, side, 3), np.uint8), 1.0)


def test_crops_of_one_photograph_fall_on_the_same_side() -> None:
    photos = [photo(f"{n:04d}{letter}") for n in range(32) for letter in "ab"]
    split = split_photos(photos, 16, 96)
    validation = {p.name for p in split.validation}
    assert validation == {"0000a", "0000b", "0016a", "0016b"}
    assert len(split.training) == 60
    assert not validation & {p.name for p in split.training}


def test_photographs_that_are_too_small_for_one_recipe_move_no_others() -> None:
    photos = [photo(f"{n:04d}a", side=90 if n % 3 else 200) for n in range(40)]
    all_, large = split_photos(photos, 6, 80), split_photos(photos, 6, 150)
    kept = {p.name for p in all_.validation}
    assert kept == {f"{n:04d}a" for n in range(0, 40, 6)}
    assert {p.name for p in large.validation} <= kept
    assert not {p.name for p in large.training} & kept
    small_kept = [photo("0a", side=90), *(photo(f"{n}a", side=200) for n in range(1, 4))]
    assert [p.name for p in split_photos(small_kept, 16, 150).validation] == ["1a"]


def test_numbers_with_gaps_are_split_as_training_splits_them() -> None:
    names = [f"{n:04d}{letter}" for n in range(40) if n != 7 for letter in "ba"]
    split = split_photos([photo(name) for name in names], 16, 96)
    kept = held_out(names, 16)
    assert kept == {p.name for p in split.validation}
    assert kept == {"0000a", "0000b", "0017a", "0017b", "0033a", "0033b"}


def test_unseen_is_what_every_training_set_aside_or_found_too_small() -> None:
    photos = [*(photo(f"{n:04d}a") for n in range(12)), photo("9999a", side=50)]
    recipes = [Recipe(validation_share=n, stages=(Stage(crop=32),)) for n in (2, 3)]
    assert [p.name for p in unseen_photos(photos, recipes)] == ["0000a", "0006a", "9999a"]
    assert unseen_photos(photos, []) == photos


def test_a_handful_of_photographs_still_has_one_to_validate_on() -> None:
    split = split_photos([photo("my holiday"), photo("my dog")], 16, 96)
    assert (len(split.training), len(split.validation)) == (1, 1)


def test_photographs_that_are_too_few_or_too_small_are_refused() -> None:
    with pytest.raises(InputError, match="96"):
        split_photos([photo("a"), photo("b", side=90)], 16, 96)


def test_a_batch_is_drawn_again_by_its_seed_and_by_no_other(
    make_photos: Maker, recipe: Recipe
) -> None:
    photos = make_photos(4)
    stage = recipe.stages[0]
    seeds = [(1, 2, 3), (1, 2, 3), (1, 2, 4)]
    one = dataclasses.replace(recipe, lengths=(3,))
    batches = [draw_batch(photos, one, stage, seed=seed, device=CPU) for seed in seeds]
    assert torch.equal(batches[0].frames, batches[1].frames)
    assert torch.equal(batches[0].truth, batches[1].truth)
    assert not torch.equal(batches[0].frames, batches[2].frames)


def test_burst_lengths_are_drawn_and_the_number_of_frames_stays_near_the_wanted(
    make_photos: Maker, recipe: Recipe
) -> None:
    photos = make_photos(4)
    stage = recipe.stages[0]
    shapes = {
        draw_batch(photos, recipe, stage, seed=(seed,), device=CPU).frames.shape
        for seed in range(20)
    }
    assert {shape[1] for shape in shapes} == {1, 2, 3}
    assert all(shape[0] == 2 and shape[2:] == (3, 32, 32) for shape in shapes)


def test_white_and_black_and_the_order_of_channels_survive_decoding() -> None:
    codes = torch.tensor([[[[255, 0, 188]]]], dtype=torch.uint8)
    light = to_light(codes)
    assert light.shape == (1, 3, 1, 1)
    torch.testing.assert_close(light.flatten(), torch.tensor([1.0, 0.0, 0.5029]), atol=1e-3, rtol=0)


def test_fixed_bursts_are_the_same_at_every_call_and_of_every_kind(make_photos: Maker) -> None:
    photos = make_photos(3)
    first, second = (
        list(fixed_bursts(photos, device=CPU, length=3, count=2, crop=32)) for _ in range(2)
    )
    assert [(b.noise, b.blur) for b in first] == [
        (noise, blur) for noise in ("low", "medium", "high") for blur in ("easy", "mixed", "hard")
    ]
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.burst.frames, other.burst.frames)
    [alone] = fixed_bursts(
        photos, device=CPU, length=3, count=2, crop=32, noises=["medium"], blurs=["hard"]
    )
    assert torch.equal(alone.burst.frames, first[5].burst.frames)


def test_the_first_frames_keep_reference_and_truth(make_photos: Maker) -> None:
    [fixed] = fixed_bursts(
        make_photos(2), device=CPU, length=5, count=2, crop=32, noises=["low"], blurs=["easy"]
    )
    first = fixed.first(2)
    assert first.length == 2
    assert torch.equal(first.burst.frames, fixed.burst.frames[:, :2])
    assert torch.equal(first.burst.truth, fixed.burst.truth)
    assert first.burst.descriptor.shape[:2] == first.burst.psfs.shape[:2] == (2, 2)


def test_more_noise_and_more_blur_are_worse(make_photos: Maker) -> None:
    photos = make_photos(4)
    bursts = list(fixed_bursts(photos, device=CPU, length=3, count=4, crop=48))

    def mean_of(**kind: str) -> float:
        chosen = [b for b in bursts if all(getattr(b, k) == v for k, v in kind.items())]
        return mean_psnr(lambda burst, *_: burst[:, 0], chosen)

    assert mean_of(noise="low") > mean_of(noise="medium") > mean_of(noise="high")
    assert mean_of(noise="low", blur="easy") > mean_of(noise="low", blur="hard")


def test_psnr_is_that_of_the_clipped_codes() -> None:
    truth = torch.ones(1, 3, 8, 8)
    assert psnr(truth + 0.5, truth).item() > 100
    coded = torch.full((1, 3, 8, 8), 0.5)
    light = ((coded + 0.055) / 1.055) ** 2.4
    brighter = ((coded + 0.1 + 0.055) / 1.055) ** 2.4
    assert psnr(brighter, light).item() == pytest.approx(20, abs=0.01)


def clip(name: str, frames: int = 12) -> Photo:
    """Film a scene that moves 2 px a frame."""
    rng = np.random.default_rng(len(name))
    scene = cv2.resize(rng.integers(0, 255, (20, 30, 3), np.uint8), (240, 160))
    views = [np.ascontiguousarray(scene[:128, 2 * n : 2 * n + 128]) for n in range(frames)]
    files = [cv2.imencode(".png", view[..., ::-1])[1].tobytes() for view in views]
    return Photo(name, views[0], 5.0, tuple(files[1:]))


def test_pairs_of_clips_are_drawn_from_the_seed_and_are_blurred_along_the_motion() -> None:
    recipe = Recipe(task="pair", lengths=(2,), bursts=2, data={"jpeg_share": 0.0})
    stage = Stage(crop=64, frames=4)
    clips = [clip("a@0"), clip("bb@0")]
    first, same, other = (
        draw_batch(clips, recipe, stage, seed=(seed,), device=torch.device("cpu"))
        for seed in (1, 1, 2)
    )
    assert torch.equal(first.frames, same.frames)
    assert not torch.equal(first.frames, other.frames)
    assert first.frames.shape == (2, 2, 3, 64, 64)
    assert first.truth.shape == (2, 3, 64, 64)


def test_the_frames_of_a_clip_fall_on_one_side() -> None:
    clips = [clip(f"{name}@{start}") for name in ("street", "park", "lake") for start in range(3)]
    split = split_photos(clips, 3, 64)
    parts = split.training, split.validation
    sides = [{photo.name.split("@")[0] for photo in part} for part in parts]
    assert not sides[0] & sides[1]
    assert len(sides[1]) == 1


def test_clips_serve_no_bursts() -> None:
    with pytest.raises(UsageError, match="not burst"):
        draw_batch([clip("a@0")], Recipe(), Stage(crop=64), seed=(0,), device=torch.device("cpu"))
