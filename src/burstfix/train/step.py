"""One step of training: a batch, its loss, and the change of the weights."""

import torch
from torch import Tensor

from burstfix.synth.burst import SyntheticBurst
from burstfix.train.adversary import play
from burstfix.train.ahead import Batches
from burstfix.train.checkpoint import Run
from burstfix.train.guard import Verdict
from burstfix.train.losses import blur_loss, earlier_loss, restoration_loss
from burstfix.train.optimisers import rate_factor, scale_rates
from burstfix.train.processes import Processes


def take_step(
    run: Run, progress: float, batches: Batches, processes: Processes
) -> tuple[float, Verdict]:
    """Do one step.

    Args:
        run: changed in place, but for its count of steps.
        progress: share of the budget that is spent, 0 to 1.
        batches: draws the data.
        processes: share the work.

    Returns:
        Its loss, and whether it was taken.
    """
    scale_rates(run.optimiser, run.rate * rate_factor(run.recipe, run.step, progress))
    if run.adversary is None:
        loss, verdict = _minimise(run, progress, batches, processes)
    else:
        loss, verdict = play(run, _draw(run, progress, batches, processes), processes)
    if verdict == "step":
        _update_average(run)
    return loss, verdict


def _minimise(
    run: Run, progress: float, batches: Batches, processes: Processes
) -> tuple[float, Verdict]:
    """Change all weights at once, by one loss."""
    recipe = run.recipe
    stage = recipe.stage(progress)
    run.optimiser.zero_grad(set_to_none=False)
    parameters = list(run.network.parameters())
    for parameter in parameters:  # what a batch does not use, another process' may
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    total = torch.zeros((), device=parameters[0].device)
    shards = processes.shards(recipe.shards)
    for shard in shards:
        batch = batches.draw(run.step, shard, stage)
        last = shard == shards[-1]
        batches.expect(run.step + last, shards[0] if last else shard + 1, stage)
        seed_dropout(run, shard)
        loss = batch_loss(run, batch) / recipe.shards
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
    gradients = [p.grad for p in parameters if p.grad is not None]
    processes.sum([*gradients, total])
    length = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    loss_value, norm = torch.stack([total, length]).tolist()  # the one wait for a GPU in a step
    verdict = run.guard.judge(loss_value, norm)
    if verdict == "step":
        torch._foreach_mul_(gradients, run.guard.scale(norm))
        run.optimiser.step()
    return loss_value, verdict


def batch_loss(run: Run, batch: SyntheticBurst) -> Tensor:
    """Restore one shard of a batch and compare it with the truth."""
    recipe = run.recipe
    given = batch.frames, batch.seen, batch.descriptor
    found, earlier = None, list[Tensor]()
    with torch.autocast(batch.frames.device.type, torch.bfloat16, recipe.precision == "bf16"):
        if recipe.loss.of_blur:
            output, found = run.network.restore_and_explain(*given)
        else:
            *earlier, output = run.network.pictures(*given)
    loss = restoration_loss(output.float(), batch.truth, recipe.loss)
    if recipe.loss.of_blur:
        loss = loss + blur_loss(found, batch.truth, batch.psfs, recipe.loss)
    for picture in earlier:
        loss = loss + earlier_loss(picture.float(), batch.truth, recipe.loss)
    return loss.mean()


def seed_dropout(run: Run, shard: int) -> None:
    """Let chance depend on the step alone, so that a resumed run goes on with the same bits."""
    torch.manual_seed((run.recipe.seed * 1_000_003 + run.step) * 1_009 + shard)


def _draw(
    run: Run, progress: float, batches: Batches, processes: Processes
) -> list[SyntheticBurst]:
    """Draw all shards of a step that fall to this process: each serves several updates."""
    stage = run.recipe.stage(progress)
    shards = processes.shards(run.recipe.shards)
    drawn = [batches.draw(run.step, shard, stage) for shard in shards]
    batches.expect(run.step + 1, shards[0], stage)
    seed_dropout(run, shards[0])
    return drawn


def _update_average(run: Run) -> None:
    """Let the averaged weights, and what batch norms have counted, follow; quickly at first."""
    keep = min(run.recipe.ema, (1 + run.step) / (10 + run.step))
    with torch.no_grad():
        torch._foreach_lerp_(
            list(run.average.parameters()), list(run.network.parameters()), 1 - keep
        )
        for kept, new in zip(run.average.buffers(), run.network.buffers(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - keep)
            else:
                kept.copy_(new)
