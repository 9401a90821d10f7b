"""How well backends restore the fixed validation bursts, beside the frames themselves."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from burstfix import metrics
from burstfix.backends import find
from burstfix.backends.base import Network
from burstfix.device import Precision
from burstfix.io.photos import Photo
from burstfix.synth.burst import SyntheticBurst
from burstfix.tiling import TensorSource, run_whole
from burstfix.train.data import large_enough
from burstfix.train.validate import (
    BLUR,
    NOISE,
    Blur,
    Case,
    FixedBurst,
    fixed_bursts,
    plain_settings,
    to_codes,
)

Metric = Literal["psnr", "ssim", "shifted_psnr", "flicker"]  # the last of films alone

BEST = "best frame"  # picked knowing the truth: better than any user could
REFERENCE = "reference"
BESIDE = ("mean", "fba")  # backends that are always compared


@dataclass(frozen=True, kw_only=True)
class Score:
    """How one method did on bursts of one kind: means over them.

    Args:
        method: a backend's name, `BEST` or `REFERENCE`.
        case: plain, ruined or moving.
        noise: low, medium or high.
        blur: easy, mixed or hard.
        length: frames given of each burst.
        drawn: frames that the burst had; the first were given.
        bursts: how many.
        psnr: on sRGB codes [dB].
        ssim: likewise.
        shifted_psnr: with one shift of the whole picture allowed [dB].
    """

    method: str
    case: str
    noise: str
    blur: str
    length: int
    drawn: int
    bursts: int
    psnr: float
    ssim: float
    shifted_psnr: float


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What to score on.

    Args:
        lengths: how many frames to give. The first of one longer burst are taken for all, so
            that figures of different lengths compare; bursts of the case "ruined" are drawn
            for each length, since only so every one has its ruined frame.
        cases: what befalls the bursts beside blur and noise.
        noises: names of noise levels.
        blurs: names of blurs.
        count: bursts for each noise level and blur.
        crop: side of the frames [px].
    """

    lengths: tuple[int, ...] = (8,)
    cases: tuple[Case, ...] = ("plain",)
    noises: tuple[str, ...] = tuple(NOISE)
    blurs: tuple[Blur, ...] = tuple(BLUR)
    count: int = 4
    crop: int = 256

    def draws(self) -> list[tuple[Case, int, tuple[int, ...]]]:
        """Return each case, how many frames to draw, and how many of them to give."""
        lengths = tuple(sorted(set(self.lengths)))
        draws: list[tuple[Case, int, tuple[int, ...]]] = []
        for case in self.cases:
            if case == "ruined":  # no shorter burst has a frame to spare
                draws += [(case, length, (length,)) for length in lengths if length >= 3]
            else:
                draws.append((case, lengths[-1], lengths))
        return draws

    def kinds(self) -> int:
        """Count the kinds of bursts that each method is scored on."""
        lengths = sum(len(given) for _, _, given in self.draws())
        return lengths * len(self.noises) * len(self.blurs)


def evaluate(
    networks: Mapping[str, Network],
    photos: Sequence[Photo],
    conditions: Conditions,
    *,
    device: torch.device,
    precision: Precision = "auto",
    report: Callable[[Score], None] | None = None,
) -> list[Score]:
    """Score networks on fixed bursts; `mean`, `fba` and the frames themselves come along.

    Args:
        networks: by the names to print.
        photos: sharp photographs that no network was trained on.
        conditions: what to make of them.
        device: where to restore.
        precision: in which to restore.
        report: called with each score as it is known.

    Returns:
        One score for each method and kind of burst.

    Raises:
        InputError: no photograph is large enough.
    """
    compared = {name: find(name).build() for name in BESIDE} | dict(networks)
    large = large_enough(photos, plain_settings("low", "easy", conditions.crop))
    scores: list[Score] = []
    for fixed, drawn in _bursts(large, conditions, device):
        for score in _scores(fixed, drawn, compared, device, precision):
            scores.append(score)
            if report:
                report(score)
    return scores


def falls(scores: Sequence[Score]) -> dict[str, dict[int, float]]:
    """Find where more frames made a method worse, on average over plain bursts.

    Returns:
        For each method that was scored at several lengths, the lengths that scored lower than
        some shorter one, and by how much [dB].
    """
    plain = [score for score in scores if score.case == "plain"]
    found: dict[str, dict[int, float]] = {}
    for method, row in table(plain, "length").items():
        lengths = sorted(row, key=int)
        highest = itertools.accumulate((row[length] for length in lengths), max)
        below = {
            int(length): best - row[length]
            for length, best in zip(lengths, highest, strict=True)
            if row[length] < best
        }
        if len(lengths) > 1:
            found[method] = below
    return found


def below_reference(scores: Sequence[Score]) -> dict[str, list[Score]]:
    """Find the kinds of bursts on which a method is worse than the reference frame alone."""
    alone = {_kind(score): score.psnr for score in scores if score.method == REFERENCE}
    found: dict[str, list[Score]] = {score.method: [] for score in scores}
    for score in scores:
        if score.psnr < alone[_kind(score)] - 1e-4:  # one frame alone may round otherwise
            found[score.method].append(score)
    return {method: below for method, below in found.items() if method not in {REFERENCE, BEST}}


def table(scores: Sequence[Score], by: str, what: Metric = "psnr") -> dict[str, dict[str, float]]:
    """Average a figure for each method and each value of a field of `Score`, such as `noise`."""
    rows: dict[str, dict[str, float]] = {}
    key = lambda score: (score.method, str(getattr(score, by)))  # noqa: E731
    for (method, value), group in itertools.groupby(sorted(scores, key=key), key):
        found = [getattr(score, what) for score in group]
        rows.setdefault(method, {})[value] = sum(found) / len(found)
    return rows


def to_json(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Return scores as plain values that JSON can hold."""
    return [asdict(score) for score in scores]


def _kind(score: Score) -> tuple[str, ...]:
    return score.case, score.noise, score.blur, str(score.length)


def _bursts(
    photos: Sequence[Photo], conditions: Conditions, device: torch.device
) -> Iterator[tuple[FixedBurst, int]]:
    """Yield bursts of each kind, and how many frames were drawn."""
    for case, drawn, lengths in conditions.draws():
        for fixed in fixed_bursts(
            photos,
            device=device,
            length=drawn,
            count=conditions.count,
            crop=conditions.crop,
            noises=conditions.noises,
            blurs=conditions.blurs,
            case=case,
        ):
            for length in lengths:
                yield fixed.first(length), drawn


def _scores(
    fixed: FixedBurst,
    drawn: int,
    networks: Mapping[str, Network],
    device: torch.device,
    precision: Precision,
) -> Iterator[Score]:
    """Score every method on bursts of one kind."""
    burst = fixed.burst
    best = [
        frames[int(metrics.psnr(to_codes(frames), to_codes(truth)).argmax())]
        for frames, truth in zip(burst.frames, burst.truth, strict=True)
    ]
    yield score_of(REFERENCE, fixed, drawn, burst.frames[:, 0].cpu())
    yield score_of(BEST, fixed, drawn, torch.stack(best).cpu())
    for name, network in networks.items():
        yield score_of(name, fixed, drawn, restore_each(network, burst, device, precision))


def restore_each(
    network: Network, burst: SyntheticBurst, device: torch.device, precision: Precision
) -> Tensor:
    """Restore bursts as a picture is restored; linear light, (N, 3, H, W) on the CPU."""
    restored = [
        run_whole(
            network,
            TensorSource(frames.cpu(), seen.cpu()),
            descriptor=descriptor[None].cpu(),
            device=device,
            precision=precision,
        )
        for frames, seen, descriptor in zip(burst.frames, burst.seen, burst.descriptor, strict=True)
    ]
    return torch.stack(restored)


def score_of(method: str, fixed: FixedBurst, drawn: int, pictures: Tensor) -> Score:
    """Compare restored pictures in linear light, (N, 3, H, W), with their truth."""
    codes, truth = to_codes(pictures), to_codes(fixed.burst.truth.cpu())
    return Score(
        method=method,
        case=fixed.case,
        noise=fixed.noise,
        blur=fixed.blur,
        length=fixed.length,
        drawn=drawn,
        bursts=len(codes),
        psnr=float(metrics.psnr(codes, truth).mean()),
        ssim=float(metrics.ssim(codes, truth).mean()),
        shifted_psnr=float(metrics.shift_compensated_psnr(codes, truth).mean()),
    )
