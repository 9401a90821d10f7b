"""How many bursts a second training can make, and what the network would do with them."""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from common import print_table, write_result

from burstfix.device import choose
from burstfix.io.photos import Photo, read_photos
from burstfix.train.ahead import Batches
from burstfix.train.config import Recipe, read_recipe
from burstfix.train.data import least_side
from burstfix.train.loop import start
from burstfix.train.losses import restoration_loss
from burstfix.train.processes import Processes


def main() -> None:
    """Time batches alone, network steps alone, and both as training runs them."""
    options = _arguments()
    device = choose(options.device)
    rows = []
    for number, stage in enumerate(read_recipe(options.recipe).stages):
        recipe = replace(read_recipe(options.recipe), lengths=(options.frames,), stages=(stage,))
        if options.shard_frames:
            recipe = replace(recipe, stages=(replace(stage, frames=options.shard_frames),))
        photos = read_photos(options.photos) if options.photos else _photos(least_side(recipe))
        for what, one in _works(photos, recipe, device, options.ahead).items():
            seconds = _time(one, options.steps, device)
            bursts = recipe.count(recipe.stages[0].frames, options.frames)
            rows.append(
                {
                    "stage": number + 1,
                    "crop": stage.crop,
                    "what": what,
                    "bursts": bursts,
                    "seconds": statistics.median(seconds),
                    "spread_s": max(seconds) - min(seconds),
                    "bursts_per_s": bursts / statistics.median(seconds),
                }
            )
    header = ["stage", "crop", "what", "bursts a shard", "seconds", "spread", "bursts/s"]
    print_table(
        header,
        [
            [str(row["stage"]), str(row["crop"]), str(row["what"]), str(row["bursts"])]
            + [f"{row[key]:.3g}" for key in ("seconds", "spread_s", "bursts_per_s")]
            for row in rows
        ],
    )
    print(f"\nWrote {write_result('synth', options, {'rows': rows})}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="folder or pack; else made-up ones")
    parser.add_argument("--recipe", default="set-burst")
    parser.add_argument("--frames", type=int, default=8, help="of each burst")
    parser.add_argument("--shard-frames", type=int, help="of each shard; else the recipe's")
    parser.add_argument("--steps", type=int, default=5, help="timed, after two that are not")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--ahead",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="draw the next batch early; else as training does on this device",
    )
    parser.add_argument("--json", type=Path, help="else benchmarks/results/synth.json")
    return parser.parse_args()


def _photos(side: int) -> list[Photo]:
    """Make photographs of noise: how long degrading takes does not depend on the content."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (8, side + 64, side + 64, 3), np.uint8)
    return [Photo(f"{number:04}", picture, 1.0) for number, picture in enumerate(pixels)]


def _works(
    photos: list[Photo], recipe: Recipe, device: torch.device, ahead: bool | None
) -> dict[str, Callable[[int], None]]:
    """Return what is timed: one step each, given its number."""
    run, stage = start(recipe, device, Processes()), recipe.stages[0]
    batches = Batches(photos, recipe, device, ahead=ahead)
    held = batches.draw(0, 0, stage)

    def degrade(step: int) -> None:
        Batches(photos, recipe, device, ahead=False).draw(step, 0, stage)

    def learn(_: int) -> None:
        run.network.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, recipe.precision == "bf16"):
            output = run.network.restore_light(held.frames, held.seen, held.descriptor)
        loss = restoration_loss(output, held.truth, recipe.loss).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        float(loss.detach())  # as the guard does

    def both(step: int) -> None:
        nonlocal held
        held = batches.draw(step, 0, stage)
        batches.expect(step + 1, 0, stage)
        learn(step)

    return {"degrade": degrade, "network": learn, "both": both}


def _time(one: Callable[[int], None], steps: int, device: torch.device) -> list[float]:
    """Time steps after two that are not counted [s]."""
    seconds = []
    for step in range(steps + 2):
        began = time.perf_counter()
        one(step)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - began)
    return seconds[2:]


if __name__ == "__main__":
    main()
