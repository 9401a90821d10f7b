"""Tell the short, noisy exposures of a pair from the long, shaken ones."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch

from burstfix.align.homography import reduction_for
from burstfix.align.sharpness import sharpness
from burstfix.errors import InputError, UsageError
from burstfix.frame import Box, Burst, Frame, Metadata
from burstfix.io.store import reduced_luminance
from burstfix.noise import estimate

LEAST_TIME_EV = 1 / 3  # between exposure times that tell which is which: a third of a stop
LEAST_NOISE_EV = 1.0  # between noise-to-signal ratios (of variances) that do
LEAST_SHARPNESS_EV = 0.6  # between powers of fine detail that do
NOISE_SIDE = 640  # of the square in the middle in which noise is measured [px]
_CLIPPED = 0.9  # of linear light: from where it tells nothing of noise
_QUIETEST = 1e-6  # noise-to-signal ratio below which all is coding and counts as equal


@dataclass(frozen=True)
class Kinds:
    """Which frames are which.

    Args:
        noisy: numbers of the short exposures, in the order given.
        blurry: numbers of the long ones.
        by: how they were told apart: "options", "exposure time", "noise" or "sharpness".
    """

    noisy: tuple[int, ...]
    blurry: tuple[int, ...]
    by: str

    def named(self) -> tuple[str, ...]:
        """Name the kind of each frame."""
        count = len(self.noisy) + len(self.blurry)
        return tuple("noisy" if number in self.noisy else "blurry" for number in range(count))


@dataclass(frozen=True, kw_only=True)
class Named:
    """What the user said of some of the files."""

    noisy: Collection[Path] = ()
    blurry: Collection[Path] = ()


def kinds_by_name(paths: Sequence[Path | None], named: Named) -> Kinds | None:
    """Tell by what the user said; files not named are of the kind that was not named.

    A file may be named by another path than as a frame.

    Returns:
        None where nothing was said.

    Raises:
        UsageError: a file was said to be both, or is not among the frames, or one kind is empty.
    """
    if not named.noisy and not named.blurry:
        return None
    places = _places(paths)
    for path in (*named.noisy, *named.blurry):
        if path.resolve() not in places:
            raise UsageError(f"{path} is not among the frames.", "Name it as a frame too.")
    numbers = range(len(paths))
    noisy = tuple(n for n in numbers if places[n] in _places(named.noisy))
    blurry = tuple(n for n in numbers if places[n] in _places(named.blurry))
    rest = tuple(n for n in numbers if n not in noisy and n not in blurry)
    if rest and noisy and blurry:
        raise UsageError(
            f"{paths[rest[0]]} is named neither by --noisy nor by --blurry.",
            "Name every file by one of them, or all of one kind.",
        )
    noisy, blurry = (noisy or rest), (blurry or rest)
    if not noisy or not blurry or set(noisy) & set(blurry):
        raise UsageError(
            "A pair needs a noisy frame and another, blurry one.",
            "Name different files with --noisy and --blurry.",
        )
    return Kinds(noisy, blurry, "options")


def kinds_by_time(metadata: Sequence[Metadata]) -> Kinds | None:
    """Tell by exposure times alone; None where they are not known or too much alike.

    Time is what shakes a picture. Time x ISO is not used: a short exposure at a high ISO may be
    the brighter picture, and is the noisy one all the same.
    """
    times = [facts.exposure_s for facts in metadata if facts.exposure_s]
    if len(times) < len(metadata):
        return None
    parts = _part([math.log2(seconds) for seconds in times], LEAST_TIME_EV)
    return Kinds(*parts, "exposure time") if parts else None


def kinds_by_pixels(frames: Burst) -> Kinds:
    """Tell by measured noise, relative to the light, or where it is alike by sharpness.

    Raises:
        InputError: the frames are alike in both.
    """
    ratios = [math.log2(max(noise_to_signal(frame), _QUIETEST)) for frame in frames]
    parts = _part(ratios, LEAST_NOISE_EV)
    if parts:
        quiet, noisy = parts
        return Kinds(noisy, quiet, "noise")
    sharp = [math.log2(max(_sharpness(frame), 1e-9)) for frame in frames]
    parts = _part(sharp, LEAST_SHARPNESS_EV)
    if parts:
        blurry, clear = parts
        return Kinds(clear, blurry, "sharpness")
    names = " and ".join(frame.name for frame in frames[:2])
    raise InputError(
        f"{names} are alike in exposure, noise and sharpness: they are no pair.",
        "Give a short and a long exposure, or say which is which with --noisy and --blurry. "
        "Frames of one kind are for `burstfix burst`.",
    )


def find_kinds(frames: Burst, named: Named) -> Kinds:
    """Tell which frames are noisy and which blurry: as said, else by time, else by pixels.

    Raises:
        UsageError: what was said contradicts itself.
        InputError: there is one frame only, or the frames are alike.
    """
    facts = [frame.metadata for frame in frames]
    return kinds_told([frame.path for frame in frames], facts, named) or kinds_by_pixels(frames)


def kinds_told(
    paths: Sequence[Path | None], metadata: Sequence[Metadata], named: Named
) -> Kinds | None:
    """Tell what can be told without pixels: as said, else by time; None where neither tells.

    Args:
        paths: the frames that can be read; what was said of others is not heeded.
        metadata: of each.
        named: what the user said.

    Raises:
        UsageError: what was said contradicts itself.
        InputError: there is one frame only, or none can be read of those said to be of a kind.
    """
    if len(paths) < 2:
        raise InputError(
            "A pair needs two frames, a short and a long exposure.",
            "Name both; or restore one frame with `burstfix burst`.",
        )
    places = _places(paths)
    read = Named(
        noisy=[path for path in named.noisy if path.resolve() in places],
        blurry=[path for path in named.blurry if path.resolve() in places],
    )
    for kind, said, there in (
        ("noisy", named.noisy, read.noisy),
        ("blurry", named.blurry, read.blurry),
    ):
        if said and not there:
            raise InputError(
                f"None of the frames named as {kind} can be read.",
                "Name others, or let burstfix find out which is which.",
            )
    return kinds_by_name(paths, read) or kinds_by_time(metadata)


def noise_to_signal(frame: Frame) -> float:
    """Measure noise variance over squared light, in the middle of a frame.

    It does not depend on exposure: of one scene, the frame that got less light has more.
    """
    height, width = frame.size
    side = min(NOISE_SIDE, height, width)
    top, left = (height - side) // 2, (width - side) // 2
    light = frame.read(Box(top, left, top + side, left + side))
    open_to_light = light[light < _CLIPPED]
    if open_to_light.numel() == 0:
        return 0.0
    signal = open_to_light.mean().clamp_min(1e-6)
    variance = estimate(light).variance(signal)
    return float(variance / signal.square())


def _places(paths: Iterable[Path | None]) -> list[Path | None]:
    """Return where files are, by whatever path they were named."""
    return [path.resolve() if path else None for path in paths]


def _sharpness(frame: Frame) -> float:
    picture: torch.Tensor = reduced_luminance(frame.pixels, reduction_for(frame.size))
    return sharpness(picture.numpy())


def _part(values: Sequence[float], least: float) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Part frames where their values leave the widest gap; None where it is below `least`.

    Returns:
        Numbers of the frames of lower and of higher value, each in the order given.
    """
    ranked = sorted(values)
    gaps = [after - before for before, after in pairwise(ranked)]
    widest = max(gaps, default=0.0)
    if widest < least:
        return None
    limit = ranked[gaps.index(widest)]
    low = tuple(number for number, value in enumerate(values) if value <= limit)
    high = tuple(number for number, value in enumerate(values) if value > limit)
    return low, high
