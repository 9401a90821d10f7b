"""Muon for the weights of convolutions, Adam for the rest: one optimiser.

After Jordan et al. 2024: the momentum of a weight matrix is replaced by the nearest orthogonal
matrix, so that every direction of it learns alike. On this network 120 steps of it took the loss
four times as far as Adam's (`docs/training-log.md`); a step costs a quarter more.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

from burstfix.train.processes import Processes

_QUINTIC = (3.4445, -4.7750, 2.0315)  # of Newton and Schulz, tuned by Jordan for few iterations
_ITERATIONS = 5


class Muon(Optimizer):
    """Steps along orthogonal matrices.

    Args:
        matrices: weights with two or more dimensions; the first is the output's.
        others: all other weights; Adam takes them.
        rate: learning rate of the matrices.
        other_rate: learning rate of the others.
        momentum: of the matrices; Nesterov's.
        betas: of Adam.
        weight_decay: decoupled, of the matrices.
        processes: share the work of making matrices orthogonal.
    """

    def __init__(
        self,
        matrices: Iterable[Tensor],
        others: Iterable[Tensor],
        *,
        rate: float,
        other_rate: float,
        momentum: float = 0.9,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        processes: Processes,
    ) -> None:
        groups = [
            {"params": list(matrices), "lr": rate, "base": rate},
            {"params": list(others), "lr": other_rate, "base": other_rate},
        ]
        super().__init__(groups, {})
        self.momentum = momentum
        self.betas = betas
        self.weight_decay = weight_decay
        self.processes = processes

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take a step along the gradients, which every process must hold alike."""
        del closure
        matrices, others = self.param_groups
        self._step_matrices(matrices["params"], matrices["lr"])
        self._step_others(others["params"], others["lr"])

    def _step_matrices(self, weights: list[Tensor], rate: float) -> None:
        own = range(self.processes.rank, len(weights), self.processes.count)
        updates = []
        for index, weight in enumerate(weights):
            mean = self._mean(weight, "momentum")
            mean.lerp_(_gradient(weight), 1 - self.momentum)
            ahead = _gradient(weight).lerp(mean, self.momentum)
            flat = ahead.reshape(len(weight), -1)
            updates.append(orthogonal(flat) if index in own else torch.zeros_like(flat))
        self.processes.sum(updates)
        for weight, update in zip(weights, updates, strict=True):
            height, width = update.shape
            weight.mul_(1 - rate * self.weight_decay)
            weight.add_(update.view(weight.shape), alpha=-rate * max(1, height / width) ** 0.5)

    def _step_others(self, weights: list[Tensor], rate: float) -> None:
        first, second = self.betas
        for weight in weights:
            gradient = _gradient(weight)
            mean, square = self._mean(weight, "mean"), self._mean(weight, "square")
            count = self.state[weight].setdefault("step", torch.zeros(()))
            count += 1
            mean.lerp_(gradient, 1 - first)
            square.lerp_(gradient.square(), 1 - second)
            steps = float(count)
            unbiased = (square / (1 - second**steps)).sqrt_().add_(1e-8)
            weight.addcdiv_(mean / (1 - first**steps), unbiased, value=-rate)

    def _mean(self, weight: Tensor, name: str) -> Tensor:
        """Return a running mean of a weight's state, zero at first."""
        state = self.state[weight]
        if name not in state:
            state[name] = torch.zeros_like(weight)
        found: Tensor = state[name]
        return found


def orthogonal(matrix: Tensor) -> Tensor:
    """Return nearly the nearest orthogonal matrix.

    Args:
        matrix: any; (m, n).

    Returns:
        The same singular vectors, with all singular values between about 0.7 and 1.2; (m, n).
    """
    a, b, c = _QUINTIC
    x = matrix.bfloat16()
    x = x / (x.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = (x.T if tall else x).to(matrix.dtype).contiguous()
    return result


def _gradient(weight: Tensor) -> Tensor:
    """Return a weight's gradient; zero where none came."""
    return torch.zeros_like(weight) if weight.grad is None else weight.grad
