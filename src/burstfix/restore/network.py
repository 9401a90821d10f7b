"""The network that a restoration asked for, with the weights it asked for or the shipped ones."""

from dataclasses import dataclass
from pathlib import Path

from burstfix import weights
from burstfix.backends import zoo
from burstfix.backends.base import Network, Task
from burstfix.errors import UsageError
from burstfix.restore.options import Options
from burstfix.restore.report import Outcome


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A network that is ready.

    Args:
        network: in inference mode, on the CPU.
        trained_for: the task of its weights; a formula's is the task asked for.
        backend: its name.
        path: of its weights; a formula has none.
        sha256: of that file.
        heeds_noise: whether they learned from noise that was measured, not told by files.
    """

    network: Network
    trained_for: str
    backend: str
    path: Path | None = None
    sha256: str | None = None
    heeds_noise: bool = False

    def tell(self, report: Outcome) -> None:
        """Tell a report what this is."""
        report.backend, report.weights_sha256 = self.backend, self.sha256
        report.backend_weights = str(self.path) if self.path else None


def load_network(task: Task, options: Options) -> Loaded:
    """Build the backend asked for.

    Raises:
        UsageError: there is no such backend or setting, or it is not for this task.
        WeightsError: it needs weights, and there are none; or the file is damaged.
    """
    if task == "single" and options.weights and weights.is_foreign(options.weights):
        return _load_foreign(options.weights, options)
    path = options.weights or weights.default_weights(options.backend, task)
    network, card = weights.find_network(options.backend, task, path, options.settings)
    if card is None:
        return Loaded(network=network, trained_for=task, backend=options.backend)
    return Loaded(
        network=network,
        trained_for=card.task,
        backend=card.backend,
        path=path,
        sha256=card.sha256,
        heeds_noise=card.recipe.get("data", {}).get("measured_noise_share", 0) > 0,
    )


def _load_foreign(path: Path, options: Options) -> Loaded:
    """Build a network whose weights another program wrote."""
    network, name = zoo.load(path, allow_pickle=options.allow_pickle)
    if options.settings:
        raise UsageError(f"{path} is of another program's: it has no settings.", "Leave out --set.")
    return Loaded(
        network=network,
        trained_for="single",
        backend=f"zoo {name}",
        path=path,
        sha256=weights.hash_of(path),
    )
