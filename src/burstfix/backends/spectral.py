"""Spectral normalisation (Miyato et al. 2018): weights divided by their largest singular value."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SpectralNorm(nn.Module):
    """Divides a weight, seen as a matrix of outputs by all else, by its largest singular value.

    Each call goes one step of the power iteration on from a stored left singular vector, and
    training stores where it came to (Miyato's algorithm 1). Inference stores nothing: every call
    gives the same bits.

    Args:
        outputs: channels that the weight makes.
        axis: which of the weight's axes they are; 1 for transposed convolutions.
    """

    def __init__(self, outputs: int, *, axis: int = 0) -> None:
        super().__init__()
        self.axis = axis
        self.u: Tensor
        self.register_buffer("u", F.normalize(torch.randn(outputs), dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        """Divide; any shape to the same."""
        return weight / self.measure(weight)

    def measure(self, weight: Tensor) -> Tensor:
        """Estimate the largest singular value, with its gradient; to a scalar in fp32."""
        with torch.autocast(weight.device.type, enabled=False):
            matrix = weight.movedim(self.axis, 0).flatten(1)
            with torch.no_grad():
                right = F.normalize(matrix.T @ self.u, dim=0)
                left = F.normalize(matrix @ right, dim=0)
                if self.training:
                    self.u.copy_(left)
            return torch.dot(left, matrix @ right)
