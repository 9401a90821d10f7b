"""Trains FlowNetS on the exact flow of made films (Dosovitskiy et al. 2015, section 5)."""

import dataclasses
import math
import random
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from burstfix import weights
from burstfix.backends import flownets
from burstfix.backends.flownets import SCALE, Config, FlowNetS, to_input
from burstfix.errors import UsageError
from burstfix.io.photos import Photo
from burstfix.synth.frame_pairs import FlowSettings, FramePairs, film_pairs, pair_side
from burstfix.train.config import RECIPES
from burstfix.train.data import cut_light, split_photos
from burstfix.train.export import describe
from burstfix.train.guard import Guard
from burstfix.train.loop import interruption

FLOW_RECIPES = RECIPES / "flow"

Schedule = Literal["cosine", "halves"]


@dataclass(frozen=True, kw_only=True)
class FlowRecipe:
    """One training run.

    Args:
        width: factor on the network's maps.
        seed: draws the first weights and all data.
        pairs: of frames in a step.
        rate: learning rate of Adam.
        betas: of Adam.
        schedule: rates fall as a cosine over the run, or by halves.
        halve_from: steps until they are first halved.
        halve_every: steps between halvings.
        levels: what the loss counts at each scale, the coarsest first.
        validation_share: every n-th photograph is for validation.
        validation_count: fixed pairs.
        data: overrides of `FlowSettings`.
    """

    width: float = 0.25
    seed: int = 1
    pairs: int = 8
    rate: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Schedule = "cosine"
    halve_from: int = 300_000
    halve_every: int = 100_000
    levels: tuple[float, ...] = (0.32, 0.08, 0.02, 0.01, 0.005)
    validation_share: int = 16
    validation_count: int = 16
    data: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.schedule not in get_args(Schedule):
            raise ValueError(f"{self.schedule!r} is none of {', '.join(get_args(Schedule))}")
        if len(self.levels) != 5:
            raise ValueError("levels are five, one for each scale")
        self.settings()

    def settings(self) -> FlowSettings:
        """Return what moves, and how large frames are."""
        settings = FlowSettings(**self.data)
        if settings.crop % 64:
            raise ValueError(f"crop must be a multiple of 64, not {settings.crop}")
        return settings

    def factor(self, step: int, progress: float) -> float:
        """Return the share of the learning rate at a step, and at a share of the run."""
        if self.schedule == "cosine":
            return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1)))
        late = step - self.halve_from
        return 1.0 if late < 0 else float(0.5 ** (1 + late // self.halve_every))


@dataclass(frozen=True)
class FlowReport:
    """How a run goes: steps done, share of the time spent, and the loss."""

    step: int
    progress: float
    loss: float


@dataclass(frozen=True)
class FlowScores:
    """Mean end-point error on fixed pairs [px]: the network's, and that of no motion at all."""

    steps: int
    error: float
    still: float
    interrupted: bool = False


def read_flow_recipe(name: str) -> FlowRecipe:
    """Read a recipe by its name, as `flownets-flow`, or from a TOML file.

    Raises:
        UsageError: there is none, or it has an unknown field or a value of the wrong kind.
    """
    path = Path(name) if name.endswith(".toml") else FLOW_RECIPES / f"{name}.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in table.items()
        }
        values["data"] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in table.get("data", {}).items()
        }
        return FlowRecipe(**values)
    except OSError as error:
        raise UsageError(
            f"There is no recipe {name}.", "Name a TOML file, flownets-flow or flownets-flow-paper."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError, ValueError) as error:
        known = ", ".join(entry.name for entry in dataclasses.fields(FlowRecipe))
        raise UsageError(
            f"{path} is no recipe of flow: {error}.", f"Its fields are: {known}."
        ) from error


def endpoint_loss(predicted: Sequence[Tensor], flow: Tensor, levels: Sequence[float]) -> Tensor:
    """Compare flow at all scales by the length of what it is off, averaged.

    Args:
        predicted: over `SCALE`, the coarsest first; (N, 2, h, w) each.
        flow: the truth [px]; (N, 2, H, W).
        levels: what each scale counts.
    """
    total = torch.zeros((), device=flow.device)
    for level, found in zip(levels, predicted, strict=True):
        truth = F.adaptive_avg_pool2d(flow / SCALE, (found.shape[-2], found.shape[-1]))
        total = total + level * torch.linalg.vector_norm(found - truth, dim=1).mean()
    return total


def train_flow(
    recipe: FlowRecipe,
    photos: Sequence[Photo],
    output: Path,
    *,
    minutes: float,
    device: torch.device,
    data: str = "",
    report: Callable[[FlowReport], None] | None = None,
) -> FlowScores:
    """Train FlowNetS, and write its weights; the first Ctrl-C ends the run early and saves it.

    Args:
        recipe: what to do.
        photos: sharp photographs; some are set aside for validation.
        output: the weights file.
        minutes: how long.
        device: where to compute.
        data: what the photographs are and whom to credit, for the card.
        report: called after each step.
    """
    settings = recipe.settings()
    split = split_photos(photos, recipe.validation_share, pair_side(settings))
    torch.manual_seed(recipe.seed)
    network = FlowNetS(Config(width=recipe.width)).to(device)
    with interruption() as interrupted:
        step, seconds = _learn(
            network, recipe, split.training, minutes=minutes, interrupted=interrupted, report=report
        )
    error, still = flow_error(network.eval(), _fixed(recipe, split.validation, device))
    card = weights.Card(
        backend=flownets.NAME,
        task="flow",
        config={"width": recipe.width},
        recipe=dataclasses.asdict(recipe),
        data=data,
        minutes=round(seconds / 60, 1),
        device=describe(device),
        scores={"endpoint_error_px": round(error, 3), "endpoint_error_still_px": round(still, 3)},
    )
    weights.save(network, card, output)
    return FlowScores(step, error, still, interrupted())


def _learn(
    network: FlowNetS,
    recipe: FlowRecipe,
    photos: Sequence[Photo],
    *,
    minutes: float,
    interrupted: Callable[[], bool],
    report: Callable[[FlowReport], None] | None,
) -> tuple[int, float]:
    """Take steps until the time is over; how many were taken, and in how many seconds."""
    device = next(network.parameters()).device
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.rate, betas=recipe.betas)
    guard = Guard(clip=10.0, spike=100.0)
    began, step = time.monotonic(), 0
    while (spent := time.monotonic() - began) < 60 * minutes and not interrupted():
        progress = spent / (60 * minutes)
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * recipe.factor(step, progress)
        pairs = draw_pairs(photos, recipe, f"{recipe.seed} {step}", recipe.pairs, device)
        optimiser.zero_grad()
        predicted = network.pyramid(to_input(pairs.source, pairs.target))
        loss = endpoint_loss(predicted, pairs.flow, recipe.levels)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = float(torch.nn.utils.clip_grad_norm_(network.parameters(), math.inf))
        if guard.judge(float(loss.detach()), norm) == "step":
            optimiser.step()
        step += 1
        if report:
            report(FlowReport(step, progress, guard.loss))
    return step, time.monotonic() - began


def draw_pairs(
    photos: Sequence[Photo], recipe: FlowRecipe, seed: str, count: int, device: torch.device
) -> FramePairs:
    """Draw pairs of frames; the same seed gives the same."""
    dice = random.Random(seed)
    settings = recipe.settings()
    chosen = dice.choices(photos, weights=[photo.detail for photo in photos], k=count)
    scenes = cut_light(chosen, pair_side(settings), dice, device)
    return film_pairs(scenes, settings, torch.Generator(device).manual_seed(dice.getrandbits(48)))


def _fixed(recipe: FlowRecipe, photos: Sequence[Photo], device: torch.device) -> FramePairs:
    """Draw the pairs to validate on, the same on every device."""
    drawn = draw_pairs(photos, recipe, "fixed", recipe.validation_count, torch.device("cpu"))
    return FramePairs(*(part.to(device) for part in vars(drawn).values()))


def flow_error(find: Callable[[Tensor, Tensor], Tensor], pairs: FramePairs) -> tuple[float, float]:
    """Return the mean end-point error [px] of found flow, and that of no motion at all."""
    with torch.no_grad():
        found = find(pairs.source, pairs.target)
    errors = (
        torch.linalg.vector_norm(flow, dim=1).mean() for flow in (found - pairs.flow, pairs.flow)
    )
    error, still = map(float, errors)
    return error, still
