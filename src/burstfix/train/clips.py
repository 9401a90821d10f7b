"""Clips of films for training: exposed from real frames, and aligned as `video` aligns them."""

import random

import torch
from torch import Tensor

from burstfix.align.flow import (
    FlowBurst,
    Motion,
    find_flow,
    grey_of,
    make_motion,
)
from burstfix.align.homography import Picture, reduction_for
from burstfix.align.plane import plane_motion
from burstfix.backends.base import Alignment, film_descriptor
from burstfix.frame import Box, TensorPixels
from burstfix.io.store import reduced_luminance
from burstfix.synth.burst import SyntheticBurst
from burstfix.synth.video import FilmedClips, VideoSettings


def align_clips(filmed: FilmedClips, settings: VideoSettings) -> SyntheticBurst:
    """Bring the neighbours of every clip to the middle frame's geometry.

    Flow is found as in films, on the CPU, so that a network meets the flow's own faults.

    Args:
        filmed: clips of any device.
        settings: how neighbours are aligned.

    Returns:
        The clips on their device; neighbours that are missing, or cannot be aligned, count as
        unseen.
    """
    device = filmed.frames.device
    count, frames = filmed.frames.shape[:2]
    there, light = filmed.there.tolist(), filmed.frames.cpu()
    inner = Box(0, 0, settings.crop, settings.crop).shift(settings.guard, settings.guard)
    aligned = []
    for clip, shown, factor in zip(light, there, filmed.factors, strict=True):
        motions = _motions(clip, shown, settings.alignment, factor)
        aligned.append(FlowBurst([TensorPixels(frame) for frame in clip], motions).read(inner))
    burst = torch.stack([pixels for pixels, _ in aligned]).to(device)
    seen = torch.stack([part for _, part in aligned]).to(device) * filmed.edges
    return SyntheticBurst(
        frames=torch.lerp(burst[:, :1].expand_as(burst), burst, filmed.edges),
        truth=filmed.truth,
        seen=seen,
        descriptor=film_descriptor(frames).to(device).repeat(count, 1, 1),
        psfs=filmed.psfs,
        source_from_reference=torch.eye(3, device=device).repeat(count, frames, 1, 1),
    )


def _motions(
    clip: Tensor, there: list[bool], alignment: Alignment, factor: int
) -> list[Motion | None]:
    """Find how the neighbours (F, 3, w, w) after a frame lie to it; None: unseen."""
    size = clip.shape[-2], clip.shape[-1]
    if alignment == "none":
        return [Motion.still(size) if shown else None for shown in there[1:]]
    reference = grey_of(clip[0], factor)
    motions: list[Motion | None] = []
    for frame, shown in zip(clip[1:], there[1:], strict=True):
        if not shown:
            motions.append(None)
            continue
        if alignment == "homography":
            one, other = (_luminance(view) for view in (clip[0], frame))
            motion = plane_motion(one, other, size)
        else:
            grey = grey_of(frame, factor)
            flows = find_flow(reference, grey), find_flow(grey, reference)
            motion = make_motion(reference, grey, *flows, factor)
        motions.append(motion if motion.ok else None)
    return motions


def _luminance(light: Tensor) -> Picture:
    factor = reduction_for((light.shape[-2], light.shape[-1]))
    picture: Picture = reduced_luminance(TensorPixels(light), factor).numpy()
    return picture


def draw_exposures(
    settings: VideoSettings, frames: int, there: int, dice: random.Random
) -> list[int]:
    """Draw which sharp frames of a clip become its exposures.

    Args:
        settings: how many sharp frames an exposure has, and what share of the time is exposed.
        frames: exposures, an odd number.
        there: sharp frames that there are, at least three for each exposure.
        dice: draws.

    Returns:
        Numbers of the sharp frames, those of an exposure side by side; an odd number of each.
    """
    low, high = settings.moments
    most = (there // frames - 1) // 2
    span = 2 * dice.randint(min(low // 2, most), min(high // 2, most)) + 1
    room = (there - span) // (frames - 1) if frames > 1 else span
    longest = max(span, min(room, int(span / settings.duty[0])))
    step = dice.randint(min(longest, round(span / settings.duty[1])), longest)
    return [number * step + moment for number in range(frames) for moment in range(span)]
