"""FlowNetS learns the exact flow of made films."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from burstfix import weights
from burstfix.align.flow import find_flow, grey_of
from burstfix.backends.base import Network
from burstfix.backends.flownets import SCALE, Config, FlowNetS
from burstfix.errors import UsageError, WeightsError
from burstfix.io.photos import Photo
from burstfix.train.flow import (
    FLOW_RECIPES,
    FlowRecipe,
    draw_pairs,
    endpoint_loss,
    flow_error,
    read_flow_recipe,
    train_flow,
)

Maker = Callable[[int], list[Photo]]
CPU = torch.device("cpu")
SMALL = FlowRecipe(
    width=0.06,
    pairs=2,
    rate=1e-3,
    validation_count=2,
    validation_share=4,
    data={"crop": 64, "margin": 16, "extent": (2.0, 8.0)},
)


def test_drawn_flow_is_what_classical_flow_finds(shared_photos: list[Photo]) -> None:
    still = replace(SMALL, data={**SMALL.data, "depth_share": 0.0, "moving_share": 0.0})
    pairs = draw_pairs(shared_photos, still, "a", 4, CPU)
    assert pairs.flow.shape == (4, 2, 64, 64)

    def classical(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        found = [
            torch.from_numpy(find_flow(grey_of(one, 1), grey_of(other, 1))).permute(2, 0, 1)
            for one, other in zip(source, target, strict=True)
        ]
        return torch.stack(found)

    error, motionless = flow_error(classical, pairs)
    assert error < 0.4 * motionless


def test_the_loss_is_the_end_point_error_of_each_scale() -> None:
    flow = torch.zeros(1, 2, 64, 64)
    flow[:, 0], flow[:, 1] = 3.0, 4.0
    zeros = [torch.zeros(1, 2, side, side) for side in (1, 2, 4, 8, 16)]
    levels = (1.0, 0.5, 0.25, 0.0, 0.0)
    torch.testing.assert_close(
        endpoint_loss(zeros, flow, levels), torch.tensor(1.75 * 5 / SCALE), atol=1e-6, rtol=0
    )


def test_steps_bring_the_flow_nearer(shared_photos: list[Photo]) -> None:
    torch.manual_seed(0)
    network = FlowNetS(Config(width=0.06))
    pairs = draw_pairs(shared_photos, SMALL, "one", 2, CPU)
    before, still = flow_error(network, pairs)
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(60):
        optimiser.zero_grad()
        loss = (network(pairs.source, pairs.target) - pairs.flow).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    after, _ = flow_error(network, pairs)
    assert after < 0.6 * min(before, still)


def test_flow_has_a_finite_gradient_with_respect_to_black_frames() -> None:
    network = FlowNetS(Config(width=0.06))
    frame = torch.zeros(1, 3, 64, 64, requires_grad=True)
    network(frame, torch.rand(1, 3, 64, 64)).square().mean().backward()
    assert frame.grad is not None
    assert torch.isfinite(frame.grad).all()


def test_training_writes_weights_that_rebuild_the_network(
    make_photos: Maker, tmp_path: Path
) -> None:
    path = tmp_path / "flow.safetensors"
    told = []
    scores = train_flow(SMALL, make_photos(6), path, minutes=0.02, device=CPU, report=told.append)
    assert scores.steps == len(told) > 0
    network, card = weights.load_flow(path)
    assert (card.backend, card.task) == ("flownets", "flow")
    assert card.scores["endpoint_error_px"] == pytest.approx(scores.error, abs=1e-3)
    assert not isinstance(network, Network)
    with pytest.raises(WeightsError, match="flownets"):
        weights.load(path)


def test_weights_of_other_networks_are_refused() -> None:
    with pytest.raises(WeightsError, match="estimates no flow"):
        weights.load_flow(Path("set-burst"))


@pytest.mark.parametrize("path", sorted(FLOW_RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_read(path: Path) -> None:
    recipe = read_flow_recipe(path.stem)
    assert recipe.factor(0, 0.0) == 1
    assert recipe.factor(500_000, 1.0) < 0.2


def test_unknown_fields_and_names_of_recipes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("speed = 3")
    for name in (str(tmp_path / "bad.toml"), "nothing"):
        with pytest.raises(UsageError):
            read_flow_recipe(name)
