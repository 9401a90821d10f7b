"""Tuning to films, as `burstfix train reblur` and `burstfix video --tune` share it."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from burstfix.errors import UsageError

if TYPE_CHECKING:
    import torch

    from burstfix.backends.base import Network
    from burstfix.cli.console import Terminal
    from burstfix.io.photos import Photo
    from burstfix.train.reblur import TuneSettings, Tuning
    from burstfix.weights import Card


@dataclass(frozen=True, kw_only=True)
class TunePlan:
    """What to tune on, and how.

    Args:
        films: of each its file, or the pictures that are its frames.
        data: sharp photographs for samples with truth; None makes them of the films.
        flow: weights of FlowNetS; None takes classical flow.
        rate: frames in a second, of pictures.
        span_s: from where to where in each film [s].
        settings: how.
    """

    films: Sequence[Sequence[Path]]
    settings: "TuneSettings"
    data: Path | None = None
    flow: Path | None = None
    rate: Fraction = Fraction(30)
    span_s: tuple[float | None, float | None] = (None, None)


def tune_to_films(
    network: "Network", plan: TunePlan, device: "torch.device", terminal: "Terminal"
) -> "Tuning":
    """Tune a network to films, and tell how it went."""
    from burstfix.restore.excerpts import take_excerpts
    from burstfix.train.reblur import tune
    from burstfix.train.supervision import make_supervision, sample_sides

    settings = plan.settings
    if not list(network.parameters()):
        raise UsageError("A formula has no weights to tune.", "Choose a backend with weights.")
    excerpts = take_excerpts(
        plan.films,
        network.contract,
        rate=plan.rate,
        photo_sides=sample_sides(network.contract),
        span_s=plan.span_s,
    )
    if settings.exposure_cycle is None and excerpts.exposure_cycle:
        settings = dataclasses.replace(settings, exposure_cycle=excerpts.exposure_cycle)
    photos = _photos(plan.data, excerpts.photos)
    supervision = make_supervision(photos, network.contract, device=device)
    flow = None
    if plan.flow:
        from burstfix.weights import load_flow

        flow = load_flow(plan.flow)[0].to(device).requires_grad_(False)

    def step(number: int, loss: float) -> None:
        del number, loss
        terminal.step()

    terminal.stage("tune", settings.iterations)
    tuning = tune(
        network,
        excerpts.learned,
        excerpts.held_out,
        supervision,
        settings=settings,
        flow=flow,
        device=device,
        report=step,
    )
    terminal.say(tuning.tell())
    return tuning


def _photos(data: Path | None, reduced: "list[Photo]") -> "list[Photo]":
    """Choose what samples are made of."""
    from burstfix.io.photos import read_photos

    if data:
        return read_photos(data)
    if len(reduced) < 2:
        raise UsageError(
            "The film is too small or too short for samples of its own to be made.",
            "Give a folder of sharp photographs with --data.",
        )
    return reduced


def tuned_card(card: "Card", tuning: "Tuning", plan: TunePlan) -> "Card":
    """Tell on the card of weights what they were tuned to, and their scores then."""
    if not tuning.kept:
        return card
    names = ", ".join(
        paths[0].name if len(paths) == 1 else paths[0].parent.name for paths in plan.films
    )
    scores = {
        "reblur_before_db": round(tuning.before.reblur_db, 3),
        "reblur_after_db": round(tuning.after.reblur_db, 3),
        "truth_before_db": round(tuning.before.truth_db, 3),
        "truth_after_db": round(tuning.after.truth_db, 3),
    }
    data = "; ".join(text for text in (card.data, f"tuned by reblurring to {names}") if text)
    return dataclasses.replace(card, data=data, scores={**card.scores, **scores}, sha256="")
