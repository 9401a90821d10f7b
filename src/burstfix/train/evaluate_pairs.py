"""How well backends restore the fixed pairs, beside the frames and beside each frame alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from burstfix.backends.base import Network
from burstfix.device import Precision
from burstfix.io.photos import Photo
from burstfix.synth.burst import SyntheticBurst
from burstfix.synth.render_pair import PAIR_BLUR, PAIR_NOISE
from burstfix.train.data import large_enough
from burstfix.train.evaluate import Score, restore_each, score_of
from burstfix.train.fixed_pairs import (
    PairCase,
    fixed_pairs,
    plain_pairs,
)
from burstfix.train.validate import FixedBurst, psnr

NOISY = "noisy frame"
BLURRY = "blurry frame"
ALONE = "better one alone"  # each frame restored alone; picked knowing the truth
INPUTS = (NOISY, BLURRY)


@dataclass(frozen=True, kw_only=True)
class PairConditions:
    """What to score on.

    Args:
        cases: what befalls the pairs beside blur and noise.
        noises: names of noise levels.
        blurs: names of blurs.
        count: pairs for each noise level and blur.
        crop: side of the frames [px].
    """

    cases: tuple[PairCase, ...] = ("plain",)
    noises: tuple[str, ...] = tuple(PAIR_NOISE)
    blurs: tuple[str, ...] = tuple(PAIR_BLUR)
    count: int = 4
    crop: int = 256

    def kinds(self) -> int:
        """Count the kinds of pairs that each method is scored on."""
        return len(self.cases) * len(self.noises) * len(self.blurs)


def evaluate_pairs(
    networks: Mapping[str, Network],
    single: Network,
    photos: Sequence[Photo],
    conditions: PairConditions,
    *,
    device: torch.device,
    precision: Precision = "auto",
    report: Callable[[Score], None] | None = None,
) -> list[Score]:
    """Score networks on fixed pairs; the frames come along, and what can be made of one alone.

    Args:
        networks: by the names to print.
        single: restores single frames, as a burst of one.
        photos: sharp photographs that no network was trained on.
        conditions: what to make of them.
        device: where to restore.
        precision: in which to restore.
        report: called with each score as it is known.

    Returns:
        One score for each method and kind of pair.

    Raises:
        InputError: no photograph is large enough.
    """
    large = large_enough(photos, plain_pairs("low", "mild", conditions.crop))
    scores: list[Score] = []
    for fixed in _pairs(large, conditions):
        for method, pictures in _restored(fixed.burst, networks, single, device, precision):
            scores.append(score_of(method, fixed, 2, pictures))
            if report:
                report(scores[-1])
    return scores


def below_better_input(scores: Sequence[Score]) -> dict[str, list[Score]]:
    """Find the kinds of pairs on which a method is worse than the better of the two frames."""
    best: dict[tuple[str, str, str], float] = {}
    for score in scores:
        if score.method in INPUTS:
            kind = score.case, score.noise, score.blur
            best[kind] = max(best.get(kind, score.psnr), score.psnr)
    found: dict[str, list[Score]] = {s.method: [] for s in scores if s.method not in INPUTS}
    for score in scores:
        if score.method in found and score.psnr < best[score.case, score.noise, score.blur]:
            found[score.method].append(score)
    return found


def _pairs(photos: Sequence[Photo], conditions: PairConditions) -> Iterator[FixedBurst]:
    """Yield pairs of each kind."""
    for case in conditions.cases:
        yield from fixed_pairs(
            photos,
            device=torch.device("cpu"),
            count=conditions.count,
            crop=conditions.crop,
            noises=conditions.noises,
            blurs=conditions.blurs,
            case=case,
        )


def _restored(
    pairs: SyntheticBurst,
    networks: Mapping[str, Network],
    single: Network,
    device: torch.device,
    precision: Precision,
) -> Iterator[tuple[str, Tensor]]:
    """Yield each method and what it makes of the pairs, in linear light; (N, 3, H, W)."""
    yield NOISY, pairs.frames[:, 0]
    yield BLURRY, pairs.frames[:, 1]
    alone = torch.stack(
        [restore_each(single, _alone(pairs, index), device, precision) for index in (0, 1)]
    )
    better = torch.stack([psnr(pictures, pairs.truth) for pictures in alone]).argmax(dim=0)
    yield ALONE, alone[better, torch.arange(len(better))]
    for name, network in networks.items():
        yield name, restore_each(network, pairs, device, precision)


def _alone(pairs: SyntheticBurst, index: int) -> SyntheticBurst:
    """Return one frame of each pair as a burst of its own."""
    own = slice(index, index + 1)
    descriptor = pairs.descriptor[:, own].clone()
    descriptor[..., 0], descriptor[..., 1] = 1, 0  # it is its own reference
    return SyntheticBurst(
        frames=pairs.frames[:, own],
        truth=pairs.truth,
        seen=torch.ones_like(pairs.seen[:, own]),
        descriptor=descriptor,
        psfs=pairs.psfs[:, own],
        source_from_reference=pairs.source_from_reference[:, own],
    )
