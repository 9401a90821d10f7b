import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from burstfix.backends.pairs.layers import Block
from burstfix.errors import UsageError
from burstfix.io.photos import Photo
from burstfix.train import adversary
from burstfix.train.checkpoint import Run, tensors_of
from burstfix.train.config import LossWeights, Recipe, Stage, parse_recipe
from burstfix.train.data import draw_batch
from burstfix.train.discriminator import NahDiscriminator, ZhangDiscriminator
from burstfix.train.loop import Budget, start, train
from burstfix.train.processes import Processes

CPU = torch.device("cpu")
Maker = Callable[[int], list[Photo]]
PLAYING = LossWeights(
    charbonnier=0,
    gradient=0,
    fourier=0,
    absolute=50,
    sobel=50,
    dark=250,
    denoised=50,
    adversarial=1,
    discriminator_width=0.1,
)


@pytest.fixture
def playing() -> Recipe:
    """Return a recipe of a small network against a small adversary, as the paper trains."""
    return Recipe(
        task="pair",
        backend="deblur-rnn",
        network={"width": 0.1},
        lengths=(2,),
        bursts=2,
        stages=(Stage(crop=32, frames=4),),
        optimiser="adam",
        rate=2e-4,
        betas=(0.5, 0.999),
        weight_decay=0,
        warm_up=1,
        precision="fp32",
        validation_share=4,
        validation_count=1,
        validate_every_s=1e6,
        loss=PLAYING,
        data={"moments": (3, 4), "extent": (1, 6)},
    )


def test_even_odds_cost_the_discriminator_twice_log_2_and_the_network_log_half() -> None:
    even = torch.zeros(4)
    loss = adversary.discriminator_loss(even, even)
    torch.testing.assert_close(loss, torch.tensor(2 * math.log(2)))
    torch.testing.assert_close(adversary.generator_loss(even), torch.tensor(math.log(0.5)))


def test_losses_are_those_of_equation_4_for_given_probabilities() -> None:
    odds = lambda p: torch.tensor([math.log(p / (1 - p))])  # noqa: E731
    loss = adversary.discriminator_loss(odds(0.9), odds(0.3))
    torch.testing.assert_close(loss, torch.tensor(-math.log(0.9) - math.log(0.7)))
    torch.testing.assert_close(adversary.generator_loss(odds(0.3)), torch.tensor(math.log(0.7)))


def test_a_discriminator_gives_one_number_a_picture_of_any_size_and_all_weights_are_normed() -> (
    None
):
    torch.manual_seed(0)
    network = ZhangDiscriminator(0.1)
    for size in ((32, 32), (40, 75)):
        pictures = torch.rand(3, 3, *size)
        assert network(pictures, pictures.flip(0)).shape == (3,)
    assert sum(isinstance(module, Block) for module in network.modules()) == 4


def test_nahs_discriminator_has_the_weights_of_table_1_and_takes_any_size() -> None:
    with torch.device("meta"):
        whole = NahDiscriminator()
    rows = [(tuple(layer.weight.shape), layer.stride[0]) for layer in whole.layers]
    assert rows == [
        ((32, 3, 5, 5), 2),
        ((64, 32, 5, 5), 1),
        ((64, 64, 5, 5), 2),
        ((128, 64, 5, 5), 1),
        ((128, 128, 5, 5), 4),
        ((256, 128, 5, 5), 1),
        ((256, 256, 5, 5), 4),
        ((512, 256, 5, 5), 1),
        ((512, 512, 4, 4), 4),
    ]
    small = NahDiscriminator(0.1)
    ends: list[torch.Size] = []
    small.layers[-1].register_forward_hook(lambda _, __, result: ends.append(result.shape[-2:]))
    for side in (256, 32, 512):
        pictures = torch.rand(2, 3, side, side)
        assert small(pictures, pictures).shape == (2,)
    assert ends == [(1, 1), (1, 1), (2, 2)]


def test_nahs_discriminator_neither_fades_nor_grows() -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        odds = NahDiscriminator(0.5)(torch.rand(64, 3, 64, 64), torch.zeros(64, 3, 64, 64))
    assert 1e-3 < float(odds.std()) < 10


@pytest.mark.parametrize(("kind", "rate"), [(ZhangDiscriminator, 2e-4), (NahDiscriminator, 1e-3)])
def test_a_discriminator_learns_to_tell_noise_from_none(
    kind: Callable[[float], torch.nn.Module], rate: float
) -> None:
    torch.manual_seed(0)
    network = kind(0.1)
    optimiser = torch.optim.Adam(network.parameters(), rate, betas=(0.5, 0.999))
    for _ in range(60):
        true = torch.rand(4, 3, 1, 1).expand(4, 3, 32, 32)
        made = true + 0.2 * torch.randn(4, 3, 32, 32)
        odds = network(torch.cat([true, made]), torch.cat([true, true]))
        loss = adversary.discriminator_loss(*odds.chunk(2))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.7 * 2 * math.log(2)


def test_fifty_steps_leave_finite_weights_of_both_players(
    make_photos: Maker, playing: Recipe, tmp_path: Path
) -> None:
    run = train(playing, make_photos(6), tmp_path / "run", budget=Budget(steps=50), device=CPU)
    assert run.step == 50
    tensors = tensors_of(run)
    assert any(name.startswith("adversary.") for name in tensors)
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


@pytest.mark.parametrize("backend", ["deblur-rnn", "deblur-merger"])
def test_players_take_turns_and_leave_each_other_alone(
    make_photos: Maker, playing: Recipe, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    recipe = dataclasses.replace(playing, backend=backend)
    run = start(recipe, CPU, Processes())
    batch = draw_batch(make_photos(4), recipe, recipe.stages[0], seed=(0,), device=CPU)
    assert run.adversary is not None
    *earlier, last = run.network.parts()
    players = [*earlier, run.adversary.network, last]
    changed: list[list[bool]] = []

    def weights() -> list[list[torch.Tensor]]:
        return [[w.detach().clone() for w in player.parameters()] for player in players]

    before = weights()

    def watch(optimiser: torch.optim.Optimizer, step: Callable[[], object]) -> None:
        def stepping() -> object:
            nonlocal before
            result = step()
            after = weights()
            changed.append(
                [
                    any(not torch.equal(a, b) for a, b in zip(old, new, strict=True))
                    for old, new in zip(before, after, strict=True)
                ]
            )
            before = after
            return result

        monkeypatch.setattr(optimiser, "step", stepping)

    for optimiser in (run.optimiser, run.adversary.optimiser):
        watch(optimiser, optimiser.step)
    adversary.play(run, [batch], Processes())
    turns = len(players)
    assert changed == [[player == turn for player in range(turns)] for turn in range(turns)]


def test_a_resumed_run_brings_both_players_back_to_the_bit(
    make_photos: Maker, playing: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = make_photos(6)

    def go(name: str, resume: Path | None = None) -> Run:
        budget = Budget(steps=4)
        return train(playing, photos, tmp_path / name, budget=budget, device=CPU, resume=resume)

    whole = go("whole")
    with monkeypatch.context() as patch:
        patch.setattr(
            Budget, "progress", lambda _, run: math.inf if run.step >= 2 else run.step / 4
        )
        assert go("part").step == 2
    rest = go("rest", tmp_path / "part.checkpoint")
    first, second = tensors_of(whole), tensors_of(rest)
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_an_adversary_without_adam_is_refused() -> None:
    with pytest.raises(UsageError, match="adam"):
        parse_recipe({"optimiser": "muon", "loss": {"adversarial": 1.0}}, "mine")
