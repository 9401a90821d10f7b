"""What `burstfix evaluate` shares among tasks: networks to score, photographs, figures."""

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from burstfix.errors import InputError, UsageError, WeightsError

_ALWAYS = frozenset({"mean", "fba", "reference", "best frame", "input", "noisy", "blurry"})  # rows

if TYPE_CHECKING:
    from burstfix.backends.base import Network
    from burstfix.cli.console import Terminal
    from burstfix.io.photos import Photo
    from burstfix.train.config import Recipe
    from burstfix.weights import Card

    Measured = dict[str, tuple[Network, Card | None]]

Name = TypeVar("Name", bound=str)


def load_measured(asked: Sequence[str], files: Sequence[Path], task: str = "burst") -> "Measured":
    """Load what is scored: shipped weights by their backend's name, files by their stem.

    Args:
        asked: names of backends.
        files: weights files.
        task: what all are scored for.

    Raises:
        UsageError: two would have one name.
    """
    from burstfix import weights

    measured: Measured = {}
    own = []
    for path in files:
        network, card = weights.find_network("set", task, path)
        assert card is not None  # it came from a file
        own.append(card.backend)
        _check_free(path.stem, {*measured, *_ALWAYS})
        measured[path.stem] = network, card
    for name in asked:
        # A backend that ships no weights may be named along with a file of its own.
        if name in own and not weights.default_weights(name, task):
            continue
        _check_free(name, {path.stem for path in files})
        measured[name] = weights.find_network(name, task)
    return measured


def _check_free(name: str, taken: Collection[str]) -> None:
    """Raise UsageError where another row of the table has this name."""
    if name in taken:
        raise UsageError(
            f"{name} would name two rows of the table.",
            "Copy the weights file to another name, and give that.",
        )


def shipped_for(task: str) -> list[str]:
    """Name the backends whose weights for a task are there.

    Raises:
        WeightsError: there are none.
    """
    from burstfix.backends import BACKENDS
    from burstfix.weights import default_weights

    shipped = [name for name in BACKENDS if default_weights(name, task)]
    if not shipped:
        raise WeightsError(
            f"burstfix ships no weights for --task {task}.",
            f"Train some with `burstfix train {task}`, and give the files with --weights.",
        )
    return shipped


def choose_photos(
    photos: "list[Photo]", measured: "Measured", terminal: "Terminal", *, everything: bool
) -> "list[Photo]":
    """Leave out what training on the same folder would have learned from, and say so."""
    from burstfix.train.data import unseen_photos

    if everything:
        terminal.say(f"Scoring on bursts made of all {len(photos)} photographs.")
        return photos
    kept = unseen_photos(photos, [_recipe(card) for _, card in measured.values() if card])
    if not kept:
        raise InputError(
            f"None of {len(photos)} photographs was set aside by all trainings of what is scored.",
            "Give photographs that none was trained on, with --all.",
        )
    if len(kept) < len(photos):
        terminal.say(
            f"Scoring on bursts made of {len(kept)} of {len(photos)} photographs: those that "
            "training on them sets aside. If none was trained on, add --all."
        )
    return kept


def _recipe(card: "Card") -> "Recipe":
    """Return the recipe that weights were trained by; the default where they do not tell."""
    from burstfix.train.config import Recipe, parse_recipe

    try:
        return parse_recipe(dict(card.recipe), "the card")
    except UsageError:  # of another version: its split is most likely still ours
        return Recipe()


def write_document(target: str, document: dict[str, Any]) -> None:
    """Write figures as JSON to a file, or to stdout for -."""
    import json

    from burstfix.io.atomic import replacing

    text = json.dumps(document, indent=1) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    with replacing(Path(target), replace=True) as file:
        file.write(text.encode())


def pick_names(text: str | None, known: Sequence[Name], option: str) -> tuple[Name, ...]:
    """Split a list of names, each of which must be known; None means all."""
    if text is None:
        return tuple(known)
    by_text = {str(name): name for name in known}
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if part not in by_text:
            raise UsageError(f"{option} {part} is not known.", f"Give some of {','.join(known)}.")
    return tuple(by_text[part] for part in parts)


def check_crop(side: int) -> int:
    """Return the side, which must be one that all networks take."""
    if side % 16:
        raise UsageError(f"--crop {side} is no multiple of 16.", f"Give {side // 16 * 16}.")
    return side
