"""Our network: any number of frames meet at every scale, and a deep trunk finishes the picture.

Each frame runs through a small U-Net whose blocks exchange their maximum and mean over the
frames. From its features come softmax weights over the frames, per pixel, scale and head, which
fuse the frames' Laplacian pyramids in linear light (a Fourier burst accumulation that varies over
the picture and is learned) and the features. A deep U-Net, which runs once, corrects the result.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from burstfix.backends.base import DESCRIPTOR, Backend, Contract, Network

_SCALES = (2, 4, 8, 16)  # pixels to a feature at each level
_GAIN = 0.1  # of the correction: its size, else a first step of training overshoots by far
_KNEE = 1 / 64  # light below which the inner code is near linear: noise at black stays finite


@dataclass(frozen=True, kw_only=True)
class Config:
    """Written into the weights file, so the file alone rebuilds the network.

    Args:
        frame_widths: channels of a frame's features at 1/2, 1/4, 1/8 and 1/16.
        frame_blocks: blocks of the frame's way down, at each scale.
        trunk_widths: channels of the trunk at each scale.
        trunk_blocks: blocks of the trunk's way down, at each scale.
        trunk_up_blocks: blocks of the trunk's way up, at 1/2, 1/4 and 1/8.
        heads: how many fused pictures the trunk sees.
    """

    frame_widths: tuple[int, ...] = (32, 64, 96, 128)
    frame_blocks: tuple[int, ...] = (0, 1, 2, 2)
    trunk_widths: tuple[int, ...] = (48, 96, 128, 160)
    trunk_blocks: tuple[int, ...] = (1, 2, 2, 3)
    trunk_up_blocks: tuple[int, ...] = (2, 2, 1)
    heads: int = 4


def to_code(light: Tensor) -> Tensor:
    """Compress linear light like a square root that is smooth and odd about 0."""
    scale = math.sqrt(1 + _KNEE) - math.sqrt(_KNEE)
    code = ((light.abs() + _KNEE).sqrt() - math.sqrt(_KNEE)) / scale
    return torch.copysign(code, light)


def to_light(code: Tensor) -> Tensor:
    """Invert `to_code`."""
    scale = math.sqrt(1 + _KNEE) - math.sqrt(_KNEE)
    light = (code.abs() * scale + math.sqrt(_KNEE)).square() - _KNEE
    return torch.copysign(light, code)


class Block(nn.Module):
    """A normalised residual block; with frames, its inside also sees their maximum and mean."""

    def __init__(self, width: int, *, exchange: bool = False) -> None:
        super().__init__()
        self.inner = nn.Conv2d(width, width, 3, padding=1)
        self.outer = nn.Conv2d(width, width, 3, padding=1)
        self.shared = nn.Conv2d(2 * width, width, 1, bias=False) if exchange else None
        nn.init.normal_(self.outer.weight, std=0.3 / math.sqrt(9 * width))
        nn.init.zeros_(self.outer.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor, frames: int = 1) -> Tensor:
        """Refine features; (N * frames, C, h, w) to the same."""
        refined: Tensor = features + self.outer(F.relu_(self._inside(features, frames)))
        return refined

    def _inside(self, features: Tensor, frames: int) -> Tensor:
        """Convolve, and add to each frame what all frames have together."""
        normal = _normalise(features)
        inner: Tensor = self.inner(normal)
        if self.shared is None:
            return inner
        together = self.shared(_meet(normal, frames))
        return _unflat(_flat(inner, frames) + _flat(together, 1), inner)


class FrameNet(nn.Module):
    """The small U-Net that every frame runs through; below 1/2 its blocks exchange."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        widths = config.frame_widths
        self.stem = nn.Conv2d(4 * 4, widths[0], 3, padding=1)
        self.describe = nn.Linear(2 * len(DESCRIPTOR), widths[0])
        self.down = nn.ModuleList(_down(a, b) for a, b in pairwise(widths))
        self.encode = nn.ModuleList(
            _stack(width, count, exchange=True)
            for width, count in zip(widths, config.frame_blocks, strict=True)
        )
        self.up = nn.ModuleList(_up(b, a) for a, b in pairwise(widths))
        self.decode = nn.ModuleList(  # none at 1/2: there the fusion follows, and it costs most
            Block(width, exchange=level > 0) for level, width in enumerate(widths[:-1])
        )

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> list[Tensor]:
        """Extract features.

        Args:
            burst: linear light; (N, F, 3, H, W).
            seen: how far each pixel was seen; (N, F, 1, H, W).
            descriptor: as `Network.forward` takes it; (N, F, D).

        Returns:
            Features at 1/2, 1/4, 1/8 and 1/16; each (N * F, C, h, w).
        """
        frames = burst.shape[1]
        known = self.describe(_describe(descriptor).flatten(0, 1))
        features = self.stem(_planes(burst, seen))
        features = F.relu_(features + known[:, :, None, None].to(features.dtype))
        levels = []
        for level, blocks in enumerate(self.encode):
            if level:
                features = self.down[level - 1](_normalise(features))
            for block in cast(nn.ModuleList, blocks):
                features = block(features, frames)
            levels.append(features)
        for level in reversed(range(len(levels) - 1)):
            raised = levels[level] + _double(self.up[level](_normalise(levels[level + 1])))
            levels[level] = self.decode[level](raised, frames)
        return levels


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

    def weigh(self, levels: list[Tensor], seen: Tensor) -> list[Tensor]:
        """Weigh the frames.

        Args:
            levels: features at 1/2, 1/4, 1/8 (and further); (N * F, C, h, w).
            seen: (N, F, 1, H, W).

        Returns:
            Shares that sum to 1 over frames, for the bands from fine to coarse, at 1/2, 1/2, 1/4
            and 1/8 of the size; each (N, F, heads, h, w) float32.
        """
        frames = seen.shape[1]
        shares: list[Tensor] = []
        for scale, layer, features in zip(_SCALES, self.logits, levels, strict=False):
            logits: Tensor = layer(_normalise(features)).float()
            logits = logits.view(-1, frames, *logits.shape[1:])
            visible = F.avg_pool2d(seen.float().flatten(0, 1), scale).view_as(logits[:, :, :1])
            for part in torch.split(logits, self.heads, dim=2):
                shares.append((part + (visible + 1e-4).log()).softmax(dim=1))
        return shares

    def pictures(self, burst: Tensor, shares: list[Tensor]) -> Tensor:
        """Fuse the frames' pyramids.

        Args:
            burst: linear light; (N, F, 3, H, W) float32.
            shares: what `weigh` returns.

        Returns:
            One picture a head, in linear light; (N, heads * 3, H, W) float32.
        """
        fused = [
            share[:, 0, :, None] * band[:, None]
            for share, band in zip(shares, _pyramid(burst[:, 0]), strict=True)
        ]
        for index in range(1, burst.shape[1]):  # frame by frame: all pyramids fill the memory
            for part, share, band in zip(fused, shares, _pyramid(burst[:, index]), strict=True):
                part.addcmul_(share[:, index, :, None], band[:, None])
        return _collapse([part.flatten(1, 2) for part in fused])


class Trunk(nn.Module):
    """The deep U-Net that runs once, on what the frames became together."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        widths = config.trunk_widths
        fan_in = config.heads * 12
        self.stem = nn.Conv2d(fan_in + 2 * config.frame_widths[0], widths[0], 3, padding=1)
        self.down = nn.ModuleList(_down(a, b) for a, b in pairwise(widths))
        self.join = nn.ModuleList(
            nn.Conv2d(2 * frame, width, 1)
            for frame, width in zip(config.frame_widths[1:], widths[1:], strict=True)
        )
        self.encode = nn.ModuleList(
            _stack(width, count) for width, count in zip(widths, config.trunk_blocks, strict=True)
        )
        self.up = nn.ModuleList(_up(b, a) for a, b in pairwise(widths))
        self.decode = nn.ModuleList(
            _stack(width, count)
            for width, count in zip(widths[:-1], config.trunk_up_blocks, strict=True)
        )
        self.head = nn.Conv2d(widths[0], 12, 3, padding=1)
        nn.init.zeros_(self.head.weight)  # training starts from the fused picture
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, pictures: Tensor, shared: list[Tensor]) -> Tensor:
        """Correct the fused picture.

        Args:
            pictures: fused pictures in the inner code; (N, heads * 3, H, W).
            shared: features of all frames together at 1/2 to 1/16; each (N, 2 C, h, w).

        Returns:
            What to add to the first picture; (N, 3, H, W).
        """
        planes = F.pixel_unshuffle(pictures, 2).to(shared[0].dtype)
        planes = torch.cat([planes, shared[0]], dim=1)
        features = self.stem(planes.contiguous(memory_format=torch.channels_last))
        levels = []
        for level, blocks in enumerate(self.encode):
            if level:
                features = self.down[level - 1](_normalise(features)) + self.join[level - 1](
                    shared[level]
                )
            features = blocks(features)
            levels.append(features)
        for level in reversed(range(len(levels) - 1)):
            features = self.decode[level](
                levels[level] + _double(self.up[level](_normalise(features)))
            )
        return _GAIN * F.pixel_shuffle(self.head(_normalise(features)).float(), 2)


class SetNetwork(Network):
    """Frames as a set: fused by learned weights, corrected by a deep trunk."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.frame_net = FrameNet(config)
        self.fusion = Fusion(config)
        self.trunk = Trunk(config)
        self.contract = Contract(
            multiple_of=_SCALES[-1],
            receptive_radius=_receptive_radius(config),
            halo=96,  # measured: what lies farther changes no code by 1/1024
            order_invariant=True,
            working_bytes=220,
        )

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Restore the reference frame; arguments and result as `Network.forward`."""
        burst, seen, descriptor = _canonical(burst, seen, descriptor)
        levels = self.frame_net(burst, seen, descriptor)
        shares = self.fusion.weigh(levels, seen)
        pictures = to_code(self.fusion.pictures(burst, shares))
        shared = [_meet(features, burst.shape[1]) for features in levels]
        return to_light(pictures[:, :3] + self.trunk(pictures, shared))

    def frame_weights(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Tell each frame's share of the fused pictures; as `Network.frame_weights`."""
        levels = self.frame_net(burst, seen, descriptor)
        shares = self.fusion.weigh(levels, seen)
        return torch.stack([share.mean(dim=(2, 3, 4)) for share in shares]).mean(dim=0)


class _Meet(torch.autograd.Function):
    """Maximum and mean over frames, (N, F, L) to two of (N, L), with a gradient in two passes."""

    @staticmethod
    def forward(ctx: FunctionCtx, flat: Tensor) -> tuple[Tensor, Tensor]:
        greatest = flat.amax(dim=1)
        ctx.save_for_backward(flat, greatest)
        return greatest, flat.sum(dim=1) / flat.shape[1]

    @staticmethod
    def backward(ctx: Any, of_greatest: Tensor, of_mean: Tensor) -> Tensor:  # noqa: ANN401
        flat, greatest = ctx.saved_tensors
        others = of_mean / flat.shape[1]
        winner = of_greatest + others
        return torch.where(flat == greatest[:, None], winner[:, None], others[:, None])


def _stack(width: int, count: int, *, exchange: bool = False) -> nn.Module:
    """Make blocks in a row; those that exchange need the count of frames, so are called singly."""
    blocks = [Block(width, exchange=exchange) for _ in range(count)]
    return nn.ModuleList(blocks) if exchange else nn.Sequential(*blocks)


def _down(fan_in: int, fan_out: int) -> nn.Conv2d:
    """Halve the size."""
    return nn.Conv2d(fan_in, fan_out, 2, stride=2)


def _up(fan_in: int, fan_out: int) -> nn.Conv2d:
    """Change the width before the size is doubled."""
    return nn.Conv2d(fan_in, fan_out, 1)


def _double(features: Tensor) -> Tensor:
    """Double the size by repeating."""
    return F.interpolate(features, scale_factor=2, mode="nearest")


def _normalise(features: Tensor) -> Tensor:
    """Bring each pixel's channels to zero mean and unit variance; no other pixel is looked at."""
    last = features.permute(0, 2, 3, 1)
    return F.layer_norm(last, last.shape[-1:]).permute(0, 3, 1, 2)


def _meet(features: Tensor, frames: int) -> Tensor:
    """Reduce over frames; (N * frames, C, h, w) to maximum and mean, (N, 2 C, h, w)."""
    greatest, mean = _Meet.apply(_flat(features, frames))  # type: ignore[no-untyped-call]
    return torch.cat([_unflat(part[:, None], features) for part in (greatest, mean)], dim=1)


def _flat(features: Tensor, frames: int) -> Tensor:
    """View (N * frames, C, h, w), channels last, as (N, frames, L): reductions run 10x quicker."""
    return features.permute(0, 2, 3, 1).reshape(len(features) // frames, frames, -1)


def _unflat(flat: Tensor, like: Tensor) -> Tensor:
    """View (N, frames, L) as (N * frames, C, h, w), with sizes as in `like`."""
    _, channels, height, width = like.shape
    return flat.view(-1, height, width, channels).permute(0, 3, 1, 2)


def _describe(descriptor: Tensor) -> Tensor:
    """Make numbers of order one, and flags of what is known; (N, F, D) to (N, F, 2 D)."""
    known = ~descriptor.isnan()
    values = torch.where(known, descriptor, 0.0)
    reference, gain, shot, read = values.unbind(dim=-1)
    noise = [(variance.clamp_min(0) + 1e-8).log2() / 8 + 1.5 for variance in (shot, read)]
    scaled = torch.stack([reference, gain / 2, *noise], dim=-1)
    return torch.cat([torch.where(known, scaled, 0.0), known.to(scaled.dtype)], dim=-1)


def _canonical(burst: Tensor, seen: Tensor, descriptor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sort the frames after the reference by their content, so that their order changes no bit.

    The key is the sum of the bit patterns as integers: exact in any order of summation.
    """
    if burst.shape[1] < 3:
        return burst, seen, descriptor
    key = sum(
        part.float().contiguous().view(torch.int32).flatten(2).sum(dim=2, dtype=torch.int64) * prime
        for part, prime in ((burst, 1), (seen, 3), (descriptor, 7))
    )
    assert isinstance(key, Tensor)
    order = key[:, 1:].argsort(dim=1) + 1
    order = torch.cat([torch.zeros_like(order[:, :1]), order], dim=1)
    row = torch.arange(len(burst), device=burst.device)[:, None]
    return burst[row, order], seen[row, order], descriptor[row, order]


def _planes(burst: Tensor, seen: Tensor) -> Tensor:
    """Code a burst and stack 2x2 pixels; (N, F, 3, H, W) to (N * F, 16, H / 2, W / 2)."""
    planes = [
        F.pixel_unshuffle(torch.cat([to_code(light), mask], dim=1), 2)
        for light, mask in zip(burst.unbind(1), seen.unbind(1), strict=True)
    ]
    stacked = torch.stack(planes, dim=1).flatten(0, 1)
    return stacked.contiguous(memory_format=torch.channels_last)


def _pyramid(picture: Tensor) -> list[Tensor]:
    """Split a picture (N, 3, H, W) into three Laplacian bands and the rest, fine to coarse."""
    bands = []
    for _ in range(3):
        coarse = F.avg_pool2d(picture, 2)
        bands.append(picture - _enlarge(coarse))
        picture = coarse
    return [F.pixel_unshuffle(bands[0], 2), *bands[1:], picture]


def _collapse(bands: list[Tensor]) -> Tensor:
    """Join what `_pyramid` split."""
    picture = bands[-1]
    for band in (bands[2], bands[1], F.pixel_shuffle(bands[0], 2)):
        picture = band + _enlarge(picture)
    return picture


def _enlarge(picture: Tensor) -> Tensor:
    """Double the size, bilinearly."""
    return F.interpolate(picture, scale_factor=2, mode="bilinear", align_corners=False)


def _receptive_radius(config: Config) -> int:
    """Count how far a pixel reaches, along the longest way, from the output back to the input."""
    steps = [(2, 1)]  # (scale, 3x3 convolutions); the trunk's head
    steps += [(s, 2 * n) for s, n in zip(_SCALES, config.trunk_up_blocks, strict=False)]
    steps += [(s, 2 * n) for s, n in zip(_SCALES, config.trunk_blocks, strict=True)][::-1]
    steps += [(2, 1), (2, 1), (4, 1), (8, 1)]  # the trunk's stem, and enlarging the pyramid
    steps += [(s, 2) for s in _SCALES[:-1]]
    steps += [(s, 2 * n) for s, n in zip(_SCALES, config.frame_blocks, strict=True)][::-1]
    steps += [(2, 1)]
    radius = 0
    for scale, convolutions in steps:
        radius = (math.ceil(radius / scale) + convolutions) * scale
    return radius


BACKEND = Backend(
    "set", Config, SetNetwork, "learned fusion of any number of frames, deblurs and denoises"
)
