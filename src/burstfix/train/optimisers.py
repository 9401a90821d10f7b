"""Optimisers and schedules that recipes name."""

import math

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from burstfix.train.config import Recipe
from burstfix.train.muon import Muon
from burstfix.train.processes import Processes

_LONGEST_RISE = 0.1  # share of a run


def make_optimiser(recipe: Recipe, network: nn.Module, processes: Processes) -> Optimizer:
    """Make the optimiser that a recipe names, over the weights of a network.

    Args:
        recipe: kind, rates, momentum and decay.
        network: whose weights it changes.
        processes: share the work where the optimiser allows it.

    Returns:
        An optimiser whose groups keep their highest rate as `base`.
    """
    matrices, others = _kinds(network)
    if recipe.optimiser == "muon":
        return Muon(
            matrices,
            others,
            rate=recipe.rate,
            other_rate=recipe.other_rate,
            momentum=recipe.momentum,
            betas=recipe.betas,
            weight_decay=recipe.weight_decay,
            processes=processes,
        )
    groups = [
        {"params": matrices, "base": recipe.rate, "weight_decay": recipe.weight_decay},
        {"params": others, "base": recipe.rate, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimiser == "adam":
        return AdamW(groups, lr=recipe.rate, betas=recipe.betas)  # Adam where nothing decays
    return SGD(groups, lr=recipe.rate, momentum=recipe.momentum)


def scale_rates(optimiser: Optimizer, factor: float) -> None:
    """Set the learning rates to a share of their highest."""
    for group in optimiser.param_groups:
        group["lr"] = factor * group["base"]


def rate_factor(recipe: Recipe, step: int, progress: float) -> float:
    """Return the share of the learning rates: rises over some steps, falls as the recipe says.

    Args:
        recipe: its schedule.
        step: how many steps were done.
        progress: share of the run that is spent, 0 to 1; a cosine falls along it, the others
            along the steps.
    """
    # A short run on a slow machine must not end before it has risen.
    rise = min(1.0, max((step + 1) / recipe.warm_up, progress / _LONGEST_RISE))
    if recipe.schedule == "exponential":
        return rise * recipe.decay**step
    if recipe.schedule == "steps":
        return rise * float(recipe.decay ** (step // recipe.decay_every))
    low = recipe.final_rate
    return rise * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(progress, 1))))


def _kinds(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Part weight matrices from biases and from the last layer, which is no map of features."""
    named = list(network.named_parameters())
    last = max(index for index, (_, weight) in enumerate(named) if weight.dim() > 1)
    matrices = [w for i, (_, w) in enumerate(named) if w.dim() > 1 and i != last]
    return matrices, [w for i, (_, w) in enumerate(named) if w.dim() <= 1 or i == last]
