"""The part of `set` that corrects the fused picture; it runs once, whatever the frames."""

from collections.abc import Mapping
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from burstfix.backends.set.blocks import cropped, double, down, normalise, stack, up
from burstfix.backends.set.config import FLOORS, Config
from burstfix.frame import Box, Size

GROWING = ("stem.weight", "head.weight", "head.bias")  # what deblurred pictures make larger
_TRUSTED = 4.0  # logit of the fused picture where blur is not known yet: 95 % of it
_GAIN = 0.1  # of the correction: its size, else a first step of training overshoots by far


class Trunk(nn.Module):
    """The deep U-Net that runs once, on what the frames became together."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        widths = config.trunk_widths
        self.heads = config.heads
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

    def grow(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Widen weights of a trunk without deblurred pictures, so that these have no effect yet.

        Args:
            state: the weights named in `GROWING`.

        Returns:
            The same in this trunk's shapes, by their names in the whole network.
        """
        fused, old = 12 * self.heads, state["stem.weight"]
        stem = torch.zeros_like(self.stem.weight)
        stem[:, :fused] = old[:, :fused]
        stem[:, fused - old.shape[1] :] = old[:, fused:]
        weight = torch.zeros_like(self.head.weight)
        bias = torch.zeros(len(weight), device=weight.device)
        weight[:12], bias[:12] = state["head.weight"], state["head.bias"]
        bias[12:16] = _TRUSTED
        return {"trunk.stem.weight": stem, "trunk.head.weight": weight, "trunk.head.bias": bias}

    def forward(self, pictures: Tensor, shared: list[Tensor], core: Box) -> tuple[Tensor, Tensor]:
        """Correct a part of the fused picture.

        Args:
            pictures: fused pictures in the inner code, then the deblurred ones;
                (N, 3 * (heads + FLOORS), H, W).
            shared: features of all frames together at 1/2 to 1/16; each (N, 2 C, h, w).
            core: the part, of h x w pixels.

        Returns:
            What to add to the part (N, 3, h, w); and, where there are deblurred pictures, logits of
            how far to take the first fused and each deblurred one, (N, 1 + FLOORS, h, w).
        """
        planes = F.pixel_unshuffle(pictures.to(shared[0].dtype), 2)
        planes = planes.contiguous(memory_format=torch.channels_last)
        features = self.stem(torch.cat([planes, shared[0]], dim=1))
        levels = []
        for level, blocks in enumerate(self.encode):
            if level:
                features = self.down[level - 1](normalise(features)) + self.join[level - 1](
                    shared[level]
                )
            features = blocks(features)
            levels.append(features)
        boxes = self._needed(core, [(each.shape[-2], each.shape[-1]) for each in levels])
        features = cropped(features, boxes[-1])
        for level in reversed(range(len(levels) - 1)):
            raised = double(self.up[level](normalise(features)))
            own, coarse = boxes[level], boxes[level + 1]
            raised = cropped(raised, own.shift(-2 * coarse.top, -2 * coarse.left))
            features = self.decode[level](cropped(levels[level], own) + raised)
        made = F.pixel_shuffle(self.head(normalise(features)).float(), 2)
        made = cropped(made, core.shift(-2 * boxes[0].top, -2 * boxes[0].left))
        return _GAIN * made[:, :3], made[:, 3:]

    def _needed(self, core: Box, sizes: list[Size]) -> list[Box]:
        """Find what of each scale's features the way up must know to make a part exactly."""
        box, boxes = _halved(core).grow(1), []  # the head's reach
        for size, blocks in zip(sizes, [*self.decode, None], strict=True):
            reach = 2 * len(cast(nn.Sequential, blocks)) if blocks is not None else 0
            box = box.grow(reach).intersect(Box.whole(size))
            boxes.append(box)
            box = _halved(box)
        return boxes


def _halved(box: Box) -> Box:
    """Return what covers a box at half the size."""
    return Box(box.top // 2, box.left // 2, -(-box.bottom // 2), -(-box.right // 2))
