"""The part of `set` that corrects the fused picture; it runs once, whatever the frames."""

from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from burstfix.backends.set.blocks import double, down, normalise, stack, up
from burstfix.backends.set.config import FLOORS, Config

_GAIN = 0.1  # of the correction: its size, else a first step of training overshoots by far


class Trunk(nn.Module):
    """The deep U-Net that runs once, on what the frames became together."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        widths = config.trunk_widths
        deblurred = len(FLOORS) if config.blur_widths else 0
        fan_in = 12 * (config.heads + deblurred)
        self.stem = nn.Conv2d(fan_in + 2 * config.frame_widths[0], widths[0], 3, padding=1)
        self.down = nn.ModuleList(down(a, b) for a, b in pairwise(widths))
        self.join = nn.ModuleList(
            nn.Conv2d(2 * frame, width, 1)
            for frame, width in zip(config.frame_widths[1:], widths[1:], strict=True)
        )
        self.encode = nn.ModuleList(
            stack(width, count) for width, count in zip(widths, config.trunk_blocks, strict=True)
        )
        self.up = nn.ModuleList(up(b, a) for a, b in pairwise(widths))
        self.decode = nn.ModuleList(
            stack(width, count)
            for width, count in zip(widths[:-1], config.trunk_up_blocks, strict=True)
        )
        choices = 1 + deblurred if deblurred else 0
        self.head = nn.Conv2d(widths[0], 12 + 4 * choices, 3, padding=1)
        nn.init.zeros_(self.head.weight)  # training starts from the fused picture
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]
        if choices:  # blur is not known yet: rather the fused picture
            nn.init.constant_(cast(nn.Parameter, self.head.bias)[12:16], 2.0)

    def forward(self, pictures: Tensor, shared: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Correct the fused picture.

        Args:
            pictures: fused pictures in the inner code, then the deblurred ones;
                (N, 3 * (heads + FLOORS), H, W).
            shared: features of all frames together at 1/2 to 1/16; each (N, 2 C, h, w).

        Returns:
            What to add to the picture (N, 3, H, W); and, where there are deblurred pictures,
            logits of how far to take the first fused and each deblurred one, (N, 1 + FLOORS, H, W).
        """
        planes = F.pixel_unshuffle(pictures, 2).to(shared[0].dtype)
        planes = torch.cat([planes, shared[0]], dim=1)
        features = self.stem(planes.contiguous(memory_format=torch.channels_last))
        levels = []
        for level, blocks in enumerate(self.encode):
            if level:
                features = self.down[level - 1](normalise(features)) + self.join[level - 1](
                    shared[level]
                )
            features = blocks(features)
            levels.append(features)
        for level in reversed(range(len(levels) - 1)):
            features = self.decode[level](
                levels[level] + double(self.up[level](normalise(features)))
            )
        made = F.pixel_shuffle(self.head(normalise(features)).float(), 2)
        return _GAIN * made[:, :3], made[:, 3:]
