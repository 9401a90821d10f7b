"""Two frames of a film each, and the exact flow between them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from burstfix.synth.augment import AugmentSettings, augment
from burstfix.synth.film import FilmSettings, film
from burstfix.synth.plan import Range, log_uniform
from burstfix.synth.sequence import FRAMES_PER_S

_SCENES = AugmentSettings(saturation=(0.7, 1.4))


@dataclass(frozen=True, kw_only=True)
class FlowSettings(FilmSettings):
    """Ranges and probabilities of what moves between two frames, and of their noise."""

    margin: int = 24  # px of the scene beyond each side of the frames
    extent: Range = (0.5, 20.0)  # way of the scene behind [px], log-uniform
    streak: Range = (1.0, 30.0)  # way of a moving thing [px]
    noise: Range = (0.0005, 0.02)  # deviation in linear light, log-uniform


@dataclass(frozen=True)
class FramePairs:
    """N pairs of frames.

    Args:
        source: linear light; (N, 3, h, w).
        target: likewise.
        flow: target_from_source: what stands at p in the source stands at p + flow in the target,
            (x, y) [px]; (N, 2, h, w).
    """

    source: Tensor
    target: Tensor
    flow: Tensor


def pair_side(settings: FlowSettings) -> int:
    """Return the side of the scenes that `film_pairs` takes [px]."""
    return settings.crop + 2 * settings.margin


def film_pairs(scenes: Tensor, settings: FlowSettings, generator: torch.Generator) -> FramePairs:
    """Film each scene twice.

    Args:
        scenes: linear light, `pair_side` a side; (N, 3, s, s).
        settings: what moves.
        generator: draws everything; same device as `scenes`.
    """
    scenes = augment(scenes.unsqueeze(1), _SCENES, generator)[:, 0]
    extent = log_uniform((len(scenes),), settings.extent, generator)
    sequence = film(
        scenes,
        scenes.roll(1, dims=0).flip(-1),
        times=torch.arange(2.0, device=scenes.device),
        frames_per_s=torch.full_like(extent, FRAMES_PER_S),
        exposed=range(2),
        span=1,
        extent=extent,
        margin=settings.margin,
        settings=settings,
        generator=generator,
    )
    frames = sequence.frames()
    deviation = log_uniform((len(scenes), 1, 1, 1, 1), settings.noise, generator)
    noise = torch.randn(frames.shape, generator=generator, device=frames.device)
    source, target = (frames + deviation * noise).clamp(0, 1).unbind(1)
    return FramePairs(source, target, sequence.flow(0, 1).permute(0, 3, 1, 2).contiguous())
