"""The state of a training run in one file, from which it goes on as if never interrupted."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from burstfix.backends.base import Network
from burstfix.errors import OutputError, WeightsError
from burstfix.train.config import Recipe, parse_recipe
from burstfix.train.guard import Guard

_FORMAT = "1"


@dataclasses.dataclass
class Adversary:
    """The other player of adversarial training.

    Args:
        network: tells true pictures from made ones.
        optimiser: over `network`.
    """

    network: nn.Module
    optimiser: Optimizer


@dataclasses.dataclass
class Run:
    """Everything that training changes.

    Args:
        recipe: what is being followed.
        network: the weights being trained.
        average: their moving average, which is what validates and ships.
        optimiser: over `network`.
        guard: judges the steps.
        adversary: the other player; None where the recipe wants none.
        step: how many were done.
        elapsed_s: how long they took, over all sittings.
        rate: factor on the learning rate; halved when good weights had to come back.
        scores: seconds and validation PSNR [dB] so far.
        data: what it learns from, and whom to credit.
    """

    recipe: Recipe
    network: Network
    average: Network
    optimiser: Optimizer
    guard: Guard
    adversary: Adversary | None = None
    step: int = 0
    elapsed_s: float = 0.0
    rate: float = 1.0
    scores: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    data: str = ""


def save_checkpoint(path: Path, run: Run) -> None:
    """Write a run's state: to a temporary file, synced, then renamed."""
    metadata = {
        "format": _FORMAT,
        "recipe": run.recipe.to_json(),
        "state": json.dumps(_numbers(run)),
    }
    partial = path.with_name(path.name + ".part")
    try:
        save_file(tensors_of(run), str(partial), metadata=metadata)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"Cannot write {path}: {error}.", "Choose another place.") from error


def read_recipe_of(path: Path) -> Recipe:
    """Return the recipe that a checkpoint's run follows."""
    table: dict[str, Any] = json.loads(_read(path)[1]["recipe"])
    return parse_recipe(table, str(path))


def load_checkpoint(path: Path, run: Run) -> None:
    """Bring a fresh run of the same recipe to the state in a file."""
    tensors, metadata = _read(path)
    load_tensors(run, tensors, str(path))
    state = json.loads(metadata["state"])
    run.guard = Guard(**state.pop("guard"))
    run.scores = [(float(t), float(score)) for t, score in state.pop("scores")]
    for name, value in state.items():
        setattr(run, name, value)


def tensors_of(run: Run) -> dict[str, Tensor]:
    """Collect the weights of all networks and the state of optimisers, named; copies."""
    tensors: dict[str, Tensor] = {}
    for prefix, module in _networks(run).items():
        for name, value in module.state_dict().items():
            tensors[f"{prefix}.{name}"] = value.detach().cpu().clone().contiguous()
    for prefix, optimiser in _optimisers(run).items():
        for index, state in optimiser.state_dict()["state"].items():
            for key, value in state.items():
                copied = torch.as_tensor(value).detach().cpu().clone().contiguous()
                tensors[f"{prefix}.{index}.{key}"] = copied
    return tensors


def load_tensors(run: Run, tensors: dict[str, Tensor], source: str) -> None:
    """Put back what `tensors_of` collected; `source` names it in messages."""
    networks, optimisers = _networks(run), _optimisers(run)
    parts: dict[str, dict[str, Tensor]] = {prefix: {} for prefix in (*networks, *optimisers)}
    for name, value in tensors.items():
        prefix, rest = name.split(".", 1)
        parts.setdefault(prefix, {})[rest] = value
    try:
        for prefix, network in networks.items():
            network.load_state_dict(parts[prefix])
    except RuntimeError as error:
        raise WeightsError(
            f"{source} belongs to another network.", "Resume with the recipe that it began with."
        ) from error
    for prefix, optimiser in optimisers.items():
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in parts[prefix].items():
            index, key = name.split(".", 1)
            states.setdefault(int(index), {})[key] = value.clone()
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": states, "param_groups": groups})


def _networks(run: Run) -> dict[str, nn.Module]:
    networks: dict[str, nn.Module] = {"network": run.network, "average": run.average}
    return networks | ({"adversary": run.adversary.network} if run.adversary else {})


def _optimisers(run: Run) -> dict[str, Optimizer]:
    optimisers = {"optimiser": run.optimiser}
    return optimisers | ({"rival": run.adversary.optimiser} if run.adversary else {})


def _numbers(run: Run) -> dict[str, Any]:
    """Return what is no tensor."""
    return {
        "step": run.step,
        "elapsed_s": run.elapsed_s,
        "rate": run.rate,
        "scores": run.scores,
        "data": run.data,
        "guard": dataclasses.asdict(run.guard),
    }


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors and metadata of a checkpoint."""
    mend = "Give a checkpoint that `burstfix train` wrote."
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"Cannot read {path}: {error}.", mend) from error
    if metadata.get("format") != _FORMAT or "state" not in metadata:
        raise WeightsError(f"{path} is no checkpoint.", mend)
    return tensors, metadata
