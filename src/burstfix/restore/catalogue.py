"""What there is to choose from: backends with their tasks, sizes and weights."""

from typing import Any

from burstfix.backends import BACKENDS
from burstfix.backends.base import Backend, Network
from burstfix.weights import default_weights, load


def list_backends() -> list[dict[str, Any]]:
    """Describe every backend that burstfix ships, as `burstfix backends --json` prints it."""
    return [_describe(backend) for backend in BACKENDS.values()]


def _describe(backend: Backend) -> dict[str, Any]:
    network = backend.build()
    parameters = _count(network)
    cards = []
    for task in network.contract.tasks:
        path = default_weights(backend.name, task)
        if path:
            shipped, card = load(path)
            parameters = _count(shipped)  # a backend's defaults may be larger than what ships
            cards.append({"file": path.name, "task": task, **card.as_json()})
    return {
        "name": backend.name,
        "summary": backend.summary,
        "tasks": list(network.contract.tasks),
        "parameters": parameters,
        "alignment": network.contract.alignment,
        "needs_weights": backend.trained,
        "weights": cards,
    }


def _count(network: Network) -> int:
    return sum(weight.numel() for weight in network.parameters())
