"""Convolutions whose outputs are normalised: in inference by fixed numbers, so tiles agree."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

NormName = Literal["instance", "batch"]


class Normed(nn.Module):
    """A convolution and its norm; in inference one convolution.

    Args:
        conv: without a bias.
        norm: over what training normalises: each picture (instance) or all of a batch.
    """

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, norm: NormName) -> None:
        super().__init__()
        kind = nn.InstanceNorm2d if norm == "instance" else nn.BatchNorm2d
        self.conv = conv
        self.norm = kind(conv.out_channels, affine=True, track_running_stats=True)

    def forward(self, features: Tensor) -> Tensor:
        """Convolve and normalise; (N, C, h, w) to (N, C', h', w')."""
        result: Tensor
        if self.training:
            result = self.norm(self.conv(features))
            return result
        conv, (weight, bias) = self.conv, self._folded()
        if isinstance(conv, nn.Conv2d):
            return F.conv2d(features, weight, bias, conv.stride, conv.padding)
        assert not isinstance(conv.padding, str)
        beyond = conv.output_padding
        return F.conv_transpose2d(features, weight, bias, conv.stride, conv.padding, beyond)

    def _folded(self) -> tuple[Tensor, Tensor]:
        """Put what the norm does in inference into weight and bias: a pass less over memory."""
        norm = self.norm
        assert norm.running_mean is not None and norm.running_var is not None
        factor = norm.weight * (norm.running_var + norm.eps).rsqrt()
        shape = (-1, 1, 1, 1) if isinstance(self.conv, nn.Conv2d) else (1, -1, 1, 1)
        return self.conv.weight * factor.view(shape), norm.bias - norm.running_mean * factor
