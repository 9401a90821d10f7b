"""The recipe of a run for which the user names none."""

from dataclasses import replace
from pathlib import Path

import torch

from burstfix.train.config import Recipe, TaskName, read_recipe
from burstfix.weights import read_card

_QUICK_MINUTES = 15  # in which a CPU makes too few steps with large crops
# `set-burst-gpu` keeps 0.7 KB a pixel and frame, data included (as measured on a CPU): 3 GB.
_ROOM = 8e9  # bytes


def choose_recipe(device: torch.device, minutes: float, task: TaskName = "burst") -> Recipe:
    """Choose a recipe of `set` for a device and a time.

    Args:
        device: where to train.
        minutes: how long.
        task: what it shall learn.
    """
    # All of it, free or not: processes that share a GPU must not choose differently.
    memory = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else 0
    return read_recipe(recipe_name(device.type, minutes, memory, task))


def recipe_name(kind: str, minutes: float, memory: int, task: TaskName = "burst") -> str:
    """Name the recipe of `set` for a kind of device.

    Args:
        kind: cpu, cuda or mps.
        minutes: how long training lasts.
        memory: of a GPU, in all [bytes].
        task: what it shall learn; but for bursts there is one recipe for all.
    """
    if task != "burst":
        return f"set-{task}"
    if kind == "cuda" and memory >= _ROOM:
        return "set-burst-gpu"
    return "set-burst-quick" if kind == "cpu" and minutes <= _QUICK_MINUTES else "set-burst"


def fit(recipe: Recipe, begin_from: Path | None) -> Recipe:
    """Let a recipe train the network that weights to begin with hold, of whatever size.

    Args:
        recipe: chosen by no user.
        begin_from: weights, or their name; None leaves the recipe as it is.
    """
    if begin_from is None:
        return recipe
    card = read_card(begin_from)
    if recipe.task in ("single", "video") and card.task != recipe.task:
        return recipe  # a smaller network, which takes what estimates blur
    return replace(recipe, network=dict(card.config)) if card.backend == recipe.backend else recipe


def deal(recipe: Recipe, processes: int) -> Recipe:
    """Part batches into so many shards that every process takes as many; batches grow by it."""
    return replace(recipe, shards=processes * -(-recipe.shards // processes))
