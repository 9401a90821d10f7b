"""The part of `set` that every frame runs through."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from burstfix.backends.base import DESCRIPTOR
from burstfix.backends.order import positions
from burstfix.backends.set.blocks import Block, down, piecewise, stack, up, walk
from burstfix.backends.set.code import to_code
from burstfix.backends.set.config import Config


class FrameNet(nn.Module):
    """The small U-Net that every frame runs through; below 1/2 its blocks exchange."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        widths = config.frame_widths
        self.stem = nn.Conv2d(4 * 4, widths[0], 3, padding=1)
        self.describe = nn.Linear(2 * len(DESCRIPTOR), widths[0])
        self.down = nn.ModuleList(down(a, b) for a, b in pairwise(widths))
        self.encode = nn.ModuleList(
            stack(width, count, exchange=True)
            for width, count in zip(widths, config.frame_blocks, strict=True)
        )
        self.up = nn.ModuleList(up(b, a) for a, b in pairwise(widths))
        self.decode = nn.ModuleList(  # none at 1/2: there the fusion follows, and it costs most
            Block(width, exchange=level > 0) for level, width in enumerate(widths[:-1])
        )

    def forward(
        self, burst: Tensor, seen: Tensor, descriptor: Tensor, order: Tensor
    ) -> list[Tensor]:
        """Extract features.

        Args:
            burst: linear light; (N, F, 3, H, W).
            seen: how far each pixel was seen; (N, F, 1, H, W).
            descriptor: as `Network.forward` takes it; (N, F, D).
            order: in which the frames shall follow each other; (N, F).

        Returns:
            Features at 1/2, 1/4, 1/8 and 1/16, in the order; each (N * F, C, h, w).
        """
        frames = burst.shape[1]
        known = self.describe(describe(descriptor)).flatten(0, 1)
        pixels, masks = burst.flatten(0, 1), seen.flatten(0, 1)

        def begin(places: Tensor) -> Tensor:  # all frames, put in order, would be a second burst
            features: Tensor = self.stem(_planes(pixels[places], masks[places]))
            return F.relu_(features + known[places][:, :, None, None].to(features.dtype))

        features = piecewise(begin, positions(order), pixels=pixels.shape[-2:].numel() // 4)
        return walk(features, frames, self)


def describe(descriptor: Tensor) -> Tensor:
    """Make numbers of order one, and flags of what is known; (N, F, D) to (N, F, 2 D)."""
    known = ~descriptor.isnan()
    values = torch.where(known, descriptor, 0.0)
    reference, gain, shot, read = values.unbind(dim=-1)
    noise = [(variance.clamp_min(0) + 1e-8).log2() / 8 + 1.5 for variance in (shot, read)]
    scaled = torch.stack([reference, gain / 2, *noise], dim=-1)
    return torch.cat([torch.where(known, scaled, 0.0), known.to(scaled.dtype)], dim=-1)


def _planes(frames: Tensor, seen: Tensor) -> Tensor:
    """Code frames and stack 2x2 pixels; (N, 3, H, W) to (N, 16, H / 2, W / 2)."""
    stacked = F.pixel_unshuffle(torch.cat([to_code(frames), seen], dim=1), 2)
    return stacked.contiguous(memory_format=torch.channels_last)
