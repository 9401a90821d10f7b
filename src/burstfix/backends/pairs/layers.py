"""Convolutional blocks, encoder and decoder (Zhang et al. 2019, section III-A)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from burstfix.backends.scaling import Scaled
from burstfix.backends.spectral import SpectralNorm

WIDTHS = (64, 128, 256, 512)  # at 1/2, 1/4, 1/8 and 1/16
CELL = 1 << len(WIDTHS)  # px that become one of the bottleneck's

_SPREAD = 0.02  # of the first weights (section IV-A)
_SLOPE = 0.2  # of the LeakyReLU below zero
_SIDES = {"halve": 5, "keep": 3, "double": 5}

Change = Literal["halve", "keep", "double"]


class Block(nn.Module):
    """A convolution with spectral norm, batch norm and a LeakyReLU.

    Args:
        fan_in: channels in.
        fan_out: channels out.
        change: of the size: 5x5 kernels halve or double it, 3x3 keep it.
        normed: whether there is batch norm; else a bias.
    """

    def __init__(
        self, fan_in: int, fan_out: int, change: Change = "halve", *, normed: bool = True
    ) -> None:
        super().__init__()
        axis = int(change == "double")
        shape = (fan_in, fan_out) if change == "double" else (fan_out, fan_in)
        side = _SIDES[change]
        self.change = change
        self.weight = nn.Parameter(_SPREAD * torch.randn(*shape, side, side))
        self.spectral = SpectralNorm(fan_out, axis=axis)
        self.norm = nn.BatchNorm2d(fan_out) if normed else None
        self.bias = None if normed else nn.Parameter(torch.zeros(fan_out))

    def forward(self, features: Tensor) -> Tensor:
        """Convolve and normalise; (N, fan_in, h, w) to (N, fan_out, h', w')."""
        weight = self.weight / self.spectral.measure(self.weight)
        if self.norm is None:
            result = self._convolve(features, weight, self.bias)
        elif self.training:
            result = self.norm(self._convolve(features, weight, None))
        else:
            result = self._convolve(features, *self._folded(weight, self.norm))
        return F.leaky_relu_(result, _SLOPE)

    def _folded(self, weight: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
        """Put what batch norm does in inference into weight and bias: a pass less over memory."""
        assert norm.running_mean is not None and norm.running_var is not None
        factor = norm.weight * (norm.running_var + norm.eps).rsqrt()
        shape = (1, -1, 1, 1) if self.change == "double" else (-1, 1, 1, 1)
        return weight * factor.view(shape), norm.bias - norm.running_mean * factor

    def _convolve(self, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.change == "double":
            return F.conv_transpose2d(features, weight, bias, stride=2, padding=2, output_padding=1)
        stride = 2 if self.change == "halve" else 1
        return F.conv2d(features, weight, bias, stride, padding=weight.shape[-1] // 2)


class Encoder(nn.Module):
    """Blocks that halve the size, down to the bottleneck.

    Args:
        fan_in: channels of the pictures that enter.
        scaled: scales the widths.
    """

    def __init__(self, fan_in: int, scaled: Scaled) -> None:
        super().__init__()
        widths = (fan_in, *map(scaled, WIDTHS))
        self.fan_out = widths[-1]
        self.blocks = nn.ModuleList(
            Block(a, b, normed=level > 0) for level, (a, b) in enumerate(pairwise(widths))
        )

    def forward(self, codes: Tensor) -> list[Tensor]:
        """Encode standardised pictures.

        Args:
            codes: (N, fan_in, H, W), sides multiples of `CELL`.

        Returns:
            What each block gives, (N, C, H / 2, W / 2) first, the bottleneck last.
        """
        features = codes.contiguous(memory_format=torch.channels_last)
        levels = []
        for block in self.blocks:
            features = block(features)
            levels.append(features)
        return levels


class Decoder(nn.Module):
    """Blocks that double the size, each followed by dropout and by what the encoders had there.

    Args:
        encoders: how many encoders' features are joined in.
        fan_out: channels of the pictures that leave.
        scaled: scales the widths.
        dropout: share of the features that training leaves out after each block.
    """

    def __init__(self, encoders: int, fan_out: int, scaled: Scaled, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        widths = [scaled(width) for width in reversed(WIDTHS)]
        came = [widths[0], *((1 + encoders) * width for width in widths[1:])]
        self.blocks = nn.ModuleList(
            Block(a, b, "double") for a, b in zip(came, widths[1:], strict=False)
        )
        self.last = nn.ConvTranspose2d(came[-1], fan_out, 5, 2, padding=2, output_padding=1)
        nn.init.normal_(self.last.weight, std=_SPREAD)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, bottom: Tensor, skips: Sequence[Sequence[Tensor]]) -> Tensor:
        """Decode a bottleneck.

        Args:
            bottom: (N, C, H / 16, W / 16).
            skips: of each encoder the levels above the bottleneck, finest first.

        Returns:
            Pictures, not bounded; (N, fan_out, H, W).
        """
        features = bottom
        for level, block in enumerate(self.blocks, start=1):
            features = F.dropout(block(features), self.dropout, self.training)
            features = torch.cat([features, *(levels[-level] for levels in skips)], dim=1)
        pictures: Tensor = self.last(features)
        return pictures


def reach(first: int, last: int, *, bottom: int) -> tuple[int, int]:
    """Follow the longest way through decoder, bottleneck and encoder, back to what is read.

    Args:
        first: first pixel of a row that is wanted.
        last: last pixel of it.
        bottom: 3x3 convolutions at the bottleneck.

    Returns:
        The first and the last pixel that they rest on.
    """
    for _ in WIDTHS:
        first, last = -((2 - first) // 2), (last + 2) // 2  # doubling by 5x5
    first, last = first - bottom, last + bottom
    for _ in WIDTHS:
        first, last = 2 * first - 2, 2 * last + 2  # halving by 5x5
    return first, last
