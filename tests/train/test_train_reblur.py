"""Tuning by reblurring helps where blur is new to a network, and never hurts."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from burstfix.backends.base import Contract, Network, plain_descriptor
from burstfix.backends.flownets import Config, FlowNetS
from burstfix.backends.mean import BACKEND as MEAN
from burstfix.errors import UsageError
from burstfix.io.photos import Photo
from burstfix.metrics import psnr
from burstfix.synth.burst import SyntheticBurst
from burstfix.synth.film import FilmSettings, film
from burstfix.synth.reblur import Triples
from burstfix.train.reblur import (
    _CLEAR_DB,
    Supervision,
    Tuner,
    TuneSettings,
    choose_cycle,
    classical_flow,
    tune,
)
from burstfix.train.supervision import make_supervision

CPU = torch.device("cpu")
SIDE, MARGIN = 64, 20


class Sharpener(Network):
    """Adds what a small filter finds to the frame; the filter is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.contract = Contract(tasks=("single", "video"), frames=1, receptive_radius=4)
        self.filter = nn.Conv2d(1, 1, 9, padding=4, bias=False)
        nn.init.zeros_(self.filter.weight)

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        del seen, descriptor
        frame = burst[:, 0]
        change: Tensor = self.filter(frame.flatten(0, 1).unsqueeze(1))
        return frame + change.view_as(frame)


class Oracle(Network):
    """Returns the second frame, in which the tests hide the truth."""

    def __init__(self) -> None:
        super().__init__()
        self.contract = Contract(tasks=("video",), frames=2)
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        del seen, descriptor
        return burst[:, 1]


def filmed(seed: int, exposed: int, count: int = 4) -> tuple[Triples, Tensor]:
    """Film scenes, frames 16 moments apart, each exposed over so many to both sides.

    Returns:
        Triples of the blurred frame and the sharp one, which lies where the blur's centroid does;
        and the sharp frames in the middle.
    """
    generator = torch.Generator().manual_seed(seed)
    side = SIDE + 2 * MARGIN
    seeds = torch.rand(count, 3, side // 4, side // 4, generator=generator)
    scenes = nn.functional.interpolate(seeds, size=(side, side), mode="bicubic").clamp(0, 1)
    sequence = film(
        scenes,
        scenes.flip(0),
        times=torch.arange(-24, 25.0),
        frames_per_s=torch.full((count,), 4800.0),
        exposed=range(16, 33),
        extent=torch.full((count,), 7.0),
        margin=MARGIN,
        settings=FilmSettings(depth_share=0, moving_share=0),
        generator=generator,
    )
    frames, path = [], sequence.path
    for middle in (8, 24, 40):
        moments = range(middle - exposed, middle + exposed + 1)
        rest = torch.zeros_like(path)
        rest[:, middle] = path[:, middle] - path[:, list(moments)].mean(dim=1)
        sharp = replace(sequence, rest=rest).frame(middle)
        frames.append(torch.stack([sequence.average(moments), sharp], dim=1))
    bursts = torch.stack(frames, dim=1)
    seen = torch.ones(count, 3, 2, 1, SIDE, SIDE)
    return Triples(bursts, seen, plain_descriptor(2)), bursts[:, 1, 1]


def single(triples: Triples) -> Triples:
    """Leave the truth out."""
    return Triples(triples.bursts[:, :, :1], triples.seen[:, :, :1], plain_descriptor(1))


def samples(triples: Triples) -> SyntheticBurst:
    """Make samples with truth of triples."""
    count = len(triples)
    return SyntheticBurst(
        frames=triples.bursts[:, 1, :1],
        truth=triples.bursts[:, 1, 1],
        seen=triples.seen[:, 1, :1],
        descriptor=plain_descriptor(1).expand(count, -1, -1),
        psfs=torch.zeros(count, 1, 3, 3),
        source_from_reference=torch.eye(3).expand(count, 1, 3, 3),
    )


@pytest.fixture(scope="module")
def film_of_new_blur() -> tuple[Triples, Tensor]:
    return filmed(seed=1, exposed=8)


@pytest.fixture(scope="module")
def supervision() -> Supervision:
    # Blurred less than the films.
    known = [samples(filmed(seed=seed, exposed=3, count=2)[0]) for seed in (5, 6)]
    return Supervision(draw=lambda step: known[0], fixed=[known[1]])  # noqa: ARG005


def settings(**changed: object) -> TuneSettings:
    plain = {"iterations": 30, "rate": 3e-3, "check_every": 10, "exposure_cycle": 0.5, "alpha": 1.0}
    return TuneSettings(**{**plain, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize("two_frames", [False, True])
def test_tuning_brings_the_film_nearer_to_its_truth(
    film_of_new_blur: tuple[Triples, Tensor], supervision: Supervision, two_frames: bool
) -> None:
    triples, truth = film_of_new_blur
    network = Sharpener()
    tuning = tune(
        network,
        single(triples).take([0, 1]),
        single(triples).take([2, 3]),
        supervision,
        settings=settings(model="warp", two_frames=two_frames),
    )
    assert tuning.kept
    assert tuning.after.reblur_db > tuning.before.reblur_db
    assert tuning.after.truth_db >= tuning.before.truth_db
    assert network.filter.weight.abs().max() == 0  # the original is as it was
    given = triples.bursts[2:, 1, :1], triples.seen[2:, 1, :1], plain_descriptor(1)
    with torch.no_grad():
        before, after = (
            float(psnr(each.restore_light(*given), truth[2:]).mean())
            for each in (network, tuning.network)
        )
    assert after > before + 0.3


def test_films_teach_more_of_their_blur_than_made_samples_alone(
    film_of_new_blur: tuple[Triples, Tensor], supervision: Supervision
) -> None:
    triples = single(film_of_new_blur[0])
    alone, both = (
        tune(
            Sharpener(),
            triples.take([0, 1]),
            triples.take([2, 3]),
            supervision,
            settings=settings(model="warp", alpha=alpha),
        )
        for alpha in (0.0, 1.0)
    )
    assert both.after.reblur_db > alone.after.reblur_db + 0.2
    assert both.after.truth_db > alone.after.truth_db - 0.2


def test_flow_of_whole_frames_serves_and_nothing_is_learned_where_it_is_not_sure(
    film_of_new_blur: tuple[Triples, Tensor], supervision: Supervision
) -> None:
    triples = film_of_new_blur[0]
    frames = triples.bursts[:, :, 1].unbind(1)
    flows = torch.stack([classical_flow(frames[n], frames[1]) for n in (2, 0)], dim=1)
    sure = torch.ones(len(triples), 1, SIDE, SIDE)
    half = SIDE // 2
    wrong, known = flows.clone(), sure.clone()
    wrong[..., :half, :] += 11  # px, as far as flow of blurred crops is off at worst
    known[..., :half, :] = 0
    found = Tuner(Oracle(), settings(), classical_flow, supervision, 0.5).disagreement(triples)
    given, fooled, spared = (
        Tuner(Oracle(), settings(), None, supervision, 0.5).disagreement(
            replace(triples, flows=flow, sure=mask)
        )
        for flow, mask in ((flows, sure), (wrong, sure), (wrong, known))
    )
    torch.testing.assert_close(given, found)
    assert fooled.median() > 1.5 * spared.median()
    again = replace(triples, flows=wrong * 3, sure=known)
    tuner = Tuner(Oracle(), settings(model="warp"), None, supervision, 0.5)
    light = again.bursts.clone().requires_grad_()
    tuner.disagreement(replace(again, bursts=light)).sum().backward()
    assert light.grad is not None
    assert float(light.grad[:, 1, 0, :, :half].abs().max()) == 0  # the frame that it is held to
    assert float(light.grad[:, 1, 0, :, half:].abs().max()) > 0


def test_what_hurts_is_taken_back(
    film_of_new_blur: tuple[Triples, Tensor], supervision: Supervision
) -> None:
    triples = single(film_of_new_blur[0])
    network = Sharpener()
    tuning = tune(
        network,
        triples.take([0, 1]),
        triples.take([2, 3]),
        supervision,
        settings=settings(model="warp", rate=10.0, iterations=3),
    )
    assert not tuning.kept
    assert "would not help" in tuning.tell()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(tuning.network.state_dict()[name], value, rtol=0, atol=0)


def test_a_gain_that_may_be_chance_is_not_kept(
    film_of_new_blur: tuple[Triples, Tensor],
    supervision: Supervision,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    triples = single(film_of_new_blur[0])
    parts = triples.take([0, 1]), triples.take([2, 3])
    kept = tune(Sharpener(), *parts, supervision, settings=settings(model="warp"))
    gain = kept.after.reblur_db - kept.before.reblur_db
    assert kept.kept
    assert gain > _CLEAR_DB

    monkeypatch.setattr("burstfix.train.reblur._CLEAR_DB", gain + 0.01)
    assert not tune(Sharpener(), *parts, supervision, settings=settings(model="warp")).kept


def test_gains_on_the_film_that_cost_made_samples_are_not_kept(
    film_of_new_blur: tuple[Triples, Tensor], supervision: Supervision
) -> None:
    triples = single(film_of_new_blur[0])
    sharp = samples(filmed(seed=5, exposed=0, count=2)[0])  # restoring nothing is best
    tuning = tune(
        Sharpener(),
        triples.take([0, 1]),
        triples.take([2, 3]),
        Supervision(draw=supervision.draw, fixed=[sharp]),
        settings=settings(model="warp"),
    )
    assert tuning.after.reblur_db > tuning.before.reblur_db
    assert not tuning.kept


def test_sharp_results_tell_the_exposure_cycle(supervision: Supervision) -> None:
    for exposed, cycle in ((8, 0.5), (4, 0.25)):
        triples, _ = filmed(seed=2, exposed=exposed, count=2)
        tuner = Tuner(Oracle(), settings(), classical_flow, supervision, 0.5)
        assert choose_cycle(tuner, triples) == pytest.approx(cycle, abs=0.05)


@pytest.mark.parametrize("through_flow", [False, True])
def test_the_loss_changes_neighbours_only_through_the_flow(
    film_of_new_blur: tuple[Triples, Tensor], supervision: Supervision, through_flow: bool
) -> None:
    torch.manual_seed(0)
    flow = FlowNetS(Config(width=0.06))
    triples = film_of_new_blur[0].take([0])
    bursts = triples.bursts.clone().requires_grad_()
    tuner = Tuner(Oracle(), settings(flow_gradient=through_flow), flow, supervision, 0.5)
    tuner.disagreement(Triples(bursts, triples.seen, triples.descriptor)).sum().backward()
    assert bursts.grad is not None
    assert bool(bursts.grad[:, 1, 1].abs().max() > 0)
    assert bool(bursts.grad[:, 2, 1].abs().max() > 0) is through_flow


@pytest.mark.parametrize("frames", [1, 5])
def test_made_samples_are_the_same_for_the_same_step_and_fit_the_network(
    shared_photos: list[Photo], frames: int
) -> None:
    large = [
        Photo(photo.name[:4], photo.pixels.repeat(2, 0).repeat(2, 1), 5.0)
        for photo in shared_photos
    ]
    contract = Contract(tasks=("video",), frames=frames, alignment="flow")
    made = make_supervision(large, contract, device=CPU, samples=2)
    one, again, other = made.draw(1), made.draw(1), made.draw(2)
    assert one.frames.shape == (2, frames, 3, 128, 128)
    torch.testing.assert_close(one.frames, again.frames, rtol=0, atol=0)
    assert not torch.equal(one.frames, other.frames)


def test_formulas_and_impossible_cycles_are_refused(
    film_of_new_blur: tuple[Triples, Tensor], supervision: Supervision
) -> None:
    triples = film_of_new_blur[0]
    with pytest.raises(UsageError, match="no weights"):
        tune(MEAN.build(), triples, triples, supervision)
    for cycle in (0.0, 1.5):
        with pytest.raises(UsageError, match="exposure cycle"):
            TuneSettings(exposure_cycle=cycle)
