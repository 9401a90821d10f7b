"""Batches of short noisy and long shaken exposures of one scene, with their truth."""

import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from burstfix import color
from burstfix.synth import sensor
from burstfix.synth.aligned import align, code_truth, describe, match_exposure, see
from burstfix.synth.burst import SyntheticBurst, cut_scenes
from burstfix.synth.film import FilmSettings, film, still_psfs
from burstfix.synth.matched import doubt, forget_gain, tell_noise, tint_dark
from burstfix.synth.plan import (
    GUARD,
    MARGIN,
    BurstSettings,
    CameraSettings,
    Plan,
    Range,
    draw_plan,
    log_uniform,
    uniform,
)
from burstfix.synth.record import record
from burstfix.synth.sequence import Film

SHOT_BELOW = 0.5  # of the long exposure's light: where the paper's noise is shot noise; our choice
INTENSITIES = 256  # of an 8-bit picture: the scale of the paper's shot noise


@dataclass(frozen=True, kw_only=True)
class PairSettings(FilmSettings):
    """Ranges and probabilities of what befalls a pair.

    The settings of `CameraSettings` hold for both frames; `noise` is the short one's, after it
    was brought to the long one's exposure.
    """

    psf_size: int = 65
    noise: Range = (0.015, 0.15)
    light: Range = (0.1, 0.8)  # what the short frame got of the long one's light, log-uniform
    amplified_share: float = 0.5  # pairs whose camera brightened the short frame itself
    unknown_gain_share: float = 0.2  # pairs whose descriptor does not tell how much
    extent: Range = (1.0, 30.0)  # of the long frame's shake [px], log-uniform
    exposure_s: Range = (0.02, 0.25)  # of the long frame, log-uniform
    moments: tuple[int, int] = (6, 24)  # sharp frames in a long exposure: about one a pixel
    gap: tuple[int, int] = (1, 6)  # sharp frames that are lost between two exposures
    drift: float = 0.0  # share of the camera's drift between frames that alignment leaves
    centroid_miss: float = 0.05  # of the extent, by which alignment misses the blur's centroid
    stranger_share: float = 0.04  # the last long frame shows another scene
    dark_cast: float = 0.0  # deviation of a short JPEG's colours in the dark [its linear light]
    doubt_share: float = 0.0  # of JPEG pairs: where the long frame seems to show other things
    measured_noise_share: float = 0.0  # of pairs whose files do not tell the short frame's noise
    measuring_error: float = 0.5  # deviation of the logarithm of the variance so measured
    published_noise: bool = False  # of Zhang et al. 2019, on sRGB codes, instead of a sensor's


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """When frames are exposed, in sharp frames of a sequence.

    Args:
        times: of all moments, those of a frame side by side; (T,).
        frames: where each frame's moments lie in `times`.
        shorts: how many frames are short; they come first.
    """

    times: Tensor
    frames: tuple[range, ...]
    shorts: int

    @property
    def span(self) -> int:
        """Moments of a long exposure."""
        return len(self.frames[-1])

    @property
    def frame_of(self) -> list[int]:
        """The frame that each moment belongs to."""
        return [number for number, moments in enumerate(self.frames) for _ in moments]


def synthesize_pairs(
    photos: Tensor, settings: PairSettings, generator: torch.Generator, frames: int = 2
) -> SyntheticBurst:
    """Degrade photographs into pairs; one crop of each becomes one pair.

    After Zhang et al. 2019, section III-C: of a sequence of sharp frames the first becomes the
    noisy one and the truth, the next are lost, the others are averaged into the blurry one. The
    sequence is filmed in the photograph; both frames pass a sensor, a camera, and alignment.

    Args:
        photos: linear light, 1 = white, at least `burst.photo_side` a side; (N, 3, H, W).
        settings: how strong and how frequent every degradation is.
        generator: draws everything; same device as `photos`.
        frames: in each pair; of more than two, the first are short and the last are long.

    Returns:
        Pairs with the short frame at index 0, brought to the long frame's exposure; its geometry
        and the last frame's colour are the truth's.
    """
    if frames < 2:
        raise ValueError("A pair has two frames or more.")
    extent = log_uniform((len(photos),), settings.extent, generator)
    line = draw_timeline(frames, float(extent.max()), settings, generator)
    plan, light = _draw(len(photos), line, settings, generator)
    scenes = cut_scenes(photos, settings, plan)
    others = scenes.roll(1, dims=0).flip(-1)
    scenes = sensor.restore_highlights(scenes, others, plan.highlight)
    bright = plan.brightness.view(-1, 1, 1, 1)
    sequence = film(
        scenes * bright,
        others * bright,
        times=line.times,
        frames_per_s=line.span / log_uniform((len(photos),), settings.exposure_s, generator),
        exposed=line.frames[-1],
        extent=extent,
        margin=MARGIN,
        settings=settings,
        generator=generator,
    )
    truth = sequence.frame(0).clamp(0, 1)
    sequence = _register(sequence, line, plan, extent, settings, generator)
    exposed = expose(sequence, line)
    psfs = torch.stack(
        [still_psfs(sequence, moments, settings.psf_size) for moments in line.frames], dim=1
    )
    return _photograph(exposed, truth, psfs, line, (plan, light), settings, generator)


def pairs_of_clips(
    clips: Tensor, settings: PairSettings, generator: torch.Generator
) -> SyntheticBurst:
    """Make pairs of real sharp frames in quick succession, as Zhang et al. 2019 do.

    What the camera drifts between the first frame and the others stays: nobody knows it. Light
    beyond white is lost, and no point spread functions are known.

    Args:
        clips: 4 or more consecutive frames, linear light, `burst.clip_side` a side;
            (N, T, 3, h, w).
        settings: what befalls the pairs, but for their motion.
        generator: draws everything; same device as `clips`.

    Returns:
        Pairs as `synthesize_pairs` makes them; nobody knows how the long frame was shaken.
    """
    count, moments = clips.shape[:2]
    line = Timeline(
        times=torch.arange(moments - 1.0, device=clips.device),
        frames=(range(1), range(1, moments - 1)),
        shorts=1,
    )
    plan, light = _draw(count, line, settings, generator)
    plan = replace(plan, shift=torch.zeros_like(plan.shift))
    bright = plan.brightness.view(-1, 1, 1, 1)
    # The second frame is lost between the exposures.
    exposed = torch.stack([clips[:, 0] * bright, clips[:, 2:].mean(dim=1) * bright], dim=1)
    size = settings.psf_size
    psfs = torch.zeros(count, 2, size, size, device=clips.device)
    psfs[:, 0, size // 2, size // 2] = 1
    truth = exposed[:, 0].clamp(0, 1)
    return _photograph(exposed, truth, psfs, line, (plan, light), settings, generator)


def _photograph(
    exposed: Tensor,
    truth: Tensor,
    psfs: Tensor,
    line: Timeline,
    drawn: tuple[Plan, Tensor],
    settings: PairSettings,
    generator: torch.Generator,
) -> SyntheticBurst:
    """Pass light through sensor, camera, alignment and exposure matching.

    Args:
        exposed: of every frame as if all were exposed alike, linear; (N, F, 3, w, w).
        truth: as the first frame lies, 0 to 1; (N, 3, w, w).
        psfs: of every frame; (N, F, k, k).
        line: which frames are short.
        drawn: the plan, and what the short frames get of the light, (N,).
        settings: what befalls the pairs.
        generator: draws noise and misalignment.
    """
    plan, light = drawn
    exposed, psfs = _mistake(exposed, psfs, settings, generator)
    if settings.published_noise:
        recorded = publish(exposed, light, line, generator)
    else:
        recorded = record(exposed, settings, plan, generator)
    aligned, homographies = align(recorded, settings, plan, generator)
    gain_ev = match_exposure(aligned, plan)
    if settings.dark_cast > 0:
        tint_dark(aligned[:, : line.shorts], gain_ev, plan, settings.dark_cast, generator)
    aligned.clamp_max_(1)  # what the long frame would clip is white in the short one too
    seen = see(aligned, settings, plan, generator)
    inner = slice(GUARD, GUARD + settings.crop)
    if settings.doubt_share > 0:
        doubt(seen[:, line.shorts :], plan, settings.doubt_share, generator)
    truth = code_truth(truth[..., inner, inner], plan)
    descriptor = forget_gain(describe(gain_ev, plan), settings.unknown_gain_share, generator)
    if settings.measured_noise_share > 0:  # draws else not needed would change all fixed pairs
        tell_noise(
            descriptor[:, : line.shorts],
            aligned[:, 0],
            truth,
            share=settings.measured_noise_share,
            error=settings.measuring_error,
            generator=generator,
        )
    return SyntheticBurst(
        frames=torch.lerp(aligned[:, :1], aligned, seen),
        truth=truth,
        seen=seen,
        descriptor=descriptor,
        psfs=psfs,
        source_from_reference=homographies,
    )


def draw_timeline(
    frames: int, extent: float, settings: PairSettings, generator: torch.Generator
) -> Timeline:
    """Draw when each frame of a batch is exposed; the short ones come before or after."""
    dice = torch.rand(3 + frames, generator=generator, device=generator.device).tolist()
    longs = 1 + int(dice[0] * (frames - 1))
    low, high = settings.moments
    span = max(low, min(high, math.ceil(extent)))
    direction = 1 if dice[1] < 0.5 else -1
    times, ranges, now = [0], [range(0, 1)], 1
    for number in range(1, frames):
        first, last = settings.gap
        now += first + int(dice[2 + number] * (last - first + 1))
        length = span if number >= frames - longs else 1
        ranges.append(range(len(times), len(times) + length))
        times += range(now, now + length)
        now += length
    order = torch.tensor(times, dtype=torch.float32, device=generator.device)
    return Timeline(times=direction * order, frames=tuple(ranges), shorts=frames - longs)


def expose(sequence: Film, line: Timeline) -> Tensor:
    """Expose every frame: the mean of its moments, in linear light; (N, F, 3, h, w)."""
    light = [sequence.average(moments) for moments in line.frames]
    return torch.stack(light, dim=1).clamp_min_(0)  # cubic samples overshoot


def publish(light: Tensor, share: Tensor, line: Timeline, generator: torch.Generator) -> Tensor:
    """Darken the short frames and add noise as Zhang et al. 2019 do, section III-C.

    Short frames with little light get shot noise, after equation (8); the others read noise of a
    deviation between 0.05 and 0.1. Long frames get read noise, of a variance as much smaller as
    they have moments. All on sRGB codes, since the paper's frames are coded. What is little light
    the paper does not tell.

    Args:
        light: of every frame as if all were exposed alike, linear; (N, F, 3, h, w).
        share: what the short frames get of it, 0 to 1; (N,).
        line: which frames are short, and how many moments the long ones have.
        generator: draws the noise; same device as `light`.

    Returns:
        Linear light between 0 and 1, the short frames dark; (N, F, 3, h, w).
    """
    dimmed = torch.cat(
        [light[:, : line.shorts] * share.view(-1, 1, 1, 1, 1), light[:, line.shorts :]], dim=1
    )
    codes = color.encode(dimmed.clamp(0, 1), color.SRGB)
    deviation = uniform((len(light), 1, 1, 1, 1), (0.05, 0.1), generator)
    read = torch.randn(codes.shape, generator=generator, device=codes.device) * deviation
    read[:, line.shorts :] /= math.sqrt(line.span)
    shot = torch.poisson(codes * INTENSITIES, generator=generator) / INTENSITIES
    poor = (share < SHOT_BELOW).view(-1, 1, 1, 1, 1).expand(-1, light.shape[1], -1, -1, -1).clone()
    poor[:, line.shorts :] = False
    return color.decode(torch.where(poor, shot, codes + read).clamp(0, 1), color.SRGB)


def _draw(
    count: int, line: Timeline, settings: PairSettings, generator: torch.Generator
) -> tuple[Plan, Tensor]:
    """Draw what befalls pairs: as for bursts, but exposures and noise are of two kinds.

    Returns:
        The plan; and what the short frames get of the long ones' light, (N,).
    """
    shared = {field.name: getattr(settings, field.name) for field in fields(CameraSettings)}
    nothing = BurstSettings(
        **shared, rotating_share=0, moving_share=0, ruined_share=0, bracket_share=0
    )
    plan = draw_plan(count, len(line.frames), nothing, generator)
    light = log_uniform((count,), settings.light, generator)
    dice = torch.rand(count, generator=generator, device=generator.device)
    gain = torch.where(dice < settings.amplified_share, 1, 1 / light).unsqueeze(1)
    short = torch.arange(len(line.frames), device=generator.device) < line.shorts
    share = light.unsqueeze(1)
    shot = torch.where(short, plan.shot / gain, plan.shot * share)
    # A sensor's read noise, counted in electrons, is larger where it amplifies less.
    read = torch.where(short, plan.read / gain.square(), plan.read * share**1.5)
    plan = replace(
        plan,
        exposure_ev=torch.where(short, -gain.log2(), 0.0),
        shot=shot,
        read=read,
        noise_known=plan.noise_known & (not settings.published_noise),
        # The last frame gives the brightness and the colour.
        gain_error=plan.gain_error.roll(-1, dims=1),
        drift=plan.drift.roll(-1, dims=1),
    )
    return plan, light


def _register(
    sequence: Film,
    line: Timeline,
    plan: Plan,
    extent: Tensor,
    settings: PairSettings,
    generator: torch.Generator,
) -> Film:
    """Bring each frame's centroid to where the first frame lies, nearly, and place it."""
    frame_of = torch.tensor(line.frame_of, device=extent.device)
    means = [sequence.path[:, list(moments)].mean(dim=1) for moments in line.frames]
    rest = (1 - settings.drift) * torch.stack(means, dim=1)
    normal = torch.randn(*rest.shape[:2], 2, generator=generator, device=extent.device)
    miss = settings.centroid_miss * extent.view(-1, 1, 1) * normal
    miss[:, : line.shorts] = 0
    rest[..., :2] += miss
    rest[:, 0] = 0
    return replace(sequence, rest=rest[:, frame_of], shift=plan.shift[:, frame_of])


def _mistake(
    light: Tensor, psfs: Tensor, settings: PairSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Give some pairs a long frame of another scene, whose blur is then not known."""
    dice = torch.rand(len(light), 1, 1, 1, generator=generator, device=light.device)
    strange = dice < settings.stranger_share
    last = torch.where(strange, light[:, -1].roll(1, dims=0).flip(-1), light[:, -1])
    unknown = torch.where(strange[:, 0], 0.0, psfs[:, -1])
    light = torch.cat([light[:, :-1], last.unsqueeze(1)], dim=1)
    return light, torch.cat([psfs[:, :-1], unknown.unsqueeze(1)], dim=1)
