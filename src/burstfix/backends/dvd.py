"""The encoder-decoder for hand-held films of Su et al. 2017 (DVD), as Chen et al. 2018 take it."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from burstfix.backends.base import Alignment, Backend, Contract, Network
from burstfix.backends.normed import Normed

_CELL = 8  # px that become one where features are widest
_FIRST = 64  # maps at full resolution
_LEVELS = ((64, 128, 128), (256, 256, 256, 256), (512, 512, 512, 512))  # the first one halves
_UPS = ((256, 256, 256, 256), (128, 128, 64), (64,))  # the first one doubles
_STACK = 15  # maps of the last convolution but one: as many as the network reads


@dataclass(frozen=True, kw_only=True)
class Config:
    """Written into the weights file, so the file alone rebuilds the network.

    Args:
        width: factor on all numbers of maps; 1 is the paper's network.
        alignment: how the neighbours are brought to the frame's geometry first; the paper has all
            three.
        frames: how many the network sees: one, and as many on either side.
    """

    width: float = 1.0
    alignment: Alignment = "flow"
    frames: int = 5

    def __post_init__(self) -> None:
        if not 0 < self.width <= 4:
            raise ValueError("width is a factor up to 4")
        if self.alignment not in get_args(Alignment):
            raise ValueError(f"alignment is one of {', '.join(get_args(Alignment))}")
        if self.frames % 2 == 0 or not 1 <= self.frames <= 15:
            raise ValueError("frames are an odd number up to 15")

    def maps(self, channels: int) -> int:
        """Return how many maps the paper's number becomes."""
        return max(1, round(channels * self.width))


class Down(nn.Module):
    """Half the resolution, then convolutions."""

    def __init__(self, fan_in: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        pairs = zip((fan_in, *widths), widths, strict=False)
        strides = (2, *(1 for _ in widths[1:]))
        self.layers = nn.ModuleList(
            Normed(nn.Conv2d(a, b, 3, stride=stride, padding=1, bias=False), "batch")
            for (a, b), stride in zip(pairs, strides, strict=True)
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, h, w) to (N, C', h / 2, w / 2)."""
        for layer in self.layers:
            features = F.relu_(layer(features))
        return features


class Up(nn.Module):
    """Twice the resolution, the sum with what the way down had there, then convolutions."""

    def __init__(self, fan_in: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        doubling = nn.ConvTranspose2d(fan_in, widths[0], 4, stride=2, padding=1, bias=False)
        self.doubling = Normed(doubling, "batch")
        self.layers = nn.ModuleList(
            Normed(nn.Conv2d(a, b, 3, padding=1, bias=False), "batch") for a, b in pairwise(widths)
        )

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        """(N, C, h / 2, w / 2) and (N, C', h, w) to (N, C'', h, w)."""
        features = F.relu_(self.doubling(features) + skip)
        for layer in self.layers:
            features = F.relu_(layer(features))
        return features


class DVDNetwork(Network):
    """Consecutive frames, stacked, to a correction of the middle one.

    Chen et al. 2018 print no layers; these are Su et al.'s, with sums as skips and batch norms.
    Theirs ends with a sigmoid; here the result is not bounded, as the contract asks.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        first, stack = config.maps(_FIRST), config.maps(_STACK)
        downs = [tuple(map(config.maps, widths)) for widths in _LEVELS]
        ups = [tuple(map(config.maps, widths)) for widths in _UPS]
        opening = nn.Conv2d(3 * config.frames, first, 5, padding=2, bias=False)
        self.first = Normed(opening, "batch")
        self.downs = nn.ModuleList(
            Down(a, b)
            for a, b in zip((first, *(widths[-1] for widths in downs)), downs, strict=False)
        )
        self.ups = nn.ModuleList(
            Up(a, b) for a, b in zip((downs[-1][-1], *(w[-1] for w in ups)), ups, strict=False)
        )
        self.flat = Normed(nn.Conv2d(first, stack, 3, padding=1, bias=False), "batch")
        self.last = nn.Conv2d(stack, 3, 3, padding=1)
        self.contract = Contract(
            tasks=("video",),
            frames=config.frames,
            alignment=config.alignment,
            coding="display",
            multiple_of=_CELL,
            receptive_radius=receptive_radius(),
            order_matters=True,
            working_bytes=math.ceil(14 * first / config.frames) + 36,
        )

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Restore the frame; arguments and result as `Network.forward`.

        The frames after the reference are its neighbours in the order of the film.
        """
        del seen, descriptor  # the paper's network knows nothing but pixels
        half = burst.shape[1] // 2
        in_time = [*range(1, half + 1), 0, *range(half + 1, burst.shape[1])]
        features = burst[:, in_time].flatten(1, 2)
        features = features.contiguous(memory_format=torch.channels_last)
        features = F.relu_(self.first(features))
        skips = []
        for down in self.downs:
            skips.append(features)
            features = down(features)
        for up in self.ups:
            features = up(features, skips.pop())
        change: Tensor = self.last(F.relu_(self.flat(features)))
        return burst[:, 0] + change


def receptive_radius() -> int:
    """Follow the longest way, from a cell of the output back to what it reads of the input."""
    first, last = -2, _CELL - 1 + 2  # the last two convolutions, 3x3
    for widths in reversed(_UPS):
        first, last = first - len(widths) + 1, last + len(widths) - 1
        first, last = math.ceil((first - 2) / 2), math.floor((last + 1) / 2)  # doubling by 4x4
    for widths in reversed(_LEVELS):
        first, last = first - len(widths) + 1, last + len(widths) - 1
        first, last = 2 * first - 1, 2 * last + 1  # halving by 3x3
    return max(2 - first, last + 2 - (_CELL - 1))


BACKEND = Backend(
    "dvd",
    Config,
    DVDNetwork,
    "five stacked frames of a film through an encoder-decoder (Su et al. 2017)",
)
