"""Recipes: every number of a training run, in one TOML file."""

import dataclasses
import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from burstfix.errors import UsageError
from burstfix.synth.pair import PairSettings
from burstfix.synth.plan import BurstSettings
from burstfix.synth.single import SingleSettings
from burstfix.synth.video import VideoSettings

RECIPES = Path(__file__).parent / "recipes"

TaskName = Literal["burst", "pair", "single", "video"]
OptimiserName = Literal["muon", "adam", "sgd"]
Schedule = Literal["cosine", "exponential", "steps"]
DiscriminatorName = Literal["zhang", "nah"]
Settings = BurstSettings | PairSettings | SingleSettings | VideoSettings
SETTINGS: dict[TaskName, type[Settings]] = {
    "burst": BurstSettings,
    "pair": PairSettings,
    "single": SingleSettings,
    "video": VideoSettings,
}


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """What each term of the loss counts; 0 leaves it out.

    Args:
        absolute: mean absolute difference.
        squared: mean squared difference.
        charbonnier: the same, smooth at 0.
        gradient: mean absolute difference of horizontal and vertical differences.
        fourier: mean absolute difference of the orthonormal Fourier transforms.
        sobel: mean absolute difference of horizontal and of vertical Sobel gradients.
        dark: mean squared difference of the dark channels.
        denoised: mean absolute difference of what earlier parts of a network make: a denoising net.
        coarser: mean squared difference of what earlier parts of a network make, each, from the
            truth in its size: the coarser scales.
        adversarial: logarithm of how likely a discriminator, trained along, sees through the
            result; 0 trains none.
        discriminator: whose, Zhang et al.'s (2019) or Nah et al.'s (2017).
        discriminator_width: factor on the discriminator's channels.
        blur: divergence of the true point spread functions from those that the network found.
        deblurred: the terms above, for the picture that undoing this blur alone gives.
    """

    absolute: float = 0.0
    squared: float = 0.0
    charbonnier: float = 1.0
    gradient: float = 0.5
    fourier: float = 0.05
    sobel: float = 0.0
    dark: float = 0.0
    denoised: float = 0.0
    coarser: float = 0.0
    adversarial: float = 0.0
    discriminator: DiscriminatorName = "zhang"
    discriminator_width: float = 1.0
    blur: float = 0.0
    deblurred: float = 0.0

    def __post_init__(self) -> None:
        if self.discriminator not in get_args(DiscriminatorName):
            known = ", ".join(get_args(DiscriminatorName))
            raise ValueError(f"{self.discriminator!r} is none of {known}")

    @property
    def of_blur(self) -> bool:
        """Whether the network must tell what blur it found."""
        return self.blur > 0 or self.deblurred > 0


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stretch of the run: crops may grow.

    Args:
        until: share of the run at which the stage ends, 0 to 1.
        crop: side of the training frames, a multiple of 16 [px].
        frames: how many frames a shard holds, over all its bursts.
    """

    until: float = 1.0
    crop: int = 128
    frames: int = 32


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run.

    Args:
        task: what the network is for, hence what it learns from.
        backend: which network.
        network: overrides of its config.
        seed: draws the first weights and all data.
        lengths: frames of a burst, or of a pair, 1 of a single frame; of a film an odd number, a
            frame and its neighbours. Each shard of each step draws one, evenly.
        bursts: most bursts a shard holds.
        shards: parts of a batch; each process takes an equal number of them.
        stages: crops and sizes over the run.
        optimiser: muon (with Adam for biases and the last layer), adam or sgd.
        rate: learning rate at its peak; of the convolutions' weights where Muon takes them.
        other_rate: learning rate of what Muon leaves to Adam, at its peak.
        schedule: how rates fall from their peak: as a cosine over the run; by `decay` each step
            (exponential); or by `decay` each `decay_every` steps (steps).
        fine_tuning: share of the peaks where a run begins with weights trained for its task.
        other_task: the same where they were trained for another task.
        final_rate: share of the peaks that is left at the end of the cosine.
        decay: what the other schedules keep of the rates.
        decay_every: steps between two falls of the schedule "steps".
        warm_up: steps until the peak.
        momentum: of Muon and SGD.
        betas: of Adam.
        weight_decay: of the convolutions' weights; decoupled, but not so with SGD.
        clip: gradients longer than this many times their usual length are shortened to it.
        spike: steps whose gradient is longer than this many times the usual are skipped.
        ema: what the averaged weights keep each step.
        precision: bf16 or fp32.
        validate_every_s: seconds between validations.
        validation_share: every n-th photograph, by number, is for validation.
        validation_count: fixed bursts for each noise level and blur.
        loss: the terms of the loss.
        data: overrides of the task's settings, as `synth.plan.BurstSettings`.
    """

    task: TaskName = "burst"
    backend: str = "set"
    network: dict[str, Any] = field(default_factory=dict)
    seed: int = 1
    lengths: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    bursts: int = 8
    shards: int = 1
    stages: tuple[Stage, ...] = (Stage(),)
    optimiser: OptimiserName = "muon"
    rate: float = 0.01
    other_rate: float = 5e-4
    schedule: Schedule = "cosine"
    fine_tuning: float = 0.2
    other_task: float = 0.5
    final_rate: float = 0.01
    decay: float = 1.0
    decay_every: int = 1
    warm_up: int = 50
    momentum: float = 0.9
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    clip: float = 1.5
    spike: float = 10.0
    ema: float = 0.998
    precision: str = "bf16"
    validate_every_s: float = 300.0
    validation_share: int = 16
    validation_count: int = 3
    loss: LossWeights = field(default_factory=LossWeights)
    data: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        named = (self.task, TaskName), (self.optimiser, OptimiserName), (self.schedule, Schedule)
        for value, known in named:
            if value not in get_args(known):
                raise ValueError(f"{value!r} is none of {', '.join(get_args(known))}")
        if self.warm_up < 1 or self.decay_every < 1:
            raise ValueError("warm_up and decay_every are steps, at least 1")
        if self.task == "pair" and min(self.lengths) < 2:
            raise ValueError("a pair has two frames or more: mind the lengths")
        if self.task == "single" and max(self.lengths) > 1:
            raise ValueError("a single frame is one: mind the lengths")
        if self.task == "video":
            self._check_film()
        if self.loss.adversarial and self.optimiser != "adam":
            raise ValueError("with an adversary, players take turns, which adam alone allows")

    def _check_film(self) -> None:
        if any(length % 2 == 0 for length in self.lengths):
            raise ValueError("a frame of a film has as many before as behind: lengths are odd")
        asked, given = (part.get("alignment", "flow") for part in (self.network, self.data))
        if asked != given:
            raise ValueError(f"the network wants alignment {asked}, and [data] says {given}")

    def settings(self, crop: int) -> Settings:
        """Return the degradations for crops of a side."""
        return SETTINGS[self.task](**{**self.data, "crop": crop})

    def stage(self, progress: float) -> Stage:
        """Return the stage at a share of the run, 0 to 1."""
        return next((s for s in self.stages if progress < s.until), self.stages[-1])

    def count(self, frames: int, length: int) -> int:
        """Return how many bursts of a length a shard of so many frames holds."""
        return max(2, min(self.bursts, round(frames / length)))  # foreign frames need two bursts

    def to_json(self) -> str:
        """Write the recipe down, for the card of the weights and for checkpoints."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


def read_recipe(name: str) -> Recipe:
    """Read a recipe.

    Args:
        name: of a recipe that comes with burstfix, such as `set-burst`, or path of a TOML file.

    Raises:
        UsageError: there is none, or it has an unknown field or a value of the wrong kind.
    """
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(sorted(p.stem for p in RECIPES.glob("*.toml")))
        raise UsageError(
            f"There is no recipe {name}.", f"Name a TOML file, or one of: {known}."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a TOML file: {error}.", "Mend that line.") from error
    return parse_recipe(table, str(path))


def parse_recipe(table: dict[str, Any], source: str) -> Recipe:
    """Turn a TOML or JSON table into a recipe; `source` names it in messages."""
    try:
        values = _tuples(table)
        if "stages" in values:
            values["stages"] = tuple(Stage(**stage) for stage in values["stages"])
        if "loss" in values:
            values["loss"] = LossWeights(**values["loss"])
        recipe = Recipe(**values)
        for stage in recipe.stages:
            recipe.settings(stage.crop)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{source} is no recipe: {error}.",
            f"Its fields are: {', '.join(f.name for f in dataclasses.fields(Recipe))}.",
        ) from error
    return recipe


def _tuples(table: dict[str, Any]) -> dict[str, Any]:
    """Replace lists by tuples, which dataclasses take, in a table and in those inside it."""
    return {
        key: tuple(value)
        if isinstance(value, list)
        else _tuples(value)
        if isinstance(value, dict)
        else value
        for key, value in table.items()
    }
