"""Batches of degraded bursts from photographs; each is drawn from its own seed."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from burstfix import color
from burstfix.errors import InputError, UsageError
from burstfix.io.clips import LEAST_FRAMES, LONGEST
from burstfix.io.photos import Photo
from burstfix.synth.burst import SyntheticBurst, clip_side, photo_side, synthesize
from burstfix.synth.pair import PairSettings, pairs_of_clips, synthesize_pairs
from burstfix.synth.plan import BurstSettings, CameraSettings
from burstfix.synth.single import SingleSettings, singles_of_clips, synthesize_singles
from burstfix.synth.video import VideoSettings, clips_of_clips, film_clips
from burstfix.train.clips import align_clips, draw_exposures
from burstfix.train.config import Recipe, Settings, Stage


@dataclass(frozen=True)
class Split:
    """Photographs to learn from and photographs to validate on: never the same ones."""

    training: list[Photo]
    validation: list[Photo]


def split_photos(photos: Sequence[Photo], every: int, side: int) -> Split:
    """Split by photograph, never by crop.

    Crops of one photograph have names that differ in the last letter (`0012a`, `0012b`) and fall
    on the same side.

    Args:
        photos: at least two photographs.
        every: every n-th photograph, in the order of their names, is for validation, whatever
            its size: recipes that need larger ones set the same aside.
        side: the least height and width that training needs [px].

    Raises:
        InputError: photographs are too few or too small.
    """
    large = sorted(_large(photos, side), key=lambda photo: photo.name)
    groups = len({_group(photo.name) for photo in large})
    if groups < 2:
        raise InputError(
            f"Only {groups} photographs have at least {side} pixels a side.",
            "Training needs two or more; some hundreds are good.",
        )
    kept = _kept(photos, every, side)
    return Split(
        training=[photo for photo in large if photo.name not in kept],
        validation=[photo for photo in large if photo.name in kept],
    )


def held_out(names: Iterable[str], every: int) -> set[str]:
    """Choose the photographs to validate on, which training on the same collection never sees.

    Args:
        names: of the photographs, as `split_photos` describes.
        every: every n-th photograph in the order of names, not by the number in a name: numbers
            may have gaps.

    Returns:
        The chosen names; both crops of a photograph, or none.
    """
    ordered = sorted(names)
    groups = list(dict.fromkeys(_group(name) for name in ordered))
    chosen = set(groups[:: max(1, min(every, len(groups)))])
    return {name for name in ordered if _group(name) in chosen}


def _kept(photos: Sequence[Photo], every: int, side: int) -> set[str]:
    """Choose names to validate on; where all of them are too small, from the larger ones."""
    large = {photo.name for photo in _large(photos, side)}
    return held_out((photo.name for photo in photos), every) & large or held_out(large, every)


def _large(photos: Iterable[Photo], side: int) -> list[Photo]:
    return [photo for photo in photos if min(photo.pixels.shape[:2]) >= side]


def least_side(recipe: Recipe) -> int:
    """Return the height and width that photographs must have for a recipe [px]."""
    return max(photo_side(recipe.settings(stage.crop)) for stage in recipe.stages)


def clip_lengths(recipe: Recipe) -> tuple[int, int]:
    """Return how many frames clips must have for a recipe, and how many a sample may span."""
    settings = recipe.settings(recipe.stages[0].crop)
    if not isinstance(settings, VideoSettings):
        return LEAST_FRAMES, LONGEST
    frames, (low, high) = max(recipe.lengths), settings.moments
    return frames * low, 2 * frames * high


def unseen_photos(photos: Sequence[Photo], recipes: Sequence[Recipe]) -> list[Photo]:
    """Choose the photographs of a collection that none of some trainings on it has learned from.

    Args:
        photos: the whole collection.
        recipes: of the trainings.
    """
    learned: set[str] = set()
    for recipe in recipes:
        side = least_side(recipe)  # smaller ones no training takes
        large = {photo.name for photo in _large(photos, side)}
        learned |= large - _kept(photos, recipe.validation_share, side)
    return [photo for photo in photos if photo.name not in learned]


def large_enough(photos: Sequence[Photo], settings: CameraSettings) -> list[Photo]:
    """Leave out photographs that are too small for crops.

    Raises:
        InputError: all are.
    """
    side = photo_side(settings)
    large = _large(photos, side)
    if not large:
        raise InputError(
            f"None of {len(photos)} photographs has {side} pixels a side, which frames of "
            f"{settings.crop} pixels need.",
            "Take larger photographs, or a smaller --crop.",
        )
    return large


def draw_batch(
    photos: Sequence[Photo],
    recipe: Recipe,
    stage: Stage,
    *,
    seed: Sequence[int],
    device: torch.device,
) -> SyntheticBurst:
    """Draw one shard of a batch; the same seed gives the same shard.

    Args:
        photos: to degrade; those with more detail are drawn more often.
        recipe: burst lengths and degradations.
        stage: crop and size.
        seed: numbers that name the shard, such as run, step and index.
        device: where the bursts shall lie.
    """
    dice = random.Random(repr(tuple(seed)))
    length = dice.choice(recipe.lengths)
    count = recipe.count(stage.frames, length)
    settings = recipe.settings(stage.crop)
    side = photo_side(settings)
    chosen = dice.choices(photos, weights=[photo.detail for photo in photos], k=count)
    if chosen[0].later:
        return _draw_clips(chosen, recipe, settings, dice, device, length)
    light = cut_light(chosen, side, dice, device)
    generator = torch.Generator(device).manual_seed(dice.getrandbits(48))
    return degrade(light, settings, generator, length)


def _draw_clips(
    chosen: Sequence[Photo],
    recipe: Recipe,
    settings: Settings,
    dice: random.Random,
    device: torch.device,
    frames: int,
) -> SyntheticBurst:
    """Draw one shard from clips: stretches of random lengths, cut and turned alike."""
    if isinstance(settings, BurstSettings):
        raise UsageError(
            f"Clips serve pairs, single frames and films, not {recipe.task}.",
            "Give single photographs instead.",
        )
    there = min(len(clip.later) for clip in chosen) + 1
    if isinstance(settings, VideoSettings):
        numbers = draw_exposures(settings, frames, there, dice)
    else:
        numbers = list(range(_stretch(settings, there, dice)))
    side = clip_side(settings)
    stacks = []
    for clip in chosen:
        top = dice.randint(0, clip.pixels.shape[0] - side)
        left = dice.randint(0, clip.pixels.shape[1] - side)
        turn = dice.randrange(8)
        cut = [clip.frame(n)[top : top + side, left : left + side] for n in numbers]
        stack = np.rot90(np.stack(cut), turn % 4, (1, 2))
        stacks.append(stack[:, :, ::-1] if turn >= 4 else stack)
    codes = torch.from_numpy(np.stack(stacks)).to(device)
    light = to_light(codes.flatten(0, 1)).view(len(chosen), -1, 3, side, side)
    generator = torch.Generator(device).manual_seed(dice.getrandbits(48))
    if isinstance(settings, PairSettings):
        return pairs_of_clips(light, settings, generator)
    if isinstance(settings, VideoSettings):
        return align_clips(clips_of_clips(light, frames, settings, generator), settings)
    return singles_of_clips(light, settings, generator)


def _stretch(settings: PairSettings | SingleSettings, there: int, dice: random.Random) -> int:
    """Draw how many frames of clips become a sample, where so many are there."""
    low, high = settings.moments
    if isinstance(settings, PairSettings):
        most = there - 2  # the first is the short frame, and one more is lost
        return dice.randint(min(low, most), min(high, most)) + 2
    most = (there - 1) // 2  # to each side of the middle one
    return 2 * dice.randint(min(low // 2, most), min(high // 2, most)) + 1


def degrade(
    light: Tensor, settings: Settings, generator: torch.Generator, frames: int
) -> SyntheticBurst:
    """Make bursts, pairs, single frames or clips of photographs; arguments as `synthesize`."""
    if isinstance(settings, SingleSettings):
        return synthesize_singles(light, settings, generator)
    if isinstance(settings, VideoSettings):
        return align_clips(film_clips(light, settings, generator, frames), settings)
    if isinstance(settings, PairSettings):
        return synthesize_pairs(light, settings, generator, frames)
    return synthesize(light, settings, generator, frames)


def draw_bursts(
    photos: Sequence[Photo], recipe: Recipe, *, count: int, crop: int, frames: int, seed: int
) -> Iterator[SyntheticBurst]:
    """Draw bursts as training does, one after another, on the CPU: to look at.

    Args:
        photos: to degrade; those too small are left out.
        recipe: the degradations.
        count: how many bursts.
        crop: side of the frames, a multiple of 16 [px].
        frames: of each burst.
        seed: names the bursts.

    Yields:
        One burst at a time.

    Raises:
        InputError: no photograph is large enough.
        UsageError: the recipe's task is not for so many frames.
    """
    large = large_enough(photos, recipe.settings(crop))
    stage = Stage(crop=crop, frames=frames)  # two bursts a batch: one lends the other its scene
    try:
        one = replace(recipe, lengths=(frames,))
    except ValueError as error:
        raise UsageError(
            f"The recipe makes no samples of {frames} frames: {error}.", "Give another number."
        ) from error
    for number in range(count):
        batch = draw_batch(large, one, stage, seed=(seed, number), device=torch.device("cpu"))
        yield SyntheticBurst(**{name: part[:1] for name, part in vars(batch).items()})


def to_light(codes: Tensor) -> Tensor:
    """Decode sRGB photographs; (N, H, W, 3) uint8 to linear light, (N, 3, H, W) float32."""
    table = color.decode(torch.arange(256, dtype=torch.float32) / 255, color.SRGB)
    return table.to(codes.device)[codes.permute(0, 3, 1, 2).long()]


def stack_light(photos: Sequence[Photo]) -> Tensor:
    """Cut the largest square that all photographs have, at their top left; (N, 3, s, s)."""
    side = min(min(photo.pixels.shape[:2]) for photo in photos)
    return to_light(torch.stack([torch.from_numpy(p.pixels[:side, :side]) for p in photos]))


def cut_light(
    photos: Sequence[Photo], side: int, dice: random.Random, device: torch.device
) -> Tensor:
    """Cut a square at a random place of each photograph; linear light, (N, 3, side, side)."""
    crops = [_cut(photo.pixels, side, dice) for photo in photos]
    return to_light(torch.from_numpy(np.stack(crops)).to(device))


def _cut(pixels: np.ndarray, side: int, dice: random.Random) -> np.ndarray:
    """Cut a square at a random place; (H, W, 3) to (side, side, 3)."""
    top = dice.randint(0, pixels.shape[0] - side)
    left = dice.randint(0, pixels.shape[1] - side)
    return pixels[top : top + side, left : left + side]


def _group(name: str) -> str:
    """Name the photograph that a crop comes from: four digits and a letter are a crop.

    The frames of a clip, named `clip@frame`, count as one photograph.
    """
    if "@" in name:
        return name.rpartition("@")[0]
    digits, letter = name[:-1], name[-1:]
    return digits if len(digits) == 4 and digits.isdigit() and letter.isalpha() else name
