"""Batches of degraded bursts with their truth, to train networks on; on any device."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from burstfix.synth import motion, psf, sensor
from burstfix.synth.aligned import align, code_truth, describe, match_exposure, see
from burstfix.synth.plan import (
    GUARD,
    MARGIN,
    BurstSettings,
    CameraSettings,
    Choices,
    Plan,
    draw_plan,
)
from burstfix.synth.record import record
from burstfix.synth.resample import pixel_grid, sample

MOMENTS = 32  # of the exposure, where the camera also turns


@dataclass(frozen=True, kw_only=True)
class SyntheticBurst:
    """N bursts of F frames as a backend gets them: read, aligned, exposures matched.

    Light is linear as a reader of the files would find it: where a burst went through an unknown
    tone curve and JPEG, truth went through the same curve.

    Args:
        frames: linear light, reference first; (N, F, 3, h, w). Where a frame saw nothing it
            repeats the reference.
        truth: what a steady, noiseless camera would have recorded as the reference, at most 1;
            (N, 3, h, w).
        seen: 1 where a frame saw the scene, else 0; (N, F, 1, h, w).
        descriptor: columns as in `backends.base.DESCRIPTOR`, NaN is unknown; (N, F, 4).
        psfs: blur of each frame, about its centroid; where the camera turned or a thing moved,
            that of the still scene at the centre of the frame, and 0 all over where nobody
            knows it; (N, F, k, k).
        source_from_reference: what alignment left over, without its parallax; (N, F, 3, 3).
    """

    frames: Tensor
    truth: Tensor
    seen: Tensor
    descriptor: Tensor
    psfs: Tensor
    source_from_reference: Tensor


def photo_side(settings: CameraSettings) -> int:
    """Return the least side of the photographs that `synthesize` takes [px]."""
    return settings.crop + 2 * (settings.guard + settings.margin)


def clip_side(settings: CameraSettings) -> int:
    """Return the side of the frames of clips that become samples as they are [px]."""
    return settings.crop + 2 * settings.guard


def synthesize(
    photos: Tensor, settings: BurstSettings, generator: torch.Generator, frames: int
) -> SyntheticBurst:
    """Degrade photographs into bursts; one crop of each becomes one burst.

    The same photographs, settings and state of the generator give the same bursts, to the bit
    on a CPU.

    Args:
        photos: linear light, 1 = white, at least `photo_side` a side; (N, 3, H, W).
        settings: how strong and how frequent every degradation is.
        generator: draws everything; same device as `photos`.
        frames: in each burst.

    Returns:
        The bursts, on the same device.
    """
    plan = draw_plan(len(photos), frames, settings, generator)
    scenes = cut_scenes(photos, settings, plan)
    others = scenes.roll(1, dims=0).flip(-1)
    scenes = sensor.restore_highlights(scenes, others, plan.highlight)
    scenes = scenes * plan.brightness.view(-1, 1, 1, 1)
    # Only now: what moves or is foreign is as bright as the scene that it comes into.
    others = others * plan.brightness.view(-1, 1, 1, 1)
    still, met = _met_scenes(
        scenes, others, frames=frames, settings=settings, plan=plan, generator=generator
    )
    paths = draw_paths(settings, plan, generator)
    light = shake(scenes, met, paths, settings=settings, plan=plan, generator=generator)
    psfs = psf.splat(paths, settings.psf_size)
    psfs = psfs.view(*plan.extent.shape, *psfs.shape[1:])
    still = still[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    return photograph(light, still, psfs, settings, plan, generator)


def photograph(
    light: Tensor,
    still: Tensor,
    psfs: Tensor,
    settings: CameraSettings,
    plan: Plan,
    generator: torch.Generator,
) -> SyntheticBurst:
    """Pass light through sensor, camera, alignment and exposure matching.

    Args:
        light: of every frame, linear, w = `crop` + 2 `GUARD`; (N, F, 3, w, w).
        still: what a steady camera sees in place of the reference; (N, 3, w, w).
        psfs: of every frame; (N, F, k, k).
        settings: what befalls the frames.
        plan: what of it was drawn.
        generator: draws noise and misalignment.
    """
    recorded = record(light, settings, plan, generator)
    aligned, homographies = align(recorded, settings, plan, generator)
    gain_ev = match_exposure(aligned, plan)
    seen = see(aligned, settings, plan, generator, gain_ev)
    inner = slice(GUARD, GUARD + settings.crop)
    return SyntheticBurst(
        frames=torch.where(seen > 0, aligned, aligned[:, :1]),
        truth=code_truth(still[..., inner, inner].clamp(0, 1), plan),
        seen=seen,
        descriptor=describe(gain_ev, plan),
        psfs=psfs,
        source_from_reference=homographies,
    )


def cut_scenes(photos: Tensor, settings: CameraSettings, plan: Plan) -> Tensor:
    """Cut a square from every photograph, in one of eight orientations; (N, 3, s, s)."""
    side = photo_side(settings)
    if min(photos.shape[-2:]) < side:
        raise ValueError(f"Photographs must have {side} px a side for crops of {settings.crop}.")
    squares = []
    for photo, choice in zip(photos, plan.choices, strict=True):
        top = int(choice.top * (photo.shape[-2] - side + 1))
        left = int(choice.left * (photo.shape[-1] - side + 1))
        square = photo[:, top : top + side, left : left + side].rot90(choice.turn % 4, (1, 2))
        squares.append(square.flip(-1) if choice.turn >= 4 else square)
    return torch.stack(squares)


def _met_scenes(
    scenes: Tensor,
    others: Tensor,
    *,
    frames: int,
    settings: BurstSettings,
    plan: Plan,
    generator: torch.Generator,
) -> tuple[Tensor, dict[int, Tensor]]:
    """Let things move and frames go astray.

    Returns:
        The scenes at the reference's moment (N, 3, s, s), and, of those bursts alone where frames
        meet different scenes, what each meets (F, 3, s, s).
    """
    still, met = scenes.clone(), {}
    for n, choice in enumerate(plan.choices):
        if not choice.moving and choice.ruined is None:
            continue
        here = scenes[n].expand(frames, -1, -1, -1)
        if choice.moving:
            still[n], here = _cross(scenes[n], others[n], frames, settings, generator)
        if choice.ruined is not None:
            here = here.clone()
            here[choice.ruined] = _ruin(here[choice.ruined], others[n], choice, generator)
        met[n] = here
    return still, met


def _cross(
    scene: Tensor, other: Tensor, frames: int, settings: BurstSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Move a piece of another photograph over a scene: at the reference's moment, at each."""
    device = generator.device
    mask = motion.blobs(1, scene.shape[-2:], generator)
    velocity = settings.velocity_px * torch.randn(1, 1, 2, generator=generator, device=device)
    moment = torch.randperm(frames, generator=generator, device=device).float()
    positions = velocity * (moment - moment[0]).view(1, -1, 1)
    layers = (scene[None], other[None], mask, positions, 0.3 * velocity[:, 0])
    return torch.lerp(scene, other, mask[0]), motion.move_layer(*layers)[0]


def _ruin(scene: Tensor, other: Tensor, choice: Choices, generator: torch.Generator) -> Tensor:
    """Return what a useless frame meets; (3, s, s)."""
    if choice.ruin == "foreign":
        return other
    if choice.ruin == "dark":
        return scene * 0.03
    angle = 2 * math.pi * torch.rand(1, generator=generator, device=generator.device)
    offset = 20 * torch.cat([angle.cos(), angle.sin()])
    grid = pixel_grid(scene.shape[-2:], device=scene.device, dtype=scene.dtype)
    return sample(scene[None], (grid + offset)[None], "bilinear")[0]


def draw_paths(settings: BurstSettings, plan: Plan, generator: torch.Generator) -> Tensor:
    """Draw the shake or defocus of every frame, centred [px]; (N * F, steps, 2)."""
    extent, kind, defocus = plan.extent.flatten(), plan.kind.flatten(), plan.defocus.flatten()
    damping, length = torch.rand(2, generator=generator, device=generator.device).tolist()
    walks = psf.random_walk_paths(len(extent), generator=generator, damping=0.9 + 0.08 * damping)
    smooth = psf.matern_paths(len(extent), generator=generator, length=0.15 + 0.45 * length)
    discs = psf.disc_paths(len(extent), device=extent.device)
    is_disc = kind < settings.disc_share
    paths = torch.where((kind > 1 - settings.matern_share).view(-1, 1, 1), smooth, walks)
    paths = torch.where(is_disc.view(-1, 1, 1), discs, paths)
    extent = torch.where(is_disc, extent * 0.4, extent)  # else nothing at all would be left
    scatter = torch.randn(paths.shape, generator=generator, device=paths.device)
    jitter = scatter * (defocus * (extent > 1) * ~is_disc).view(-1, 1, 1)
    return psf.fit_paths(paths, extent, size=settings.psf_size, jitter=jitter)


def shake(
    scenes: Tensor,
    met: dict[int, Tensor],
    paths: Tensor,
    *,
    settings: BurstSettings,
    plan: Plan,
    generator: torch.Generator,
) -> Tensor:
    """Blur the scene of every frame and place it on the sensor.

    Args:
        scenes: linear light; (N, 3, s, s).
        met: of some bursts, what each of their frames meets instead; (F, 3, s, s).
        paths: shake of every frame [px]; (N * F, steps, 2).
        settings: how cameras turn.
        plan: which do, and where pixels fall.
        generator: draws the turning.

    Returns:
        Linear light, w = s - 2 `MARGIN`; (N, F, 3, w, w).
    """
    count, frames = plan.extent.shape
    side = scenes.shape[-1]
    placed = psf.splat(paths + plan.shift.view(-1, 1, 2), settings.psf_size + 2 * GUARD)
    blurs = psf.spectra(placed, (side, side)).view(count, frames, 1, side, side // 2 + 1)
    light = _inner_light(torch.fft.rfft2(scenes).unsqueeze(1) * blurs)
    for n, choice in enumerate(plan.choices):
        here = met.get(n, scenes[n : n + 1])
        if choice.rotating:
            each = here.expand(frames, -1, -1, -1)
            own = paths.view(count, frames, -1, 2)[n]
            turned = _turn(each, own, plan.shift[n], settings, generator)
            light[n] = turned[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
        elif n in met:
            light[n] = _inner_light(torch.fft.rfft2(here) * blurs[n])
    return light


def _inner_light(spectra: Tensor) -> Tensor:
    """Transform half spectra (..., s, s // 2 + 1) back, without the margin; (..., w, w)."""
    # Rows of the margin, which the blur wraps into, are not even computed.
    rows = torch.fft.ifft(spectra, dim=-2)[..., MARGIN:-MARGIN, :]
    side = spectra.shape[-2]
    light: Tensor = torch.fft.irfft(rows, n=side, dim=-1)
    return light[..., MARGIN:-MARGIN].contiguous()


def _turn(
    scenes: Tensor,
    paths: Tensor,
    shift: Tensor,
    settings: BurstSettings,
    generator: torch.Generator,
) -> Tensor:
    """Blur by a camera that also turns about its axis, so that blur varies; (F, 3, s, s)."""
    side = scenes.shape[-1]
    roll = psf.random_walk_paths(len(scenes), generator=generator, steps=paths.shape[1])[..., 0]
    roll = roll - roll.mean(dim=1, keepdim=True)
    roll = roll / roll.std(dim=1, keepdim=True) * math.radians(settings.roll_deg)
    # A frame without shake does not turn either.
    roll = roll * (paths.abs().amax(dim=(1, 2)) / 6).clamp_max(1).view(-1, 1)
    middle = ((side - 1) / 2, (side - 1) / 2)
    moments = motion.shake_homographies(-paths, roll, middle, MOMENTS)
    placed = motion.rigid(-shift, torch.zeros_like(shift[:, 0]), middle)
    return motion.shake(scenes, moments @ placed.unsqueeze(1))
