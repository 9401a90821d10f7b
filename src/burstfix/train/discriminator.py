"""The discriminator of Zhang et al. 2019: tells a sharp picture from one that a network made."""

import torch
from torch import Tensor, nn

from burstfix.backends.pairs.layers import CELL, Encoder
from burstfix.backends.scaling import Scaled, standardise


class Discriminator(nn.Module):
    """The convolutional blocks of the networks' encoders, and then one number.

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
