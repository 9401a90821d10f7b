"""What alignment and exposure matching leave of recorded frames: nearly the reference's."""

import math

import torch
from torch import Tensor

from burstfix import color
from burstfix.synth import motion
from burstfix.synth.plan import GUARD, CameraSettings, Plan
from burstfix.synth.resample import pixel_grid, sample, transform


def align(
    recorded: Tensor, settings: CameraSettings, plan: Plan, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Bring frames to the reference's geometry as alignment does: nearly.

    Returns:
        Aligned frames (N, F, 3, h, w) and the homographies left over (N, F, 3, 3).
    """
    count, frames = plan.extent.shape
    size = (settings.crop, settings.crop)
    device = recorded.device
    normal = torch.randn(count * frames, 5, 2, generator=generator, device=device)
    strength = torch.rand(count * frames, 2, generator=generator, device=device)
    later = (torch.arange(count * frames, device=device) % frames > 0).float()
    # Few frames are off by much, most by little.
    spread = settings.leftover_px * (0.25 + 3.75 * strength[:, 0] ** 8) * later
    corners = (normal[:, :1] + 0.4 * normal[:, 1:]) * spread.view(-1, 1, 1)
    homographies = motion.corner_homographies(corners, size)
    depth = settings.parallax_px * 2 * strength[:, 1] ** 4 * later
    grid = pixel_grid(size, device=device, dtype=torch.float32)
    points = transform(motion.inverse(homographies), grid)
    points = points + motion.parallax(count * frames, size, depth, generator)
    points = points + (plan.shift.view(-1, 1, 1, 2) + GUARD)
    aligned = sample(recorded.flatten(0, 1), points)
    return aligned.view(count, frames, 3, *size), homographies.view(count, frames, 3, 3)


def match_exposure(aligned: Tensor, plan: Plan) -> Tensor:
    """Bring frames to the reference's exposure in place; return the factors' log2, (N, F)."""
    grey = torch.full_like(plan.exposure_ev, 0.18)
    jpeg = torch.tensor([choice.jpeg for choice in plan.choices], device=grey.device)
    exposed = (grey * plan.exposure_ev.exp2()).clamp_max(0.9)  # a matcher leaves clipped light out
    power = torch.where(jpeg, 1 / plan.gamma, 1).view(-1, 1)
    coded = color.decode(torch.stack([grey, exposed]).pow(power), color.SRGB)
    ratio = torch.where(jpeg.view(-1, 1), coded[0] / coded[1], (-plan.exposure_ev).exp2())
    gain = ratio * plan.gain_error
    aligned *= gain.view(*gain.shape, 1, 1, 1)
    return gain.log2()


def see(
    aligned: Tensor,
    settings: CameraSettings,
    plan: Plan,
    generator: torch.Generator,
    gain_ev: Tensor | None = None,
) -> Tensor:
    """Mark what frames saw: not beyond their edges, nor, where gains darken, what is clipped.

    Args:
        aligned: frames, at the reference's exposure; (N, F, 3, h, w).
        settings: their size.
        plan: which are cut off, and how far; which bursts are bracketed.
        generator: draws the side that is cut off.
        gain_ev: log2 of the factors that brought them there; (N, F). None is none.

    Returns:
        0 or 1; (N, F, 1, h, w).
    """
    count, frames = plan.extent.shape
    side = settings.crop
    device = aligned.device
    quarter = torch.randint(4, (count, frames), generator=generator, device=device)
    axis = torch.arange(side, dtype=torch.float32, device=device)
    down, right = axis.view(-1, 1).expand(side, side), axis.expand(side, side)
    distances = torch.stack([down, right, side - 1 - down, side - 1 - right])
    seen = distances[quarter] >= plan.edge.view(count, frames, 1, 1)
    seen = seen.float().unsqueeze(2)
    for n, choice in enumerate(plan.choices):
        if choice.bracketed and gain_ev is not None:
            gain = gain_ev[n].exp2().view(-1, 1, 1, 1)
            clipped = aligned[n].amax(dim=1, keepdim=True) >= 0.98 * gain
            seen[n] *= ~(clipped & (gain < 0.95))
    return seen


def code_truth(truth: Tensor, plan: Plan) -> Tensor:
    """Give truth the tone curve of its burst, decoded as the burst is; (N, 3, h, w)."""
    jpeg = torch.tensor([choice.jpeg for choice in plan.choices], device=truth.device)
    coded = color.decode(truth.pow(1 / plan.gamma.view(-1, 1, 1, 1)), color.SRGB)
    return torch.where(jpeg.view(-1, 1, 1, 1), coded, truth)


def describe(gain_ev: Tensor, plan: Plan) -> Tensor:
    """Fill the columns of `backends.base.DESCRIPTOR`; (N, F, 4)."""
    gain = gain_ev.exp2()
    # A reader does not tell of noise that the sensor cut at black.
    pedestal = torch.tensor([choice.pedestal for choice in plan.choices], device=gain.device)
    known = (plan.noise_known & (pedestal > plan.read.amax(dim=1).sqrt())).view(-1, 1)
    unknown = torch.full_like(gain, math.nan)
    reference = torch.zeros_like(gain)
    reference[:, 0] = 1
    columns = [
        reference,
        gain_ev,
        torch.where(known, plan.shot * gain, unknown),
        torch.where(known, plan.read * gain**2, unknown),
    ]
    return torch.stack(columns, dim=-1)
