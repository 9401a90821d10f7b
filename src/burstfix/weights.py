"""Weights files: a network, all that rebuilds it, and where it comes from; safetensors only."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from burstfix import __version__
from burstfix.backends import find, flownets
from burstfix.backends.base import Network
from burstfix.backends.zoo import PICKLES
from burstfix.errors import BurstfixError, OutputError, UsageError, WeightsError

FORMAT = 1  # version of the metadata below

_MEND = "Fetch the file again, or choose another with --weights."
_NEWER = "It may come from a newer burstfix: update burstfix, or choose another file."


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a weights file says of itself.

    Args:
        backend: name of the backend that the weights fit.
        task: what they were trained for.
        config: fields of the backend's config.
        recipe: every number of the training run.
        data: what they were trained on, and whom to credit.
        minutes: how long the training took.
        device: on what.
        scores: figures on the validation bursts, by name.
        version: of the burstfix that wrote the file.
        licence: of the weights; an SPDX name.
        sha256: of the file; empty until it is read from one.
    """

    backend: str
    task: str = "burst"
    config: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    data: str = ""
    minutes: float = 0.0
    device: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    version: str = __version__
    licence: str = "Apache-2.0"
    sha256: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the card as plain values that JSON can hold."""
        return asdict(self)


def save(network: nn.Module, card: Card, path: Path) -> Card:
    """Write a network in half precision; a killed run leaves the old file or none.

    Args:
        network: its state is copied, the network stays as it is.
        card: `config` must rebuild the network.
        path: the file to write, or to replace.

    Returns:
        The card with the hash of the file.

    Raises:
        WeightsError: the weights are not finite, or overflow in half precision.
        OutputError: the file cannot be written.
    """
    state = {name: _halved(name, tensor) for name, tensor in network.state_dict().items()}
    values = {key: value for key, value in card.as_json().items() if key != "sha256"}
    metadata = {key: json.dumps(value) for key, value in {"format": FORMAT, **values}.items()}
    content = safetensors.torch.save(state, metadata)
    _write(content, path)
    return replace(card, sha256=hashlib.sha256(content).hexdigest())


def load(path: Path, settings: Mapping[str, str] | None = None) -> tuple[Network, Card]:
    """Rebuild a network, in inference mode and fp32, on the CPU.

    Args:
        path: of the weights file, or the name of weights that ship, as set-burst.
        settings: fields of the config to change, as `changed` takes them.

    Raises:
        UsageError: the backend has no such setting.
        WeightsError: the file is missing or damaged, or fits no backend of this version; or does
            not fit the changed settings.
    """
    path = _located(path)
    content = _read(path)
    card = _card_of(path, hashlib.sha256(content).hexdigest())
    if settings:
        card = replace(card, config=changed(card.backend, card.config, settings))
    network = _build(card, path)
    _fill(network, content, path)
    return network, card


def load_flow(path: Path) -> tuple[flownets.FlowNetS, Card]:
    """Rebuild a network that estimates flow, in inference mode and fp32, on the CPU.

    Raises:
        WeightsError: the file is missing or damaged, or holds no such network.
    """
    path = _located(path)
    content = _read(path)
    card = _card_of(path, hashlib.sha256(content).hexdigest())
    if card.backend != flownets.NAME:
        raise WeightsError(
            f"{path} holds weights of {card.backend}, which estimates no flow.",
            "Give a file that `burstfix train flow` wrote.",
        )
    _check_names(set(card.config), {"width"}, path)
    try:
        network = flownets.FlowNetS(flownets.Config(width=float(card.config["width"]))).eval()
    except (ValueError, TypeError) as error:
        raise WeightsError(f"{path}: the config makes no network: {error}.", _MEND) from error
    _fill(network, content, path)
    return network, card


def read_card(path: Path) -> Card:
    """Read what a weights file says of itself, without building the network.

    Raises:
        WeightsError: the file is missing or damaged, or has another format.
    """
    path = _located(path)
    return _card_of(path, hash_of(path))


def is_foreign(path: Path) -> bool:
    """Tell whether another program wrote a weights file; a damaged or missing one counts as ours.

    Ours carry a card; a pickle is foreign whatever it holds.
    """
    if path.suffix.lower() in PICKLES:
        return True
    try:
        with safe_open(path, framework="pt") as file:
            return "backend" not in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(_read(path)).hexdigest()


def default_weights(backend: str, task: str) -> Path | None:
    """Find the weights that burstfix takes for a backend and a task; None where it ships none."""
    name = f"{backend}-{task}"
    return next((path for path in shipped_weights() if path.stem == name), None)


def shipped_weights() -> list[Path]:
    """List all weights that burstfix ships, by name."""
    here = Path(__file__).parent
    installed = here / "weights_files"
    checkout = here.parents[1] / "weights"  # of a checkout, where nothing is copied
    folder = installed if installed.is_dir() else checkout
    return sorted(folder.glob("*.safetensors"), key=lambda path: path.stem)


def _located(path: Path) -> Path:
    """Return the shipped weights that a bare name means; else the path itself."""
    if path.exists() or path.parent != Path():
        return path
    named = (shipped for shipped in shipped_weights() if path.name in (shipped.stem, shipped.name))
    return next(named, path)


def find_network(
    backend: str,
    task: str,
    path: Path | None = None,
    settings: Mapping[str, str] | None = None,
) -> tuple[Network, Card | None]:
    """Build a backend with the weights in a file, or with those that burstfix ships for the task.

    Args:
        backend: its name.
        task: what it shall do.
        path: of a weights file; None takes the shipped one.
        settings: fields of its config to change, as `changed` takes them.

    Returns:
        The network, and the card of its weights; a formula has none.

    Raises:
        UsageError: there is no such backend or setting, or it is not for this task.
        WeightsError: it needs weights, and there are none; or the file is damaged.
    """
    chosen = path or default_weights(find(backend).name, task)
    network, card = load(chosen, settings) if chosen else (_built(backend, settings or {}), None)
    if task not in network.contract.tasks:
        raise UsageError(
            f"{card.backend if card else backend} is not for {task}.",
            "`burstfix backends` lists what each backend is for.",
        )
    if chosen is None and find(backend).trained:
        raise WeightsError(
            f"burstfix ships no weights of {backend} for {task}.",
            "Train some with `burstfix train`, and give the file with --weights.",
        )
    return network, card


def changed(backend: str, config: Mapping[str, Any], settings: Mapping[str, str]) -> dict[str, Any]:
    """Change fields of a backend's config.

    Args:
        backend: its name.
        config: the fields as they are; those left out have their defaults.
        settings: new values by name, written as on the command line.

    Raises:
        UsageError: there is no such field, or the value is of the wrong kind.
    """
    values = asdict(find(backend).config()) | dict(config)
    for name, text in settings.items():
        default = values.get(name)
        if not isinstance(default, int | float | str):
            known = [key for key, value in values.items() if isinstance(value, int | float | str)]
            raise UsageError(
                f"{backend} has no setting {name}.", f"It has: {', '.join(known) or 'none'}."
            )
        try:
            switch = {"true": True, "false": False}
            values[name] = (
                switch[text.lower()] if isinstance(default, bool) else type(default)(text)
            )
        except (ValueError, KeyError) as error:
            raise UsageError(
                f"{name} cannot be {text}.", f"Give a value like {default}."
            ) from error
    return values


def _built(backend: str, settings: Mapping[str, str]) -> Network:
    found = find(backend)
    try:
        return found.build(found.config(**changed(backend, {}, settings)))
    except ValueError as error:
        raise UsageError(f"{backend} cannot be so: {error}.", "Change --set.") from error


def _halved(name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor.cpu().clone().contiguous()
    half = tensor.detach().cpu().half().contiguous()
    if not torch.isfinite(half).all():
        raise WeightsError(
            f"The weights {name} hold values that half precision does not.",
            "The training has diverged: go back to an earlier checkpoint.",
        )
    return half


def _write(content: bytes, path: Path) -> None:
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(".tmp", ".burstfix-", path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)  # mkstemp lets nobody else read
        Path(temporary).replace(path)
    except OSError as error:
        raise OutputError(
            f"Cannot write {path}: {error.strerror}.", "Choose another place, or make room there."
        ) from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"Cannot read the weights {path}: {error.strerror}.", "Check the path of --weights."
        ) from error


def _card_of(path: Path, sha256: str) -> Card:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        values = {key: json.loads(text) for key, text in metadata.items()}
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is no weights file: {error}.", _MEND) from error
    if values.pop("format", None) != FORMAT:
        raise WeightsError(
            f"{path} has format {metadata.get('format', 'unknown')}, not {FORMAT}.", _NEWER
        )
    known = {entry.name: entry for entry in fields(Card) if entry.name != "sha256"}
    _check_names(set(values), set(known), path)
    card = Card(**values, sha256=sha256)
    for name, default in _example().items():
        value = getattr(card, name)
        kind = (int, float) if isinstance(default, float) else type(default)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise WeightsError(f"{path}: {name} must not be {value!r}.", _MEND)
    return card


def _example() -> dict[str, Any]:
    """Return a card's values, whose types are those of every card."""
    return Card(backend="").as_json()


def _check_names(given: set[str], known: set[str], path: Path) -> None:
    """Refuse names that are too many or too few: a file read by halves is a wrong file."""
    for names, what in ((given - known, "unknown"), (known - given, "missing")):
        if names:
            raise WeightsError(f"{path}: {what}: {', '.join(sorted(names)[:5])}.", _NEWER)


def _build(card: Card, path: Path) -> Network:
    """Build the card's network with its config."""
    try:
        backend = find(card.backend)
    except UsageError as error:
        raise WeightsError(f"{path}: {error.what}", f"{error.mend} {_NEWER}") from error
    defaults = asdict(backend.config())
    added = {entry.name for entry in fields(backend.config) if entry.metadata.get("added")}
    _check_names(set(card.config) | added, set(defaults), path)
    values = {
        name: _like(value, defaults[name], f"{path}: config: {name}")
        for name, value in card.config.items()
    }
    try:
        return backend.build(backend.config(**values))
    except BurstfixError:
        raise
    except (ValueError, TypeError, RuntimeError, AssertionError) as error:
        raise WeightsError(f"{path}: the config makes no network: {error}.", _MEND) from error


def _like(value: object, default: object, where: str) -> object:
    """Return a config's value in the type of its default: JSON has no tuples, 1.0 may read 1."""
    if isinstance(default, tuple) and isinstance(value, list):
        like = default[0] if default else None
        return tuple(_like(item, like, where) if default else item for item in value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if default is not None and type(value) is not type(default):
        raise WeightsError(f"{where} must not be {value!r}.", _MEND)
    return value


def _fill(network: nn.Module, content: bytes, path: Path) -> None:
    """Put the weights of a file into its network."""
    try:
        state = safetensors.torch.load(content)
    except SafetensorError as error:
        raise WeightsError(f"{path} is damaged: {error}.", _MEND) from error
    _check(state, network.state_dict(), path)
    network.load_state_dict(
        {
            name: tensor.float() if tensor.is_floating_point() else tensor
            for name, tensor in state.items()
        }
    )


def _check(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    """Compare names, shapes and kinds, and look for values that are no numbers."""
    _check_names(set(state), set(wanted), path)
    for name, tensor in state.items():
        if tensor.shape != wanted[name].shape:
            shapes = f"{tuple(tensor.shape)}, not {tuple(wanted[name].shape)}"
            raise WeightsError(f"{path}: {name} has shape {shapes}.", _NEWER)
        if tensor.is_floating_point() != wanted[name].is_floating_point():
            raise WeightsError(f"{path}: {name} has type {tensor.dtype}.", _MEND)
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{path}: {name} holds values that are no numbers.", _MEND)
