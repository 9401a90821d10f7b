"""What there is to choose from: backends with their tasks, sizes and weights."""

from typing import Any

from burstfix.backends import BACKENDS
from burstfix.backends.base import Backend
from burstfix.weights import default_weights, read_card


def list_backends() -> list[dict[str, Any]]:
    """Describe every backend that burstfix ships, as `burstfix backends --json` prints it."""
    return [_describe(backend) for backend in BACKENDS.values()]


def _describe(backend: Backend) -> dict[str, Any]:
    network = backend.build()
    cards = []
    for task in network.contract.tasks:
        path = default_weights(backend.name, task)
        if path:
            card = read_card(path)
            cards.append({"file": path.name, "task": task, **card.as_json()})
    return {
        "name": backend.name,
        "summary": backend.summary,
        "tasks": list(network.contract.tasks),
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "alignment": network.contract.alignment,
        "needs_weights": backend.trained,
        "weights": cards,
    }
