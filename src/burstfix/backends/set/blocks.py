"""What all parts of `set` are made of: blocks, changes of scale, reductions over frames."""

import math
from collections.abc import Callable
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from burstfix.frame import Box

_AT_ONCE = 1 << 17  # pixels of features: enough for a GPU to do, and few enough for CPU caches


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
        normal = normalise(features)
        inner: Tensor = self.inner(normal)
        if self.shared is None:
            return inner
        together = self.shared(meet(normal, frames))
        return _unflat(_flat(inner, frames) + _flat(together, 1), inner)


class Meet(torch.autograd.Function):
    """Maximum and mean over frames, (N, F, L) to two of (N, L), with a gradient in two passes."""

    @staticmethod
    def forward(ctx: FunctionCtx, flat: Tensor) -> tuple[Tensor, Tensor]:
        """Reduce; (N, F, L) to two of (N, L)."""
        greatest = flat.amax(dim=1)
        ctx.save_for_backward(flat, greatest)
        return greatest, flat.sum(dim=1) / flat.shape[1]

    @staticmethod
    def backward(ctx: Any, of_greatest: Tensor, of_mean: Tensor) -> Tensor:  # noqa: ANN401
        """Give the mean's gradient to every frame, the maximum's to those that reach it."""
        flat, greatest = ctx.saved_tensors
        others = of_mean / flat.shape[1]
        winner = of_greatest + others
        return torch.where(flat == greatest[:, None], winner[:, None], others[:, None])


def stack(width: int, count: int, *, exchange: bool = False) -> nn.Module:
    """Make blocks in a row; those that exchange need the count of frames, so are called singly."""
    blocks = [Block(width, exchange=exchange) for _ in range(count)]
    return nn.ModuleList(blocks) if exchange else nn.Sequential(*blocks)


def down(fan_in: int, fan_out: int) -> nn.Conv2d:
    """Halve the size."""
    return nn.Conv2d(fan_in, fan_out, 2, stride=2)


def up(fan_in: int, fan_out: int) -> nn.Conv2d:
    """Change the width before the size is doubled."""
    return nn.Conv2d(fan_in, fan_out, 1)


def double(features: Tensor) -> Tensor:
    """Double the size by repeating."""
    return F.interpolate(features, scale_factor=2, mode="nearest")


def normalise(features: Tensor) -> Tensor:
    """Bring each pixel's channels to zero mean and unit variance; no other pixel is looked at."""
    last = features.permute(0, 2, 3, 1)
    return F.layer_norm(last, last.shape[-1:]).permute(0, 3, 1, 2)


def meet(features: Tensor, frames: int) -> Tensor:
    """Reduce over frames; (N * frames, C, h, w) to maximum and mean, (N, 2 C, h, w)."""
    if frames == 1:
        return torch.cat([features, features], dim=1)
    greatest, mean = Meet.apply(_flat(features, frames))  # type: ignore[no-untyped-call]
    return torch.cat([_unflat(part[:, None], features) for part in (greatest, mean)], dim=1)


def _flat(features: Tensor, frames: int) -> Tensor:
    """View (N * frames, C, h, w), channels last, as (N, frames, L): reductions run 10x quicker."""
    return features.permute(0, 2, 3, 1).reshape(len(features) // frames, frames, -1)


def walk(features: Tensor, frames: int, net: "ExchangingUNet") -> list[Tensor]:
    """Run features of frames down and up a U-Net whose blocks exchange.

    Args:
        features: what the stem made; (N * frames, C, h, w).
        frames: of each burst.
        net: the parts of the U-Net.

    Returns:
        Features of each scale, fine to coarse; the coarsest as it was reached.
    """
    levels = []
    for level, blocks in enumerate(net.encode):
        if level:
            lower = net.down[level - 1]
            features = piecewise(lambda fine, lower=lower: lower(normalise(fine)), features)
        for block in cast(nn.ModuleList, blocks):
            features = block(features, frames)
        levels.append(features)
    for level in reversed(range(len(levels) - 1)):
        levels[level] = _raise(levels[level], levels[level + 1], frames, net, level)
    return levels


def _raise(fine: Tensor, coarse: Tensor, frames: int, net: "ExchangingUNet", level: int) -> Tensor:
    """Add to fine features what coarse ones tell, and refine them; frames alone where they can."""
    block = cast(Block, net.decode[level])

    def joined(fine: Tensor, coarse: Tensor) -> Tensor:
        return fine + double(net.up[level](normalise(coarse)))

    if block.shared is None:
        return piecewise(lambda fine, coarse: block(joined(fine, coarse)), fine, coarse, over=fine)
    return cast(Tensor, block(piecewise(joined, fine, coarse), frames))


def piecewise(
    work: Callable[..., Tensor],
    *parts: Tensor,
    pixels: int | None = None,
    over: Tensor | None = None,
) -> Tensor:
    """Do work in which no picture sees another on some at a time; all would fill the memory.

    Args:
        work: what is done; takes as many tensors as there are parts.
        parts: features and the like of the same N pictures; each (N, ...).
        pixels: of a picture's features; None: those of the first part.
        over: features that may be overwritten, of the result's shape.

    Returns:
        What `work` makes of all at once, as training does it; (N, C, h, w).
    """
    count = max(1, _AT_ONCE // (pixels or parts[0].shape[-2:].numel()))
    if torch.is_grad_enabled() or count >= len(parts[0]):
        return work(*parts)
    whole = over
    for start in range(0, len(parts[0]), count):
        some = slice(start, start + count)
        made = work(*(part[some] for part in parts))
        if whole is None:
            whole = made.new_empty((len(parts[0]), *made.shape[1:]))
            whole = whole.contiguous(memory_format=torch.channels_last)
        whole[some] = made
    assert whole is not None
    return whole


class ExchangingUNet(Protocol):
    """What `walk` needs: changes of scale, and blocks on the way down and up."""

    down: nn.ModuleList
    encode: nn.ModuleList
    up: nn.ModuleList
    decode: nn.ModuleList


def cropped(features: Tensor, box: Box) -> Tensor:
    """View a part of features or pictures, in their own pixels."""
    return features[..., box.top : box.bottom, box.left : box.right]


def _unflat(flat: Tensor, like: Tensor) -> Tensor:
    """View (N, frames, L) as (N * frames, C, h, w), with sizes as in `like`."""
    _, channels, height, width = like.shape
    return flat.view(-1, height, width, channels).permute(0, 3, 1, 2)
