"""The generator of DeblurGAN (Kupyn et al. 2018), as Reblur2Deblur (Chen et al. 2018) takes it."""

import math
from dataclasses import dataclass
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from burstfix.backends.base import Backend, Contract, Network
from burstfix.backends.normed import Normed, NormName

_GREY, _REACH = 0.5, 0.5  # of display codes, which become -1 to 1
_CELL = 4  # px that become one at the residual blocks


@dataclass(frozen=True, kw_only=True)
class Config:
    """Written into the weights file, so the file alone rebuilds the network; the paper's values.

    Args:
        width: maps of the first and the last convolution; doubled at each halving of the size.
        blocks: residual blocks between.
        dropout: share of each block's features that training leaves out.
        norm: over what training normalises: each picture (instance) or all of a batch. Inference
            takes the statistics that training has met, the same for all tiles.
    """

    width: int = 64
    blocks: int = 9
    dropout: float = 0.5
    norm: NormName = "instance"

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 512 or not 0 <= self.blocks <= 64 or not 0 <= self.dropout < 1:
            raise ValueError("width is 1 to 512, blocks are at most 64, dropout is below 1")
        if self.norm not in get_args(NormName):
            raise ValueError(f"norm is one of {', '.join(get_args(NormName))}")


class Block(nn.Module):
    """A residual block."""

    def __init__(self, width: int, config: Config) -> None:
        super().__init__()
        self.first = Normed(nn.Conv2d(width, width, 3, padding=1, bias=False), config.norm)
        self.second = Normed(nn.Conv2d(width, width, 3, padding=1, bias=False), config.norm)
        self.dropout = config.dropout

    def forward(self, features: Tensor) -> Tensor:
        """Correct features; (N, width, h, w) to the same."""
        inner = F.dropout(F.relu(self.first(features)), self.dropout, self.training)
        change: Tensor = self.second(inner)
        return features + change


class DeblurGANNetwork(Network):
    """One blurry frame in; a bounded correction of it out."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        w, norm = config.width, config.norm
        self.first = Normed(nn.Conv2d(3, w, 7, padding=3, bias=False), norm)
        self.downs = nn.ModuleList(
            Normed(nn.Conv2d(a, 2 * a, 3, stride=2, padding=1, bias=False), norm)
            for a in (w, 2 * w)
        )
        self.blocks = nn.Sequential(*(Block(4 * w, config) for _ in range(config.blocks)))
        self.ups = nn.ModuleList(Normed(_doubling(a, a // 2), norm) for a in (4 * w, 2 * w))
        self.last = nn.Conv2d(w, 3, 7, padding=3)
        self.contract = Contract(
            tasks=("single", "video"),
            frames=1,
            coding="display",
            multiple_of=_CELL,
            receptive_radius=receptive_radius(config),
            working_bytes=7 * w + 40,
        )

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Restore the frame; arguments and result as `Network.forward`."""
        del seen, descriptor  # the paper's network knows nothing but pixels
        blurry = burst[:, 0]
        features = (blurry - _GREY) / _REACH
        features = features.contiguous(memory_format=torch.channels_last)
        for layer in (self.first, *self.downs):
            features = F.relu_(layer(features))
        features = self.blocks(features)
        for layer in self.ups:
            features = F.relu_(layer(features))
        change: Tensor = self.last(features).tanh()
        return blurry + _REACH * change


def _doubling(fan_in: int, fan_out: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(fan_in, fan_out, 3, stride=2, padding=1, output_padding=1, bias=False)


def receptive_radius(config: Config) -> int:
    """Follow the longest way, from a cell of the output back to what it reads of the input."""
    first, last = -3, _CELL - 1 + 3  # the last convolution, 7x7
    for _ in range(2):
        first, last = math.ceil((first - 1) / 2), math.floor((last + 1) / 2)  # doubling by 3x3
    first, last = first - 2 * config.blocks, last + 2 * config.blocks
    for _ in range(2):
        first, last = 2 * first - 1, 2 * last + 1  # halving by 3x3
    return max(3 - first, last + 3 - (_CELL - 1))


BACKEND = Backend(
    "deblurgan",
    Config,
    DeblurGANNetwork,
    "corrects one frame by nine residual blocks (DeblurGAN; Chen et al. 2018)",
)
