"""How near the backends come to the truth, on fixed synthetic bursts: PSNR and SSIM."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from bursts import (
    BLURS,
    NOISES,
    Condition,
    Scores,
    best_frame,
    conditions,
    frames_of,
    load_photos,
    make_burst,
    score,
    to_codes,
)
from common import mean_and_spread, measured_backends, print_table, write_result

from burstfix.align.sharpness import sharpness
from burstfix.align.warp import AlignedBurst
from burstfix.backends.base import Network, plain_descriptor
from burstfix.device import choose
from burstfix.errors import AlignmentError
from burstfix.frame import Frame
from burstfix.io.store import reduced_luminance
from burstfix.metrics import corner_error
from burstfix.restore.alignment import align_frames
from burstfix.restore.options import Options
from burstfix.synth.render import RenderedBurst
from burstfix.tiling import run_whole

BEST = "best frame"
REFERENCE = "reference frame"
METRICS = ("psnr", "shifted_psnr", "ssim")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method on one burst.

    Args:
        method: a backend, `BEST` or `REFERENCE`.
        condition: what the burst is made of.
        scores: how near it came.
        used: frames that alignment let through.
        corner_error_px: how far those lie off at the corners, on average.
    """

    method: str
    condition: Condition
    scores: Scores
    used: int
    corner_error_px: float


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A burst on its reference, by alignment or by the truth.

    Args:
        source: the frames, reference first.
        reference: the reference's number.
        descriptor: what is known of each frame; (1, F, D).
        corner_error_px: mean over the frames but the reference.
    """

    source: AlignedBurst
    reference: int
    descriptor: torch.Tensor
    corner_error_px: float


def main() -> None:
    """Measure, print tables by noise and by blur, write JSON."""
    options = _arguments()
    photos = load_photos(options.photos, options.count)
    networks = measured_backends(options.weights)
    device = choose(options.device)
    rows: list[Row] = []
    todo = conditions(list(photos), options.noise, options.blur, options.seed)
    for number, condition in enumerate(todo):
        if sys.stderr.isatty():
            print(f"burst {number + 1} of {len(todo)}", end="\r", file=sys.stderr)
        burst = make_burst(photos[condition.photo], condition, options.frames)
        frames = frames_of(burst, options.kind)
        prepared = _prepare(frames, burst, true_homographies=options.true_homographies)
        rows += _rows(condition, burst, frames, prepared, networks, device)
    methods = [REFERENCE, BEST, *networks]
    _print(rows, methods, options)
    path = write_result("quality", options, {"rows": [asdict(row) for row in rows]})
    print(f"\nWrote {path}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="folder of NNNNa.jpg; else scikit-image's")
    parser.add_argument("--count", type=int, default=3, help="photographs")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--noise", nargs="+", choices=NOISES, default=list(NOISES))
    parser.add_argument("--blur", nargs="+", choices=("none", *BLURS), default=list(BLURS))
    parser.add_argument(
        "--kind",
        choices=("light", "codes", "raw"),
        default="light",
        help="frames in linear light, as 8-bit sRGB, or as Bayer DNG files",
    )
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="more to measure")
    parser.add_argument("--true-homographies", action="store_true", help="instead of alignment")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, help="else benchmarks/results/quality.json")
    return parser.parse_args()


def _prepare(
    frames: Sequence[Frame], burst: RenderedBurst, *, true_homographies: bool
) -> Prepared | None:
    """Bring the frames to a reference as `burstfix burst` does; None where it would refuse."""
    if true_homographies:
        return _prepare_by_truth(frames, burst)
    try:
        fusion = align_frames(frames, Options())
    except AlignmentError:
        return None
    reference = fusion.order[0]
    true = burst.source_from_reference(reference)
    estimate = torch.from_numpy(np.stack(fusion.source.source_from_reference))
    errors = corner_error(estimate, true[list(fusion.order)], burst.size)[1:]
    return Prepared(
        source=fusion.source,
        reference=reference,
        descriptor=fusion.descriptor,
        corner_error_px=float(errors.mean()),
    )


def _prepare_by_truth(frames: Sequence[Frame], burst: RenderedBurst) -> Prepared:
    """Lay the frames on the sharpest by the homographies that made them."""
    sharp = [sharpness(reduced_luminance(frame.pixels, 1).numpy()) for frame in frames]
    order = sorted(range(len(frames)), key=lambda number: -sharp[number])
    true = burst.source_from_reference(order[0])
    return Prepared(
        source=AlignedBurst(
            [frames[number] for number in order],
            [true[number].numpy() for number in order],
            [1.0] * len(order),
        ),
        reference=order[0],
        descriptor=plain_descriptor(len(order)),
        corner_error_px=0.0,
    )


def _rows(
    condition: Condition,
    burst: RenderedBurst,
    frames: Sequence[Frame],
    prepared: Prepared | None,
    networks: Mapping[str, Network],
    device: torch.device,
) -> list[Row]:
    """Score every method; one that got no aligned burst gives the first frame back."""
    reference = prepared.reference if prepared else 0
    truth = to_codes(burst.truth_for(reference))
    scores = {
        REFERENCE: score(to_codes(frames[reference].whole()), truth),
        BEST: best_frame(frames, burst),
    }
    for name, network in networks.items():
        if prepared is None:
            scores[name] = scores[REFERENCE]
            continue
        restored = run_whole(
            network, prepared.source, descriptor=prepared.descriptor, device=device
        )
        scores[name] = score(to_codes(restored), truth)
    return [
        Row(
            method=method,
            condition=condition,
            scores=found,
            used=prepared.source.frames if prepared else 0,
            corner_error_px=prepared.corner_error_px if prepared else float("nan"),
        )
        for method, found in scores.items()
    ]


def _print(rows: Sequence[Row], methods: Sequence[str], options: argparse.Namespace) -> None:
    """Print each metric by noise and by blur, mean ± standard deviation over the bursts."""
    for metric in METRICS:
        print(f"\n{metric} (mean ± standard deviation over bursts)\n")
        header = [
            "method",
            *(f"noise {name}" for name in options.noise),
            *(f"blur {name}" for name in options.blur),
            "all",
        ]
        print_table(header, [_line(rows, method, metric, options) for method in methods])
    first = [row for row in rows if row.method == REFERENCE]
    refused = sum(row.used == 0 for row in first)
    aligned = [row.corner_error_px for row in first if row.used]
    print(
        f"\n{len(first)} bursts; alignment refused {refused} (scored as the first frame), used "
        f"{sum(row.used for row in first) / len(first):.1f} of {options.frames} frames, mean "
        f"corner error {mean_and_spread(aligned)} px"
    )


def _line(rows: Sequence[Row], method: str, metric: str, options: argparse.Namespace) -> list[str]:
    own = [row for row in rows if row.method == method]
    groups = [
        *([row for row in own if row.condition.noise == name] for name in options.noise),
        *([row for row in own if row.condition.blur == name] for name in options.blur),
        own,
    ]
    digits = 3 if metric == "ssim" else 2
    return [
        method,
        *(
            mean_and_spread([getattr(row.scores, metric) for row in group], digits)
            for group in groups
        ),
    ]


if __name__ == "__main__":
    main()
