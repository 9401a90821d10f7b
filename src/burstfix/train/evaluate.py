"""How well backends restore the fixed validation bursts, beside the frames themselves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from burstfix import metrics
from burstfix.backends import find
from burstfix.backends.base import Network
from burstfix.device import Precision
from burstfix.io.photos import Photo
from burstfix.synth.burst import SyntheticBurst
from burstfix.tiling import TensorSource, run_whole
from burstfix.train.validate import Blur, Case, FixedBurst, fixed_bursts, to_codes

BEST = "best frame"  # picked knowing the truth: better than any user could
REFERENCE = "reference"


@dataclass(frozen=True, kw_only=True)
class Score:
    """How one method did on bursts of one kind: means over them.

    Args:
        method: a backend's name, `BEST` or `REFERENCE`.
        case: plain, ruined or moving.
        noise: low, medium or high.
        blur: easy, mixed or hard.
        length: frames of each burst.
        bursts: how many.
        psnr: on sRGB codes [dB].
        ssim: likewise.
        shifted_psnr: with one shift of the whole picture allowed [dB].
    """

    method: str
    case: Case
    noise: str
    blur: str
    length: int
    bursts: int
    psnr: float
    ssim: float
    shifted_psnr: float


def evaluate(
    networks: Mapping[str, Network],
    photos: Sequence[Photo],
    *,
    device: torch.device,
    precision: Precision = "auto",
    lengths: Sequence[int] = (8,),
    cases: Sequence[Case] = ("plain",),
    noises: Sequence[str] = ("low", "medium", "high"),
    blurs: Sequence[Blur] = ("easy", "mixed", "hard"),
    count: int = 4,
    crop: int = 256,
    report: Callable[[Score], None] | None = None,
) -> list[Score]:
    """Score networks on fixed bursts; `mean`, `fba` and the frames themselves come along.

    Args:
        networks: by the names to print.
        photos: sharp photographs that no network was trained on.
        device: where to restore.
        precision: in which to restore.
        lengths: frames of the bursts.
        cases: what befalls the bursts beside blur and noise.
        noises: names of noise levels.
        blurs: names of blurs.
        count: bursts for each noise level and blur.
        crop: side of the frames [px].
        report: called with each score as it is known.

    Returns:
        One score for each method and kind of burst.
    """
    compared = {name: find(name).build() for name in ("mean", "fba")} | dict(networks)
    scores: list[Score] = []
    for length in lengths:
        for case in cases:
            if case == "ruined" and length < 3:
                continue  # no burst so short has a frame to spare
            for fixed in fixed_bursts(
                photos,
                device=device,
                length=length,
                count=count,
                crop=crop,
                noises=noises,
                blurs=blurs,
                case=case,
            ):
                results = _results(fixed.burst, compared, device, precision)
                for method, pictures in results.items():
                    scores.append(_score(method, fixed, pictures))
                    if report:
                        report(scores[-1])
    return scores


def table(scores: Sequence[Score], by: str) -> dict[str, dict[str, float]]:
    """Average PSNR [dB] for each method and each value of a field of `Score`, such as `noise`."""
    rows: dict[str, dict[str, float]] = {}
    key = lambda score: (score.method, str(getattr(score, by)))  # noqa: E731
    for (method, value), group in groupby(sorted(scores, key=key), key):
        found = [score.psnr for score in group]
        rows.setdefault(method, {})[value] = sum(found) / len(found)
    return rows


def to_json(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Return scores as plain values that JSON can hold."""
    return [asdict(score) for score in scores]


def _results(
    burst: SyntheticBurst,
    networks: Mapping[str, Network],
    device: torch.device,
    precision: Precision,
) -> dict[str, Tensor]:
    """Restore a batch of bursts by every method; linear light, (N, 3, H, W) on the CPU."""
    best = [
        frames[int(metrics.psnr(to_codes(frames), to_codes(truth)).argmax())]
        for frames, truth in zip(burst.frames, burst.truth, strict=True)
    ]
    results = {REFERENCE: burst.frames[:, 0].cpu(), BEST: torch.stack(best).cpu()}
    for name, network in networks.items():
        restored = [
            run_whole(
                network,
                TensorSource(frames.cpu(), seen.cpu()),
                descriptor=descriptor[None].cpu(),
                device=device,
                precision=precision,
            )
            for frames, seen, descriptor in zip(
                burst.frames, burst.seen, burst.descriptor, strict=True
            )
        ]
        results[name] = torch.stack(restored)
    return results


def _score(method: str, fixed: FixedBurst, pictures: Tensor) -> Score:
    codes, truth = to_codes(pictures), to_codes(fixed.burst.truth.cpu())
    return Score(
        method=method,
        case=fixed.case,
        noise=fixed.noise,
        blur=fixed.blur,
        length=fixed.length,
        bursts=len(codes),
        psnr=float(metrics.psnr(codes, truth).mean()),
        ssim=float(metrics.ssim(codes, truth).mean()),
        shifted_psnr=float(metrics.shift_compensated_psnr(codes, truth).mean()),
    )
