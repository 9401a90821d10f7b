"""What matching a short exposure with a long one leaves, and what is known of it then."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from burstfix.noise import compare
from burstfix.synth import motion
from burstfix.synth.plan import Plan

_DARK = 0.004  # of a short JPEG's linear light: a code or two of 8 bits, where colours go astray


def tint_dark(
    shorts: Tensor, gain_ev: Tensor, plan: Plan, strength: float, generator: torch.Generator
) -> None:
    """Tint dark places of short JPEGs, slowly varying, as matching leaves them; in place.

    Tone curves, and noise that was clipped at black and smoothed, bend the darkest codes of each
    colour on its own, which gains bring out.

    Args:
        shorts: matched; (N, S, 3, h, w).
        gain_ev: log2 of the factors that matched them and the others; (N, F).
        plan: which are JPEGs.
        strength: deviation of a colour in the dark, before the gain [linear light].
        generator: draws the tints.
    """
    count = len(shorts)
    knots = torch.randn(count, 3, 4, 4, generator=generator, device=shorts.device)
    tint = F.interpolate(knots, shorts.shape[-2:], mode="bilinear", align_corners=True)
    jpeg = torch.tensor([choice.jpeg for choice in plan.choices], device=shorts.device)
    gain = (gain_ev[:, :1].exp2() * jpeg.view(-1, 1)).view(-1, 1, 1, 1, 1)
    dark = (_DARK * gain).clamp_min(1e-6)
    shorts += strength * gain * tint.unsqueeze(1) * dark / (dark + shorts.clamp_min(0))


def doubt(seen: Tensor, plan: Plan, share: float, generator: torch.Generator) -> None:
    """Count places of some long JPEGs as seen in part, as matching does where light differs.

    Args:
        seen: of the long frames, changed in place; (N, L, 1, h, w).
        plan: which are JPEGs.
        share: of the JPEGs, 0 to 1.
        generator: draws the places.
    """
    count, side = len(seen), seen.shape[-1]
    bumps = motion.smooth_noise((count, 1, side, side), 3, generator)
    dice = torch.rand(count, 2, generator=generator, device=seen.device)
    jpeg = torch.tensor([choice.jpeg for choice in plan.choices], device=seen.device)
    doubted = jpeg & (dice[:, 0] < share)
    alike = (3 * bumps + 5 * dice[:, 1].view(-1, 1, 1, 1)).sigmoid()
    seen *= torch.where(doubted.view(-1, 1, 1, 1), alike, 1.0).unsqueeze(1)


def forget_gain(descriptor: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Leave out, of a share of the pairs, how much the short frame was brightened; (N, F, D)."""
    dice = torch.rand(len(descriptor), generator=generator, device=descriptor.device)
    descriptor[dice < share, :, 1] = math.nan
    return descriptor


def tell_noise(
    descriptor: Tensor,
    short: Tensor,
    truth: Tensor,
    *,
    share: float,
    error: float,
    generator: torch.Generator,
) -> None:
    """Tell the short frames' noise where files do not, as one finds it beside a long frame.

    Args:
        descriptor: of the short frames, changed in place; (N, F, D).
        short: the first of them, matched; (N, 3, h, w).
        truth: the same light without noise; (N, 3, h, w).
        share: of such pairs that are told, 0 to 1.
        error: deviation of the logarithm of the variance told.
        generator: draws the errors.
    """
    count = len(short)
    dice = torch.rand(count, generator=generator, device=generator.device)
    errors = torch.randn(count, generator=generator, device=generator.device)
    factors = (errors * error).exp()
    measured = dice < share
    for n in (descriptor[:, 0, 2].isnan() & measured).nonzero().flatten().tolist():
        found = compare(short[n], truth[n])
        if found is not None:
            told = torch.tensor([found.shot, found.read], device=factors.device)
            descriptor[n, :, 2:] = told * factors[n]
