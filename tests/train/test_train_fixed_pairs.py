from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from burstfix.backends.mean import BACKEND as MEAN
from burstfix.io.photos import Photo
from burstfix.synth.render_pair import PAIR_BLUR, PAIR_NOISE
from burstfix.train.evaluate_pairs import (
    ALONE,
    BLURRY,
    NOISY,
    PairConditions,
    below_better_input,
    evaluate_pairs,
)
from burstfix.train.fixed_pairs import fixed_pairs
from burstfix.train.validate import psnr

CPU = torch.device("cpu")
Maker = Callable[[int], list[Photo]]


def scores_of(fixed: list[Tensor], truths: list[Tensor]) -> list[float]:
    return [float(psnr(a, b).mean()) for a, b in zip(fixed, truths, strict=True)]


def test_pairs_are_the_same_at_every_call_and_do_not_depend_on_which_are_asked_for(
    make_photos: Maker,
) -> None:
    photos = make_photos(6)
    whole = {(f.noise, f.blur): f.burst for f in fixed_pairs(photos, device=CPU, count=1, crop=48)}
    assert len(whole) == len(PAIR_NOISE) * len(PAIR_BLUR)
    (one,) = fixed_pairs(photos, device=CPU, count=1, crop=48, noises=("high",), blurs=("medium",))
    assert torch.equal(one.burst.frames, whole["high", "medium"].frames)


def test_names_mean_what_they_say(make_photos: Maker) -> None:
    pairs = list(fixed_pairs(make_photos(8), device=CPU, count=4, crop=48))
    noisy = {f.noise + f.blur: psnr(f.burst.frames[:, 0], f.burst.truth).mean() for f in pairs}
    for blur in PAIR_BLUR:
        assert noisy["low" + blur] > noisy["high" + blur] + 4
    spread = [
        sum(float((f.burst.psfs[:, 1] > 1e-3).sum()) for f in pairs if f.blur == blur)
        for blur in PAIR_BLUR
    ]
    assert spread == sorted(spread)


def test_a_stranger_changes_the_blurry_frame_alone(make_photos: Maker) -> None:
    photos = make_photos(6)
    plain, strange = (
        next(iter(fixed_pairs(photos, device=CPU, count=2, crop=48, case=case))).burst
        for case in ("plain", "stranger")
    )
    assert torch.equal(plain.truth, strange.truth)
    noisy, blurry = (plain.frames - strange.frames).abs().mean((0, 2, 3, 4))
    assert noisy < 0.01
    assert blurry > 0.05


@pytest.mark.parametrize("count", [1, 2])
def test_every_method_is_scored_on_every_kind_and_harm_is_found(
    make_photos: Maker, count: int
) -> None:
    conditions = PairConditions(
        cases=("plain", "stranger"), noises=("low",), blurs=("mild",), count=count, crop=48
    )
    networks = {"mean": MEAN.build()}
    scores = evaluate_pairs(networks, MEAN.build(), make_photos(6), conditions, device=CPU)
    assert [score.method for score in scores] == [NOISY, BLURRY, ALONE, "mean"] * 2
    by_method = {score.method: score.psnr for score in scores if score.case == "stranger"}
    assert by_method[BLURRY] < by_method["mean"] < by_method[NOISY]
    below = below_better_input(scores)
    assert [score.case for score in below["mean"]][-1:] == ["stranger"]
    assert below[ALONE] == []  # the mean of one frame is that frame
