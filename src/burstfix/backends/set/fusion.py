"""The part of `set` that fuses the frames' pictures, scale by scale."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from burstfix.backends.order import positions
from burstfix.backends.set.blocks import normalise, piecewise
from burstfix.backends.set.config import SCALES, Config


class Fusion(nn.Module):
    """Softmax weights over the frames, and what they fuse."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads = config.heads
        bands = (2, 1, 1)  # pyramid bands weighed at 1/2, 1/4 and 1/8
        self.logits = nn.ModuleList(
            nn.Conv2d(width, count * config.heads, 1)
            for width, count in zip(config.frame_widths[:3], bands, strict=True)
        )
        for layer in self.logits:
            nn.init.normal_(layer.weight, std=0.02)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, burst: Tensor, seen: Tensor, levels: list[Tensor], order: Tensor) -> Tensor:
        """Fuse the frames; arguments as of `weigh` and `pictures`, and result of the latter."""
        if burst.shape[1] == 1:  # its share is 1 everywhere
            return burst[:, 0].repeat(1, self.heads, 1, 1)
        shares = self.weigh(levels, seen, order)
        levels.clear()  # the fused pictures need their room
        return self.pictures(burst, shares, order)

    def weigh(self, levels: list[Tensor], seen: Tensor, order: Tensor) -> list[Tensor]:
        """Weigh the frames.

        Args:
            levels: features at 1/2, 1/4, 1/8 (and further), in the order; (N * F, C, h, w).
            seen: (N, F, 1, H, W).
            order: in which the features of the frames follow each other; (N, F).

        Returns:
            Shares that sum to 1 over frames, in the order, for the bands from fine to coarse, at
            1/2, 1/2, 1/4 and 1/8 of the size; each (N, F, heads, h, w) float32.
        """
        frames = seen.shape[1]
        shares: list[Tensor] = []
        for scale, layer, features in zip(SCALES, self.logits, levels, strict=False):
            logits = piecewise(lambda part, layer=layer: layer(normalise(part)), features).float()
            logits = logits.view(-1, frames, *logits.shape[1:])
            visible = F.avg_pool2d(seen.float().flatten(0, 1), scale)[positions(order)]
            unseen = (visible.view_as(logits[:, :, :1]) + 1e-4).log()
            for part in torch.split(logits, self.heads, dim=2):
                shares.append((part + unseen).softmax(dim=1))
        return shares

    def pictures(self, burst: Tensor, shares: list[Tensor], order: Tensor) -> Tensor:
        """Fuse the frames' pyramids.

        Args:
            burst: linear light; (N, F, 3, H, W) float32.
            shares: what `weigh` returns.
            order: of the shares; (N, F).

        Returns:
            One picture a head, in linear light; (N, heads * 3, H, W) float32.
        """
        frames, places = burst.flatten(0, 1), positions(order).view_as(order)
        fused = [
            share[:, 0, :, None] * band[:, None]
            for share, band in zip(shares, pyramid(frames[places[:, 0]]), strict=True)
        ]
        for index in range(1, burst.shape[1]):  # frame by frame: all pyramids fill the memory
            bands = pyramid(frames[places[:, index]])
            for part, share, band in zip(fused, shares, bands, strict=True):
                part.addcmul_(share[:, index, :, None], band[:, None])
        return collapse([part.flatten(1, 2) for part in fused])


def pyramid(picture: Tensor) -> list[Tensor]:
    """Split a picture (N, 3, H, W) into three Laplacian bands and the rest, fine to coarse."""
    bands = []
    for _ in range(3):
        coarse = F.avg_pool2d(picture, 2)
        bands.append(picture - _enlarge(coarse))
        picture = coarse
    return [F.pixel_unshuffle(bands[0], 2), *bands[1:], picture]


def collapse(bands: list[Tensor]) -> Tensor:
    """Join what `pyramid` split."""
    picture = bands[-1]
    for band in (bands[2], bands[1], F.pixel_shuffle(bands[0], 2)):
        picture = band + _enlarge(picture)
    return picture


def _enlarge(picture: Tensor) -> Tensor:
    """Double the size, bilinearly."""
    return F.interpolate(picture, scale_factor=2, mode="bilinear", align_corners=False)
