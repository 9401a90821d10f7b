"""Whether a lucky sharp frame is picked up at once, and kept while poor frames follow.

Bursts like those of Köhler et al. 2012, with which Aittala and Durand 2018 (figure 7) ask this:
all frames are shaken by many pixels but the third. Each method restores the first 1, 2, 3, ...
frames; the reference is the first, so a poor one.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch
from bursts import load_photos
from common import RESULTS, measured_backends, print_table, write_result
from torch import Tensor

from burstfix.backends.base import DESCRIPTOR, Network
from burstfix.synth.burst import SyntheticBurst, photo_side, synthesize
from burstfix.tiling import TensorSource, run_whole
from burstfix.train.validate import NOISE, plain_settings, psnr

LUCKY = 2  # place of the sharp frame, from 0
NEWEST = "newest frame"
COLOURS = ("black", "firebrick", "steelblue", "seagreen", "darkorange", "purple", "grey", "teal")


def main() -> None:
    """Measure, print PSNR by the number of frames, write JSON and a plot."""
    options = _arguments()
    photos = load_photos(options.photos, options.count)
    networks = measured_backends(options.weights)
    if options.backends:
        networks = {name: networks[name] for name in options.backends}
    bursts = [
        lucky_burst(photo, options, seed) for seed, photo in enumerate(photos.values(), start=1)
    ]
    curves = {NEWEST: _newest(bursts)} | _kept(options)
    curves |= {name: _curve(network, bursts) for name, network in networks.items()}
    head = [f"PSNR [dB] after frame, noise {options.noise}"]
    print_table(
        [*head, *(str(k + 1) for k in range(options.frames)), "gain at 3", "lost after"],
        [
            [name, *(f"{value:.2f}" for value in curve), *_verdict(name, curve)]
            for name, curve in curves.items()
        ],
    )
    path = write_result("lucky", options, {"curves": curves})
    path.with_suffix(".svg").write_text(draw(curves), encoding="utf-8")
    print(f"\nWrote {path} and its .svg")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="folder of NNNNa.jpg; else scikit-image's")
    parser.add_argument("--count", type=int, default=8, help="bursts, each of its photograph")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--noise", choices=list(NOISE), default="low")
    parser.add_argument("--poor-px", type=float, nargs=2, default=(12.0, 25.0), help="shake")
    parser.add_argument("--crop", type=int, default=256, help="side of the frames [px]")
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="more to measure")
    parser.add_argument("--backends", nargs="+", help="only these; other curves are kept")
    parser.add_argument("--json", type=Path, help="else benchmarks/results/lucky.json")
    return parser.parse_args()


def _kept(options: argparse.Namespace) -> dict[str, list[float]]:
    """Read the curves of an earlier run on the same bursts, where only some are measured anew."""
    path = options.json or RESULTS / "lucky.json"
    if not options.backends or not path.exists():
        return {}
    document = json.loads(path.read_text())
    for name in ("count", "frames", "noise", "poor_px", "crop"):
        asked = getattr(options, name)
        if document["arguments"][name] != (list(asked) if isinstance(asked, tuple) else asked):
            raise SystemExit(f"{path} was measured with another --{name}; leave out --backends.")
    curves: dict[str, list[float]] = document["curves"]
    return curves


def lucky_burst(photo: Tensor, options: argparse.Namespace, seed: int) -> SyntheticBurst:
    """Make a burst whose third frame alone is sharp; aligned, with one exposure.

    Args:
        photo: linear light; (3, H, W).
        options: what the command line asks for.
        seed: of everything random.
    """
    settings = replace(
        plain_settings(options.noise, "hard", options.crop),
        hard_share=0,
        lucky_share=1,  # with the sharpest frame first: it then goes to its place
        hard_extent=tuple(options.poor_px),
        leftover_px=0,
    )
    generator = torch.Generator().manual_seed(seed)
    side = min(photo.shape[1:])
    if side < photo_side(settings):
        raise SystemExit(f"Photographs need {photo_side(settings)} px a side; see --crop.")
    # Alone, a burst has no other photograph to bring things or frames in; none is asked for.
    burst = synthesize(photo[None, :, :side, :side], settings, generator, options.frames)
    poor = list(range(1, options.frames))
    order = [*poor[:LUCKY], 0, *poor[LUCKY:]]
    descriptor = burst.descriptor[:, order].clone()
    descriptor[..., DESCRIPTOR.index("reference")] = 0
    descriptor[:, 0, DESCRIPTOR.index("reference")] = 1
    return replace(burst, frames=burst.frames[:, order], descriptor=descriptor)


def _newest(bursts: Sequence[SyntheticBurst]) -> list[float]:
    """Score each frame by itself."""
    frames = bursts[0].frames.shape[1]
    return [fmean(float(psnr(b.frames[:, k], b.truth)) for b in bursts) for k in range(frames)]


def _curve(network: Network, bursts: Sequence[SyntheticBurst]) -> list[float]:
    """Score what a network makes of the first 1, 2, 3, ... frames; means over bursts [dB]."""
    frames = network.contract.frames or bursts[0].frames.shape[1]
    return [fmean(_score(network, burst, k) for burst in bursts) for k in range(1, frames + 1)]


def _score(network: Network, burst: SyntheticBurst, frames: int) -> float:
    restored = run_whole(
        network,
        TensorSource(burst.frames[0, :frames], burst.seen[0, :frames]),
        descriptor=burst.descriptor[:, :frames],
        device=torch.device("cpu"),
    )
    return float(psnr(restored[None], burst.truth))


def _verdict(name: str, curve: Sequence[float]) -> list[str]:
    """Tell the gain that the lucky frame brought, and how much later frames took at most."""
    if name == NEWEST or len(curve) <= LUCKY:
        return ["-", "-"]
    lost = max(0.0, curve[LUCKY] - min(curve[LUCKY:]))
    return [f"{curve[LUCKY] - curve[LUCKY - 1]:+.2f}", f"{lost:.2f}"]


def draw(curves: Mapping[str, Sequence[float]]) -> str:
    """Draw PSNR by the number of frames as an SVG picture; one line a method."""
    values = [value for curve in curves.values() for value in curve]
    low, high, most = min(values), max(values), max(len(curve) for curve in curves.values())
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 400" font-family="sans-serif">',
        '<rect width="800" height="400" fill="white"/>',
        f'<text x="8" y="44">{high:.1f} dB</text><text x="8" y="360">{low:.1f} dB</text>',
        '<text x="370" y="396" text-anchor="middle">frames given; the third is sharp</text>',
    ]
    across = [70 + 600 * k / max(most - 1, 1) for k in range(most)]
    parts += [
        f'<text x="{x:.0f}" y="378" text-anchor="middle">{k + 1}</text>'
        for k, x in enumerate(across)
    ]
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        heights = [360 - 320 * (value - low) / max(high - low, 1e-9) for value in curve]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, heights, strict=False))
        dashes = ' stroke-dasharray="4 4"' if name == NEWEST else ""
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>'
            f'<text x="690" y="{40 + 20 * number}" fill="{colour}">{name}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    main()
