"""The multi-scale network of Nah, Kim and Lee (2017): deblurs coarse to fine, without a kernel."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from burstfix.backends.base import Backend, Contract, Network
from burstfix.backends.pyramid import pyramid

_SHIFT = 0.5  # taken off display codes, so that they lie about zero (section 3.2)

# Measured on weights of a short training: 32 px change no code by 1/1024. Long trainings may
# look farther.
_HALO = 96


@dataclass(frozen=True, kw_only=True)
class Config:
    """Written into the weights file, so the file alone rebuilds the network; the paper's values.

    Args:
        scales: of the Gaussian pyramid, the paper's K.
        width: maps of each convolution.
        blocks: ResBlocks a scale; with the first and the last convolution 2 blocks + 2 layers.
        residual: whether each scale corrects its blurry picture. The paper's paints the whole
            picture, which takes long to learn.
    """

    scales: int = 3
    width: int = 64
    blocks: int = 19
    residual: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.scales <= 3:
            raise ValueError("scales are 1, 2 or 3")
        if not 1 <= self.width <= 512 or not 0 <= self.blocks <= 64:
            raise ValueError("width is 1 to 512, blocks are at most 64")


class ResBlock(nn.Module):
    """Two convolutions, a ReLU between them and none after the sum (figure 3b)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 5, padding=2)
        self.second = nn.Conv2d(width, width, 5, padding=2)

    def forward(self, features: Tensor) -> Tensor:
        """Correct features; (N, width, h, w) to the same."""
        change: Tensor = self.second(F.relu_(self.first(features)))
        return features + change


class Scale(nn.Module):
    """The network of one scale.

    Args:
        fan_in: channels: 3 of the blurry picture, and 3 more of what comes from below.
        config: width and blocks.
    """

    def __init__(self, fan_in: int, config: Config) -> None:
        super().__init__()
        self.first = nn.Conv2d(fan_in, config.width, 5, padding=2)
        self.blocks = nn.Sequential(*(ResBlock(config.width) for _ in range(config.blocks)))
        self.last = nn.Conv2d(config.width, 3, 5, padding=2)
        if config.residual:  # begins with the blurry picture
            nn.init.zeros_(self.last.weight)
            assert self.last.bias is not None
            nn.init.zeros_(self.last.bias)

    def forward(self, codes: Tensor) -> Tensor:
        """Restore; codes about zero, (N, fan_in, h, w), to such codes, (N, 3, h, w)."""
        features = self.first(codes.contiguous(memory_format=torch.channels_last))
        restored: Tensor = self.last(self.blocks(features))
        return restored


class MultiscaleNetwork(Network):
    """One blurry frame in; a picture from each scale, the finest of which is the result."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.residual = config.residual
        finer = config.scales - 1
        # Coarsest first, as they work.
        self.scales = nn.ModuleList([Scale(3, config), *(Scale(6, config) for _ in range(finer))])
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(3, 3, 5, stride=2, padding=2, output_padding=1) for _ in range(finer)
        )
        self.contract = Contract(
            tasks=("single",),
            frames=1,
            coding="display",
            multiple_of=1 << finer,
            receptive_radius=receptive_radius(config),
            halo=min(_HALO, receptive_radius(config)),
            working_bytes=12 * config.width + 150,
        )

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Restore the frame; arguments and result as `Network.forward`."""
        del seen, descriptor  # the paper's network knows nothing but pixels
        return self._restore(burst)[-1]

    def pictures(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> tuple[Tensor, ...]:
        """Return the pictures of all scales, the coarsest first; as `Network.pictures`."""
        del seen, descriptor
        return tuple(self.decode(picture) for picture in self._restore(self.code(burst)))

    def _restore(self, burst: Tensor) -> list[Tensor]:
        """Go from coarse to fine; display codes (N, 1, 3, H, W) to codes of all scales."""
        blurry = pyramid(burst[:, 0] - _SHIFT, len(self.scales))
        made: list[Tensor] = []
        for number, (scale, picture) in enumerate(zip(self.scales, reversed(blurry), strict=True)):
            codes = picture
            if made:
                codes = torch.cat([picture, self.ups[number - 1](made[-1])], dim=1)
            restored = scale(codes)
            made.append(picture + restored if self.residual else restored)
        return [codes + _SHIFT for codes in made]


def receptive_radius(config: Config) -> int:
    """Follow the longest way, from a cell of the output back to what it reads of the input.

    It leads through all scales down to the coarsest and up by the pyramid.
    """
    layers = 2 * config.blocks + 2  # each reads 2 px farther
    cell = 1 << (config.scales - 1)
    first, last = -2 * layers, cell - 1 + 2 * layers
    for _ in range(config.scales - 1):
        first, last = math.ceil((first - 2) / 2), math.floor((last + 2) / 2)  # doubling by 5x5
        first, last = first - 2 * layers, last + 2 * layers
    for _ in range(config.scales - 1):
        first, last = 2 * first - 1, 2 * last + 2  # halving by 4x4
    return max(-first, last - (cell - 1))


BACKEND = Backend(
    "multiscale",
    Config,
    MultiscaleNetwork,
    "deblurs one frame coarse to fine (Nah et al. 2017)",
)
