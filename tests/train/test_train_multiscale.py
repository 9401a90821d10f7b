"""Networks for single frames in training: losses of all scales, and two players."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from burstfix import weights
from burstfix.backends.pyramid import halve
from burstfix.io.photos import Photo
from burstfix.train import adversary
from burstfix.train.checkpoint import Run, tensors_of
from burstfix.train.config import LossWeights, Recipe, parse_recipe, read_recipe
from burstfix.train.data import draw_batch
from burstfix.train.discriminator import NahDiscriminator
from burstfix.train.loop import Budget, start, train
from burstfix.train.losses import earlier_loss, restoration_loss, to_display
from burstfix.train.processes import Processes
from burstfix.train.step import batch_loss

CPU = torch.device("cpu")
Maker = Callable[[int], list[Photo]]
CONTENT = LossWeights(charbonnier=0, gradient=0, fourier=0, squared=1 / 6, coarser=1 / 6)


@pytest.fixture
def multiscale(recipe: Recipe) -> Recipe:
    """Return a recipe of a small network, by the paper's content loss."""
    return dataclasses.replace(
        recipe,
        task="single",
        backend="multiscale",
        network={"width": 8, "blocks": 1},
        lengths=(1,),
        shards=1,
        optimiser="adam",
        rate=1e-4,
        weight_decay=0,
        warm_up=1,
        loss=CONTENT,
    )


@pytest.fixture
def playing(multiscale: Recipe) -> Recipe:
    """Return the same against the paper's adversary, small."""
    loss = dataclasses.replace(
        CONTENT, adversarial=1e-4, discriminator="nah", discriminator_width=0.1
    )
    return dataclasses.replace(multiscale, loss=loss)


def from_display(codes: Tensor) -> Tensor:
    """Invert `to_display` for codes of 0 to 1."""
    black, white = 0.003 ** (1 / 2.2), 1.003 ** (1 / 2.2)
    return (codes * (white - black) + black).pow(2.2) - 0.003


def test_the_content_loss_is_that_of_equation_4() -> None:
    truth = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    scales = [truth, halve(truth), halve(halve(truth))]
    wrong = [from_display(codes + off) for codes, off in zip(scales, (0.1, 0.2, -0.3), strict=True)]
    light = from_display(truth)
    finest, *coarser = wrong
    loss = restoration_loss(finest, light, CONTENT)
    for picture in coarser:
        loss = loss + earlier_loss(picture, light, CONTENT)
    wanted = (0.1**2 + 0.2**2 + 0.3**2) / (2 * 3)  # 1 / 2K times the sum of mean squares
    torch.testing.assert_close(loss, torch.full((2,), wanted), atol=1e-6, rtol=1e-4)


def test_training_counts_every_scale(make_photos: Maker, multiscale: Recipe) -> None:
    run = start(multiscale, CPU, Processes())
    batch = draw_batch(make_photos(4), multiscale, multiscale.stages[0], seed=(0,), device=CPU)
    truth = to_display(batch.truth)
    scales = [halve(halve(truth)), halve(truth), truth]
    pictures = run.network.pictures(batch.frames, batch.seen, batch.descriptor)
    wanted = sum(
        (to_display(picture) - codes).square().mean() / 6
        for picture, codes in zip(pictures, scales, strict=True)
    )
    torch.testing.assert_close(batch_loss(run, batch), wanted)
    batch_loss(run, batch).backward()
    assert all(float(weight.grad.norm()) > 0 for weight in run.network.parameters())


def test_the_network_learns_from_coarser_scales_beside_an_adversary(
    make_photos: Maker, playing: Recipe
) -> None:
    run = start(playing, CPU, Processes())
    assert run.adversary is not None
    assert isinstance(run.adversary.network, NahDiscriminator)
    batch = draw_batch(make_photos(4), playing, playing.stages[0], seed=(0,), device=CPU)
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    content = batch_loss(run, batch).item()
    loss, verdict = adversary.play(run, [batch], Processes())
    assert verdict == "step"
    assert loss == pytest.approx(content, rel=1e-5), "the content loss alone is told"
    after = run.network.state_dict()
    assert not [name for name in before if torch.equal(before[name], after[name])]


def test_fifty_steps_leave_finite_weights_of_both_players(
    make_photos: Maker, playing: Recipe, tmp_path: Path
) -> None:
    run = train(playing, make_photos(6), tmp_path / "run", budget=Budget(steps=50), device=CPU)
    assert run.step == 50
    assert all(torch.isfinite(tensor).all() for tensor in tensors_of(run).values())


@pytest.mark.parametrize("backend", ["multiscale", "deblurgan"])
def test_a_resumed_run_brings_both_players_back_to_the_bit(
    make_photos: Maker,
    playing: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    backend: str,
) -> None:
    photos = make_photos(6)
    recipe = dataclasses.replace(playing, backend=backend)

    def go(name: str, resume: Path | None = None) -> Run:
        budget = Budget(steps=4)
        return train(recipe, photos, tmp_path / name, budget=budget, device=CPU, resume=resume)

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


@pytest.mark.parametrize(
    "name",
    ["multiscale-single", "multiscale-single-paper", "deblurgan-single", "deblurgan-single-paper"],
)
def test_shipped_recipes_of_the_papers_train(make_photos: Maker, tmp_path: Path, name: str) -> None:
    shipped = read_recipe(name)
    network = shipped.network | {"width": 8, "blocks": 1}
    stages = tuple(dataclasses.replace(s, crop=32, frames=2) for s in shipped.stages)
    loss = dataclasses.replace(shipped.loss, discriminator_width=0.1)
    tiny = dataclasses.replace(shipped, network=network, stages=stages, loss=loss)
    path = tmp_path / "run.safetensors"
    before = tensors_of(start(tiny, CPU, Processes()))
    run = train(tiny, make_photos(4), path, budget=Budget(steps=3), device=CPU)
    assert run.step == 3
    assert (run.adversary is not None) == (name == "multiscale-single-paper")
    after = tensors_of(run)
    assert all(torch.isfinite(tensor).all() for tensor in after.values())
    changed = [key for key, value in before.items() if not torch.equal(value, after[key])]
    assert any(key.startswith("network.") for key in changed)
    assert weights.load(path)[1].task == "single"


def test_an_unknown_discriminator_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Exception, match="zhang, nah"):
        parse_recipe({"loss": {"discriminator": "goodfellow"}}, "mine")
