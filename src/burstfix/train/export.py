"""From a finished run to a weights file with its card."""

import dataclasses
import json
import platform
from collections.abc import Mapping
from pathlib import Path

import torch

from burstfix import weights
from burstfix.backends import find
from burstfix.train.checkpoint import Run


def export_weights(
    run: Run,
    output: Path,
    *,
    device: torch.device,
    data: str = "",
    scores: Mapping[str, float] | None = None,
) -> weights.Card:
    """Write the averaged weights of a run.

    Args:
        run: finished or interrupted.
        output: the weights file; replaced if it exists.
        device: what the run was computed on.
        data: what it learned from, and whom to credit; empty takes what the run knows of it.
        scores: figures by name; None takes the last validation's PSNR.

    Returns:
        The card that the file carries.
    """
    recipe = run.recipe
    if scores is None:
        scores = {"validation_psnr_db": round(run.scores[-1][1], 3)} if run.scores else {}
    card = weights.Card(
        backend=recipe.backend,
        task=recipe.task,
        config=dataclasses.asdict(find(recipe.backend).config(**recipe.network)),
        recipe=json.loads(recipe.to_json()),
        data=data or run.data,
        minutes=round(run.elapsed_s / 60, 1),
        device=describe(device),
        scores=dict(scores),
    )
    return weights.save(run.average, card, output)


def describe(device: torch.device) -> str:
    """Name a device, for people."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()})"
