"""Turns a training sample into another of the same blur (Nah et al. 2017, section 3.2)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from burstfix.color import SRGB, decode, encode


@dataclass(frozen=True, kw_only=True)
class AugmentSettings:
    """What may be changed; the defaults are the paper's, without its noise.

    Args:
        flips: mirrors across and down, each in half of the samples.
        turns: turns by 0, 90, 180 or 270 degrees, evenly; by 0 or 180 where sides differ.
        permutes: puts the three colours into any order.
        saturation: the HSV saturation of display codes is multiplied by a factor between these.
        noise: deviation of the normal draw whose magnitude is the deviation of the noise, in
            display codes of 0 to 1; the paper's is 2 / 255. At 0 nothing is clipped either.
    """

    flips: bool = True
    turns: bool = True
    permutes: bool = True
    saturation: tuple[float, float] = (0.5, 1.5)
    noise: float = 0.0

    def __post_init__(self) -> None:
        low, high = self.saturation
        if not 0 <= low <= high or self.noise < 0:
            raise ValueError("saturation is two factors, at least 0 and rising; noise at least 0")


def augment(pictures: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Change truth and inputs of each sample alike; add noise to the inputs where it is asked for.

    Args:
        pictures: truth first, then the inputs, in linear light; (N, K, 3, H, W) float32.
        settings: what may be changed.
        generator: draws the changes; same device as `pictures`.

    Returns:
        Linear light of the same shape. Only with noise are the inputs clipped, to 0 to 1.
    """
    samples, height, width = len(pictures), *pictures.shape[-2:]
    draws = torch.rand(samples, 5, generator=generator, device=pictures.device).tolist()
    changed = torch.empty_like(pictures)
    for number, (across, down, turn, order, factor) in enumerate(draws):
        sample = pictures[number]
        if settings.flips:
            sample = sample.flip([axis for axis, dice in ((-1, across), (-2, down)) if dice < 0.5])
        if settings.turns:
            quarters = int(4 * turn) if height == width else 2 * int(2 * turn)
            sample = sample.rot90(quarters, (-2, -1))
        if settings.permutes:
            sample = sample[:, _ORDERS[int(6 * order)]]
        low, high = settings.saturation
        if low != 1 or high != 1:
            codes = saturate(encode(sample, SRGB), low + factor * (high - low))
            sample = decode(codes, SRGB)
        changed[number] = sample
    if settings.noise:
        changed[:, 1:] = _noisy(changed[:, 1:], settings.noise, generator)
    return changed


def saturate(codes: Tensor, factor: float) -> Tensor:
    """Multiply the saturation of HSV, which ends at 1; hue and value stay.

    With value V, the greatest colour, and saturation S = (V - least) / V, a colour c lies at
    V - S V h by its hue h, so a factor on S is one on V - c.

    Args:
        codes: display codes; (..., 3, H, W).
        factor: at least 0.

    Returns:
        Display codes of the same shape.
    """
    value, least = codes.amax(dim=-3, keepdim=True), codes.amin(dim=-3, keepdim=True)
    # Noise below black is more than saturated already, and is left at that.
    most = (value / (value - least).clamp_min(1e-12)).clamp_min(1)
    return value - most.clamp_max(factor) * (value - codes)


def _noisy(light: Tensor, spread: float, generator: torch.Generator) -> Tensor:
    """Add noise to display codes, of a deviation of its own for each sample, and clip."""
    device = light.device
    deviation = spread * torch.randn(len(light), 1, 1, 1, 1, generator=generator, device=device)
    noise = torch.randn(light.shape, generator=generator, device=device)
    return decode((encode(light, SRGB) + deviation.abs() * noise).clamp(0, 1), SRGB)


_ORDERS = ([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0])
