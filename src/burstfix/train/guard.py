"""Keeps a training run healthy: shortens, skips and takes back steps that would wreck it."""

import math
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

Verdict = Literal["step", "skip", "restore"]

_MEMORY = 100  # steps whose gradients tell what is usual
_PATIENCE = 20  # bad steps in a row before the last good weights come back


@dataclass
class Guard:
    """Judges each step by the length of its gradient and by where the loss goes.

    Args:
        clip: longer gradients than this many times the usual are shortened to it.
        spike: longer ones than this many times are not taken.
        norms: lengths of the last gradients taken.
        bad: steps in a row that were not taken.
        loss: running mean of the loss, over about 200 steps.
        lowest: the least that the running mean has been.
        judged: how many steps were taken.
    """

    clip: float
    spike: float
    norms: list[float] = field(default_factory=list)
    bad: int = 0
    loss: float = math.nan
    lowest: float = math.inf
    judged: int = 0

    def judge(self, loss: float, norm: float) -> Verdict:
        """Decide about a step by its loss and the length of its gradient, before it is taken."""
        usual = self.usual_norm()
        if not (math.isfinite(loss) and math.isfinite(norm)) or norm > self.spike * usual:
            self.bad += 1
            return "restore" if self.bad >= _PATIENCE else "skip"
        self.bad = 0
        self.judged += 1
        self.norms = [*self.norms[1 - _MEMORY :], norm]
        self.loss = loss if math.isnan(self.loss) else self.loss + (loss - self.loss) / 200
        if self.judged > 2 * _MEMORY:
            self.lowest = min(self.lowest, self.loss)
        return "restore" if self.loss > 2 * self.lowest else "step"

    def usual_norm(self) -> float:
        """Return the median length of the last gradients; infinite while too few are known."""
        return median(self.norms) if len(self.norms) >= 20 else math.inf

    def scale(self, norm: float) -> float:
        """Return the factor that shortens a gradient of this length to what is allowed."""
        return min(1.0, self.clip * self.usual_norm() / max(norm, 1e-12))

    def forget(self) -> None:
        """Begin anew after the last good weights came back."""
        self.norms, self.bad, self.loss, self.judged = [], 0, math.nan, 0
        self.lowest = math.inf
