"""Between the planes of a film's picture and linear light.

Colour differences are stored at half the resolution. They are brought to full resolution by
linear interpolation, and back by the filters that are biorthogonal to it (Cohen, Daubechies and
Feauveau 1992: the 5/3 pair across, where they lie on every second luma sample, the 3/3 pair down,
where they lie between two). So what nothing touched comes back as it was, to the code.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from burstfix.color import decode, encode
from burstfix.frame import Curve, Size

Plane = npt.NDArray[Any]  # codes; uint8, or uint16 where they have more than 8 bits
Chroma = Literal["420", "422", "444", "gray", "rgb"]

_ACROSS = (-1 / 8, 2 / 8, 6 / 8, 2 / 8, -1 / 8)  # around a luma sample that a chroma one lies on
_DOWN = tuple(tap / 64 for tap in (3, -9, -7, 45, 45, -7, -9, 3))  # around the middle of two


@dataclass(frozen=True, kw_only=True)
class PlaneFormat:
    """How planes code light.

    Args:
        size: (height, width) of the picture.
        chroma: at what resolution colour differences are stored; rgb planes are G, B, R.
        bits: of a code.
        full: whether codes use their full range.
        luma: weights of red and blue in luma.
        curve: how light is coded.
    """

    size: Size
    chroma: Chroma
    bits: int
    full: bool
    luma: tuple[float, float]
    curve: Curve

    @property
    def shapes(self) -> tuple[Size, ...]:
        """(height, width) of each plane."""
        height, width = self.size
        if self.chroma == "gray":
            return (self.size,)
        small = (
            -(-height // 2) if self.chroma == "420" else height,
            -(-width // 2) if self.chroma in {"420", "422"} else width,
        )
        return self.size, small, small

    def with_bits(self, chroma: Chroma, bits: int) -> "PlaneFormat":
        """Return the same with another resolution and depth."""
        return replace(self, chroma=chroma, bits=bits)


def to_light(planes: tuple[Plane, ...], kind: PlaneFormat) -> Tensor:
    """Decode a picture's planes to linear light.

    Args:
        planes: codes, of the shapes that `kind` tells.
        kind: what the codes mean.

    Returns:
        Linear light, not clipped: codes beyond white and colours beyond the primaries stay;
        (3, H, W) float32.
    """
    offset, scale, middle, spread = _levels(kind)
    if kind.chroma == "rgb":
        green, blue, red = (_floats(plane).sub_(offset).div_(scale) for plane in planes)
        return decode(torch.stack([red, green, blue]), kind.curve)
    luma = _floats(planes[0]).sub_(offset).div_(scale)
    if kind.chroma == "gray":
        return decode(luma, kind.curve).expand(3, -1, -1).contiguous()
    small = torch.stack([_floats(plane) for plane in planes[1:]]).sub_(middle).div_(spread)
    difference = _enlarge(small, kind)
    red_weight, blue_weight = kind.luma
    coded = torch.empty((3, *kind.size))
    torch.add(luma, difference[1], alpha=2 * (1 - red_weight), out=coded[0])
    torch.add(luma, difference[0], alpha=2 * (1 - blue_weight), out=coded[2])
    green = coded[1].copy_(luma)
    green.sub_(coded[0], alpha=red_weight).sub_(coded[2], alpha=blue_weight)
    green.div_(1 - red_weight - blue_weight)
    return decode(coded, kind.curve)


def to_planes(light: Tensor, kind: PlaneFormat) -> tuple[Plane, ...]:
    """Code linear light as planes: the inverse of `to_light`; clipped to the codes' range.

    Args:
        light: (3, H, W) float32.
        kind: what the codes shall mean.

    Raises:
        ValueError: the light is not finite.
    """
    offset, scale, middle, spread = _levels(kind)
    coded = encode(light, kind.curve)
    if not bool(torch.isfinite(coded.sum())):
        raise ValueError("The picture holds values that are no numbers.")
    if kind.chroma == "rgb":
        red, green, blue = coded
        return tuple(_codes(part * scale + offset, kind) for part in (green, blue, red))
    red_weight, blue_weight = kind.luma
    luma = coded[1] * (1 - red_weight - blue_weight)
    luma.add_(coded[0], alpha=red_weight).add_(coded[2], alpha=blue_weight)
    planes = [_codes(luma * scale + offset, kind)]
    if kind.chroma != "gray":
        difference = torch.stack([coded[2], coded[0]]).sub_(luma)
        difference[0].div_(2 * (1 - blue_weight))
        difference[1].div_(2 * (1 - red_weight))
        small = _reduce(difference, kind).mul_(spread).add_(middle)
        planes += [_codes(plane, kind) for plane in small]
    return tuple(planes)


def _levels(kind: PlaneFormat) -> tuple[float, float, float, float]:
    """Return luma's black and range, and the middle and range of colour differences."""
    step = 2.0 ** (kind.bits - 8)
    middle = 128 * step
    if kind.full:
        top = 2.0**kind.bits - 1
        return 0.0, top, middle, top
    return 16 * step, 219 * step, middle, 224 * step


def _floats(plane: Plane) -> Tensor:
    return torch.from_numpy(plane.astype(np.float32))


def _codes(values: Tensor, kind: PlaneFormat) -> Plane:
    """Round and clip to codes."""
    top = 2**kind.bits - 1
    rounded = values.add(0.5).clamp_(0, top + 0.5)
    return rounded.numpy().astype(np.uint8 if kind.bits == 8 else np.uint16)


def _enlarge(small: Tensor, kind: PlaneFormat) -> Tensor:
    """Interpolate colour differences; (2, h, w) to (2, H, W)."""
    height, width = kind.size
    if kind.chroma == "420":
        padded = F.pad(small[None], (0, 0, 1, 1), mode="replicate")[0]
        tall = torch.empty((2, 2 * small.shape[1], small.shape[2]))
        torch.lerp(small, padded[:, :-2], 0.25, out=tall[:, 0::2])
        torch.lerp(small, padded[:, 2:], 0.25, out=tall[:, 1::2])
        small = tall[:, :height]
    if kind.chroma in {"420", "422"}:
        wide = torch.empty((2, small.shape[1], 2 * small.shape[2]))
        wide[..., 0::2] = small
        wide[..., 1:-1:2] = (small[..., :-1] + small[..., 1:]) / 2
        wide[..., -1] = small[..., -1]
        small = wide[..., :width]
    return small


def _reduce(large: Tensor, kind: PlaneFormat) -> Tensor:
    """Bring colour differences to the resolution they are stored in; (2, H, W) to (2, h, w)."""
    if kind.chroma in {"420", "422"}:
        # Mirrored about the first and the last sample, as interpolation goes on there.
        padded = _mirrored(large, -1, (2, 2), odd=True)
        large = _filtered(padded, -1, _ACROSS)
    if kind.chroma == "420":
        padded = _mirrored(large, -2, (3, 3), odd=False)
        large = _filtered(padded, -2, _DOWN)
    return large


def _mirrored(picture: Tensor, axis: int, margins: tuple[int, int], *, odd: bool) -> Tensor:
    """Continue an axis by its mirror, and to an even length; about samples or between them.

    Args:
        picture: any tensor.
        axis: along which.
        margins: how many samples to add before and after.
        odd: whether the mirrors stand on the outermost samples, else half a sample beyond.
    """
    length = picture.shape[axis]
    position = torch.arange(-margins[0], length + length % 2 + margins[1])
    if odd:
        period = max(2 * (length - 1), 1)
        position = (position % period).clamp_max(length - 1 + period)
        position = torch.minimum(position, period - position)
    else:
        position = position % (2 * length)
        position = torch.minimum(position, 2 * length - 1 - position)
    return picture.index_select(axis, position.clamp(0, length - 1))


def _filtered(padded: Tensor, axis: int, taps: tuple[float, ...]) -> Tensor:
    """Sum every second sample's neighbours along an axis, weighted."""
    count = (padded.shape[axis] - len(taps)) // 2 + 1
    total = torch.zeros(())
    for number, tap in enumerate(taps):
        index = [slice(None)] * padded.ndim
        index[axis] = slice(number, number + 2 * count - 1, 2)
        total = torch.add(total, padded[tuple(index)], alpha=tap)
    return total
