import dataclasses
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from burstfix import weights
from burstfix.backends import find
from burstfix.backends.set import SetNetwork
from burstfix.errors import UsageError, WeightsError
from burstfix.io.photos import Photo
from burstfix.train import step
from burstfix.train.checkpoint import Run, load_checkpoint, read_recipe_of, tensors_of
from burstfix.train.config import LossWeights, OptimiserName, Recipe, read_recipe
from burstfix.train.data import draw_batch, least_side, split_photos
from burstfix.train.log import Report
from burstfix.train.loop import Budget, start, train
from burstfix.train.processes import Processes
from burstfix.train.validate import fixed_bursts, mean_psnr

CPU = torch.device("cpu")
Maker = Callable[[int], list[Photo]]


def run_steps(
    recipe: Recipe, photos: list[Photo], output: Path, steps: int, resume: Path | None = None
) -> Run:
    budget = Budget(steps=steps)
    return train(recipe, photos, output, budget=budget, device=CPU, resume=resume)


def assert_same_state(a: Run, b: Run) -> None:
    first, second = tensors_of(a), tensors_of(b)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_training_raises_the_validation_psnr(
    make_photos: Maker, recipe: Recipe, tmp_path: Path
) -> None:
    longer = dataclasses.replace(recipe, lengths=(4,), ema=0.9, other_rate=5e-3)
    run = run_steps(longer, make_photos(8), tmp_path / "run", 80)
    (_, before), (_, after) = run.scores
    assert after > before + 0.1


def test_the_same_recipe_gives_the_same_weights_to_the_bit(
    make_photos: Maker, recipe: Recipe, tmp_path: Path
) -> None:
    photos = make_photos(6)
    assert_same_state(
        run_steps(recipe, photos, tmp_path / "a", 4), run_steps(recipe, photos, tmp_path / "b", 4)
    )


@pytest.mark.parametrize("optimiser", ["muon", "adam", "sgd"])
def test_a_resumed_run_ends_with_the_bits_of_an_uninterrupted_one(
    make_photos: Maker,
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    optimiser: OptimiserName,
) -> None:
    recipe = dataclasses.replace(recipe, optimiser=optimiser)
    photos = make_photos(6)
    whole = run_steps(recipe, photos, tmp_path / "whole", 6)

    steps = 0

    def stop_after_three(_: Budget, run: Run) -> float:
        nonlocal steps
        steps += 1
        return math.inf if steps > 3 else run.step / 6

    with monkeypatch.context() as patch:
        patch.setattr(Budget, "progress", stop_after_three)
        first = run_steps(recipe, photos, tmp_path / "part", 6)
    assert first.step == 3
    second = run_steps(recipe, photos, tmp_path / "rest", 6, resume=tmp_path / "part.checkpoint")
    assert second.step == 6
    assert second.guard == whole.guard
    assert_same_state(second, whole)


def test_the_first_batch_may_set_the_first_weights_but_only_at_the_start(
    make_photos: Maker, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[torch.Tensor] = []

    def set_bias(self: SetNetwork, burst: torch.Tensor, *_: torch.Tensor) -> None:
        batches.append(burst)
        self.trunk.head.bias.fill_(0.25)

    monkeypatch.setattr(SetNetwork, "initialise", set_bias)
    photos = make_photos(6)
    run = run_steps(recipe, photos, tmp_path / "run", 1)
    for network in (run.network, run.average):
        bias = network.get_parameter("trunk.head.bias")
        torch.testing.assert_close(bias, torch.full_like(bias, 0.25), atol=0.01, rtol=0)
    assert batches[0].shape[2:] == (3, 32, 32)
    run_steps(recipe, photos, tmp_path / "rest", 2, resume=tmp_path / "run.checkpoint")
    assert len(batches) == 1


@pytest.mark.parametrize("optimiser", ["adam", "sgd", "muon"])
def test_a_network_on_display_codes_starts_at_the_mean_and_stays_healthy(
    make_photos: Maker, recipe: Recipe, tmp_path: Path, optimiser: OptimiserName
) -> None:
    network = {"width": 0.1, "residual": True}
    own = dataclasses.replace(
        recipe, backend="aittala", network=network, optimiser=optimiser, rate=1e-3
    )
    run = run_steps(own, make_photos(8), tmp_path / "run", 6)
    (_, before), (_, after) = run.scores
    split = split_photos(make_photos(8), recipe.validation_share, least_side(recipe))
    fixed = list(fixed_bursts(split.validation, device=CPU, count=1, crop=32))
    mean = mean_psnr(find("mean").build(), fixed)
    assert before == pytest.approx(mean, abs=0.5)
    assert after > before - 0.5


def test_two_processes_give_the_result_of_one(
    make_photos: Maker, recipe: Recipe, tmp_path: Path
) -> None:
    alone = run_steps(recipe, make_photos(6), tmp_path / "alone", 3)
    script = tmp_path / "two.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import conftest\n"
        "from test_train_loop import run_steps\n"
        "photos = conftest.random_photos(6)\n"
        f"run_steps(conftest.small_recipe(), photos, Path({str(tmp_path / 'two')!r}), 3)\n"
    )
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launch, str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    together = start(recipe, CPU, Processes())
    load_checkpoint(tmp_path / "two.checkpoint", together)
    assert together.step == 3
    for ours, theirs in zip(alone.average.parameters(), together.average.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_the_run_and_saves_it(
    make_photos: Maker, recipe: Recipe, tmp_path: Path, number: int
) -> None:
    def interrupt(report: Report) -> None:
        if report.step == 3:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    run = train(
        recipe,
        make_photos(6),
        tmp_path / "run",
        budget=Budget(steps=1000),
        device=CPU,
        report=interrupt,
    )
    assert run.step == 3
    assert signal.getsignal(number) is before
    saved = start(recipe, CPU, Processes())
    load_checkpoint(tmp_path / "run.checkpoint", saved)
    assert_same_state(run, saved)


def test_the_weights_file_rebuilds_the_averaged_network_and_tells_of_the_run(
    make_photos: Maker, recipe: Recipe, tmp_path: Path
) -> None:
    run = run_steps(recipe, make_photos(6), tmp_path / "run.safetensors", 2)
    network, card = weights.load(tmp_path / "run.safetensors")
    for name, value in run.average.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], value, atol=1e-3, rtol=1e-3)
    assert card.backend == "set"
    assert card.recipe["lengths"] == [1, 2, 3]
    assert card.scores["validation_psnr_db"] == pytest.approx(run.scores[-1][1], abs=1e-3)


@pytest.mark.parametrize("name", ["set-burst", "set-burst-gpu", "set-burst-quick", "set-single"])
def test_shipped_recipes_of_our_network_train(
    make_photos: Maker, recipe: Recipe, tmp_path: Path, name: str
) -> None:
    shipped = read_recipe(name)
    stages = tuple(dataclasses.replace(s, crop=32, frames=8) for s in shipped.stages)
    blur = {"blur_widths": (8, 8, 8, 8)} if "blur_widths" in shipped.network else {}
    tiny = dataclasses.replace(shipped, network=recipe.network | blur, stages=stages)
    run = run_steps(tiny, make_photos(4), tmp_path / "run", 3)
    assert run.step == 3
    assert math.isfinite(run.guard.loss)


def test_minutes_are_kept(make_photos: Maker, recipe: Recipe, tmp_path: Path) -> None:
    reports: list[Report] = []
    run = train(
        recipe,
        make_photos(6),
        tmp_path / "run",
        budget=Budget(minutes=3 / 60),
        device=CPU,
        report=reports.append,
    )
    assert 3 <= run.elapsed_s < 6
    assert run.step == len(reports) > 1
    assert all(a.progress < b.progress for a, b in pairwise(reports))


def test_no_budget_is_an_error_of_the_caller(
    make_photos: Maker, recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(UsageError):
        train(recipe, make_photos(6), tmp_path / "run", budget=Budget(), device=CPU)


def test_bad_steps_bring_the_last_good_weights_back(
    make_photos: Maker, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(output: torch.Tensor, truth: torch.Tensor, weights: object) -> torch.Tensor:
        del truth, weights
        return output.mean(dim=(1, 2, 3)) * math.nan

    monkeypatch.setattr(step, "restoration_loss", broken)
    run = run_steps(recipe, make_photos(6), tmp_path / "run", 25)
    fresh = start(recipe, CPU, Processes())
    assert run.rate == 0.5
    assert all(
        torch.equal(a, b)
        for a, b in zip(run.network.parameters(), fresh.network.parameters(), strict=True)
    )


def test_a_checkpoint_tells_its_recipe_and_fits_no_other_network(
    make_photos: Maker, recipe: Recipe, tmp_path: Path
) -> None:
    run_steps(recipe, make_photos(6), tmp_path / "run", 1)
    path = tmp_path / "run.checkpoint"
    assert read_recipe_of(path) == recipe
    other = dataclasses.replace(recipe, network={**recipe.network, "heads": 2})
    with pytest.raises(WeightsError, match=r"run\.checkpoint"):
        load_checkpoint(path, start(other, CPU, Processes()))


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", b"\x08" + bytes(40)])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, recipe: Recipe, content: bytes) -> None:
    path = tmp_path / "wrong.checkpoint"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"wrong\.checkpoint"):
        load_checkpoint(path, start(recipe, CPU, Processes()))


def test_the_loss_teaches_the_network_blur(make_photos: Maker, recipe: Recipe) -> None:
    told = dataclasses.replace(
        recipe,
        network={**recipe.network, "blur_widths": (8, 8, 8, 8)},
        loss=LossWeights(blur=1.0, deblurred=0.1),
        lengths=(2,),
        data={"sharp_share": 1.0},
    )
    run, photos = start(told, CPU, Processes()), make_photos(4)
    batch = draw_batch(photos, told, told.stages[0], seed=(1, 0, 0), device=CPU)
    optimiser = torch.optim.Adam(run.network.parameters(), 0.01)
    losses = []
    for _ in range(20):  # on one shard again and again
        optimiser.zero_grad()
        loss = step.batch_loss(run, batch)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


def test_a_loss_of_blur_needs_a_network_that_estimates_it(
    make_photos: Maker, recipe: Recipe, tmp_path: Path
) -> None:
    wrong = dataclasses.replace(recipe, loss=LossWeights(blur=1.0))
    with pytest.raises(UsageError, match="blur"):
        run_steps(wrong, make_photos(4), tmp_path / "run", 1)
