"""DeblurMerger of Zhang, Zhen and Stevenson (2019): an encoder for each frame, one decoder."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from burstfix.backends.base import Backend, Contract, Network
from burstfix.backends.pairs.layers import CELL, Block, Decoder, Encoder, reach
from burstfix.backends.pairs.picture import Painter
from burstfix.backends.scaling import Scaled, standardise


@dataclass(frozen=True, kw_only=True)
class Config:
    """Written into the weights file, so the file alone rebuilds the network.

    Args:
        width: factor on all channels; 1 is the paper's.
        dropout: share of the decoder's features that training leaves out.
        residual: whether the network corrects a mixture, of its own choice, of the two frames.
            The paper's paints the whole picture, which takes long to learn.
    """

    width: float = 1.0
    dropout: float = 0.5
    residual: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.width <= 4 or not 0 <= self.dropout < 1:
            raise ValueError("width lies between 0 and 4, dropout is at least 0 and below 1")


class DeblurMergerNetwork(Network):
    """The noisy frame, reference, at index 0; the blurry one at index 1."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        scaled = Scaled(config.width)
        self.painter = Painter(2, residual=config.residual)
        self.of_noisy = Encoder(3, scaled)
        self.of_blurry = Encoder(3, scaled)
        bottom = self.of_noisy.fan_out
        self.merger = Block(2 * bottom, bottom, "keep")
        self.decoder = Decoder(2, self.painter.channels, scaled, config.dropout)
        self.contract = Contract(
            tasks=("pair",),
            frames=2,
            coding="display",
            multiple_of=CELL,
            receptive_radius=receptive_radius(),
            working_bytes=math.ceil(300 * config.width) + 40,
        )

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Restore the noisy frame; arguments and result as `Network.forward`."""
        del seen, descriptor  # the paper's network knows nothing but pixels
        codes = standardise(burst)
        noisy, blurry = self.of_noisy(codes[:, 0]), self.of_blurry(codes[:, 1])
        merged = self.merger(torch.cat([noisy[-1], blurry[-1]], dim=1))
        picture: Tensor = self.painter(self.decoder(merged, [noisy[:-1], blurry[:-1]]), burst)
        return picture


def receptive_radius() -> int:
    """Follow the longest way, from a cell of the output back to what it reads of the input."""
    first, last = reach(0, CELL - 1, bottom=1)
    return max(-first, last - (CELL - 1))


BACKEND = Backend(
    "deblur-merger",
    Config,
    DeblurMergerNetwork,
    "encodes a noisy and blurry pair each for itself, decodes both (Zhang et al. 2019)",
)
