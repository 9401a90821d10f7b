"""The network that a restoration asked for, with the weights it asked for or the shipped ones."""

from dataclasses import dataclass

from burstfix import weights
from burstfix.backends.base import Network, Task
from burstfix.restore.options import Options
from burstfix.restore.report import Report


@dataclass(frozen=True)
class Loaded:
    """A network that is ready.

    Args:
        network: in inference mode, on the CPU.
        trained_for: the task of its weights; a formula's is the task asked for.
    """

    network: Network
    trained_for: str


def load_network(task: Task, options: Options, report: Report) -> Loaded:
    """Build the backend asked for, and tell in the report which weights it has.

    Raises:
        UsageError: there is no such backend or setting, or it is not for this task.
        WeightsError: it needs weights, and there are none; or the file is damaged.
    """
    path = options.weights or weights.default_weights(options.backend, task)
    network, card = weights.find_network(options.backend, task, path, options.settings)
    if card is None:
        return Loaded(network, task)
    report.backend = card.backend
    report.backend_weights, report.weights_sha256 = str(path), card.sha256
    return Loaded(network, card.task)
