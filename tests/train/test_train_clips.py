"""Clips of films in training: alignment, real frames, recipes."""

import dataclasses
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from burstfix import metrics, weights
from burstfix.io.photos import Photo
from burstfix.synth.burst import photo_side
from burstfix.synth.video import FilmedClips, VideoSettings, film_clips
from burstfix.train.checkpoint import tensors_of
from burstfix.train.clips import align_clips, draw_exposures
from burstfix.train.config import Recipe, Stage, parse_recipe, read_recipe
from burstfix.train.data import clip_lengths
from burstfix.train.fixed_videos import VIDEO_CASES, VIDEO_NOISE, fixed_videos
from burstfix.train.loop import Budget, start, train
from burstfix.train.processes import Processes

CPU = torch.device("cpu")
Maker = Callable[[int], list[Photo]]
SHARP = VideoSettings(  # nothing but motion between the frames
    crop=96,
    extent=(0.01, 0.02),
    moments=(1, 1),
    missing_share=0,
    coarse_share=0,
    noise=(0.002, 0.002),
    depth_share=0,
    moving_share=1,
    streak=(4, 4),
    highlight_share=0,
    brightness_ev=(0, 0),
    white_balance=(1, 1),
    correlated_share=0,
    hot_share=0,
    jpeg_share=0,
    edge_share=0,
)


def filmed(settings: VideoSettings) -> FilmedClips:
    seeded = torch.Generator().manual_seed(0)
    side = photo_side(settings)
    seeds = torch.rand(3, 3, side // 5, side // 5, generator=seeded)
    photos = 0.1 + 0.8 * F.interpolate(seeds, size=(side, side), mode="bicubic").clamp(0, 1)
    return film_clips(photos, settings, seeded, 3)


def likeness(clips: FilmedClips, settings: VideoSettings) -> float:
    """Compare neighbours with the frame where they were seen [dB]."""
    burst = align_clips(clips, settings)
    return float(metrics.psnr(burst.frames[:, 1], burst.frames[:, 0]).mean())


def test_flow_lays_neighbours_onto_the_frame_and_a_homography_all_but_what_moves() -> None:
    settings = {kind: replace(SHARP, alignment=kind) for kind in ("homography", "flow")}
    found = {
        (film, kind): likeness(filmed(replace(SHARP, moving_share=film)), settings[kind])
        for kind in settings
        for film in (0.0, 1.0)
    }
    still = replace(SHARP, moving_share=0.0)
    as_it_lies = align_clips(filmed(still), replace(still, alignment="none"))
    before = float(metrics.psnr(as_it_lies.frames[:, 1], as_it_lies.frames[:, 0]).mean())
    assert found[0.0, "homography"] > before + 6
    assert found[0.0, "flow"] > before + 6
    assert found[1.0, "flow"] > found[1.0, "homography"] + 2


def test_the_frame_itself_is_not_touched_and_what_is_unseen_repeats_it() -> None:
    clips = filmed(replace(SHARP, missing_share=1))
    settings = replace(SHARP, missing_share=1)
    burst = align_clips(clips, settings)
    inner = slice(settings.guard, settings.guard + settings.crop)
    assert torch.equal(burst.frames[:, 0], clips.frames[:, 0, :, inner, inner])
    assert not burst.seen[~clips.there].any()
    unseen = burst.seen == 0
    repeated = burst.frames[:, :1].expand_as(burst.frames)
    assert bool(unseen[:, 1:].any())
    assert torch.equal(burst.frames * unseen, repeated * unseen)
    assert burst.descriptor[0, :, :2].tolist() == [[1, 0], [0, 0], [0, 0]]
    assert bool(burst.descriptor[..., 2:].isnan().all())


def test_exposures_of_real_frames_are_odd_equal_apart_and_within_the_clip() -> None:
    dice = random.Random(0)
    settings = VideoSettings(moments=(7, 11), duty=(0.5, 1.0))
    spans = set()
    for there in (35, 36, 60, 90):
        for _ in range(40):
            numbers = draw_exposures(settings, 5, there, dice)
            span = len(numbers) // 5
            steps = {b - a for a, b in zip(numbers[::span], numbers[span::span], strict=False)}
            assert span % 2 == 1 and 7 <= span <= 11
            assert len(steps) == 1 and span <= min(steps) <= 2 * span
            assert max(numbers) < there
            spans.add(span)
    assert spans == {7, 9, 11}


def test_the_clips_to_validate_on_are_the_same_at_every_call(make_photos: Maker) -> None:
    arguments = {"device": CPU, "count": 2, "crop": 32, "length": 3}
    one = list(fixed_videos(make_photos(3), **arguments))
    assert len(one) == len(VIDEO_CASES) * len(VIDEO_NOISE)
    assert {fixed.burst.frames.shape for fixed in one} == {(2, 3, 3, 32, 32)}
    (alone,) = fixed_videos(make_photos(3), cases=("moving",), noises=("high",), **arguments)
    assert torch.equal(alone.burst.frames, one[-1].burst.frames)


@pytest.mark.parametrize(
    "wrong",
    [
        {"lengths": [4]},
        {"backend": "dvd", "network": {"alignment": "none"}},
        {"data": {"alignment": "homography"}},
    ],
)
def test_a_recipe_whose_data_do_not_fit_its_network_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(Exception, match=r"odd|alignment"):
        parse_recipe({"task": "video", "lengths": [5], **wrong}, "mine")


def test_clips_must_be_long_enough_for_all_exposures() -> None:
    assert clip_lengths(read_recipe("dvd-video-paper")) == (45, 90)
    assert clip_lengths(read_recipe("set-single"))[0] == 8


@pytest.mark.parametrize("name", ["set-video", "dvd-video", "dvd-video-paper"])
def test_recipes_for_films_make_steps(name: str, make_photos: Maker, tmp_path: Path) -> None:
    shipped = read_recipe(name)
    network = shipped.network | ({"width": 0.1} if shipped.backend == "dvd" else {"heads": 1})
    if shipped.backend == "set":
        widths = ("frame_widths", "trunk_widths", "blur_widths")
        network |= dict.fromkeys(widths, (4, 4, 4, 4))
    photos = [replace(photo, pixels=photo.pixels.repeat(2, 0)) for photo in make_photos(4)]
    photos = [replace(photo, pixels=photo.pixels.repeat(2, 1)[:160, :160]) for photo in photos]
    tiny = dataclasses.replace(
        shipped,
        network=network,
        stages=(Stage(crop=32, frames=6),),
        validation_count=1,
        data=shipped.data | {"moments": (3, 3)},
    )
    path = tmp_path / "run.safetensors"
    before = tensors_of(start(tiny, CPU, Processes()))
    run = train(tiny, photos, path, budget=Budget(steps=2), device=CPU)
    after = tensors_of(run)
    assert run.step == 2
    assert all(torch.isfinite(tensor).all() for tensor in after.values())
    changed = [key for key, value in before.items() if not torch.equal(value, after[key])]
    assert any(key.startswith("network.") for key in changed)
    assert weights.load(path)[1].task == "video"


def test_begun_with_weights_for_another_task_the_narrow_network_is_kept(tmp_path: Path) -> None:
    from burstfix.backends import find
    from burstfix.train.choice import fit

    recipe = Recipe(task="video", backend="dvd", network={"width": 0.1}, lengths=(5,))
    backend = find("dvd")
    network = backend.build(backend.config(width=0.05))
    for task, width in (("burst", 0.1), ("video", 0.05)):
        path = tmp_path / f"{task}.safetensors"
        weights.save(network, weights.Card(backend="dvd", task=task, config={"width": 0.05}), path)
        assert fit(recipe, path).network["width"] == width
