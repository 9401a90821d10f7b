"""What each network is made of and costs: parameters, and multiplications per pixel and frame."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from common import measured_backends, print_table, write_result
from torch.utils.flop_counter import FlopCounterMode

from burstfix.backends import BACKENDS
from burstfix.backends.base import Network, plain_descriptor

SIDE = 192  # px; a multiple of what the networks ask for


def main() -> None:
    """Count, print a table, write JSON."""
    options = _arguments()
    networks = measured_backends(options.weights)
    trained = [backend for backend in BACKENDS.values() if backend.trained]
    networks |= {f"{backend.name} (defaults)": backend.build() for backend in trained}
    costs = {name: measure(network, options.frames) for name, network in networks.items()}
    head = ["network", "parameters", *(f"kMAC/px/frame, {f} frames" for f in options.frames)]
    print_table(
        head,
        [
            [name, f"{cost['parameters']:,}", *(_shown(cost, f) for f in options.frames)]
            for name, cost in costs.items()
        ],
    )
    print(f"\nWrote {write_result('costs', options, {'costs': costs})}")


def measure(network: Network, lengths: Sequence[int]) -> dict[str, float]:
    """Count parameters, and multiplications at those numbers of frames that the network takes."""
    taken = [f for f in lengths if network.contract.frames in {None, f}]
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        **{f"kmac_{f}_frames": kilo_multiplications(network, f) for f in taken},
    }


def _shown(cost: Mapping[str, float], frames: int) -> str:
    key = f"kmac_{frames}_frames"
    return f"{cost[key]:.1f}" if key in cost else "–"


def kilo_multiplications(network: Network, frames: int) -> float:
    """Count what convolutions and matrix products multiply, per input pixel and frame.

    Args:
        network: any.
        frames: of the burst.

    Returns:
        Thousands of multiplications with an addition each; transforms and sums are not counted.
    """
    side = network.contract.multiple_of * max(1, SIDE // network.contract.multiple_of)
    burst = torch.rand(1, frames, 3, side, side)
    seen = torch.ones(1, frames, 1, side, side)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network.restore_light(burst, seen, plain_descriptor(frames))
    operations: int = counter.get_total_flops()
    return operations / 2 / (frames * side * side) / 1000


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[1, 2, 8])
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="more to measure")
    parser.add_argument("--json", type=Path, help="else benchmarks/results/costs.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
