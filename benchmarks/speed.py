"""How long the whole command takes on large JPEG bursts, by stage, and how much memory."""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from common import (
    BURSTFIX,
    Run,
    backend_options,
    measured_backends,
    print_table,
    run,
    write_result,
)
from jpegs import make_jpegs
from torch import Tensor

from burstfix import device as devices
from burstfix.backends.base import Network, plain_descriptor
from burstfix.frame import Box
from burstfix.tiling.layout import Layout, layout_for
from burstfix.tiling.runner import computing
from burstfix.tiling.survey import FRAMES_AT_ONCE

HELP_RUNS = 10
TILE = 1024  # px, of the networks alone
STAGES = ("decode", "align", "fuse", "write")


@dataclass(kw_only=True)
class Timing:
    """One method, run several times.

    Args:
        seconds: of each whole process.
        cpu_seconds: of each, with its children, on all cores.
        peak_bytes: of each, with its children; empty where the system does not tell.
        stages_s: of each, by stage; empty for other tools.
    """

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    peak_bytes: list[int] = field(default_factory=list)
    stages_s: list[dict[str, float]] = field(default_factory=list)

    def add(self, measured: Run) -> None:
        """Take a run in."""
        self.seconds.append(round(measured.seconds, 3))
        self.cpu_seconds.append(round(measured.cpu_seconds, 3))
        if measured.peak_bytes:
            self.peak_bytes.append(measured.peak_bytes)
        report = json.loads(measured.output)
        if "timings_s" in report:
            self.stages_s.append(report["timings_s"])


def main() -> None:
    """Make the burst, run everything in turns, print a table, write JSON."""
    options = _arguments()
    size = _size(options.megapixels)
    help_s = _help_seconds()
    print(f"burstfix --help: {help_s:.2f} s (least of {HELP_RUNS})")
    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        scene = options.photos.resolve().name if options.photos else "astronaut"
        name = f"{size[1]}x{size[0]}-{options.frames}-{options.distinct}-{scene}-{options.seed}"
        frames = make_jpegs(
            folder / name, options.photos, size, options.frames, options.distinct, options.seed
        )
        read_mb = sum(path.stat().st_size for path in frames) / 1e6
        print(f"{options.frames} JPEG frames of {size[1]} x {size[0]}, {read_mb:.0f} MB\n")
        timings = _measure(_commands(frames, folder, options), options.repeat)
    _print(timings)
    networks = _networks_alone(size, options)
    path = write_result(
        "speed",
        options,
        {
            "size": size,
            "help_s": help_s,
            "processes": {name: vars(timing) for name, timing in timings.items()},
            "networks_alone": networks,
        },
    )
    print(f"\nWrote {path}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--distinct", type=int, default=8, help="frames that differ")
    parser.add_argument("--memory", help="handed to burstfix: most memory to use [GB]")
    parser.add_argument("--backends", nargs="+", help="only these")
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="more to measure")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--opencv", action="store_true", help="OpenCV ECC + mean beside (slow)")
    parser.add_argument("--networks", action="store_true", help="alone too, without a GPU")
    parser.add_argument("--photos", type=Path, help="folder of JPEG files for the scene")
    parser.add_argument("--keep", type=Path, help="folder in which frames stay for the next run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="else benchmarks/results/speed.json")
    return parser.parse_args()


def _size(megapixels: float) -> tuple[int, int]:
    """Return (height, width) at 3:4, both multiples of 8: 12 MP are 3000 x 4000."""
    height = math.sqrt(megapixels * 1e6 * 3 / 4)
    return round(height / 8) * 8, round(height * 4 / 3 / 8) * 8


def _help_seconds() -> float:
    return min(run([*BURSTFIX, "--help"]).seconds for _ in range(HELP_RUNS))


def _commands(
    frames: Sequence[Path], folder: Path, options: argparse.Namespace
) -> dict[str, list[str | Path]]:
    """Return what is to be run, by name; all of it prints one JSON object."""
    shared = ["--json", "--quiet", "--on-exists", "overwrite", "--device", options.device]
    if options.memory:
        shared += ["--memory", options.memory]
    commands: dict[str, list[str | Path]] = {}
    for name, choice in backend_options(options.weights).items():
        if options.backends and name not in options.backends:
            continue
        output = folder / f"{name}.png"
        commands[name] = [*BURSTFIX, "burst", *frames, "-o", output, *choice, *shared]
    if options.opencv:
        script = Path(__file__).parent / "opencv_peer.py"
        plain: list[str | Path] = [sys.executable, script, "mean", *frames]
        plain += ["-o", folder / "opencv.png"]
        commands["OpenCV ECC + mean"] = plain
        commands["OpenCV ECC at 1/4 + mean"] = [*plain, "--reduce", "4"]
    return commands


def _measure(commands: Mapping[str, Sequence[str | Path]], repeat: int) -> dict[str, Timing]:
    """Run all in turns, so that what else the machine does falls on all alike."""
    timings = {name: Timing() for name in commands}
    for number in range(repeat):
        for name, command in commands.items():
            if sys.stderr.isatty():
                print(f"run {number + 1} of {repeat}: {name:<40}", end="\r", file=sys.stderr)
            timings[name].add(run(command))
    return timings


def _print(timings: Mapping[str, Timing]) -> None:
    """Print the least and greatest times, the stages of the quickest run, the greatest peak."""
    rows = []
    for name, timing in timings.items():
        quickest = timing.seconds.index(min(timing.seconds))
        stages = timing.stages_s[quickest] if timing.stages_s else {}
        rows.append(
            [
                name,
                f"{min(timing.seconds):.1f}",
                f"{max(timing.seconds):.1f}",
                f"{min(timing.cpu_seconds):.1f}",
                *(f"{stages[stage]:.2f}" if stage in stages else "-" for stage in STAGES),
                f"{max(timing.peak_bytes) / 1e9:.2f}" if timing.peak_bytes else "-",
            ]
        )
    print_table(
        ["process", "least s", "most s", "CPU s", *(f"{stage} s" for stage in STAGES), "GB"], rows
    )


def _networks_alone(size: tuple[int, int], options: argparse.Namespace) -> dict[str, Any]:
    """Time the networks on data that lies on the device already."""
    device = devices.choose(options.device)
    if device.type != "cuda" and not options.networks:
        return {}
    found: dict[str, Any] = {}
    rows = []
    for name, network in measured_backends(options.weights).items():
        if options.backends and name not in options.backends:
            continue
        found[name] = _network_alone(network, size, options.frames, device, options.repeat)
        seconds = found[name]["seconds"]
        rate = size[0] * size[1] / 1e6 / min(seconds)
        rows.append([name, f"{min(seconds):.3f}", f"{max(seconds):.3f}", f"{rate:.1f}"])
    print()
    head = f"network alone, {options.frames} frames, {device}"
    print_table([head, "least s", "most s", "MP/s"], rows)
    return found


def _network_alone(
    network: Network, size: tuple[int, int], frames: int, device: torch.device, repeat: int
) -> dict[str, Any]:
    """Time all tiles of a picture, halos and display coding included, after one to warm up."""
    layout = layout_for(network.contract, size, TILE)
    regions = [layout.region(core) for band in layout.bands() for core in band]
    trained = any(True for _ in network.parameters())
    dtype = devices.choose_precision("auto" if trained else "fp32", device)
    network = network.to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    height, width = (max(layout.box(region).size[axis] for region in regions) for axis in (0, 1))
    given = _Given.random(network, frames, (height, width), device)
    seconds = []
    with computing(device, dtype):
        _restore(network, given, layout, regions[:1])
        for _ in range(repeat):
            _synchronize(device)
            start = time.perf_counter()
            _survey(network, layout.padded, frames, device)
            _restore(network, given, layout, regions)
            _synchronize(device)
            seconds.append(round(time.perf_counter() - start, 4))
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return {"seconds": seconds, "tile": TILE, "precision": str(dtype), "peak_bytes": peak}


@dataclass(frozen=True)
class _Given:
    """Pixels that are anything, for the largest tile.

    Args:
        burst: (1, F, 3, H, W).
        seen: (1, F, 1, H, W).
        descriptor: (1, F, D).
        surveyed: what a first pass made, if the network has one; (1, planes, H, W).
    """

    burst: Tensor
    seen: Tensor
    descriptor: Tensor
    surveyed: Tensor | None

    @classmethod
    def random(
        cls, network: Network, frames: int, size: tuple[int, int], device: torch.device
    ) -> "_Given":
        """Draw them."""
        survey = network.contract.survey
        return cls(
            torch.rand(1, frames, 3, *size, device=device),
            torch.ones(1, frames, 1, *size, device=device),
            plain_descriptor(frames).to(device),
            torch.rand(1, survey.planes, *size, device=device) if survey else None,
        )


def _survey(network: Network, padded: Box, frames: int, device: torch.device) -> None:
    """Do the first pass of all cells as `tiling` does, if the network has one."""
    survey = network.contract.survey
    if survey is None:
        return
    left = math.prod(-(-length // survey.cell) for length in padded.size)
    once = max(1, FRAMES_AT_ONCE // frames)
    side = survey.cell + 2 * survey.margin
    blocks = torch.rand(once, frames, 3, side, side, device=device)
    seen = torch.ones(once, frames, 1, survey.cell, survey.cell, device=device)
    known = plain_descriptor(frames).to(device).expand(once, -1, -1)
    while left > 0:
        count = min(left, once)
        network.survey(blocks[:count], seen[:count], known[:count])
        left -= count


def _restore(network: Network, given: _Given, layout: Layout, regions: Sequence[Box]) -> None:
    """Restore tiles as `tiling` does."""
    for region in regions:
        box = layout.box(region)
        burst, seen, surveyed = (
            part if part is None else part[..., : box.size[0], : box.size[1]]
            for part in (given.burst, given.seen, given.surveyed)
        )
        assert burst is not None
        assert seen is not None
        core = region.shift(-box.top, -box.left)
        network.restore_light(burst, seen, given.descriptor, core, surveyed)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
