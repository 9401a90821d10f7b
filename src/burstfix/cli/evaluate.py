"""`burstfix evaluate`: how well backends restore bursts whose truth is known."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from burstfix.errors import InputError, UsageError

if TYPE_CHECKING:
    from burstfix.backends.base import Network
    from burstfix.cli.console import Terminal
    from burstfix.io.photos import Photo
    from burstfix.train.config import Recipe
    from burstfix.train.evaluate import Conditions, Score
    from burstfix.weights import Card

    Measured = dict[str, tuple[Network, Card | None]]

EXAMPLES = """\b
Examples:
  burstfix evaluate --data photos/
  burstfix evaluate --data photos/ --weights my.safetensors --json scores.json
  burstfix evaluate --data photos.pack --backend set --frames 1,2,3,4,6,8,12,16
  burstfix evaluate --data holiday/ --all --case plain,ruined,moving
"""
LONGEST = 64  # frames
Name = TypeVar("Name", bound=str)


def evaluate(
    data: Annotated[
        Path,
        typer.Option("--data", help="Folder of sharp photographs, or a pack.", show_default=False),
    ],
    backend: Annotated[
        str | None,
        typer.Option(
            "--backend", "-b", help="Names, as set,fba, with shipped weights. [default: set]"
        ),
    ] = None,
    weights: Annotated[
        list[Path] | None,
        typer.Option("--weights", "-w", help="Weights file to score; can be given again."),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="Take every photograph, not only those that training sets aside."
        ),
    ] = False,
    frames: Annotated[
        str, typer.Option("--frames", "-f", help="How many, as 1,2,4,8: the first of one burst.")
    ] = "8",
    case: Annotated[str, typer.Option("--case", help="plain, ruined, moving.")] = "plain",
    noise: Annotated[str, typer.Option("--noise", help="Levels to score.")] = "low,medium,high",
    blur: Annotated[str, typer.Option("--blur", help="Blurs to score.")] = "easy,mixed,hard",
    count: Annotated[int, typer.Option(min=1, help="Bursts for each noise level and blur.")] = 4,
    crop: Annotated[int, typer.Option(min=32, help="Side of the frames [px].")] = 256,
    json: Annotated[
        str | None, typer.Option("--json", help="File for all figures; - is stdout.")
    ] = None,
    device: Annotated[str, typer.Option("--device", "-d", help="auto, cpu, cuda, mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors and results only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every figure.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Score backends on made bursts with known truth, beside mean, fba and the frames."""
    del debug  # read by `main`
    from burstfix import device as devices
    from burstfix.cli.console import Terminal
    from burstfix.io.atomic import resolve_output
    from burstfix.io.photos import read_photos
    from burstfix.train.evaluate import BESIDE, Conditions
    from burstfix.train.evaluate import evaluate as score
    from burstfix.train.validate import BLUR, CASES, NOISE

    terminal = Terminal(quiet=quiet, verbose=verbose)
    conditions = Conditions(
        lengths=_lengths(frames),
        cases=_names(case, CASES, "--case"),
        noises=_names(noise, tuple(NOISE), "--noise"),
        blurs=_names(blur, tuple(BLUR), "--blur"),
        count=count,
        crop=_crop(crop),
    )
    if not conditions.kinds():
        raise UsageError("No burst of one or two frames is ruined.", "Give --frames 3 or more.")
    if json and json != "-":
        resolve_output(Path(json), on_exists="overwrite")  # not after minutes of work
    measured = _measured(backend, weights or [])
    chosen = devices.choose(device)
    photos = _choose(read_photos(data), measured, terminal, everything=everything)
    with terminal.progress():
        terminal.stage("score", conditions.kinds() * (len({*measured, *BESIDE}) + 2))
        scores = score(
            {name: network for name, (network, _) in measured.items()},
            photos,
            conditions,
            device=chosen,
            report=lambda _: terminal.step(),
        )
    if json != "-":
        _show(scores, verbose=verbose)
    if json:
        _write(json, _document(scores, measured, conditions, photos, str(chosen)))


def _measured(names: str | None, files: Sequence[Path]) -> "Measured":
    """Load what is scored: shipped weights by their backend's name, files by their stem."""
    from burstfix import weights

    measured: Measured = {}
    own = []
    for path in files:
        network, card = weights.find_network("set", "burst", path)
        assert card is not None  # it came from a file
        own.append(card.backend)
        measured[path.stem] = network, card
    asked = names.split(",") if names else [] if files else ["set"]
    for name in (name.strip() for name in asked):
        # A backend that ships no weights may be named along with a file of its own.
        if name in own and not weights.default_weights(name, "burst"):
            continue
        measured[name] = weights.find_network(name, "burst")
    return measured


def _choose(
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


def _show(scores: "list[Score]", *, verbose: bool) -> None:
    """Print tables and what follows from them on stdout."""
    from burstfix.cli import tables

    tables.show_scores(scores, every=verbose)


def _document(
    scores: "list[Score]",
    measured: "Measured",
    conditions: "Conditions",
    photos: "list[Photo]",
    device: str,
) -> dict[str, Any]:
    """Collect all figures, and what they depend on."""
    from dataclasses import asdict

    from burstfix import __version__
    from burstfix.train.evaluate import below_reference, falls, to_json

    cards = {name: card for name, (_, card) in measured.items() if card}
    return {
        "version": __version__,
        "device": device,
        "weights": {
            name: {"backend": card.backend, "sha256": card.sha256} for name, card in cards.items()
        },
        "photographs": sorted(photo.name for photo in photos),
        "conditions": asdict(conditions),
        "scores": to_json(scores),
        "falls_db": falls(scores),
        "below_reference": {
            method: to_json(below) for method, below in below_reference(scores).items()
        },
    }


def _write(target: str, document: dict[str, Any]) -> None:
    import json

    from burstfix.io.atomic import replacing

    text = json.dumps(document, indent=1) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    with replacing(Path(target), replace=True) as file:
        file.write(text.encode())


def _lengths(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= LONGEST for part in parts):
        raise UsageError(
            f"--frames {text} is not known.", f"Give numbers from 1 to {LONGEST}, as 1,2,4,8."
        )
    return tuple(int(part) for part in parts)


def _names(text: str, known: Sequence[Name], option: str) -> tuple[Name, ...]:
    """Split a list of names, each of which must be known."""
    by_text = {str(name): name for name in known}
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if part not in by_text:
            raise UsageError(f"{option} {part} is not known.", f"Give some of {','.join(known)}.")
    return tuple(by_text[part] for part in parts)


def _crop(side: int) -> int:
    if side % 16:
        raise UsageError(f"--crop {side} is no multiple of 16.", f"Give {side // 16 * 16}.")
    return side
