import dataclasses

import pytest
import torch
from torch import nn

from burstfix.train.config import OptimiserName, Recipe
from burstfix.train.optimisers import make_optimiser, rate_factor, scale_rates
from burstfix.train.processes import Processes


def descend(recipe: Recipe, steps: int = 20) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Fit a small network with the recipe's optimiser and with a plain one of PyTorch."""
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
    theirs = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
    theirs.load_state_dict(ours.state_dict())
    steps_of_ours = make_optimiser(recipe, ours, Processes())
    plain: torch.optim.Optimizer
    if recipe.optimiser == "adam":
        plain = torch.optim.Adam(theirs.parameters(), lr=recipe.rate, betas=recipe.betas)
    else:
        plain = torch.optim.SGD(theirs.parameters(), lr=recipe.rate, momentum=recipe.momentum)
    x, y = torch.randn(64, 5), torch.randn(64, 3)
    for _ in range(steps):
        for network, optimiser in ((ours, steps_of_ours), (theirs, plain)):
            optimiser.zero_grad()
            (network(x) - y).square().mean().backward()
            optimiser.step()
    return list(ours.parameters()), list(theirs.parameters())


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_without_decay_it_is_the_optimiser_of_that_name(name: OptimiserName) -> None:
    recipe = Recipe(optimiser=name, rate=0.02, weight_decay=0.0, betas=(0.9, 0.999))
    for ours, theirs in zip(*descend(recipe), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_only_inner_weights_decay() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    before = [parameter.detach().clone() for parameter in network.parameters()]
    recipe = Recipe(optimiser="adam", rate=0.1, weight_decay=0.5)
    optimiser = make_optimiser(recipe, network, Processes())
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    shares = [
        float((a / b).detach().mean()) for a, b in zip(network.parameters(), before, strict=True)
    ]
    assert shares == pytest.approx([0.95, 1, 1, 1])


def test_rates_are_scaled_from_their_highest_each_time() -> None:
    optimiser = make_optimiser(Recipe(optimiser="sgd", rate=2.0), nn.Linear(2, 2), Processes())
    scale_rates(optimiser, 0.5)
    scale_rates(optimiser, 0.25)
    assert {group["lr"] for group in optimiser.param_groups} == {0.5}


def test_a_cosine_rises_then_falls_to_its_end() -> None:
    recipe = Recipe(warm_up=2, final_rate=0.01)
    assert rate_factor(recipe, 0, 0.0) == 0.5  # of two steps of warm-up
    assert rate_factor(recipe, 1, 0.0) == 1
    assert rate_factor(recipe, 100, 0.5) == pytest.approx(0.505)
    assert rate_factor(recipe, 100, 1.0) == pytest.approx(recipe.final_rate)


def test_a_run_of_few_steps_has_risen_after_a_tenth_of_it() -> None:
    recipe = Recipe(warm_up=50, final_rate=1.0)
    assert rate_factor(recipe, 1, 0.05) == pytest.approx(0.5)
    assert rate_factor(recipe, 2, 0.1) == 1


def test_an_exponential_keeps_its_share_each_step_whatever_the_progress() -> None:
    recipe = Recipe(schedule="exponential", decay=0.999997, warm_up=1)
    assert rate_factor(recipe, 0, 0.0) == 1
    assert rate_factor(recipe, 400_000, 1.0) == pytest.approx(0.3012, abs=1e-4)


def test_steps_fall_at_once_and_stay() -> None:
    recipe = Recipe(schedule="steps", decay=0.8, decay_every=5000, warm_up=1)
    factors = [rate_factor(recipe, step, 0.5) for step in (0, 4999, 5000, 9999, 10_000)]
    assert factors == pytest.approx([1, 1, 0.8, 0.8, 0.64])


def test_what_no_recipe_may_name_is_refused() -> None:
    for change in ({"optimiser": "lion"}, {"schedule": "linear"}, {"warm_up": 0}):
        with pytest.raises(ValueError, match=r"warm_up|none of"):
            dataclasses.replace(Recipe(), **change)
