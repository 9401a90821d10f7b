"""`burstfix evaluate --task single`: how well backends restore one frame."""

from typing import TYPE_CHECKING, Any

from burstfix.cli.scoring import check_crop, pick_names
from burstfix.errors import UsageError

if TYPE_CHECKING:
    import torch

    from burstfix.cli.console import Terminal
    from burstfix.cli.scoring import Measured
    from burstfix.io.photos import Photo
    from burstfix.train.evaluate import Score
    from burstfix.train.evaluate_singles import SingleConditions

BESIDE = 2  # rows that are always there: the input, and an unsharp mask of it


def single_conditions(
    case: str | None, noise: str | None, blur: str | None, *, count: int, crop: int
) -> "SingleConditions":
    """Read what frames to score on."""
    from burstfix.synth.render_single import SINGLE_NOISE
    from burstfix.train.evaluate_singles import SingleConditions
    from burstfix.train.fixed_singles import SINGLE_CASES

    if blur is not None:
        known = ",".join(SINGLE_CASES)
        raise UsageError("--blur says nothing of single frames.", f"Give --case, some of {known}.")
    conditions = SingleConditions(
        cases=pick_names(case, tuple(SINGLE_CASES), "--case"),
        noises=pick_names(noise, tuple(SINGLE_NOISE), "--noise"),
        count=count,
        crop=check_crop(crop),
    )
    if not conditions.kinds():
        raise UsageError(
            "None of these cases is made at that noise.",
            "Clean frames have --noise none, all others low or high.",
        )
    return conditions


def score_singles(
    measured: "Measured",
    photos: "list[Photo]",
    conditions: "SingleConditions",
    device: "torch.device",
    terminal: "Terminal",
) -> "tuple[list[Score], dict[str, Any]]":
    """Score on single frames; return the scores, and what follows from them."""
    from dataclasses import asdict

    from burstfix.train.evaluate import to_json
    from burstfix.train.evaluate_singles import below_input, evaluate_singles, measure_harm

    networks = {name: network for name, (network, _) in measured.items()}
    terminal.stage("score", conditions.kinds() * (len(measured) + BESIDE))
    scores = evaluate_singles(
        networks, photos, conditions, device=device, report=lambda _: terminal.step()
    )
    findings: dict[str, Any] = {
        "below_input": {name: to_json(some) for name, some in below_input(scores).items()}
    }
    if "clean" in conditions.cases:
        terminal.stage("do no harm", 1)
        harm = measure_harm(networks, photos, crop=conditions.crop, device=device)
        terminal.step()
        findings["harm"] = [asdict(each) for each in harm]
    return scores, findings
