"""Batch norm and spectral norm in training: what they count goes with the averaged weights."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from burstfix import weights
from burstfix.backends.base import Network
from burstfix.io.photos import Photo
from burstfix.train.config import LossWeights, Recipe
from burstfix.train.loop import Budget, train

Maker = Callable[[int], list[Photo]]


@pytest.fixture
def normed(recipe: Recipe) -> Recipe:
    """Return a recipe of a small network with both norms."""
    return dataclasses.replace(
        recipe,
        task="pair",
        backend="deblur-rnn",
        network={"width": 0.1, "dropout": 0.2, "residual": True},
        lengths=(2,),
        rate=0.04,
        other_rate=0.004,
        ema=0.9,
        loss=LossWeights(denoised=0.5),
        data={"moments": (3, 4), "extent": (1, 6)},
    )


def statistics(network: Network) -> Tensor:
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    means = [norm.running_mean for norm in norms if norm.running_mean is not None]
    assert len(means) == len(norms) > 0
    return torch.cat(means)


def test_statistics_follow_into_the_average_and_into_the_file(
    make_photos: Maker, normed: Recipe, tmp_path: Path
) -> None:
    path = tmp_path / "run.safetensors"
    run = train(normed, make_photos(6), path, budget=Budget(steps=12), device=torch.device("cpu"))
    trained, averaged = statistics(run.network), statistics(run.average)
    assert trained.abs().mean() > 1e-3, "a fresh network's are 0"
    assert not torch.equal(averaged, trained)
    torch.testing.assert_close(averaged, trained, atol=0.5 * float(trained.abs().max()), rtol=0)
    assert torch.corrcoef(torch.stack([averaged, trained]))[0, 1] > 0.8
    shipped, _ = weights.load(path)
    torch.testing.assert_close(statistics(shipped), averaged, atol=1e-4, rtol=2e-3)


def test_directions_and_counts_follow_too(
    make_photos: Maker, normed: Recipe, tmp_path: Path
) -> None:
    four = Budget(steps=4)
    run = train(normed, make_photos(6), tmp_path / "run", budget=four, device=torch.device("cpu"))
    ours = dict(run.average.named_buffers())
    for name, theirs in run.network.named_buffers():
        if name.endswith(".u"):
            assert torch.nn.functional.cosine_similarity(ours[name], theirs, dim=0) > 0.9
        elif not theirs.is_floating_point():
            assert torch.equal(ours[name], theirs)
