"""What there is to choose from: backends with their tasks, sizes and weights."""

from typing import Any

from burstfix.backends import BACKENDS
from burstfix.backends.base import Backend, Network
from burstfix.weights import default_weights, load, read_card, shipped_weights


def list_backends() -> list[dict[str, Any]]:
    """Describe every backend that burstfix ships, as `burstfix backends --json` prints it."""
    return [_describe(backend) for backend in BACKENDS.values()]


def _describe(backend: Backend) -> dict[str, Any]:
    network = backend.build()
    parameters = _count(network)
    cards = []
    for path in shipped_weights():
        card = read_card(path)
        if card.backend == backend.name:
            cards.append({"file": path.name, **card.as_json()})
    for task in network.contract.tasks:
        usual = default_weights(backend.name, task)
        if usual:  # a backend's defaults may be larger than what ships
            parameters = _count(load(usual)[0])
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
