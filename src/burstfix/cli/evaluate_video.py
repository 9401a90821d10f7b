"""`burstfix evaluate --task video`: how well backends restore films."""

from functools import partial
from typing import TYPE_CHECKING, Any

from burstfix.cli.scoring import check_crop, pick_names
from burstfix.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from burstfix.cli.console import Terminal
    from burstfix.cli.scoring import Measured
    from burstfix.io.photos import Photo
    from burstfix.train.evaluate_videos import FilmScore, VideoConditions

MEAN = "mean"  # the backend that is always compared


def video_conditions(
    case: str | None, noise: str | None, blur: str | None, *, count: int, crop: int
) -> "VideoConditions":
    """Read what films to score on."""
    from burstfix.train.evaluate_videos import VideoConditions
    from burstfix.train.fixed_videos import VIDEO_CASES, VIDEO_NOISE

    if blur is not None:
        known = ",".join(VIDEO_CASES)
        raise UsageError("--blur says nothing of films.", f"Give --case, some of {known}.")
    return VideoConditions(
        cases=pick_names(case, tuple(VIDEO_CASES), "--case"),
        noises=pick_names(noise, tuple(VIDEO_NOISE), "--noise"),
        count=count,
        crop=check_crop(crop),
    )


def score_videos(
    measured: "Measured",
    photos: "list[Photo]",
    conditions: "VideoConditions",
    device: "torch.device",
    terminal: "Terminal",
) -> "tuple[Sequence[FilmScore], dict[str, Any]]":
    """Score on films, restored as `burstfix video` does; return the scores, and what follows."""
    from burstfix.backends import find
    from burstfix.restore.window import restore_lights
    from burstfix.train.evaluate import to_json
    from burstfix.train.evaluate_singles import below_input
    from burstfix.train.evaluate_videos import evaluate_videos

    networks = {MEAN: find(MEAN).build()}
    networks |= {name: network for name, (network, _) in measured.items()}
    terminal.stage("score", conditions.kinds() * (len(networks) + 1))
    scores = evaluate_videos(
        {
            name: partial(restore_lights, network=network, device=device)
            for name, network in networks.items()
        },
        photos,
        conditions,
        report=lambda _: terminal.step(),
    )
    return scores, {"below_input": {k: to_json(some) for k, some in below_input(scores).items()}}
