"""`burstfix evaluate`: how well backends restore bursts whose truth is known."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from burstfix.cli.evaluate_pair import pair_conditions, score_pairs
from burstfix.cli.evaluate_single import score_singles, single_conditions
from burstfix.cli.evaluate_video import score_videos, video_conditions
from burstfix.cli.scoring import (
    check_crop,
    choose_photos,
    load_measured,
    pick_names,
    shipped_for,
    write_document,
)
from burstfix.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import torch

    from burstfix.cli.console import Terminal
    from burstfix.cli.scoring import Measured
    from burstfix.io.photos import Photo
    from burstfix.train.evaluate import Conditions, Score
    from burstfix.train.evaluate_pairs import PairConditions
    from burstfix.train.evaluate_singles import SingleConditions
    from burstfix.train.evaluate_videos import VideoConditions

    AnyConditions = Conditions | PairConditions | SingleConditions | VideoConditions

EXAMPLES = """\b
Examples:
  burstfix evaluate --data photos/
  burstfix evaluate --data photos/ --weights my.safetensors --json scores.json
  burstfix evaluate --data photos.pack --backend set --frames 1,2,3,4,6,8,12,16
  burstfix evaluate --data holiday/ --all --case plain,ruined,moving
  burstfix evaluate --data photos/ --task pair --case plain,moving,stranger
  burstfix evaluate --data photos/ --task single --case "small shake,clean"
  burstfix evaluate --data photos/ --task video --weights set-video --weights deblurgan-single
"""
LONGEST = 64  # frames


class Task(StrEnum):
    """What can be scored."""

    BURST = "burst"
    PAIR = "pair"
    SINGLE = "single"
    VIDEO = "video"


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
    task: Annotated[
        Task,
        typer.Option(
            "--task", help="What to score: bursts, noisy and blurry pairs, one frame, films."
        ),
    ] = Task.BURST,
    frames: Annotated[
        str, typer.Option("--frames", "-f", help="How many, as 1,2,4,8: the first of one burst.")
    ] = "8",
    case: Annotated[
        str | None,
        typer.Option(
            "--case",
            help="plain, ruined, moving; of pairs plain, moving, stranger; of films small shake, "
            "large shake, moving; of one frame these, defocus, noise, clean. [default: plain; of "
            "films and one frame all]",
        ),
    ] = None,
    noise: Annotated[
        str | None,
        typer.Option("--noise", help="Some of low,medium,high; bursts alone have medium."),
    ] = None,
    blur: Annotated[
        str | None,
        typer.Option("--blur", help="Some of easy,mixed,hard; of pairs mild,medium,severe."),
    ] = None,
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
    """Score backends on made bursts with known truth, beside mean, fba and the frames.

    With --task pair: on made pairs, beside the frames and what `set` makes of either alone. With
    --task single: on made single frames, beside an unsharp mask; of clean ones it tells the harm.
    With --task video: on made films of seven frames, beside mean; also how much errors flicker.
    """
    del debug  # read by `main`
    from burstfix import device as devices
    from burstfix.cli.console import Terminal
    from burstfix.io.atomic import resolve_output
    from burstfix.io.photos import read_photos

    terminal = Terminal(quiet=quiet, verbose=verbose)
    conditions: AnyConditions
    if task is Task.PAIR:
        conditions = pair_conditions(case, noise, blur, count=count, crop=crop)
    elif task is Task.SINGLE:
        conditions = single_conditions(case, noise, blur, count=count, crop=crop)
    elif task is Task.VIDEO:
        conditions = video_conditions(case, noise, blur, count=count, crop=crop)
    else:
        conditions = _conditions(frames, case, noise, blur, count=count, crop=crop)
    if json and json != "-":
        resolve_output(Path(json), on_exists="overwrite")  # not after minutes of work
    asked = [name.strip() for name in backend.split(",")] if backend else []
    if not asked and not weights:
        asked = ["set"] if task is Task.BURST else shipped_for(task.value)
    measured = load_measured(asked, weights or [], task.value)
    chosen = devices.choose(device)
    photos = choose_photos(read_photos(data), measured, terminal, everything=everything)
    with terminal.progress():
        scores, findings = _SCORING[task](measured, photos, conditions, chosen, terminal)
    if json != "-":
        _show(scores, findings, task, verbose=verbose)
    if json:
        document = _document(scores, measured, conditions, photos, str(chosen))
        write_document(json, document | findings)


def _conditions(
    frames: str, case: str | None, noise: str | None, blur: str | None, *, count: int, crop: int
) -> "Conditions":
    """Read what bursts to score on."""
    from burstfix.train.evaluate import Conditions
    from burstfix.train.validate import BLUR, CASES, NOISE

    conditions = Conditions(
        lengths=_lengths(frames),
        cases=pick_names(case or "plain", CASES, "--case"),
        noises=pick_names(noise, tuple(NOISE), "--noise"),
        blurs=pick_names(blur, tuple(BLUR), "--blur"),
        count=count,
        crop=check_crop(crop),
    )
    if not conditions.kinds():
        raise UsageError("No burst of one or two frames is ruined.", "Give --frames 3 or more.")
    return conditions


def _score_bursts(
    measured: "Measured",
    photos: "list[Photo]",
    conditions: "Conditions",
    device: "torch.device",
    terminal: "Terminal",
) -> "tuple[list[Score], dict[str, Any]]":
    """Score on bursts; return the scores, and what follows from them."""
    from burstfix.train import evaluate as scoring

    terminal.stage("score", conditions.kinds() * (len({*measured, *scoring.BESIDE}) + 2))
    scores = scoring.evaluate(
        {name: network for name, (network, _) in measured.items()},
        photos,
        conditions,
        device=device,
        report=lambda _: terminal.step(),
    )
    below = scoring.below_reference(scores)
    return scores, {
        "falls_db": scoring.falls(scores),
        "below_reference": {method: scoring.to_json(some) for method, some in below.items()},
    }


_SCORING: dict[Task, "Callable[..., tuple[Sequence[Score], dict[str, Any]]]"] = {
    Task.BURST: _score_bursts,
    Task.PAIR: score_pairs,
    Task.SINGLE: score_singles,
    Task.VIDEO: score_videos,
}


def _show(
    scores: "Sequence[Score]", findings: "Mapping[str, Any]", task: Task, *, verbose: bool
) -> None:
    """Print tables and what follows from them on stdout."""
    from burstfix.cli import tables

    if task is Task.SINGLE:
        tables.show_singles(scores, findings.get("harm", []), every=verbose)
    elif task is Task.VIDEO:
        tables.show_videos(scores, every=verbose)
    elif task is Task.PAIR:
        tables.show_pairs(scores, every=verbose)
    else:
        tables.show_scores(scores, every=verbose)


def _document(
    scores: "Sequence[Score]",
    measured: "Measured",
    conditions: "AnyConditions",
    photos: "list[Photo]",
    device: str,
) -> dict[str, Any]:
    """Collect all figures, and what they depend on."""
    from dataclasses import asdict

    from burstfix import __version__
    from burstfix.train.evaluate import to_json

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
    }


def _lengths(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= LONGEST for part in parts):
        raise UsageError(
            f"--frames {text} is not known.", f"Give numbers from 1 to {LONGEST}, as 1,2,4,8."
        )
    return tuple(int(part) for part in parts)
