"""What the stride of `wieschollek` costs, and how much the order of the frames matters."""

import argparse
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from common import print_table, write_result
from torch import Tensor

from burstfix import device as devices
from burstfix import weights
from burstfix.backends.base import Network, plain_descriptor
from burstfix.io.photos import Photo, read_photos
from burstfix.synth.burst import photo_side
from burstfix.tiling import TensorSource, run_whole
from burstfix.train.config import Recipe
from burstfix.train.data import split_photos
from burstfix.train.validate import NOISE, FixedBurst, fixed_bursts, plain_settings, psnr, to_codes

BACKEND = "wieschollek"
SIZE = (700, 1000)  # of the paper's example [px]
PAPER_FRAMES = 14
LARGE_PIXELS = 12e6  # the time of 8 such frames is extrapolated: 8 are repeated to make 14


def main() -> None:
    """Measure, print tables, write JSON."""
    options = _arguments()
    path = options.weights or weights.default_weights(BACKEND, "burst")
    networks = {stride: _network(path, stride) for stride in options.strides}
    device = devices.choose(options.device)
    found: dict[str, Any] = {}
    if options.photos:
        bursts = _bursts(read_photos(options.photos), options)
        found["quality"] = _quality(networks, bursts, device)
        found["order"] = _order(networks[options.order_stride], bursts, options.orders, device)
    if options.repeat:
        found["speed"] = _speed(networks, options.repeat, device)
    print(f"\nWrote {write_result('strides', options, found)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="folder or pack; its validation share is used")
    parser.add_argument("--weights", type=Path, help="else the shipped ones")
    parser.add_argument("--strides", type=int, nargs="+", default=[5, 8, 11, 16])
    parser.add_argument("--order-stride", type=int, default=16, help="at which orders are compared")
    parser.add_argument("--orders", type=int, default=4, help="random orders of each burst")
    parser.add_argument("--frames", type=int, default=PAPER_FRAMES)
    parser.add_argument("--count", type=int, default=1, help="bursts a noise level and blur")
    parser.add_argument("--crop", type=int, default=192)
    parser.add_argument("--repeat", type=int, default=2, help="timed runs; 0 measures no time")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, help="else benchmarks/results/strides.json")
    options = parser.parse_args()
    if options.order_stride not in options.strides:
        parser.error("--order-stride must be one of --strides")
    return options


def _network(path: Path | None, stride: int) -> Network:
    return weights.find_network(BACKEND, "burst", path, {"stride": str(stride)})[0]


def _bursts(photos: Sequence[Photo], options: argparse.Namespace) -> list[FixedBurst]:
    """Make the fixed bursts of photographs that no training saw."""
    side = photo_side(plain_settings("low", "easy", options.crop))
    kept = split_photos(photos, Recipe().validation_share, side).validation
    return list(
        fixed_bursts(
            kept,
            device=torch.device("cpu"),
            length=options.frames,
            count=options.count,
            crop=options.crop,
        )
    )


def _restore(
    network: Network, frames: Tensor, seen: Tensor, descriptor: Tensor, device: torch.device
) -> Tensor:
    return run_whole(
        network, TensorSource(frames, seen), descriptor=descriptor[None], device=device
    )


def _scores(network: Network, bursts: Sequence[FixedBurst], device: torch.device) -> list[float]:
    """Return the PSNR of every burst [dB]."""
    found = []
    for fixed in bursts:
        burst = fixed.burst
        parts = zip(burst.frames, burst.seen, burst.descriptor, burst.truth, strict=True)
        for frames, seen, descriptor, truth in parts:
            result = _restore(network, frames, seen, descriptor, device)
            found.append(float(psnr(result[None], truth[None])))
    return found


def _quality(
    networks: dict[int, Network], bursts: Sequence[FixedBurst], device: torch.device
) -> list[dict[str, float]]:
    """Score every stride, against the first."""
    rows: list[dict[str, float]] = []
    levels = [fixed.noise for fixed in bursts for _ in fixed.burst.frames]
    for stride, network in networks.items():
        scores = _scores(network, bursts, device)
        row: dict[str, float] = {"stride": stride, "psnr": statistics.fmean(scores)}
        for level in NOISE:
            own = [score for score, noise in zip(scores, levels, strict=True) if noise == level]
            row[level] = statistics.fmean(own)
        rows.append(row)
    first = rows[0]["psnr"]
    print_table(
        ["stride", *NOISE, "mean dB", f"against {rows[0]['stride']:.0f}"],
        [
            [
                f"{row['stride']:.0f}",
                *(f"{row[level]:.2f}" for level in NOISE),
                f"{row['psnr']:.2f}",
                f"{row['psnr'] - first:+.2f}",
            ]
            for row in rows
        ],
    )
    return rows


def _order(
    network: Network, bursts: Sequence[FixedBurst], orders: int, device: torch.device
) -> dict[str, float]:
    """Shuffle the frames after the reference; tell how far results lie apart."""
    dice = random.Random(0)
    spreads, differences = [], []
    for fixed in bursts:
        burst, length = fixed.burst, fixed.length
        results, scores = [], []
        for number in range(orders + 1):
            order = [0, *dice.sample(range(1, length), length - 1)] if number else range(length)
            turned = replace(
                burst,
                frames=burst.frames[:1, order],
                seen=burst.seen[:1, order],
                descriptor=burst.descriptor[:1, order],
            )
            result = _restore(
                network, turned.frames[0], turned.seen[0], turned.descriptor[0], device
            )
            results.append(to_codes(result))
            scores.append(float(psnr(result[None], burst.truth[:1])))
        spreads.append(max(scores) - min(scores))
        differences += [float((result - results[0]).abs().max()) for result in results[1:]]
    found = {
        "orders": orders + 1,
        "mean_range_db": statistics.fmean(spreads),
        "greatest_range_db": max(spreads),
        "mean_largest_difference_codes": statistics.fmean(differences),
        "largest_difference_codes": max(differences),
    }
    print()
    print_table(["over orders", "value"], [[name, f"{value:.4f}"] for name, value in found.items()])
    return found


def _speed(
    networks: dict[int, Network], repeat: int, device: torch.device
) -> list[dict[str, float]]:
    """Time whole pictures, tiles included, in turns, so that disturbance falls on all alike."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(PAPER_FRAMES, 3, *SIZE, generator=generator)
    seen = torch.ones(PAPER_FRAMES, 1, *SIZE)
    descriptor = plain_descriptor(PAPER_FRAMES)[0]
    seconds: dict[int, list[float]] = {stride: [] for stride in networks}
    busy: dict[int, list[float]] = {stride: [] for stride in networks}
    for _ in range(repeat):
        for stride, network in networks.items():
            start, used = time.perf_counter(), time.process_time()
            _restore(network, frames, seen, descriptor, device)
            seconds[stride].append(time.perf_counter() - start)
            busy[stride].append(time.process_time() - used)
    scale = LARGE_PIXELS / (SIZE[0] * SIZE[1])
    rows = [
        {
            "stride": float(stride),
            "least_s": min(times),
            "most_s": max(times),
            "least_cpu_s": min(busy[stride]),
            "extrapolated_12mp_8_s": min(times) * scale,
        }
        for stride, times in seconds.items()
    ]
    print()
    print_table(
        [
            "stride",
            f"{PAPER_FRAMES} x 1000x700 least s",
            "most s",
            "CPU s",
            "12 MP x 8 s (extrapolated)",
        ],
        [
            [
                f"{row['stride']:.0f}",
                f"{row['least_s']:.1f}",
                f"{row['most_s']:.1f}",
                f"{row['least_cpu_s']:.1f}",
                f"{row['extrapolated_12mp_8_s']:.0f}",
            ]
            for row in rows
        ],
    )
    return rows


if __name__ == "__main__":
    main()
