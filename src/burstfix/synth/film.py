"""Draws how a scene is filmed by hand: the camera's path, depth, and things that cross."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from burstfix.synth import motion, psf
from burstfix.synth.plan import CameraSettings, Range, log_uniform, uniform
from burstfix.synth.sequence import Film, Layer, centre_ways, tremor


@dataclass(frozen=True, kw_only=True)
class FilmSettings(CameraSettings):
    """Ranges and probabilities of what moves while a scene is filmed."""

    focal: Range = (300.0, 3000.0)  # focal lengths [px], log-uniform
    off_axis: float = 0.5  # how far a crop may lie from the optical axis [focal lengths]
    translation: Range = (0.0, 0.5)  # shifts of the camera against its turns
    depth_share: float = 0.4  # part of the scene lies nearer
    nearness: Range = (0.1, 1.5)  # how much farther parallax moves it, as a share
    moving_share: float = 0.35  # a thing moves over the scene; a second one in half of these
    streak: Range = (1.0, 25.0)  # its way during a long exposure [px], log-uniform
    spin_deg: float = 3.0  # its turn during a long exposure, standard deviation


def film(
    scenes: Tensor,
    others: Tensor,
    *,
    times: Tensor,
    frames_per_s: Tensor,
    exposed: range,
    extent: Tensor,
    margin: int,
    settings: FilmSettings,
    generator: torch.Generator,
    span: float | None = None,
) -> Film:
    """Film scenes by hand, registered nowhere: every frame lies as the camera saw it.

    Args:
        scenes: linear light; (N, 3, H, W).
        others: what moving things are cut from; (N, 3, H, W).
        times: moments, counted in frames from where things stand as cut out; (T,).
        frames_per_s: frames a second of each scene; (N,).
        exposed: moments of a long exposure, over which `extent` and streaks count.
        extent: way of the middle of each scene over that exposure, between its two points
            farthest apart [px]; (N,).
        margin: how far frames lie within the scenes on every side [px].
        settings: what moves, and how often.
        generator: draws everything; same device as `scenes`.
        span: in what time things go their streaks [frames]; None is as many as are exposed.
    """
    count = len(scenes)
    middle = torch.tensor(scenes.shape[-2:], device=scenes.device).flip(0).float().sub(1) / 2
    focal = log_uniform((count,), settings.focal, generator)
    away = focal.view(-1, 1) * uniform(
        (count, 2), (-settings.off_axis, settings.off_axis), generator
    )
    path = tremor(count, times, generator, frames_per_s=frames_per_s)
    path = path * _units(focal, settings, generator).unsqueeze(1)
    ways = centre_ways(path, middle + away, middle)
    ways = ways[:, list(exposed)]
    diameter = torch.cdist(ways, ways).amax(dim=(1, 2)).clamp_min(1e-6)
    path = path * (extent / diameter).view(-1, 1, 1)
    still = path[:, times.abs().argmin()].unsqueeze(1)
    return Film(
        scenes=scenes,
        layers=_layers(scenes, others, span or len(exposed), settings, generator),
        margin=margin,
        times=times,
        path=path - still,
        rest=torch.zeros_like(path),
        shift=torch.zeros_like(path[..., :2]),
        focal=focal,
        axis=middle + away,
    )


def still_psfs(sequence: Film, moments: Sequence[int], size: int) -> Tensor:
    """Draw how an exposure blurs the scene behind, in its middle; about the centroid.

    Args:
        sequence: the film.
        moments: the exposure's.
        size: side of the bitmaps, odd; longer ways are cut.

    Returns:
        Point spread functions; (N, size, size).
    """
    middle = torch.tensor(sequence.scenes.shape[-2:], device=sequence.axis.device).flip(0) - 1
    path, focal = sequence.path - sequence.rest, sequence.focal
    ways = -centre_ways(path, sequence.axis, middle.float() / 2, focal)
    own = ways[:, list(moments)]
    room = size // 2 - 1.0
    return psf.splat((own - own.mean(dim=1, keepdim=True)).clamp(-room, room), size)


def _units(focal: Tensor, settings: FilmSettings, generator: torch.Generator) -> Tensor:
    """Return how strongly each coordinate of a path moves, beside a pan of one pixel; (N, 6)."""
    count = len(focal)
    ones = torch.ones_like(focal)
    shifts = uniform((count,), settings.translation, generator)
    # The hand rolls as it pans; ahead it moves about as far as aside, at a distance of `focal`.
    return torch.stack([ones, ones, ones / focal, shifts, shifts, shifts / focal], dim=-1)


def _layers(
    scenes: Tensor,
    others: Tensor,
    span: float,
    settings: FilmSettings,
    generator: torch.Generator,
) -> tuple[Layer, ...]:
    """Cut out what lies nearer, and what moves before it, of some of the scenes."""
    shares = (settings.depth_share, settings.moving_share, settings.moving_share / 2)
    layers = []
    for number, share in enumerate(shares):
        dice = torch.rand(len(scenes), generator=generator, device=scenes.device)
        items = (dice < share).nonzero().squeeze(1)
        if not len(items):
            continue
        if number == 0:
            layers.append(_near(scenes, items, settings, generator))
        else:
            layers.append(_mover(others, items, span, settings, generator))
    return tuple(layers)


def _near(
    scenes: Tensor, items: Tensor, settings: FilmSettings, generator: torch.Generator
) -> Layer:
    """Cut a part of the scenes out that lies nearer than the rest, and stands still."""
    mask = motion.blobs(len(items), scenes.shape[-2:], generator)
    nothing = torch.zeros(len(items), 2, device=scenes.device)
    return Layer(
        items=items,
        picture=torch.cat([scenes[items] * mask, mask], dim=1),
        nearness=uniform((len(items),), settings.nearness, generator),
        velocity=nothing,
        spin=nothing[:, 0],
        centre=nothing,
    )


def _mover(
    others: Tensor,
    items: Tensor,
    span: float,
    settings: FilmSettings,
    generator: torch.Generator,
) -> Layer:
    """Cut things out of other photographs, that move over the scenes."""
    count, device = len(items), others.device
    mask = motion.blobs(count, others.shape[-2:], generator)
    angle = uniform((count,), (0, 2 * math.pi), generator)
    speed = log_uniform((count,), settings.streak, generator) / span
    turn = torch.randn(count, generator=generator, device=device)
    height, width = mask.shape[-2:]
    down = mask.mean(dim=(1, 3)) @ torch.arange(height, device=device).float()
    right = mask.mean(dim=(1, 2)) @ torch.arange(width, device=device).float()
    weight = mask.mean(dim=(1, 2, 3)).clamp_min(1e-6)
    centre = torch.stack([right / width, down / height], dim=-1) / weight.unsqueeze(-1)
    return Layer(
        items=items,
        picture=torch.cat([others[items] * mask, mask], dim=1),
        nearness=torch.zeros(count, device=device),
        velocity=torch.stack([angle.cos(), angle.sin()], dim=-1) * speed.unsqueeze(-1),
        spin=turn * math.radians(settings.spin_deg) / span,
        centre=centre,
    )
