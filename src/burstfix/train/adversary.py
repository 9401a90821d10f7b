"""Adversarial training after Zhang et al. 2019 and Nah et al. 2017: two networks as rivals.

A step updates the denoising net where there is one, then the discriminator, then the network that
makes the result (Zhang, section IV-A), each by its own loss (table I) and each with a forward pass
of its own, since what came before has changed. Equation (5) of Nah is equation (4) of Zhang.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from burstfix.synth.burst import SyntheticBurst
from burstfix.train.checkpoint import Adversary, Run
from burstfix.train.discriminator import make_discriminator
from burstfix.train.guard import Verdict
from burstfix.train.losses import earlier_loss, restoration_loss, to_display
from burstfix.train.optimisers import make_optimiser
from burstfix.train.processes import Processes

Loss = Callable[[SyntheticBurst], Tensor]


def make_adversary(run: Run, processes: Processes) -> Adversary:
    """Make the discriminator that the recipe names, and its optimiser."""
    device = next(run.network.parameters()).device
    network = make_discriminator(run.recipe.loss).to(device).train()
    return Adversary(network, make_optimiser(run.recipe, network, processes))


def discriminator_loss(real: Tensor, made: Tensor) -> Tensor:
    """Return what the discriminator minimises: the negative of equation (4).

    Args:
        real: its log odds for true pictures; (N,).
        made: those for pictures that the network made; (N,).
    """
    return F.softplus(-real).mean() + F.softplus(made).mean()


def generator_loss(made: Tensor) -> Tensor:
    """Return the second term of equation (4), which alone the network minimises: log(1 - D)."""
    return -F.softplus(made).mean()


def play(
    run: Run, batches: Sequence[SyntheticBurst], processes: Processes
) -> tuple[float, Verdict]:
    """Update all players once, in the paper's order.

    Returns:
        The network's loss without its adversarial part, and whether its step was taken.
    """
    adversary = run.adversary
    assert adversary is not None
    _share_rates(run.optimiser, adversary.optimiser)
    share = 1 / run.recipe.shards
    *earlier, last = run.network.parts()
    for index, part in enumerate(earlier):

        def denoising(batch: SyntheticBurst, index: int = index) -> Tensor:
            picture = _pictures(run, batch)[index].float()
            return share * earlier_loss(picture, batch.truth, run.recipe.loss).mean()

        _differentiate(run.optimiser, part, denoising, batches, processes)
        _step_if_finite(run.optimiser, part)

    def judging(batch: SyntheticBurst) -> Tensor:
        with torch.no_grad():
            made = _pictures(run, batch)[-1]
        return share * discriminator_loss(*_odds(run, made, batch))

    _differentiate(adversary.optimiser, adversary.network, judging, batches, processes)
    _step_if_finite(adversary.optimiser, adversary.network)
    return _generate(run, last, batches, processes)


def _generate(
    run: Run, part: nn.Module, batches: Sequence[SyntheticBurst], processes: Processes
) -> tuple[float, Verdict]:
    """Update what makes the result, as far as the guard allows."""
    recipe, others = run.recipe, len(run.network.parts()) - 1  # pictures that others learn by
    plain = torch.zeros((), device=batches[0].frames.device)

    def generating(batch: SyntheticBurst) -> Tensor:
        *earlier, made = (picture.float() for picture in _pictures(run, batch)[others:])
        loss = restoration_loss(made, batch.truth, recipe.loss)
        for picture in earlier:
            loss = loss + earlier_loss(picture, batch.truth, recipe.loss)
        loss = loss.mean() / recipe.shards
        plain.add_(loss.detach())
        fooled = generator_loss(_odds(run, made, batch)[1]) / recipe.shards
        return loss + recipe.loss.adversarial * fooled

    norm = _differentiate(run.optimiser, part, generating, batches, processes)
    processes.sum([plain])
    # The adversarial part has no lowest value that a guard could compare with.
    verdict = run.guard.judge(float(plain), norm)
    if verdict == "step":
        gradients = [weight.grad for weight in part.parameters() if weight.grad is not None]
        torch._foreach_mul_(gradients, run.guard.scale(norm))
        run.optimiser.step()
    return float(plain), verdict


def _pictures(run: Run, batch: SyntheticBurst) -> tuple[Tensor, ...]:
    """Restore a batch; as `Network.pictures`."""
    half = run.recipe.precision == "bf16"
    with torch.autocast(batch.frames.device.type, torch.bfloat16, half):
        return run.network.pictures(batch.frames, batch.seen, batch.descriptor)


def _odds(run: Run, made: Tensor, batch: SyntheticBurst) -> tuple[Tensor, Tensor]:
    """Let the discriminator judge true and made pictures beside the last, blurry frames.

    Both kinds in one batch: batch norm would take from each alone what tells them apart.

    Returns:
        Its log odds for the true ones and for the made ones; (N,) each.
    """
    assert run.adversary is not None
    codes = to_display(torch.cat([batch.truth, made.float()]))
    blurry = to_display(batch.frames[:, -1]).repeat(2, 1, 1, 1)
    half = run.recipe.precision == "bf16"
    with torch.autocast(codes.device.type, torch.bfloat16, half):
        odds: Tensor = run.adversary.network(codes, blurry)
    real, fake = odds.float().chunk(2)
    return real, fake


def _differentiate(
    optimiser: Optimizer,
    player: nn.Module,
    loss: Loss,
    batches: Sequence[SyntheticBurst],
    processes: Processes,
) -> float:
    """Leave the gradients of one player's loss in its weights, and none in others.

    Returns:
        The gradient's length.
    """
    optimiser.zero_grad(set_to_none=True)
    weights = list(player.parameters())
    gradients = [torch.zeros_like(weight) for weight in weights]
    for batch in batches:
        own = torch.autograd.grad(loss(batch), weights, materialize_grads=True)
        torch._foreach_add_(gradients, list(own))
    processes.sum(gradients)
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient
    return float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))))


def _step_if_finite(optimiser: Optimizer, player: nn.Module) -> None:
    gradients = [weight.grad for weight in player.parameters() if weight.grad is not None]
    if torch.stack(torch._foreach_norm(gradients)).isfinite().all():
        optimiser.step()


def _share_rates(source: Optimizer, target: Optimizer) -> None:
    """Give one optimiser the learning rate of another."""
    for group in target.param_groups:
        group["lr"] = source.param_groups[0]["lr"]
