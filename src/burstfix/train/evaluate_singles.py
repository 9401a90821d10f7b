"""How well backends restore single frames, beside the frames themselves and an unsharp mask."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from burstfix import color
from burstfix.backends.base import Network
from burstfix.device import Precision
from burstfix.io.photos import Photo
from burstfix.synth.burst import SyntheticBurst
from burstfix.train.data import large_enough, to_light
from burstfix.train.evaluate import Score, restore_each, score_of
from burstfix.train.fixed_singles import SINGLE_CASES, fixed_singles, plain_singles
from burstfix.train.validate import FixedBurst, psnr, to_codes

INPUT = "input"
UNSHARP = "unsharp mask"
LEAST_HARM_DB = 0.1  # of a change for the worse that counts
_RADIUS, _AMOUNT = 2.0, 1.0  # of the unsharp mask: px, and times the detail


@dataclass(frozen=True, kw_only=True)
class SingleConditions:
    """What to score on.

    Args:
        cases: names in `SINGLE_CASES`.
        noises: names in `SINGLE_NOISE`; each case is made at those of its own.
        count: frames for each case and noise level.
        crop: side of the frames [px].
    """

    cases: tuple[str, ...] = tuple(SINGLE_CASES)
    noises: tuple[str, ...] = ("none", "low", "high")
    count: int = 4
    crop: int = 256

    def kinds(self) -> int:
        """Count the kinds of frames that each method is scored on."""
        return sum(len({*self.noises} & {*SINGLE_CASES[case].noises}) for case in self.cases)


@dataclass(frozen=True, kw_only=True)
class Harm:
    """What a method does to photographs that nothing is wrong with.

    Args:
        method: by its name.
        photographs: how many.
        mean_change: of PSNR against the truth, by which a JPEG of it is changed [dB].
        worst_change: the same where it is lowest [dB].
        likeness: PSNR of what it makes of the photograph itself, against it; the mean [dB].
    """

    method: str
    photographs: int
    mean_change: float
    worst_change: float
    likeness: float


def evaluate_singles(
    networks: Mapping[str, Network],
    photos: Sequence[Photo],
    conditions: SingleConditions,
    *,
    device: torch.device,
    precision: Precision = "auto",
    report: Callable[[Score], None] | None = None,
) -> list[Score]:
    """Score networks on fixed frames; the frames come along, and an unsharp mask of them.

    Args:
        networks: by the names to print.
        photos: sharp photographs that no network was trained on.
        conditions: what to make of them.
        device: where to restore.
        precision: in which to restore.
        report: called with each score as it is known.

    Returns:
        One score for each method and kind of frame.

    Raises:
        InputError: no photograph is large enough.
    """
    scores: list[Score] = []
    for fixed in made_frames(photos, conditions):
        for method, pictures in _restored(fixed.burst, networks, device, precision):
            scores.append(score_of(method, fixed, 1, pictures))
            if report:
                report(scores[-1])
    return scores


def made_frames(photos: Sequence[Photo], conditions: SingleConditions) -> Iterator[FixedBurst]:
    """Yield frames of each kind, as `fixed_singles` makes them; arguments as `evaluate_singles`."""
    large = large_enough(photos, plain_singles("clean", "none", conditions.crop))
    return fixed_singles(
        large,
        device=torch.device("cpu"),
        count=conditions.count,
        crop=conditions.crop,
        noises=conditions.noises,
        cases=conditions.cases,
    )


def measure_harm(
    networks: Mapping[str, Network],
    photos: Sequence[Photo],
    *,
    crop: int,
    device: torch.device,
    precision: Precision = "auto",
) -> list[Harm]:
    """Measure what methods do to sharp, clean photographs: each as it is, and as a JPEG.

    Args:
        networks: by the names to print.
        photos: sharp photographs; all that are large enough are taken.
        crop: side of what is cut out of each [px].
        device: where to restore.
        precision: in which to restore.

    Returns:
        One for the unsharp mask and for each network.
    """
    settings = plain_singles("clean", "none", crop)
    large = large_enough(photos, settings)
    (clean,) = fixed_singles(
        large, device=torch.device("cpu"), count=len(large), crop=crop, cases=("clean",)
    )
    burst = clean.burst
    before = psnr(burst.frames[:, 0], burst.truth)
    # A JPEG's noise is unknown; that of the photographs themselves as well.
    untouched = replace(burst, frames=_cut_middles(large, crop).unsqueeze(1))
    found = []
    for method, pictures in _restored(burst, networks, device, precision):
        if method == INPUT:
            continue
        same = dict(_restored(untouched, _only(networks, method), device, precision))[method]
        change = psnr(pictures, burst.truth) - before
        found.append(
            Harm(
                method=method,
                photographs=len(large),
                mean_change=float(change.mean()),
                worst_change=min(change.tolist()),
                likeness=float(psnr(same, untouched.frames[:, 0]).mean()),
            )
        )
    return found


def below_input(scores: Sequence[Score]) -> dict[str, list[Score]]:
    """Find the kinds of frames on which a method is worse than the input by `LEAST_HARM_DB`."""
    inputs = {(score.case, score.noise): score.psnr for score in scores if score.method == INPUT}
    found: dict[str, list[Score]] = {s.method: [] for s in scores if s.method != INPUT}
    for score in scores:
        least = inputs[score.case, score.noise] - LEAST_HARM_DB
        if score.method in found and score.psnr < least:
            found[score.method].append(score)
    return found


def unsharp_mask(light: Tensor) -> Tensor:
    """Sharpen as photo editors do: detail finer than a Gaussian, added to display codes.

    Args:
        light: linear; (N, 3, H, W).

    Returns:
        Linear light; (N, 3, H, W).
    """
    sharpened = []
    for picture in to_codes(light):
        codes = np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
        smooth = cv2.GaussianBlur(codes, (0, 0), _RADIUS)
        sharp = np.clip(codes + _AMOUNT * (codes - smooth), 0, 1)
        sharpened.append(torch.from_numpy(sharp).permute(2, 0, 1))
    return color.decode(torch.stack(sharpened), color.SRGB)


def _only(networks: Mapping[str, Network], name: str) -> dict[str, Network]:
    return {name: networks[name]} if name in networks else {}


def _restored(
    frames: SyntheticBurst,
    networks: Mapping[str, Network],
    device: torch.device,
    precision: Precision,
) -> Iterator[tuple[str, Tensor]]:
    """Yield each method and what it makes of the frames, in linear light; (N, 3, H, W)."""
    yield INPUT, frames.frames[:, 0]
    yield UNSHARP, unsharp_mask(frames.frames[:, 0])
    for name, network in networks.items():
        yield name, restore_each(network, frames, device, precision)


def _cut_middles(photos: Sequence[Photo], side: int) -> Tensor:
    """Cut squares out of the middle of photographs; linear light, (N, 3, side, side)."""
    cut = []
    for photo in photos:
        top, left = ((length - side) // 2 for length in photo.pixels.shape[:2])
        cut.append(torch.from_numpy(photo.pixels[top : top + side, left : left + side]))
    return to_light(torch.stack(cut))
