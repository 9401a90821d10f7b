"""What training minimises: differences to the truth, as the eye sees them."""

import torch
from torch import Tensor

from burstfix.train.config import LossWeights

_KNEE = 0.003  # keeps the slope at black near that of sRGB, and finite


def to_display(light: Tensor) -> Tensor:
    """Code linear light nearly as sRGB does, with a gradient everywhere; any shape."""
    power = 1 / 2.2
    black, white = _KNEE**power, (1 + _KNEE) ** power
    code: Tensor = ((light.abs() + _KNEE).pow(power) - black) / (white - black)
    return torch.copysign(code, light)


def restoration_loss(output: Tensor, truth: Tensor, weights: LossWeights) -> Tensor:
    """Compare pictures in display code.

    Args:
        output: what the network made, linear light; (N, 3, H, W) float32.
        truth: linear light; (N, 3, H, W) float32.
        weights: what each term counts.

    Returns:
        The loss of each picture; (N,).
    """
    difference = to_display(output) - to_display(truth)
    total = torch.zeros_like(difference[:, 0, 0, 0])
    if weights.absolute:
        total = total + weights.absolute * _mean(difference.abs())
    if weights.squared:
        total = total + weights.squared * _mean(difference.square())
    if weights.charbonnier:
        total = total + weights.charbonnier * _mean((difference.square() + 1e-6).sqrt())
    if weights.gradient:
        across, down = difference.diff(dim=-1), difference.diff(dim=-2)
        total = total + weights.gradient * (_mean(across.abs()) + _mean(down.abs()))
    if weights.fourier:
        spectrum = torch.fft.rfft2(difference, norm="ortho")
        total = total + weights.fourier * _mean(spectrum.abs())
    return total


def _mean(values: Tensor) -> Tensor:
    """Average each picture; (N, ...) to (N,)."""
    return values.flatten(1).mean(dim=1)
