"""Made samples with truth beside which a network is tuned to films."""

from collections.abc import Sequence

import torch

from burstfix.backends.base import Contract
from burstfix.errors import UsageError
from burstfix.io.photos import Photo
from burstfix.synth.burst import SyntheticBurst
from burstfix.train.config import Recipe, Stage, TaskName
from burstfix.train.data import draw_batch, least_side, split_photos
from burstfix.train.reblur import Supervision
from burstfix.train.validate import on_device

_FIXED = 4  # batches that restoration must not become worse on


def make_supervision(
    photos: Sequence[Photo],
    contract: Contract,
    *,
    device: torch.device,
    crop: int = 128,
    samples: int = 4,
    task: TaskName | None = None,
) -> Supervision:
    """Make samples of what a network is for, from sharp photographs.

    Args:
        photos: some are set aside for the fixed samples.
        contract: of the network.
        device: where samples shall lie.
        crop: side of the samples [px].
        samples: in a step.
        task: whose samples; None takes those that fit the contract.
    """
    recipe = supervision_recipe(contract, crop=crop, samples=samples, task=task)
    split = split_photos(photos, recipe.validation_share, least_side(recipe))
    drawer = _Drawer(recipe, split.training, device)
    judge = _Drawer(recipe, split.validation, torch.device("cpu"))
    fixed = [on_device(judge(-1 - number), device) for number in range(_FIXED)]
    return Supervision(draw=drawer, fixed=fixed)


def supervision_recipe(
    contract: Contract, *, crop: int, samples: int, task: TaskName | None = None
) -> Recipe:
    """Return a recipe that draws samples for a network; see `make_supervision`."""
    task = task or "single"
    lengths = (1,)
    if contract.frames not in (None, *lengths):
        raise UsageError(
            f"This network takes {contract.frames} frames, for which no samples can be made.",
            "Tune a network that takes one frame, or any number.",
        )
    return Recipe(
        task=task,
        lengths=lengths,
        bursts=samples,
        stages=(Stage(crop=crop, frames=samples * max(lengths)),),
        validation_share=8,
    )


class _Drawer:
    """Draws the samples of a step, each step's from its own seed."""

    def __init__(self, recipe: Recipe, photos: Sequence[Photo], device: torch.device) -> None:
        self.recipe = recipe
        self.photos = photos
        self.device = device

    def __call__(self, step: int) -> SyntheticBurst:
        recipe = self.recipe
        seed = (recipe.seed, step, 0)
        return draw_batch(self.photos, recipe, recipe.stages[0], seed=seed, device=self.device)
