"""`burstfix evaluate --task pair`: how well backends restore noisy and blurry pairs."""

from typing import TYPE_CHECKING, Any

from burstfix.cli.scoring import check_crop, pick_names

if TYPE_CHECKING:
    import torch

    from burstfix.cli.console import Terminal
    from burstfix.cli.scoring import Measured
    from burstfix.io.photos import Photo
    from burstfix.train.evaluate import Score
    from burstfix.train.evaluate_pairs import PairConditions

BESIDE = 3  # rows that are always there: both frames, and the better one alone


def pair_conditions(
    case: str | None, noise: str | None, blur: str | None, *, count: int, crop: int
) -> "PairConditions":
    """Read what pairs to score on."""
    from burstfix.synth.render_pair import PAIR_BLUR, PAIR_NOISE
    from burstfix.train.evaluate_pairs import PairConditions
    from burstfix.train.fixed_pairs import PAIR_CASES

    return PairConditions(
        cases=pick_names(case or "plain", PAIR_CASES, "--case"),
        noises=pick_names(noise, tuple(PAIR_NOISE), "--noise"),
        blurs=pick_names(blur, tuple(PAIR_BLUR), "--blur"),
        count=count,
        crop=check_crop(crop),
    )


def score_pairs(
    measured: "Measured",
    photos: "list[Photo]",
    conditions: "PairConditions",
    device: "torch.device",
    terminal: "Terminal",
) -> "tuple[list[Score], dict[str, Any]]":
    """Score on pairs; return the scores, and what follows from them."""
    from burstfix import weights
    from burstfix.train.evaluate import to_json
    from burstfix.train.evaluate_pairs import below_better_input, evaluate_pairs

    terminal.stage("score", conditions.kinds() * (len(measured) + BESIDE))
    scores = evaluate_pairs(
        {name: network for name, (network, _) in measured.items()},
        weights.find_network("set", "burst")[0],
        photos,
        conditions,
        device=device,
        report=lambda _: terminal.step(),
    )
    below = below_better_input(scores)
    return scores, {"below_better_input": {name: to_json(some) for name, some in below.items()}}
