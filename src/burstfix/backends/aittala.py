"""The permutation-invariant U-Net of Aittala and Durand 2018.

Every frame runs through the same U-Net. After each unit the tracks exchange their maximum, which a
1x1 convolution merges back into each; at the end the tracks collapse into one, which two more
convolutions turn into the picture. All frames count alike, the reference too.
"""

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from burstfix.backends.base import Backend, Contract, Network
from burstfix.backends.order import content_order, take
from burstfix.backends.scaling import CONTRAST, GREY, Scaled, standardise

Pooling = Literal["max", "mean"]

# Channels, as in the paper's appendix
_IN = 64
_DOWN = (128, 256, 384)  # at 1/2, 1/4 and 1/8
_BOTTOM = 384  # at 1/16 and, come up again, at 1/8
_UP = ((384, 256), (256, 192), (192, 96))  # within the units at 1/8, 1/4, 1/2; and one size up
_OUT = 96
_HEAD = 64

_SPREAD = 0.05  # of the first directions, as Salimans and Kingma draw them
_CORRECTION = 0.1  # of a residual's first size, else the first steps of training overshoot
_NOISE_THERE = 0.4  # of the noise above a mean over 3 px, what lies between those over 3 and 9
_AROUND = 9  # cells of four pixels over which that is averaged
_NOTHING = 1e-6  # energy that counts as none, in codes squared
_FAINT = 1e-4  # deviations below it are not scaled up: the channel is constant


@dataclass(frozen=True, kw_only=True)
class Config:
    """Written into the weights file, so the file alone rebuilds the network.

    Args:
        width: factor on all channels; 1 is the paper's.
        pooling: what the frames' tracks exchange: their maximum, or their mean.
        final_pooling: whether the tracks collapse into one picture. If not, each frame is
            restored from its own track (the paper's permutation-equivariant variant), and the
            reference's is the result.
        residual: whether the network corrects the mean of the frames' codes (its own frame's,
            without final pooling). The paper's paints the whole picture, which takes it thousands
            of steps to learn; a short training does better from a picture.
        p: exponent of the frames' local sharpness, by which that mean weighs them; 0 is the plain
            mean. Not the paper's either. The plain mean blurs a lucky frame, and the track that is
            left does not tell how much.
    """

    width: float = 1.0
    pooling: Pooling = "max"
    final_pooling: bool = True
    residual: bool = False
    p: float = field(default=0.0, metadata={"added": True})

    def __post_init__(self) -> None:
        if not 0 < self.width <= 4 or self.pooling not in ("max", "mean"):
            raise ValueError("width lies between 0 and 4, pooling is max or mean")
        if not 0 <= self.p <= 20:
            raise ValueError("p lies between 0 and 20")


class Layer(nn.Module):
    """A weight-normalised convolution, plain or transposed (Salimans and Kingma 2016), and an ELU.

    The weights are one direction for each output channel, times a gain.

    Args:
        fan_in: channels in.
        fan_out: channels out.
        side: of the kernel [px]; 4 goes with a change of size by two.
        up: whether the size doubles.
        linear: whether no ELU follows.
    """

    def __init__(
        self, fan_in: int, fan_out: int, side: int, *, up: bool = False, linear: bool = False
    ) -> None:
        super().__init__()
        shape = (fan_in, fan_out) if up else (fan_out, fan_in)
        self.fan_in, self.up, self.linear = fan_in, up, linear
        self.direction = nn.Parameter(_SPREAD * torch.randn(*shape, side, side))
        # A pixel of the doubled size sees a quarter of the kernel, so half the deviation.
        self.gain = nn.Parameter(torch.full((fan_out,), 2.0 if up else 1.0))
        self.bias = nn.Parameter(torch.zeros(fan_out))

    def forward(self, *parts: Tensor) -> Tensor:
        """Convolve parts as if they were concatenated.

        Args:
            parts: (B, C, h, w) each, or (N, C, h, w) where all of the B / N frames of a burst
                share it: that part is then convolved once for all of them.

        Returns:
            (B, fan_out, h', w').
        """
        features = self.convolve(*parts)
        return features if self.linear else F.elu_(features)

    def convolve(self, *parts: Tensor) -> Tensor:
        """Do all but the ELU; as `forward`."""
        axis = 1 if self.up else 0
        others = [d for d in range(4) if d != axis]
        norm = torch.linalg.vector_norm(self.direction, dim=others, keepdim=True)
        weight = self.direction * (self.gain.view_as(norm) / norm)
        if self.up:
            (features,) = parts
            return F.conv_transpose2d(features, weight, self.bias, stride=2, padding=1)
        side = weight.shape[-1]
        stride, padding = (2, 1) if side == 4 else (1, side // 2)
        weights = weight.split([part.shape[1] for part in parts], dim=1)
        total = F.conv2d(parts[0], weights[0], self.bias, stride, padding)
        for part, piece in zip(parts[1:], weights[1:], strict=True):
            total = _add(total, F.conv2d(part, piece, None, stride, padding))
        return total

    def fit(self, *parts: Tensor) -> None:
        """Set gain and bias so that every channel of `convolve` has zero mean, unit variance."""
        self.gain.fill_(1.0)
        self.bias.zero_()
        deviation, mean = torch.std_mean(self.convolve(*parts).float(), dim=(0, 2, 3))
        self.gain.copy_(1 / deviation.clamp_min(_FAINT))
        self.bias.copy_(-mean * self.gain)


class Greatest(torch.autograd.Function):
    """Maximum over frames, (N, F, L) to (N, L), with a gradient in one pass."""

    @staticmethod
    def forward(ctx: FunctionCtx, flat: Tensor) -> Tensor:
        """Reduce; (N, F, L) to (N, L)."""
        greatest = flat.amax(dim=1)
        ctx.save_for_backward(flat, greatest)
        return greatest

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401 PyTorch's own type lacks it
        """Give the gradient to all frames that reach the maximum."""
        flat, greatest = ctx.saved_tensors
        return torch.where(flat == greatest[:, None], gradient[:, None], 0)


class Unit(nn.Module):
    """A 1x1 convolution that merges what a track has with what all have, and what follows it.

    Args:
        fan_in: channels of all that is merged.
        layers: what follows.
    """

    def __init__(self, fan_in: int, *layers: Layer) -> None:
        super().__init__()
        self.join = Layer(fan_in, layers[0].fan_in, 1)
        self.layers = nn.Sequential(*layers)

    def forward(self, *parts: Tensor) -> Tensor:
        """Merge parts, as `Layer.forward` takes them, and go on."""
        features: Tensor = self.layers(self.join(*parts))
        return features


class AittalaNetwork(Network):
    """A U-Net for each frame, with tied weights and an exchange after every unit."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        scaled = Scaled(config.width)
        levels = (_IN, *_DOWN)
        self.first = Layer(3, scaled(_IN), 3)
        self.down = nn.ModuleList(
            Unit(2 * scaled(a), Layer(scaled(b), scaled(b), 4)) for a, b in pairwise(levels)
        )
        bottom = scaled(_BOTTOM)
        self.bottom = Unit(
            2 * scaled(_DOWN[-1]),
            Layer(bottom, bottom, 4),
            Layer(bottom, bottom, 3),
            Layer(bottom, bottom, 4, up=True),
        )
        came = (_BOTTOM, *(up for _, up in _UP))
        self.up = nn.ModuleList(
            Unit(
                2 * scaled(below) + scaled(skip),
                Layer(scaled(a), scaled(a), 3),
                Layer(scaled(a), scaled(b), 4, up=True),
            )
            for below, skip, (a, b) in zip(came, reversed(_DOWN), _UP, strict=False)
        )
        out = scaled(_OUT)
        self.out = Unit(2 * scaled(came[-1]) + scaled(_IN), Layer(out, out, 3))
        self.head = nn.Sequential(
            Layer(out, scaled(_HEAD), 3), Layer(scaled(_HEAD), 3, 3, linear=True)
        )
        self.contract = Contract(
            tasks=("burst", "video"),
            coding="display",
            multiple_of=2 ** (len(_DOWN) + 1),
            receptive_radius=receptive_radius(),
            order_invariant=True,
            working_bytes=math.ceil(1800 * config.width) + 300,
        )

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Restore the burst; arguments and result as `Network.forward`."""
        del seen, descriptor  # the paper's network knows nothing but pixels
        order = content_order(burst)
        ordered = take(burst, order)
        tracks = self._tracks(ordered)
        if self.config.final_pooling:
            return self._picture(self._pool(tracks, burst.shape[1]), self._mean(ordered))
        each = tracks.view(*burst.shape[:2], *tracks.shape[1:])
        reference = (order == 0).nonzero()[:, 1:]
        return self._picture(take(each, reference)[:, 0], burst[:, 0])

    def frame_weights(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Tell how many of the final maxima each frame holds; as `Network.frame_weights`."""
        if self.config.pooling != "max" or not self.config.final_pooling:
            return super().frame_weights(burst, seen, descriptor)
        order = content_order(burst)
        tracks = self._tracks(take(burst, order))
        each = tracks.view(*burst.shape[:2], *tracks.shape[1:])
        held = (each == each.amax(dim=1, keepdim=True)).float().mean(dim=(2, 3, 4))
        return take(held / held.sum(dim=1, keepdim=True), order.argsort(dim=1))

    def restore_frames(self, burst: Tensor) -> Tensor:
        """Restore every frame, each from its own track; needs `final_pooling=False`.

        Args:
            burst: display-coded frames; (N, F, 3, H, W).

        Returns:
            The restored frames in the order of the given ones; (N, F, 3, H, W), not clipped.
        """
        if self.config.final_pooling:
            raise ValueError("the tracks of this network collapse: it makes one picture")
        order = content_order(burst)
        ordered = take(burst, order)
        pictures = self._picture(self._tracks(ordered), ordered.flatten(0, 1))
        return take(pictures.view(burst.shape), order.argsort(dim=1))

    def initialise(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> None:
        """Set gains and biases from a batch, layer after layer; as `Network.initialise`."""
        hooks = [
            layer.register_forward_pre_hook(_fit)
            for layer in self.modules()
            if isinstance(layer, Layer)
        ]
        try:
            self(burst, seen, descriptor)
        finally:
            for hook in hooks:
                hook.remove()
        if self.config.residual:  # by the gain, which then grows quickly to what is needed
            last = self.head[-1]
            assert isinstance(last, Layer)
            last.gain.mul_(_CORRECTION)
            last.bias.mul_(_CORRECTION)

    def _tracks(self, burst: Tensor) -> Tensor:
        """Run the frames through the U-Net; (N, F, 3, H, W) to (N * F, C, H, W)."""
        frames = burst.shape[1]
        codes = standardise(burst).flatten(0, 1)
        features: Tensor = self.first(codes.contiguous(memory_format=torch.channels_last))
        skips = []
        for unit in self.down:
            skips.append(features)
            features = unit(features, self._pool(features, frames))
        skips.append(features)
        features = self.bottom(features, self._pool(features, frames))
        for unit in (*self.up, self.out):
            features = unit(features, self._pool(features, frames), skips.pop())
        return features

    def _pool(self, features: Tensor, frames: int) -> Tensor:
        """Reduce over frames; (N * F, C, h, w) to (N, C, h, w)."""
        if frames == 1:
            return features
        _, channels, height, width = features.shape
        # On flat views reductions run ten times quicker than over a strided axis.
        flat = features.permute(0, 2, 3, 1).reshape(len(features) // frames, frames, -1)
        pooled: Tensor = (
            Greatest.apply(flat)  # type: ignore[no-untyped-call]
            if self.config.pooling == "max"
            else flat.mean(dim=1)
        )
        return pooled.view(-1, height, width, channels).permute(0, 3, 1, 2)

    def _mean(self, burst: Tensor) -> Tensor:
        """Average frames in the order given; (N, F, 3, H, W) to (N, 3, H, W)."""
        if not self.config.p:
            return burst.mean(dim=1)
        weights = (self.config.p * local_sharpness(burst)).softmax(dim=1)
        return (weights * burst).sum(dim=1)

    def _picture(self, features: Tensor, base: Tensor) -> Tensor:
        """Turn features into display codes; (B, C, H, W) and (B, 3, H, W) to (B, 3, H, W)."""
        codes: Tensor = self.head(features)
        if self.config.residual:
            return base + CONTRAST * codes
        return GREY + CONTRAST * codes


def local_sharpness(burst: Tensor) -> Tensor:
    """Compare how much detail the frames have around each pixel.

    Detail is the energy between means over 3 and 9 px, which shake takes, less the noise there,
    which what lies above tells of. The frames' mean energy is added: where there is little
    detail, or much noise, all frames are alike.

    Args:
        burst: display-coded frames; (N, F, 3, H, W), sides multiples of four.

    Returns:
        Its logarithm; (N, F, 1, H, W).
    """
    grey = burst.float().mean(dim=2).flatten(0, 1).unsqueeze(1)
    fine, coarse = _box(grey, 3), _box(grey, 9)
    noise, energy = _energy(grey - fine), _energy(fine - coarse)
    detail = (energy - _NOISE_THERE * noise).clamp_min(0)
    shape = (*burst.shape[:2], 1, *energy.shape[-2:])
    level = detail.view(shape) + energy.view(shape).mean(dim=1, keepdim=True) + _NOTHING
    wide = F.interpolate(level.log().flatten(0, 1), scale_factor=4, mode="bilinear")
    return wide.view(*burst.shape[:2], 1, *burst.shape[-2:])


def _energy(band: Tensor) -> Tensor:
    """Average squares over neighbourhoods; (B, 1, H, W) to (B, 1, H / 4, W / 4)."""
    return _box(F.avg_pool2d(band.square(), 4), _AROUND)


def _box(picture: Tensor, side: int) -> Tensor:
    """Average over squares; beyond the edges nothing counts; (B, 1, H, W)."""
    for kernel in ((side, 1), (1, side)):
        padding = (kernel[0] // 2, kernel[1] // 2)
        picture = F.avg_pool2d(picture, kernel, 1, padding, count_include_pad=False)
    return picture


def _fit(layer: nn.Module, parts: tuple[Any, ...]) -> None:
    assert isinstance(layer, Layer)
    layer.fit(*parts)


def _add(frames: Tensor, part: Tensor) -> Tensor:
    """Add to the features of frames what is theirs or what their burst shares."""
    if len(part) == len(frames):
        return frames + part
    each = frames.view(len(part), -1, *frames.shape[1:])
    return (each + part[:, None]).flatten(0, 1)


def receptive_radius() -> int:
    """Follow the longest way, from a cell of the output back to what it reads of the input."""
    halvings = len(_DOWN) + 1
    first, last = 0, (1 << halvings) - 1  # a cell
    first, last = first - 3, last + 3  # the head's and the last unit's 3x3
    for _ in range(halvings):
        first, last = (first - 1) // 2, (last + 1) // 2  # doubling by 4x4
        first, last = first - 1, last + 1  # 3x3
    for _ in range(halvings):
        first, last = 2 * first - 1, 2 * last + 2  # halving by 4x4
    first, last = first - 1, last + 1  # the first 3x3
    return max(-first, last + 1 - (1 << halvings))


BACKEND = Backend(
    "aittala",
    Config,
    AittalaNetwork,
    "permutation-invariant U-Net after Aittala and Durand 2018, deblurs and denoises",
)
