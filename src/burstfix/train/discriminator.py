"""Discriminators: tell a sharp picture from one that a network made."""

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from burstfix.backends.pairs.layers import CELL, Encoder
from burstfix.backends.scaling import GREY, Scaled, standardise
from burstfix.train.config import DiscriminatorName, LossWeights

# Nah et al. 2017, table 1: channels out, side of the kernel, stride
_TABLE = (
    (32, 5, 2),
    (64, 5, 1),
    (64, 5, 2),
    (128, 5, 1),
    (128, 5, 4),
    (256, 5, 1),
    (256, 5, 4),
    (512, 5, 1),
    (512, 4, 4),
)
_SLOPE = 0.2  # of the LeakyReLU below zero; as in Radford et al. 2016, whom they follow


class ZhangDiscriminator(nn.Module):
    """The convolutional blocks of the pairs' encoders, and then one number (Zhang et al. 2019).

    The paper says no more of the end than that it is a scalar before a sigmoid; here it is a
    linear function of the last features' mean, so that crops may have any size.

    Args:
        width: factor on all channels; 1 is the paper's.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.encoder = Encoder(6, Scaled(width))
        self.last = nn.Linear(self.encoder.fan_out, 1)
        nn.init.normal_(self.last.weight, std=0.02)
        nn.init.zeros_(self.last.bias)

    def forward(self, codes: Tensor, blurry: Tensor) -> Tensor:
        """Judge pictures, knowing what the camera saw.

        Args:
            codes: display codes, 0 to 1, of true and of made ones alike; (N, 3, H, W).
            blurry: codes of the blurry frames, which the picture must fit; (N, 3, H, W).

        Returns:
            The logarithm of how much likelier the pictures are real than made; (N,).
        """
        height, width = (side // CELL * CELL for side in codes.shape[-2:])
        pairs = standardise(torch.cat([codes, blurry], dim=1))[..., :height, :width]
        odds: Tensor = self.last(self.encoder(pairs)[-1].float().mean(dim=(2, 3)))
        return odds.squeeze(1)


class NahDiscriminator(nn.Module):
    """Nine convolutions without norms down to one pixel for 256, and a linear function (table 1).

    Larger crops end in several pixels, whose mean is taken; what smaller ones lack is zero.

    Args:
        width: factor on all channels; 1 is the paper's.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        scaled = Scaled(width)
        widths = pairwise((3, *(scaled(channels) for channels, _, _ in _TABLE)))
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, side, stride, padding=side // 2 if side % 2 else 0)
            for (a, b), (_, side, stride) in zip(widths, _TABLE, strict=True)
        )
        self.last = nn.Linear(scaled(_TABLE[-1][0]), 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):  # else nine layers without norms let signals fade
                nn.init.kaiming_normal_(layer.weight, _SLOPE)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    def forward(self, codes: Tensor, blurry: Tensor) -> Tensor:
        """Judge pictures by themselves; arguments and result as `ZhangDiscriminator.forward`."""
        del blurry
        features = codes - GREY
        for layer in self.layers:
            if layer is self.layers[-1]:
                height, width = features.shape[-2:]
                features = F.pad(features, (0, -width % 4, 0, -height % 4))
            features = F.leaky_relu(layer(features), _SLOPE)
        odds: Tensor = self.last(features.float().mean(dim=(2, 3)))
        return odds.squeeze(1)


_KINDS: dict[DiscriminatorName, Callable[[float], nn.Module]] = {
    "zhang": ZhangDiscriminator,
    "nah": NahDiscriminator,
}


def make_discriminator(weights: LossWeights) -> nn.Module:
    """Make the discriminator that a recipe's loss names, as wide as it says."""
    return _KINDS[weights.discriminator](weights.discriminator_width)
