"""Batches of single frames, shaken, soft, noisy or clean, with their truth."""

from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from burstfix.synth import psf, sensor
from burstfix.synth.augment import AugmentSettings, augment
from burstfix.synth.burst import (
    SyntheticBurst,
    cut_scenes,
    draw_paths,
    photograph,
    shake,
)
from burstfix.synth.film import FilmSettings, film, still_psfs
from burstfix.synth.plan import (
    MARGIN,
    BurstSettings,
    CameraSettings,
    Plan,
    Range,
    draw_plan,
    log_uniform,
    uniform,
)
from burstfix.synth.sequence import FRAMES_PER_S

Kind = Literal["film", "shake", "defocus", "soft", "noisy", "clean"]
_FILM, _SHAKE, _DEFOCUS, _SOFT, _NOISY, _CLEAN = range(len(get_args(Kind)))


@dataclass(frozen=True, kw_only=True)
class SingleSettings(FilmSettings):
    """Ranges and probabilities of what befalls single frames.

    Kinds: an averaged film; a frame blurred evenly by a shake as in bursts; a defocused one; one
    that is slightly soft; one that is only noisy; one that has no blur and no noise, and went at
    most through JPEG.
    """

    kinds: tuple[Kind, ...] = (  # each equally often; a third is soft, noisy or clean
        *("film",) * 4,
        *("shake",) * 3,
        "defocus",
        "soft",
        "noisy",
        *("clean",) * 2,
    )
    noise: Range = (0.001, 0.1)
    extent: Range = (1.5, 28.0)  # of film, shake and defocus [px], log-uniform
    soft_extent: Range = (0.3, 1.5)
    moments: tuple[int, int] = (7, 41)  # frames of a film; about one for a pixel of shake
    off_centre: float = 0.0  # share of the way from the blur's centroid to the middle frame
    matern_share: float = 0.3  # of shakes
    defocus: Range = (0.0, 0.5)  # scatter of the points of a shake [px]
    rotating_share: float = 0.1  # of shakes
    permutes: bool = True  # colours, as Nah et al. do
    saturation: Range = (0.5, 1.5)  # likewise: factors
    display_noise: float = 0.0  # likewise: deviation of the deviation, in display codes

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = set(self.kinds) - set(get_args(Kind))
        if unknown or not self.kinds:
            known = ", ".join(get_args(Kind))
            raise ValueError(f"kinds must be some of {known}, not {sorted(unknown)}")


def synthesize_singles(
    photos: Tensor, settings: SingleSettings, generator: torch.Generator
) -> SyntheticBurst:
    """Degrade photographs into single frames; one crop of each becomes one.

    After Nah et al. 2017, section 2: sharp frames, filmed in the photograph at 240 a second, are
    averaged as light, behind the camera's curve; the middle one is the truth (equations 2 and 3).
    The mean of the camera's ways lies on the middle frame, so that no network need learn to
    shift pictures; with `off_centre` 1 it lies where it was filmed, as in the paper.

    Args:
        photos: linear light, 1 = white, at least `burst.photo_side` a side; (N, 3, H, W).
        settings: how strong and how frequent every degradation is.
        generator: draws everything; same device as `photos`.

    Returns:
        Bursts of one frame.
    """
    evenly = _as_bursts(settings)
    kinds, plan = _draw(len(photos), settings, evenly, generator)
    scenes = _recolour(cut_scenes(photos, settings, plan), settings, generator)
    others = scenes.roll(1, dims=0).flip(-1)
    scenes = sensor.restore_highlights(scenes, others, plan.highlight)
    bright = plan.brightness.view(-1, 1, 1, 1)
    scenes, others = scenes * bright, others * bright
    paths = draw_paths(evenly, plan, generator)
    light = shake(scenes, {}, paths, settings=evenly, plan=plan, generator=generator)[:, 0]
    psfs = psf.splat(paths, settings.psf_size)
    still = scenes[..., MARGIN:-MARGIN, MARGIN:-MARGIN].clone()
    sharp = (plan.extent[:, 0] == 0).nonzero().squeeze(1)
    light[sharp] = _placed(scenes, plan)[sharp]  # not through a transform, which rounds
    items = (kinds == _FILM).nonzero().squeeze(1)
    if len(items):
        filmed = _film(scenes[items], others[items], plan.shift[items], settings, generator)
        light[items], still[items], psfs[items] = filmed
    frames = photograph(light.unsqueeze(1), still, psfs.unsqueeze(1), settings, plan, generator)
    return _add_display_noise(frames, settings, generator)


def singles_of_clips(
    clips: Tensor, settings: SingleSettings, generator: torch.Generator
) -> SyntheticBurst:
    """Make single frames of real sharp frames in quick succession, as Nah et al. 2017 do.

    Light beyond white is lost, and no point spread function of a shake is known.

    Args:
        clips: an odd number of consecutive frames, linear light, `burst.clip_side` a side;
            (N, T, 3, h, w).
        settings: what befalls the frames, but for their motion; samples of the kinds noisy and
            clean are middle frames, all others are averaged.
        generator: draws everything; same device as `clips`.

    Returns:
        Bursts of one frame, as `synthesize_singles` makes them, but the middle frame is the truth
        as it lies.
    """
    count, moments = clips.shape[:2]
    if moments % 2 == 0:
        raise ValueError(f"Of {moments} frames none is in the middle.")
    kinds, plan = _draw(count, settings, _as_bursts(settings), generator)
    plan = replace(plan, shift=torch.zeros_like(plan.shift))
    clips = _recolour(clips, settings, generator) * plan.brightness.view(-1, 1, 1, 1, 1)
    still = clips[:, moments // 2]
    sharp = (kinds == _NOISY) | (kinds == _CLEAN)
    light = torch.where(sharp.view(-1, 1, 1, 1), still, clips.mean(dim=1))
    psfs = torch.zeros(count, 1, settings.psf_size, settings.psf_size, device=clips.device)
    psfs[sharp, :, settings.psf_size // 2, settings.psf_size // 2] = 1
    frames = photograph(light.unsqueeze(1), still, psfs, settings, plan, generator)
    return _add_display_noise(frames, settings, generator)


def _as_bursts(settings: SingleSettings) -> BurstSettings:
    """Return the settings of bursts whose only frames are blurred evenly."""
    shared = {field.name: getattr(settings, field.name) for field in fields(CameraSettings)}
    return BurstSettings(
        **shared,
        matern_share=settings.matern_share,
        defocus=settings.defocus,
        rotating_share=settings.rotating_share,
        moving_share=0,
        ruined_share=0,
        bracket_share=0,
    )


def _draw(
    count: int, settings: SingleSettings, evenly: BurstSettings, generator: torch.Generator
) -> tuple[Tensor, Plan]:
    """Draw what befalls single frames: places of their kinds in `Kind` (N,), and the plan."""
    plan = draw_plan(count, 1, evenly, generator)
    names = get_args(Kind)
    places = torch.tensor([names.index(kind) for kind in settings.kinds], device=generator.device)
    dice = torch.rand(count, generator=generator, device=generator.device)
    kinds = places[(dice * len(places)).long()]
    extent = log_uniform((count,), settings.extent, generator)
    soft = uniform((count,), settings.soft_extent, generator)
    extent = torch.where(kinds == _SOFT, soft, extent)
    extent = torch.where((kinds == _SHAKE) | (kinds == _DEFOCUS) | (kinds == _SOFT), extent, 0.0)
    turning = (kinds == _SHAKE).tolist()
    clean = kinds == _CLEAN
    choices = [
        replace(
            choice,
            rotating=choice.rotating and turns,
            full_colour=choice.full_colour or untouched,
            correlated=choice.correlated and not untouched,
            hot=choice.hot and not untouched,
            smooths_chroma=choice.smooths_chroma and not untouched,
        )
        for choice, turns, untouched in zip(plan.choices, turning, clean.tolist(), strict=True)
    ]
    # Below its share a shake is a disc, as in bursts.
    blur = plan.kind.clamp_min(evenly.disc_share).where((kinds != _DEFOCUS)[:, None], 0.0)
    return kinds, replace(
        plan,
        choices=choices,
        extent=extent[:, None],
        kind=blur,
        shot=plan.shot.masked_fill(clean[:, None], 0),
        read=plan.read.masked_fill(clean[:, None], 0),
        noise_known=plan.noise_known & ~clean,
        clean_luma=plan.clean_luma.masked_fill(clean, 0),
        clean_chroma=plan.clean_chroma.masked_fill(clean, 0),
        sharpen=plan.sharpen.masked_fill(clean, 0),
    )


def _placed(scenes: Tensor, plan: Plan) -> Tensor:
    """Cut out what falls on the sensor of a camera that holds still; (N, 3, w, w)."""
    side = scenes.shape[-1] - 2 * MARGIN
    cut = []
    for scene, (right, down) in zip(scenes, plan.shift[:, 0].int().tolist(), strict=True):
        top, left = MARGIN - down, MARGIN - right
        cut.append(scene[:, top : top + side, left : left + side])
    return torch.stack(cut)


def _film(
    scenes: Tensor,
    others: Tensor,
    shift: Tensor,
    settings: SingleSettings,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Film scenes and average.

    Args:
        scenes: linear light; (m, 3, s, s).
        others: what moving things are cut from; (m, 3, s, s).
        shift: where pixels fall on the sensor [px]; (m, 1, 2).
        settings: what moves.
        generator: draws everything.

    Returns:
        Averaged light and the middle frame (m, 3, w, w), and the point spread functions
        (m, k, k).
    """
    extent = log_uniform((len(scenes),), settings.extent, generator)
    low, high = settings.moments
    half = max(low, min(high, int(extent.max()) + 1)) // 2
    moments = range(2 * half + 1)
    sequence = film(
        scenes,
        others,
        times=torch.arange(-half, half + 1.0, device=scenes.device),
        frames_per_s=torch.full_like(extent, FRAMES_PER_S),
        exposed=moments,
        extent=extent,
        margin=MARGIN,
        settings=settings,
        generator=generator,
    )
    middle = sequence.frame(half)
    mean = sequence.path.mean(dim=1, keepdim=True) * (1 - settings.off_centre)
    sequence = replace(
        sequence, rest=mean.expand_as(sequence.path), shift=shift.expand(-1, len(moments), -1)
    )
    psfs = still_psfs(sequence, moments, settings.psf_size)
    return sequence.average(moments), middle, psfs


def _recolour(pictures: Tensor, settings: SingleSettings, generator: torch.Generator) -> Tensor:
    """Change the colours of scenes (N, 3, s, s) or of clips (N, T, 3, h, w)."""
    colours = AugmentSettings(
        flips=False, turns=False, permutes=settings.permutes, saturation=settings.saturation
    )
    stacks = pictures if pictures.dim() == 5 else pictures.unsqueeze(1)
    return augment(stacks, colours, generator).view_as(pictures)


def _add_display_noise(
    frames: SyntheticBurst, settings: SingleSettings, generator: torch.Generator
) -> SyntheticBurst:
    """Add the noise of Nah et al. 2017 to display codes, where it is asked for."""
    if not settings.display_noise:
        return frames
    nothing = AugmentSettings(
        flips=False,
        turns=False,
        permutes=False,
        saturation=(1, 1),
        noise=settings.display_noise,
    )
    stacks = torch.cat([frames.truth.unsqueeze(1), frames.frames], dim=1)
    return replace(frames, frames=augment(stacks, nothing, generator)[:, 1:])
