"""The training loop: one step after another, as long as the budget lasts."""

import copy
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from burstfix import weights
from burstfix.backends import find
from burstfix.errors import UsageError, WeightsError
from burstfix.io.photos import Photo
from burstfix.train.adversary import make_adversary
from burstfix.train.ahead import Batches
from burstfix.train.checkpoint import (
    Run,
    load_checkpoint,
    load_tensors,
    tensors_of,
)
from burstfix.train.config import Recipe, TaskName
from burstfix.train.data import draw_batch, least_side, split_photos
from burstfix.train.export import export_weights
from burstfix.train.fixed_pairs import fixed_pairs
from burstfix.train.fixed_singles import fixed_singles
from burstfix.train.fixed_videos import fixed_videos
from burstfix.train.guard import Guard
from burstfix.train.log import Log, Report
from burstfix.train.optimisers import make_optimiser
from burstfix.train.processes import Processes, join
from burstfix.train.step import take_step
from burstfix.train.validate import FixedBurst, fixed_bursts, mean_psnr


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How long to train: minutes over all sittings, or steps; one of them."""

    minutes: float | None = None
    steps: int | None = None

    def progress(self, run: Run) -> float:
        """Return the share of the budget that is spent, 0 to 1."""
        if self.steps is not None:
            return run.step / self.steps
        if self.minutes is None:
            raise UsageError("Training needs a budget.", "Say how many minutes it may take.")
        return run.elapsed_s / (60 * self.minutes)


def train(
    recipe: Recipe,
    photos: Sequence[Photo],
    output: Path,
    *,
    budget: Budget,
    device: torch.device,
    resume: Path | None = None,
    begin_from: Path | None = None,
    data: str = "",
    report: Callable[[Report], None] | None = None,
) -> Run:
    """Train a network.

    Writes the weights to `output`, and beside it a checkpoint to resume from (`.checkpoint`) and
    the course of loss and validation (`.csv`, `.svg`). The first Ctrl-C or SIGTERM ends the run
    early and saves it.

    Args:
        recipe: what to do.
        photos: sharp photographs; some are set aside for validation.
        output: the weights file; it names the others.
        budget: when to end; the learning rate falls to its end exactly there.
        device: where to compute.
        resume: checkpoint of the same recipe to go on from.
        begin_from: weights of the same network to begin with, instead of fresh ones.
        data: what the photographs are and whom to credit, for the card of the weights.
        report: called after each step.

    Returns:
        The finished run; `average` holds the weights to use.
    """
    with join(device) as processes, interruption() as interrupted:
        run = start(recipe, device, processes)
        split = split_photos(photos, recipe.validation_share, least_side(recipe))
        if resume is not None:
            load_checkpoint(resume, run)
        elif begin_from is not None:
            _begin_from(run, begin_from)
        else:
            _initialise(run, split.training)
        if data not in run.data:
            run.data = "; ".join(text for text in (data, run.data) if text)
        fixed = _fixed(recipe, split.validation, device) if processes.first else []
        log = Log(output, run, report) if processes.first else None
        with closing(Batches(split.training, recipe, device)) as batches:
            _sit(
                run,
                budget=budget,
                batches=batches,
                fixed=fixed,
                processes=processes,
                log=log,
                interrupted=interrupted,
            )
        if processes.first:
            export_weights(run, output, device=device)
    return run


def _fixed(recipe: Recipe, photos: Sequence[Photo], device: torch.device) -> list[FixedBurst]:
    """Make what the network is validated on."""
    makers: dict[TaskName, Callable[..., Iterator[FixedBurst]]] = {
        "burst": fixed_bursts,
        "pair": fixed_pairs,
        "single": fixed_singles,
        "video": partial(fixed_videos, alignment=recipe.data.get("alignment", "flow")),
    }
    make = makers[recipe.task]
    crop = recipe.stages[-1].crop
    return list(make(photos, device=device, count=recipe.validation_count, crop=crop))


def start(recipe: Recipe, device: torch.device, processes: Processes) -> Run:
    """Make the network, its optimiser and its adversary; the same recipe makes the same."""
    backend = find(recipe.backend)
    torch.manual_seed(recipe.seed)
    network = backend.network(backend.config(**recipe.network))
    network = network.to(device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    average = copy.deepcopy(network).requires_grad_(False).eval()
    optimiser = make_optimiser(recipe, network, processes)
    run = Run(recipe, network, average, optimiser, Guard(recipe.clip, recipe.spike))
    if recipe.loss.adversarial:
        run.adversary = make_adversary(run, processes)
    return run


def _initialise(run: Run, photos: Sequence[Photo]) -> None:
    """Let the network set its first weights from the first batch; all processes take the same."""
    device = next(run.network.parameters()).device
    stage = run.recipe.stage(0.0)
    batch = draw_batch(photos, run.recipe, stage, seed=(run.recipe.seed, 0, 0), device=device)
    with torch.no_grad():
        run.network.initialise(run.network.code(batch.frames), batch.seen, batch.descriptor)
    run.average.load_state_dict(run.network.state_dict())


def _begin_from(run: Run, path: Path) -> None:
    """Take weights from a file, and smaller steps: large ones would undo what they have learned."""
    network, card = weights.load(path)
    wanted = find(run.recipe.backend).config(**run.recipe.network)
    if card.backend != run.recipe.backend:
        raise WeightsError(
            f"{path} holds weights of {card.backend}, but the recipe trains {run.recipe.backend}.",
            "Give weights and a recipe of one network.",
        )
    try:
        run.network.adopt(network.state_dict())
    except RuntimeError as error:
        raise WeightsError(
            f"{path} has another config than the recipe: {dict(card.config)}, not {wanted}.",
            "Set these values in the recipe's [network].",
        ) from error
    run.average.load_state_dict(run.network.state_dict())
    recipe = run.recipe
    run.rate = recipe.fine_tuning if card.task == recipe.task else recipe.other_task
    run.data = f"began with weights {card.sha256[:12]} ({card.data})"


def _sit(
    run: Run,
    *,
    budget: Budget,
    batches: Batches,
    fixed: list[FixedBurst],
    processes: Processes,
    log: Log | None,
    interrupted: Callable[[], bool],
) -> None:
    """Train until the budget is spent or someone interrupts."""
    good = tensors_of(run)
    before_s, began = run.elapsed_s, time.monotonic()
    while True:
        run.elapsed_s = processes.agree(before_s + time.monotonic() - began)
        progress = processes.agree(math.inf if interrupted() else budget.progress(run))
        ended = progress >= 1
        if ended or _due(run, processes):
            run.scores.append((run.elapsed_s, _validate(run, fixed)))
            good = tensors_of(run)
        if log:
            log.keep_up(ended=ended)
        if ended:
            return
        loss, verdict = take_step(run, progress, batches, processes)
        if verdict == "restore":
            _restore(run, good)
        run.step += 1
        if log:
            log.tell(progress, loss, skipped=verdict != "step")


def _validate(run: Run, fixed: list[FixedBurst]) -> float:
    """Return the mean PSNR of the averaged weights over the fixed bursts [dB]."""
    device = next(run.average.parameters()).device
    with torch.autocast(device.type, torch.bfloat16, enabled=run.recipe.precision == "bf16"):
        return mean_psnr(run.average.restore_light, fixed)


def _due(run: Run, processes: Processes) -> bool:
    """Tell whether a validation is due; all processes agree."""
    last = run.scores[-1][0] if run.scores else -math.inf
    return bool(processes.agree(float(run.elapsed_s - last >= run.recipe.validate_every_s)))


def _restore(run: Run, good: dict[str, Tensor]) -> None:
    """Go back to the last good weights, and on with smaller steps."""
    load_tensors(run, good, "the last good weights")
    run.guard.forget()
    run.rate /= 2


@contextmanager
def interruption() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a flag; the second has its usual effect."""
    asked: list[int] = []
    usual: dict[signal.Signals, Any] = {}

    def ask(number: int, frame: FrameType | None) -> None:
        del frame
        asked.append(number)
        for each, handler in usual.items():
            signal.signal(each, handler)

    try:
        for each in (signal.SIGINT, signal.SIGTERM):
            usual[each] = signal.signal(each, ask)
    except ValueError:  # not the main thread: whoever called handles signals
        pass
    try:
        yield lambda: bool(asked)
    finally:
        for each, handler in usual.items():
            signal.signal(each, handler)
