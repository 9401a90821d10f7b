"""Fourier burst accumulation with learned weights.

Wieschollek et al. 2016, section 3.1 (c), equation 6: two 1x1 convolutions turn what the burst has
at a frequency into the weights of its frames there, alike for all frequencies. Before training
they are exactly the weights of equation 5, |v|^p over its sum.
"""

import torch
from torch import Tensor, nn

from burstfix.backends.wieschollek.config import FRAMES, RESULT

_SPARE = 32  # hidden units that begin with no effect
_LEAST = 1e-3  # magnitudes below count alike, over the patch's deviation


class Fusion(nn.Module):
    """Weighs the frames of a burst at every frequency.

    The weights are shares of the frames, which sum to 1, times a gain between 0 and 2: equation 6
    does not ask that weights sum to 1, and where all is noise they should not.

    Args:
        p: exponent before training.
        mean_input: whether the magnitude of the frames' mean is seen too.
        smoothing: side of a patch over the sigma of the smoothing when not training; 0 is none.
    """

    bell: Tensor

    def __init__(self, *, p: float, mean_input: bool, smoothing: float) -> None:
        super().__init__()
        self.mean_input = mean_input
        self.smoothed = smoothing > 0
        inputs = FRAMES + int(mean_input)
        self.first = nn.Linear(inputs, 2 * FRAMES + _SPARE)
        self.second = nn.Linear(2 * FRAMES + _SPARE, FRAMES + 1)
        with torch.no_grad():
            unit = torch.eye(FRAMES, inputs)
            self.first.weight[: 2 * FRAMES] = torch.cat([unit, -unit])
            self.first.bias[: 2 * FRAMES] = 0
            self.second.weight.zero_()
            self.second.bias.zero_()
            unit = p * torch.eye(FRAMES)
            self.second.weight[:FRAMES, : 2 * FRAMES] = torch.cat([unit, -unit], dim=1)
        sigma = RESULT / smoothing if self.smoothed else 1.0
        self.register_buffer("bell", _smoothing(sigma), persistent=False)

    def forward(self, spectra: Tensor) -> Tensor:
        """Accumulate frames; (n, 14, 17, 33, 2) to (n, 17, 33, 2)."""
        shares, gain = self.weights(spectra)
        weights = shares * gain.unsqueeze(1)
        if self.smoothed and not self.training:
            weights = self.smooth(weights)
        fused: Tensor = (weights.unsqueeze(-1) * spectra).sum(dim=1)
        return fused

    def weights(self, spectra: Tensor) -> tuple[Tensor, Tensor]:
        """Return shares (n, 14, 17, 33), which sum to 1 over frames, and gains (n, 17, 33)."""
        vectors = spectra
        if self.mean_input:
            vectors = torch.cat([spectra, spectra.mean(dim=1, keepdim=True)], dim=1)
        power = vectors.square().sum(dim=-1)
        level = 0.5 * (power + _LEAST**2).log()
        out = self.second(torch.relu(self.first(level.movedim(1, -1)))).movedim(-1, 1)
        return out[:, :FRAMES].softmax(dim=1), 2 * out[:, FRAMES].sigmoid()

    def smooth(self, weights: Tensor) -> Tensor:
        """Smooth over frequency, which goes round; (..., 17, 33)."""
        smooth: Tensor = weights.flatten(-2) @ self.bell
        return smooth.view(weights.shape)


def _smoothing(sigma: float) -> Tensor:
    """Return the matrix that smooths half spectra of weights, laid out flat; (17 * 33, 17 * 33).

    One product with it is far quicker than one along each axis: patches are small. Frequencies
    (column, row) and (-column, -row) have the same weight, so that half stands for the whole.
    """
    columns = RESULT // 2 + 1
    distance = torch.arange(RESULT)
    bell = torch.exp(-0.5 * (torch.minimum(distance, RESULT - distance) / sigma).square())
    bell[bell < 1e-9] = 0  # denormal numbers slow products tenfold
    bell = (bell / bell.sum())[(distance[:, None] - distance) % RESULT]  # circulant
    direct = torch.kron(bell[:columns, :columns], bell)
    opposite = -torch.arange(RESULT) % RESULT
    mirrored = torch.kron(bell[opposite[1:columns]][:, :columns], bell[opposite])
    direct[RESULT:] += mirrored  # column 0 is its own mirror image
    return direct
