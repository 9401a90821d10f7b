"""Transfer curves both ways, and luminance; pure functions on tensors."""

from functools import lru_cache

import torch
from torch import Tensor

from burstfix.frame import Curve

LINEAR = Curve()
SRGB = Curve(g=2.4, a=1 / 1.055, b=0.055 / 1.055, c=1 / 12.92, d=0.04045)  # IEC 61966-2-1

# IEC 61966-2-1: linear sRGB from CIE XYZ under D65
SRGB_FROM_XYZ = (
    (3.2406, -1.5372, -0.4986),
    (-0.9689, 1.8758, 0.0415),
    (0.0557, -0.2040, 1.0570),
)
ROOT_TOE = 1e-3  # light below which the square root of `to_root` straightens
LUMA = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709: luminance of linear RGB


def decode(codes: Tensor, curve: Curve) -> Tensor:
    """Bring display-coded values to linear light.

    Args:
        codes: coded values, 0 to 1; any shape, float32. Values outside are extended: the
            parametric curves are odd about 0, tables continue at the slope of their ends.
        curve: the coding.

    Returns:
        Linear light of the same shape.
    """
    if curve.table:
        table = _table(curve).to(codes.device)
        positions = torch.linspace(0, 1, len(table), device=codes.device)
        return _interpolate(codes, positions, table)
    if curve == LINEAR:
        return codes.clone()
    magnitude = codes.abs()
    power = (curve.a * magnitude + curve.b).clamp_min(0).pow(curve.g) + curve.e
    light = torch.where(magnitude >= curve.d, power, curve.c * magnitude + curve.f)
    return torch.copysign(light, codes)


def encode(light: Tensor, curve: Curve) -> Tensor:
    """Code linear light for display: the inverse of `decode`.

    Args:
        light: linear light; any shape, float32.
        curve: the coding.

    Returns:
        Coded values of the same shape, not clipped.
    """
    if curve.table:
        table = _table(curve).to(light.device)
        positions = torch.linspace(0, 1, len(table), device=light.device)
        return _interpolate(light, table, positions)
    if curve == LINEAR:
        return light.clone()
    magnitude = light.abs()
    knee = max(curve.a * curve.d + curve.b, 0.0) ** curve.g + curve.e  # rounding may end below 0
    power = ((magnitude - curve.e).clamp_min(0).pow(1 / curve.g) - curve.b) / curve.a
    below = (magnitude - curve.f) / curve.c if curve.c else torch.zeros_like(magnitude)
    return torch.copysign(torch.where(magnitude >= knee, power, below), light)


def to_root(light: Tensor) -> Tensor:
    """Code linear light by a square root: near to how display coding spaces it, and quick.

    The root is straight and odd about 0, where noise goes below; any shape.
    """
    root = light.abs().add_(ROOT_TOE).sqrt_().sub_(ROOT_TOE**0.5)
    return torch.copysign(root, light, out=root)


def from_root(root: Tensor) -> Tensor:
    """Undo `to_root`."""
    light = root.abs().add_(ROOT_TOE**0.5).square_().sub_(ROOT_TOE)
    return torch.copysign(light, root, out=light)


def luminance(rgb: Tensor) -> Tensor:
    """Weigh linear R, G and B to luminance; (..., 3, H, W) to (..., 1, H, W)."""
    weights = torch.tensor(LUMA, dtype=rgb.dtype, device=rgb.device).view(3, 1, 1)
    return (rgb * weights).sum(dim=-3, keepdim=True)


@lru_cache(maxsize=32)
def _table(curve: Curve) -> Tensor:
    """Return the samples as a strictly rising tensor, so that the curve has an inverse."""
    table = torch.tensor(curve.table, dtype=torch.float64).cummax(0).values
    rise = torch.arange(len(table), dtype=torch.float64) * 1e-12
    return (table + rise).float()


def _interpolate(x: Tensor, known_x: Tensor, known_y: Tensor) -> Tensor:
    """Interpolate linearly between rising knots; continue the end segments outside."""
    right = torch.searchsorted(known_x, x.contiguous()).clamp_(1, len(known_x) - 1)
    x0, x1 = known_x[right - 1], known_x[right]
    y0, y1 = known_y[right - 1], known_y[right]
    slope = (y1 - y0) / (x1 - x0).clamp_min(torch.finfo(x.dtype).tiny)
    return y0 + (x - x0) * slope


def _neutral_table(samples: int = 4096) -> tuple[float, ...]:
    """Sample the neutral rendering of raw light: code to light.

    Light is lifted by two thirds of a stop (cameras expose raw files below a JPEG's brightness
    to save highlights), and rolled off above middle grey so that the top stops keep their
    separation instead of clipping: display = 1 - exp-like shoulder that meets (1, 1).
    """
    lift = 2.0 ** (2 / 3)
    light = torch.linspace(0, 1, 65536, dtype=torch.float64) ** 2  # dense near black
    display = lift * light / (1 + (lift - 1) * light)  # slope `lift` at black, 1 at 1
    coded = encode(display, SRGB)
    codes = torch.linspace(0, 1, samples, dtype=torch.float64)
    return tuple(_interpolate(codes, coded, light).tolist())


NEUTRAL = Curve(table=_neutral_table())  # display rendering of raw frames
