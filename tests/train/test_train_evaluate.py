from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from burstfix.backends.base import Contract, Network
from burstfix.errors import InputError
from burstfix.io.photos import Photo
from burstfix.train.evaluate import (
    BEST,
    REFERENCE,
    Conditions,
    Score,
    below_reference,
    evaluate,
    falls,
    table,
    to_json,
)
from burstfix.train.log import draw_curves

CPU = torch.device("cpu")
Maker = Callable[[int], list[Photo]]


class LastFrame(Network):
    """Returns the last frame; a bad idea, with a known score."""

    contract = Contract()

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Return the last frame."""
        del seen, descriptor
        return burst[:, -1]


@pytest.fixture(scope="module")
def scores(request: pytest.FixtureRequest) -> list[Score]:
    photos = request.getfixturevalue("shared_photos")
    return evaluate(
        {"last": LastFrame()},
        photos,
        Conditions(
            lengths=(1, 3),
            cases=("plain", "ruined"),
            noises=("low", "high"),
            blurs=("easy",),
            count=2,
            crop=48,
        ),
        device=CPU,
    )


def test_every_method_is_scored_on_every_kind_of_burst(scores: list[Score]) -> None:
    plain = [s for s in scores if s.case == "plain" and s.length == 3]
    assert {s.method for s in plain} == {"last", "mean", "fba", BEST, REFERENCE}
    assert len(plain) == 5 * 2
    assert all(s.bursts == 2 for s in plain)


def test_no_burst_of_one_frame_is_ruined(scores: list[Score]) -> None:
    assert {s.length for s in scores if s.case == "ruined"} == {3}


def test_no_single_frame_beats_the_best(scores: list[Score]) -> None:
    by_kind: dict[tuple[str, str, str, int], dict[str, float]] = {}
    for s in scores:
        by_kind.setdefault((s.case, s.noise, s.blur, s.length), {})[s.method] = s.psnr
    for found in by_kind.values():
        assert found[BEST] >= max(found["last"], found[REFERENCE]) - 1e-4


def test_one_frame_alone_is_its_own_mean(scores: list[Score]) -> None:
    alone = {s.method: s for s in scores if s.length == 1 and (s.noise, s.blur) == ("low", "easy")}
    assert alone["mean"].psnr == pytest.approx(alone[REFERENCE].psnr, abs=1e-4)
    assert alone["mean"].ssim == pytest.approx(alone[BEST].ssim, abs=1e-4)


def test_a_shift_allowed_is_never_worse_by_much(scores: list[Score]) -> None:
    mean = [s.shifted_psnr - s.psnr for s in scores]
    assert sum(mean) / len(mean) > -0.5


def made_score(noise: str, blur: str, psnr: float, method: str = "m", length: int = 8) -> Score:
    return Score(
        method=method,
        case="plain",
        noise=noise,
        blur=blur,
        length=length,
        drawn=8,
        bursts=1,
        psnr=psnr,
        ssim=0.5,
        shifted_psnr=psnr + 1,
    )


def test_the_table_averages_over_what_it_is_not_split_by() -> None:
    scores = [
        made_score("low", "easy", 30),
        made_score("low", "hard", 20),
        made_score("high", "easy", 10),
    ]
    assert table(scores, "noise") == {"m": {"low": 25, "high": 10}}
    assert table(scores, "blur") == {"m": {"easy": 20, "hard": 20}}
    assert table(scores, "noise", "shifted_psnr") == {"m": {"low": 26, "high": 11}}
    assert to_json(scores)[0]["psnr"] == 30


def test_a_fall_is_found_against_the_best_of_all_shorter_bursts() -> None:
    rising = [made_score("low", "easy", psnr, "a", n) for n, psnr in ((2, 21), (1, 20), (16, 22))]
    falling = [made_score("low", "easy", psnr, "b", n) for n, psnr in ((1, 20), (2, 24), (16, 23))]
    assert falls([*rising, *falling]) == {"a": {}, "b": {16: 1}}
    assert falls([made_score("low", "easy", 20)]) == {}


def test_a_method_below_the_reference_is_found_kind_by_kind() -> None:
    scores = [
        made_score("low", "easy", 20, REFERENCE),
        made_score("high", "easy", 10, REFERENCE),
        made_score("low", "easy", 19),
        made_score("high", "easy", 12),
    ]
    assert below_reference(scores) == {"m": [scores[2]]}


def test_shorter_bursts_are_the_first_frames_of_the_longest(scores: list[Score]) -> None:
    plain = [s for s in scores if s.case == "plain" and s.method == REFERENCE]
    by_length = {n: [s.psnr for s in plain if s.length == n] for n in (1, 3)}
    assert by_length[1] == by_length[3]


def test_photographs_too_small_for_the_crop_are_refused(make_photos: Maker) -> None:
    with pytest.raises(InputError, match="320 pixels"):
        evaluate({}, make_photos(2), Conditions(crop=256), device=CPU)


def test_the_curves_are_drawn_with_their_ends_and_unknown_values_left_out() -> None:
    picture = draw_curves([(0, 0.5), (60, 0.25), (120, 0.125)], [(0, float("nan")), (120, 25.5)])
    assert picture.startswith("<svg")
    assert picture.count("<polyline") == 2
    assert "nan" not in picture
    for text in ("0.5<", "0.125<", "25.5<", "2.0 min"):
        assert text in picture
