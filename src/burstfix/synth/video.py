"""Batches of short clips of a film, each frame blurred while it was exposed, with the truth."""

from dataclasses import dataclass, fields, replace
from typing import get_args

import torch
from torch import Tensor

from burstfix.backends.base import Alignment
from burstfix.synth import sensor
from burstfix.synth.aligned import code_truth, see
from burstfix.synth.burst import cut_scenes
from burstfix.synth.film import FilmSettings, film, still_psfs
from burstfix.synth.pair import Timeline, expose
from burstfix.synth.plan import (
    BurstSettings,
    CameraSettings,
    Plan,
    Range,
    draw_plan,
    log_uniform,
    uniform,
)
from burstfix.synth.record import record
from burstfix.synth.sequence import Film, centre_ways

_LONGEST = 28.0  # px of a frame's shake: what the margin brings in, and PSFs hold
_GUARD, _MARGIN, _FAR_MARGIN = 16, 24, 48  # px; flow needs more around it than bursts do


@dataclass(frozen=True, kw_only=True)
class VideoSettings(FilmSettings):
    """Ranges and probabilities of what befalls the frames of a film.

    Frames are brought to the middle one's geometry as `alignment` says, which must be what the
    network asks for.
    """

    alignment: Alignment = "flow"
    extent: Range = (0.5, 20.0)  # of the shake of one of the frames [px], log-uniform
    moments: tuple[int, int] = (7, 11)  # sharp frames in an exposure, as many as films average
    duty: Range = (0.25, 1.0)  # share of the time between two frames that is exposed
    interval_s: Range = (1 / 60, 1 / 24)  # between two frames, log-uniform
    off_centre: float = 0.0  # share of the way from the blur's centroid to the middle moment
    coarse_share: float = 0.7  # of clips whose flow is found at half the resolution, as of HD
    missing_share: float = 0.08  # of clips that begin or end here, or at a scene's cut
    noise: Range = (0.001, 0.06)
    streak: Range = (1.0, 20.0)
    white_balance_drift: float = 0.003
    jpeg_share: float = 0.9  # the others are raw, or read from many bits
    quality: Range = (50.0, 98.0)
    subsample_share: float = 0.9
    edge_share: float = 0.03

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alignment not in get_args(Alignment):
            raise ValueError(f"alignment is one of {', '.join(get_args(Alignment))}")
        if not 0 < self.duty[0] <= self.duty[1] <= 1:
            raise ValueError("duty is a share of the time between frames, above 0")
        if not 1 <= self.moments[0] <= self.moments[1]:
            raise ValueError("moments are how many sharp frames make one, at least and at most")

    @property
    def guard(self) -> int:
        """How far frames reach around the crop while they are recorded [px]."""
        return _GUARD

    @property
    def margin(self) -> int:
        """How far scenes reach around that [px]; more where frames lie as they were filmed."""
        return _FAR_MARGIN if self.alignment == "none" else _MARGIN


@dataclass(frozen=True, kw_only=True)
class FilmedClips:
    """N clips of F frames as they are read, not aligned yet; w = `crop` + 2 `guard`.

    Args:
        frames: linear light, the middle frame first, then the others in the order of the film;
            (N, F, 3, w, w).
        truth: what the middle of the middle exposure showed, coded as the frames; of the crop;
            (N, 3, crop, crop).
        psfs: blur of each frame about its centroid, of the still scene in the middle of the
            frame; 0 all over where nobody knows it; (N, F, k, k).
        there: which frames there are; (N, F) bool.
        edges: 1 where a frame lies within its picture; (N, F, 1, crop, crop).
        factors: what sides are divided by where flow is found; of each clip.
        truths: what each frame's middle moment showed, coded and cut likewise; None where that
            was not asked for; (N, F, 3, crop, crop).
    """

    frames: Tensor
    truth: Tensor
    psfs: Tensor
    there: Tensor
    edges: Tensor
    factors: list[int]
    truths: Tensor | None = None


def film_clips(
    photos: Tensor,
    settings: VideoSettings,
    generator: torch.Generator,
    frames: int = 5,
    *,
    every_truth: bool = False,
) -> FilmedClips:
    """Film photographs: a hand-held camera, depth and things that move, all at work in each frame.

    As Su et al. 2017 and Chen et al. 2018 make their frames, light of many moments is averaged,
    behind the camera's curve, and the middle moment is the truth; as for single frames its mean
    of ways lies there. But where neighbours shall not be aligned, they are filmed as if the
    camera's drift between two frames were known, nearly: crops are small, pictures are not, and
    in those a neighbour shows what the frame shows.

    Args:
        photos: linear light, 1 = white, at least `burst.photo_side` a side; (N, 3, H, W).
        settings: how strong and how frequent every degradation is.
        generator: draws everything; same device as `photos`.
        frames: of each clip, an odd number.
        every_truth: whether to render `FilmedClips.truths`.
    """
    if frames % 2 == 0:
        raise ValueError(f"Of {frames} frames none is in the middle.")
    plan = _draw(len(photos), frames, settings, generator)
    scenes = cut_scenes(photos, settings, plan)
    others = scenes.roll(1, dims=0).flip(-1)
    scenes = sensor.restore_highlights(scenes, others, plan.highlight)
    bright = plan.brightness.view(-1, 1, 1, 1)
    extent = log_uniform((len(photos),), settings.extent, generator)
    line, duty = _draw_timeline(frames, float(extent.max()), settings, generator)
    interval_s = log_uniform((len(photos),), settings.interval_s, generator)
    anchor = int(frames * torch.rand((), generator=generator, device=generator.device))
    sequence = film(
        scenes * bright,
        others * bright,
        times=line.times,
        frames_per_s=line.span / (duty * interval_s),
        exposed=line.frames[anchor],  # else the frame that counts would never be a lucky one
        extent=extent,
        margin=settings.margin,
        settings=settings,
        generator=generator,
    )
    sequence = _hold_back(sequence, line, settings)
    truth = sequence.frame(line.span // 2).clamp(0, 1)
    sequence = _register(sequence, line, plan, settings)
    psfs = [still_psfs(sequence, moments, settings.psf_size) for moments in line.frames]
    light = expose(sequence, line)
    clips = _finish(light, truth, torch.stack(psfs, dim=1), plan, settings, generator)
    return replace(clips, truths=_truths(sequence, line, plan, settings)) if every_truth else clips


def _truths(sequence: Film, line: Timeline, plan: Plan, settings: VideoSettings) -> Tensor:
    """Render what the middle moments showed, each where its frame's blur is centred."""
    if settings.alignment != "none":  # frames lie where the middle one does, nearly
        sequence = replace(sequence, rest=sequence.path)
    inner = slice(settings.guard, settings.guard + settings.crop)
    middles = (moments[len(moments) // 2] for moments in line.frames)
    sharp = (sequence.frame(moment)[..., inner, inner].clamp(0, 1) for moment in middles)
    return torch.stack([code_truth(light, plan) for light in sharp], dim=1)


def clips_of_clips(
    clips: Tensor, frames: int, settings: VideoSettings, generator: torch.Generator
) -> FilmedClips:
    """Make clips of real sharp frames in quick succession, as Su et al. 2017 do.

    Light beyond white is lost, and no point spread functions are known.

    Args:
        clips: the sharp frames of each exposure side by side, as many of each, an odd number;
            linear light, `burst.clip_side` a side; (N, F * m, 3, w, w).
        frames: of each clip, F, an odd number.
        settings: what befalls the frames, but for their motion.
        generator: draws everything; same device as `clips`.
    """
    count, moments = len(clips), clips.shape[1] // frames
    if frames % 2 == 0 or moments % 2 == 0 or clips.shape[1] % frames:
        raise ValueError(f"{clips.shape[1]} moments are not {frames} exposures with a middle.")
    plan = _draw(count, frames, settings, generator)
    clips = clips.view(count, frames, moments, *clips.shape[2:])
    clips = clips[:, in_order(frames)] * plan.brightness.view(-1, 1, 1, 1, 1, 1)
    size = settings.psf_size
    psfs = torch.zeros(count, frames, size, size, device=clips.device)
    truth = clips[:, 0, moments // 2].clamp(0, 1)
    return _finish(clips.mean(dim=2), truth, psfs, plan, settings, generator)


def in_order(frames: int) -> list[int]:
    """Return the places in the film of the frames of a clip: the middle one first."""
    middle = frames // 2
    return [middle, *range(middle), *range(middle + 1, frames)]


def _draw(count: int, frames: int, settings: VideoSettings, generator: torch.Generator) -> Plan:
    """Draw what befalls clips: as for bursts, but all frames are exposed alike."""
    shared = {field.name: getattr(settings, field.name) for field in fields(CameraSettings)}
    nothing = BurstSettings(
        **shared,
        rotating_share=0,
        moving_share=0,
        ruined_share=0,
        bracket_share=0,
        exposure_ev=0,
    )
    return draw_plan(count, frames, nothing, generator)


def _draw_timeline(
    frames: int, extent: float, settings: VideoSettings, generator: torch.Generator
) -> tuple[Timeline, float]:
    """Draw when each frame of a batch is exposed; also the share of the time that is exposed."""
    low, high = settings.moments
    half = max(low, min(high, int(extent) + 1)) // 2
    span = 2 * half + 1
    duty = float(uniform((), settings.duty, generator))
    own = torch.arange(-half, half + 1.0, device=generator.device)
    starts = [(place - frames // 2) * span / duty for place in in_order(frames)]
    times = torch.cat([own + start for start in starts])
    ranges = tuple(range(n * span, (n + 1) * span) for n in range(frames))
    return Timeline(times=times, frames=ranges, shorts=0), duty


def _hold_back(sequence: Film, line: Timeline, settings: VideoSettings) -> Film:
    """Shake clips less whose camera goes farther than the scene, or a blur's bitmap, reaches.

    Near the axis, as `film` draws extents; off it some go up to a quarter farther.
    """
    middle = torch.tensor(sequence.scenes.shape[-2:], device=sequence.axis.device).flip(0) - 1
    ways = centre_ways(sequence.path, sequence.axis, middle.float() / 2)
    longest = torch.stack(
        [torch.cdist(own, own).amax(dim=(1, 2)) for own in (ways[:, list(m)] for m in line.frames)]
    ).amax(dim=0)
    factor = (_LONGEST / longest.clamp_min(1e-6)).clamp_max(1)
    if settings.alignment == "none":
        farthest = ways.abs().amax(dim=(1, 2)).clamp_min(1e-6)
        factor = torch.minimum(factor, settings.margin / farthest)
    return replace(sequence, path=sequence.path * factor.view(-1, 1, 1))


def _register(sequence: Film, line: Timeline, plan: Plan, settings: VideoSettings) -> Film:
    """Bring neighbours to where the middle frame lies, nearly, unless they stay as filmed."""
    frame_of = torch.tensor(line.frame_of, device=sequence.path.device)
    means = torch.stack([sequence.path[:, list(m)].mean(dim=1) for m in line.frames], dim=1)
    if settings.alignment == "none":
        rest = ((1 - settings.off_centre) * means[:, :1]).expand_as(means)
        shift = torch.zeros_like(plan.shift)
    else:
        rest = means - settings.off_centre * means[:, :1]
        shift = plan.shift.clone()
        shift[:, 0] = 0
    return replace(sequence, rest=rest[:, frame_of], shift=shift[:, frame_of])


def _finish(
    light: Tensor,
    truth: Tensor,
    psfs: Tensor,
    plan: Plan,
    settings: VideoSettings,
    generator: torch.Generator,
) -> FilmedClips:
    """Pass light through sensor and camera, and lose some neighbours.

    Args:
        light: of every frame, linear; (N, F, 3, w, w).
        truth: (N, 3, w, w).
        psfs: (N, F, k, k).
        plan: what befalls the clips.
        settings: likewise.
        generator: draws noise, and what is lost.
    """
    count, frames = light.shape[:2]
    recorded = record(light, settings, plan, generator)
    inner = slice(settings.guard, settings.guard + settings.crop)
    edges = see(recorded[..., inner, inner], settings, plan, generator)
    dice = torch.rand(3, count, generator=generator, device=generator.device)
    place = torch.tensor(in_order(frames), device=generator.device) - frames // 2
    near = 1 + (frames // 2 * dice[1]).floor()  # the first neighbour that is missing
    side = torch.where(dice[2] < 0.5, -1, 1)
    gone = (place * side[:, None] >= near[:, None]) & (dice[0] < settings.missing_share)[:, None]
    coarse = torch.rand(count, generator=generator, device=generator.device)
    return FilmedClips(
        frames=recorded,
        truth=code_truth(truth[..., inner, inner], plan),
        psfs=psfs,
        there=~gone,
        edges=edges,
        factors=[2 if c < settings.coarse_share else 1 for c in coarse.tolist()],
    )
