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

CROPS = (128, 64)  # sides of samples [px], by the photographs' size
_FRAMES = 5  # of a film that a network gets which takes any number
_FIXED = 4  # batches that restoration must not become worse on


def make_supervision(
    photos: Sequence[Photo],
    contract: Contract,
    *,
    device: torch.device,
    crop: int | None = None,
    samples: int = 4,
    task: TaskName | None = None,
) -> Supervision:
    """Make samples of what a network is for, from sharp photographs.

    Args:
        photos: some are set aside for the fixed samples.
        contract: of the network.
        device: where samples shall lie.
        crop: side of the samples [px]; None takes the largest of `CROPS` that all photographs
            have room for.
        samples: in a step.
        task: whose samples; None takes those that fit the contract.
    """
    if crop is None:
        least = min(min(photo.pixels.shape[:2]) for photo in photos)
        sides = zip(CROPS, sample_sides(contract, task), strict=True)
        crop = next((crop for crop, side in sides if side <= least), CROPS[-1])
    recipe = _recipe(contract, crop, samples, task)
    split = split_photos(photos, recipe.validation_share, least_side(recipe))
    drawer = _Drawer(recipe, split.training, device)
    judge = _Drawer(recipe, split.validation, torch.device("cpu"))
    fixed = [on_device(judge(-1 - number), device) for number in range(_FIXED)]
    return Supervision(draw=drawer, fixed=fixed)


def sample_sides(contract: Contract, task: TaskName | None = None) -> tuple[int, ...]:
    """Return the sides that photographs need for samples of each of `CROPS` [px]."""
    return tuple(least_side(_recipe(contract, crop, 1, task)) for crop in CROPS)


def _recipe(contract: Contract, crop: int, samples: int, task: TaskName | None) -> Recipe:
    """Return a recipe that draws samples for a network; see `make_supervision`."""
    task = task or ("single" if contract.frames == 1 else "video")
    if task == "single":
        if contract.frames not in (None, 1):
            raise UsageError(
                f"Samples of single frames do not fit a network that takes {contract.frames}.",
                "Take samples of films.",
            )
        frames, named = 1, {}
    else:
        frames = contract.frames or _FRAMES
        # What networks for bursts say of alignment holds for photographs; films get flow.
        named = {"alignment": "flow" if "burst" in contract.tasks else contract.alignment}
    return Recipe(
        task=task,
        network=named,
        lengths=(frames,),
        bursts=samples,
        stages=(Stage(crop=crop, frames=samples * frames),),
        validation_share=8,
        data=named,
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
