"""Tunes a network on films without truth: what it restores must blur into what was filmed.

Chen et al. 2018, section 3: the flow between three consecutive frames tells how each pixel was
blurred, and the restored frame, blurred so, is compared with the frame. The paper takes the flow
between restored frames, of a network that it learns through. Classical flow, which no gradient
passes, is found in whole frames as they are: in restored crops it is off by many pixels.
"""

import copy
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from burstfix.align.flow import find_flow, grey_of
from burstfix.backends.base import Network
from burstfix.errors import UsageError
from burstfix.synth.burst import SyntheticBurst
from burstfix.synth.reblur import BlurModel, Triples, reblur
from burstfix.train.config import LossWeights
from burstfix.train.guard import Guard
from burstfix.train.losses import restoration_loss, to_display
from burstfix.train.validate import psnrs

Flow = Callable[[Tensor, Tensor], Tensor]  # as `classical_flow`
Draw = Callable[[int], SyntheticBurst]

EDGE = 16  # px at the edges of crops, into which blur brings what nobody knows
_JUDGED = 8  # crops that tell the exposure cycle
# Gains of frames held out that are less can be chance: with 0.01 dB, results were off the truth by
# 0.01 dB more than before.
_CLEAR_DB = 0.05
# 0.5 is a shutter that never closes. One open for less than half of the time leaves little blur;
# and frames that are hardly restored yet would all seem to come from such.
_CYCLES = tuple(share / 20 for share in range(5, 11))
_SQUARED = LossWeights(charbonnier=0.0, gradient=0.0, fourier=0.0, squared=1.0)  # section 3.2


@dataclass(frozen=True, kw_only=True)
class TuneSettings:
    """How to tune; the paper's values, where it tells them.

    Args:
        iterations: how many steps of Adam.
        rate: their learning rate. The paper halves it after 30, 50 and 100 epochs, of a length
            that it does not tell.
        alpha: what the self-supervised loss counts beside the supervised one (equation 10).
        triples: crops of three consecutive frames in a step.
        exposure_cycle: tau, half of the share of time that the shutter is open; the paper takes
            1. None chooses what explains the frames best before tuning.
        model: convolution with kernels of a table, or frames moved and averaged.
        two_frames: whether the way before a frame is taken for the opposite of that after it.
        flow_gradient: whether the loss may change results through their flow too.
        check_every: steps between two comparisons with the frames that are held out.
        seed: draws the crops of each step.
    """

    iterations: int = 200
    rate: float = 1e-4
    alpha: float = 0.1
    triples: int = 4
    exposure_cycle: float | None = None
    model: BlurModel = "conv"
    two_frames: bool = False
    flow_gradient: bool = False
    check_every: int = 50
    seed: int = 1

    def __post_init__(self) -> None:
        if self.exposure_cycle is not None and not 0 < self.exposure_cycle <= 1:
            raise UsageError(
                f"An exposure cycle cannot be {self.exposure_cycle:g}.",
                "Give more than 0 and at most 1: 0.25 is a shutter open for half of the time.",
            )


@dataclass(frozen=True)
class Supervision:
    """Made samples with truth, without which tuning degenerates (section 3.4).

    Args:
        draw: makes those of a step.
        fixed: on which restoration must not become worse.
    """

    draw: Draw
    fixed: Sequence[SyntheticBurst]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How well a network does.

    Args:
        reblur_db: PSNR of results, blurred again, against frames that are held out.
        truth_db: PSNR of the made samples that are fixed, by the mean of their squared errors.
    """

    reblur_db: float
    truth_db: float


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What came of it.

    Args:
        network: the tuned one, or a copy of the original where that is better.
        kept: whether it is tuned.
        before: scores of the original.
        after: scores of what is kept, or of the last state where nothing is.
        exposure_cycle: tau that was taken.
        step_s: seconds that a step took, without comparisons.
    """

    network: Network
    kept: bool
    before: Scores
    after: Scores
    exposure_cycle: float
    step_s: float

    def tell(self) -> str:
        """Say whether tuning helped, and by how much."""
        before, after = self.before, self.after
        figures = (
            f"reblurred frames held out {before.reblur_db:.2f} to {after.reblur_db:.2f} dB, made "
            f"samples {before.truth_db:.2f} to {after.truth_db:.2f} dB, {self.step_s:.2f} s a step"
        )
        if self.kept:
            return f"Tuned to the film ({figures})."
        return f"Tuning would not help: the weights stay as they are ({figures})."


def tune(
    network: Network,
    learned: Triples,
    held_out: Triples,
    supervision: Supervision,
    *,
    settings: TuneSettings | None = None,
    flow: Flow | None = None,
    device: torch.device | None = None,
    report: Callable[[int, float], None] | None = None,
) -> Tuning:
    """Tune a network to a film, and keep that only where it helps.

    Kept are the weights, at one of the comparisons, that explain the frames held out best and
    clearly better than the original, among those that do not restore made samples worse.

    Args:
        network: whose weights are copied; in inference mode, so that statistics stay.
        learned: crops to learn from.
        held_out: crops of other moments, to judge by.
        supervision: made samples.
        settings: None takes the paper's.
        flow: finds target_from_source between restored crops, in linear light; None takes the
            crops' own flows, or where they have none classical flow between restored crops.
        device: where to compute; None is the CPU.
        report: called after each step with its number and its loss.
    """
    settings, device = settings or TuneSettings(), device or torch.device("cpu")
    tuned = copy.deepcopy(network).to(device).eval()
    if not list(tuned.parameters()):
        raise UsageError("A formula has no weights to tune.", "Choose a backend with weights.")
    if flow is None and learned.flows is None:
        flow = classical_flow
    tuner = Tuner(tuned, settings, flow, supervision, settings.exposure_cycle or 0.0)
    learned, held_out = learned.to(device), held_out.to(device)
    if not settings.exposure_cycle:
        tuner.exposure_cycle = choose_cycle(tuner, learned)
    before = tuner.score(held_out)
    best, best_state, after = before, None, before
    least = before.reblur_db + _CLEAR_DB  # what a comparison must reach to be kept
    seconds = 0.0
    for step in range(1, settings.iterations + 1):
        began = time.monotonic()
        loss = tuner.step(step, learned)
        seconds += time.monotonic() - began
        if report:
            report(step, loss)
        if step % settings.check_every == 0 or step == settings.iterations:
            after = tuner.score(held_out)
            if after.reblur_db > least and after.truth_db >= before.truth_db:
                best, best_state = after, copy.deepcopy(tuned.state_dict())
                least = after.reblur_db
    kept = best_state is not None
    tuned.load_state_dict(best_state if best_state is not None else network.state_dict())
    return Tuning(
        network=tuned.cpu().requires_grad_(True),
        kept=kept,
        before=before,
        after=best if kept else after,
        exposure_cycle=tuner.exposure_cycle,
        step_s=seconds / max(1, settings.iterations),
    )


class Tuner:
    """A network that is being tuned.

    Args:
        network: changed in place.
        settings: how.
        flow: between results; None takes that of the crops.
        supervision: made samples.
        exposure_cycle: tau.
    """

    def __init__(
        self,
        network: Network,
        settings: TuneSettings,
        flow: Flow | None,
        supervision: Supervision,
        exposure_cycle: float,
    ) -> None:
        self.network = network
        self.settings = settings
        self.flow = flow
        self.supervision = supervision
        self.exposure_cycle = exposure_cycle
        self.optimiser = torch.optim.Adam(network.parameters(), lr=settings.rate)
        self.guard = Guard(clip=1e9, spike=1e9)

    def step(self, number: int, learned: Triples) -> float:
        """Take one step of the hybrid loss (equation 10), and return it."""
        settings = self.settings
        dice = random.Random(f"{settings.seed} {number}")
        chosen = dice.sample(range(len(learned)), min(settings.triples, len(learned)))
        self.optimiser.zero_grad()
        # One after the other: their graphs need not fit into memory together.
        supervised = self._supervised(number)
        supervised.backward()  # type: ignore[no-untyped-call]
        consistent = settings.alpha * self.disagreement(learned.take(chosen)).mean()
        consistent.backward()  # type: ignore[no-untyped-call]
        loss = float((supervised + consistent).detach())
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        norm = float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))))
        if self.guard.judge(loss, norm) == "step":
            self.optimiser.step()
        return loss

    def disagreement(self, triples: Triples) -> Tensor:
        """Tell how far the results, blurred again, are from the frames: L_U; (K,)."""
        return self.compare(triples, *self.explain(triples), self.exposure_cycle)

    def explain(self, triples: Triples) -> tuple[Tensor, Tensor, Tensor | None]:
        """Restore frames, and tell the flow between them.

        Returns:
            The restored frame, (K, 3, h, w) in linear light, and where what the next frame shows
            stands in it, and what the frame before shows, (K, 2, h, w) [px]; None with two frames.
        """
        settings = self.settings
        here = self._restore(triples, 1)
        if self.flow is None:
            assert triples.flows is not None
            return here, triples.flows[:, 0], None if settings.two_frames else triples.flows[:, 1]
        with torch.set_grad_enabled(torch.is_grad_enabled() and settings.flow_gradient):
            later = self.flow(self._restore(triples, 2), here)
            if settings.two_frames:
                return here, later, None
            return here, later, self.flow(self._restore(triples, 0), here)

    def compare(
        self,
        triples: Triples,
        here: Tensor,
        later: Tensor,
        earlier: Tensor | None,
        exposure_cycle: float,
    ) -> Tensor:
        """Blur what `explain` returns, and compare it with the frames.

        Returns:
            The mean squared difference of display codes in each crop's inside, where its flows
            are sure; (K,).
        """
        model = self.settings.model
        blurred = reblur(here, later, earlier, exposure_cycle=exposure_cycle, model=model)
        squares = (to_display(blurred) - to_display(triples.bursts[:, 1, 0])).square()
        edge = min(EDGE, squares.shape[-1] // 4)
        inside = squares[..., edge:-edge, edge:-edge].mean(dim=1)
        if self.flow is not None or triples.sure is None:
            return inside.mean(dim=(1, 2))
        sure = triples.sure[:, 0, edge:-edge, edge:-edge]
        return (inside * sure).sum(dim=(1, 2)) / sure.sum(dim=(1, 2)).clamp_min(1)

    def _restore(self, triples: Triples, number: int) -> Tensor:
        descriptor = triples.descriptor.expand(len(triples), -1, -1)
        return self.network.restore_light(
            triples.bursts[:, number], triples.seen[:, number], descriptor
        )

    def _supervised(self, number: int) -> Tensor:
        """Compare a restored batch of made samples with the truth: L_S."""
        batch = self.supervision.draw(number)
        output = self.network.restore_light(batch.frames, batch.seen, batch.descriptor)
        return restoration_loss(output, batch.truth, _SQUARED).mean()

    def score(self, held_out: Triples) -> Scores:
        """Judge the network as it is."""
        with torch.no_grad():
            errors = [self.disagreement(held_out.take([number])) for number in range(len(held_out))]
            truths = [
                psnrs(self.network.restore_light, burst).div(-10).mul(math.log(10)).exp()
                for burst in self.supervision.fixed
            ]  # mean squares: decibels of frames that need nothing would outweigh all others
        return Scores(
            reblur_db=float(-10 * torch.cat(errors).mean().log10()),
            truth_db=float(-10 * torch.cat(truths).mean().log10()),
        )


def choose_cycle(tuner: Tuner, triples: Triples) -> float:
    """Find which exposure cycle explains some frames best, as far as they are restored already."""
    some = triples.take(range(min(len(triples), _JUDGED)))
    with torch.no_grad():
        explained = tuner.explain(some)
        errors = {cycle: float(tuner.compare(some, *explained, cycle).mean()) for cycle in _CYCLES}
    return min(errors, key=lambda cycle: errors[cycle])


def classical_flow(source: Tensor, target: Tensor) -> Tensor:
    """Find flow by dense inverse search, without a gradient.

    Args:
        source: linear light; (N, 3, H, W).
        target: likewise.

    Returns:
        target_from_source displacements, (x, y) [px]; (N, 2, H, W).
    """
    greys = [[grey_of(frame.detach().cpu(), 1) for frame in frames] for frames in (source, target)]
    flows = [torch.from_numpy(find_flow(one, other)) for one, other in zip(*greys, strict=True)]
    return torch.stack(flows).permute(0, 3, 1, 2).to(source)
