"""What befalls each burst and each frame of a training batch: settings, and one random draw."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Range = tuple[float, float]
GUARD = 8  # px around the crop: room for shifts, demosaicing and the aligning resample
MARGIN = 24  # px around that: what the largest shakes bring in
Ruin = Literal["foreign", "displaced", "dark"]
RUINS: tuple[Ruin, ...] = ("foreign", "foreign", "displaced", "dark")


@dataclass(frozen=True, kw_only=True)
class CameraSettings:
    """What sensors, cameras and alignment do, whatever the task; pixels are those of the frames.

    Shares are probabilities for a burst, where the name does not say a frame.
    """

    crop: int = 128  # side of the frames; a multiple of 16
    psf_size: int = 51

    leftover_px: float = 0.5  # typical misalignment; a tenth of frames has four times as much
    parallax_px: float = 0.4
    edge_share: float = 0.06  # of frames: part lies outside what the frame saw

    highlight_share: float = 0.4
    highlight: Range = (0.5, 6.0)  # light restored beyond white
    brightness_ev: Range = (-1.3, 0.3)  # of the scene
    gain_error: float = 0.01  # of exposure matching
    white_balance: Range = (1.2, 2.4)  # gains of red and blue
    white_balance_drift: float = 0.015  # of JPEG frames
    mixed_share: float = 0.0  # of bursts: the sensor's colours are mixtures of the scene's

    noise: Range = (0.002, 0.12)  # standard deviation at middle grey, log-uniform
    shot_part: Range = (0.1, 0.95)  # share of the variance at middle grey that is shot noise
    unknown_noise_share: float = 0.3  # of raw bursts whose descriptor does not tell the noise
    correlated_share: float = 0.2
    full_colour_share: float = 0.2  # no mosaic: the sensor has all colours, or a reader binned it
    pedestal: Range = (0.0, 0.0625)  # how far below black a sensor's numbers reach
    hot_share: float = 0.1
    hot_pixels: float = 2e-4

    jpeg_share: float = 0.6  # the others are raw
    eight_bit_share: float = 0.0  # of all: raw that a converter wrote as 8-bit sRGB, cut at black
    gamma: Range = (1.5, 2.5)
    quality: Range = (70.0, 98.0)
    subsample_share: float = 0.5  # of JPEG bursts
    clean_luma: Range = (0.0, 0.03)  # size of the luma detail that a camera's denoising fades
    clean_noise: Range = (0.0, 0.0)  # more of it, in deviations of the noise: leaves coarse grain
    smooth_chroma_share: float = 0.0  # of JPEG bursts: next to no noise of colour, grain coarse
    clean_chroma: Range = (0.0, 0.8)
    sharpen: Range = (0.0, 0.8)

    def __post_init__(self) -> None:
        if self.crop % 16:
            raise ValueError(f"crop must be a multiple of 16, not {self.crop}.")

    @property
    def guard(self) -> int:
        """How far frames reach around the crop while they are recorded [px]."""
        return GUARD

    @property
    def margin(self) -> int:
        """How far scenes reach around that [px]."""
        return MARGIN


@dataclass(frozen=True, kw_only=True)
class BurstSettings(CameraSettings):
    """Ranges and probabilities of every degradation of a burst."""

    sharp_share: float = 0.08  # every extent lies in sharp_extent
    sharp_extent: Range = (0.0, 1.5)
    hard_share: float = 0.27  # no frame is sharp: every extent lies in hard_extent
    lucky_share: float = 0.2  # one frame below 2 px, the others in hard_extent
    hard_extent: Range = (9.0, 25.0)
    extent: Range = (1.0, 25.0)  # of the other bursts' typical frame, log-uniform
    extent_variation: float = 1.3  # standard deviation over frames, in octaves, at most
    reference_sharpest_share: float = 0.7
    disc_share: float = 0.08  # of frames: defocused instead of shaken
    matern_share: float = 0.3  # of frames: smooth shake after Wieschollek instead of Aittala
    defocus: Range = (0.0, 0.5)  # scatter of the points of a shake [px]
    rotating_share: float = 0.06  # shake that turns the camera: blur varies over the picture
    roll_deg: float = 1.5  # standard deviation of that turning

    moving_share: float = 0.12  # a thing moves over the scene
    velocity_px: float = 12.0  # of the thing, a frame
    ruined_share: float = 0.15  # one frame (of eight, say) shows another scene, or almost nothing

    bracket_share: float = 0.1
    bracket_ev: float = 2.0  # largest exposure difference in a bracketed burst
    exposure_ev: float = 0.05  # standard deviation in the others


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What happens to one burst, decided on the host because it steers the program."""

    top: float  # where to crop, as a share of the room
    left: float
    turn: int  # one of eight orientations
    rotating: bool
    moving: bool
    ruined: int | None  # the frame
    ruin: Ruin
    jpeg: bool
    eight_bit: bool
    subsample: bool
    correlated: bool
    full_colour: bool
    hot: bool
    smooths_chroma: bool
    cleans_twice: bool
    bracketed: bool
    pedestal: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One draw for a batch. Tensors are (N,) for bursts and (N, F) for frames."""

    choices: list[Choices]
    brightness: Tensor  # (N,) factor on the scene
    highlight: Tensor  # (N,) times white
    white_balance: Tensor  # (N, 3) gains
    mixing: Tensor  # (N, 3, 3) the sensor's colours from the scene's; white stays white
    gamma: Tensor  # (N,)
    quality: Tensor  # (N,)
    clean_luma: Tensor  # (N,)
    clean_noise: Tensor  # (N,)
    clean_chroma: Tensor  # (N,)
    sharpen: Tensor  # (N,)
    extent: Tensor  # (N, F) px
    defocus: Tensor  # (N, F) px
    kind: Tensor  # (N, F) below disc_share a disc, above 1 - matern_share Matérn
    exposure_ev: Tensor  # (N, F), 0 for the reference
    gain_error: Tensor  # (N, F) factor, 1 for the reference
    drift: Tensor  # (N, F, 3) factor
    shot: Tensor  # (N, F)
    read: Tensor  # (N, F)
    noise_known: Tensor  # (N,) bool; where the sensor did not cut it at black, see `describe`
    shift: Tensor  # (N, F, 2) px: where the frame's pixels fell; whole for the reference
    edge: Tensor  # (N, F) px that are cut off a side; 0 is none


def uniform(shape: tuple[int, ...], limits: Range, generator: torch.Generator) -> Tensor:
    """Draw evenly between two limits."""
    low, high = limits
    return low + (high - low) * torch.rand(shape, generator=generator, device=generator.device)


def log_uniform(shape: tuple[int, ...], limits: Range, generator: torch.Generator) -> Tensor:
    """Draw evenly between the logarithms of two limits."""
    low, high = limits
    return uniform(shape, (math.log(low), math.log(high)), generator).exp()


def draw_plan(count: int, frames: int, settings: BurstSettings, generator: torch.Generator) -> Plan:
    """Draw what befalls `count` bursts of `frames` frames."""
    bursts, each = (count,), (count, frames)
    choices = _draw_choices(count, frames, settings, generator)
    jpeg = torch.tensor([choice.jpeg for choice in choices], device=generator.device)
    # Of unknown processing: what a file tells of noise is then not so, if it tells any.
    odd = [c.jpeg or c.eight_bit or c.correlated for c in choices]
    unlike = torch.tensor(odd, device=generator.device)
    exposure_ev, gain_error = _draw_exposures(choices, frames, settings, generator)
    shot, read = _draw_noise(count, frames, settings, generator)
    white_balance, drift = _draw_colour(jpeg, frames, settings, generator)
    shift, edge = _draw_placement(count, frames, settings, generator)
    known = _chance(bursts, 1 - settings.unknown_noise_share, generator)
    highlights = _chance(bursts, settings.highlight_share, generator)
    clean_noise = torch.zeros(bursts, device=generator.device)
    if settings.clean_noise[1] > 0:  # one more draw would change all bursts ever scored on
        clean_noise = uniform(bursts, settings.clean_noise, generator)
    mixing = torch.eye(3, device=generator.device).expand(count, 3, 3)
    if settings.mixed_share > 0:  # likewise
        mixing = _draw_mixing(count, settings, generator)
    return Plan(
        choices=choices,
        brightness=uniform(bursts, settings.brightness_ev, generator).exp2(),
        highlight=highlights * uniform(bursts, settings.highlight, generator),
        white_balance=white_balance,
        mixing=mixing,
        gamma=uniform(bursts, settings.gamma, generator),
        quality=uniform(bursts, settings.quality, generator).round(),
        clean_luma=uniform(bursts, settings.clean_luma, generator),
        clean_noise=clean_noise,
        clean_chroma=uniform(bursts, settings.clean_chroma, generator),
        sharpen=uniform(bursts, settings.sharpen, generator),
        extent=_draw_extents(count, frames, settings, generator),
        defocus=uniform(each, settings.defocus, generator),
        kind=uniform(each, (0, 1), generator),
        exposure_ev=exposure_ev,
        gain_error=gain_error,
        drift=drift,
        shot=shot,
        read=read,
        noise_known=known & ~unlike,
        shift=shift,
        edge=edge,
    )


def _draw_choices(
    count: int, frames: int, settings: BurstSettings, generator: torch.Generator
) -> list[Choices]:
    # One copy to the host for all: on a GPU each waits for everything queued before.
    dice = torch.rand(count, 13, generator=generator, device=generator.device).tolist()
    return [
        Choices(
            top=d[0],
            left=d[1],
            turn=int(8 * d[2]),
            rotating=d[3] < settings.rotating_share,
            moving=d[4] < settings.moving_share,
            ruined=1 + int((frames - 1) * d[5])
            if frames > 2 and d[6] < settings.ruined_share
            else None,
            ruin=RUINS[int(len(RUINS) * d[12])],
            jpeg=d[7] < settings.jpeg_share,
            eight_bit=d[7] >= max(1 - settings.eight_bit_share, settings.jpeg_share),
            subsample=d[8] < settings.subsample_share,
            correlated=d[9] < settings.correlated_share,
            full_colour=d[9] >= 1 - settings.full_colour_share,  # its noise is white: never both
            hot=d[10] < settings.hot_share,
            smooths_chroma=d[10] >= 1 - settings.smooth_chroma_share,  # a die that serves already
            cleans_twice=d[10] >= 1 - settings.smooth_chroma_share / 2,
            bracketed=d[11] < settings.bracket_share,
            # Likewise: one more would redraw all bursts ever scored on.
            pedestal=settings.pedestal[0] + d[12] * (settings.pedestal[1] - settings.pedestal[0]),
        )
        for d in dice
    ]


def _draw_extents(
    count: int, frames: int, settings: BurstSettings, generator: torch.Generator
) -> Tensor:
    """Draw the blur of every frame: sharp, hard, lucky and mixed bursts; (N, F) px."""
    device = generator.device
    typical = log_uniform((count, 1), settings.extent, generator)
    octaves = torch.randn(count, frames, generator=generator, device=device)
    octaves = octaves * uniform((count, 1), (0, settings.extent_variation), generator)
    mixed = (typical * octaves.exp2()).clamp(0, settings.hard_extent[1])
    hard = uniform((count, frames), settings.hard_extent, generator)
    sharp = uniform((count, frames), settings.sharp_extent, generator)
    chosen = torch.randint(frames, (count, 1), generator=generator, device=device)
    one = torch.arange(frames, device=device) == chosen
    lucky = torch.where(one, uniform((count, 1), (0, 2), generator), hard)
    dice = torch.rand(count, 1, generator=generator, device=device)
    hard_below = settings.sharp_share + settings.hard_share
    extent = torch.where(dice < hard_below + settings.lucky_share, lucky, mixed)
    extent = torch.where(dice < hard_below, hard, extent)
    extent = torch.where(dice < settings.sharp_share, sharp, extent)
    first = torch.rand(count, 1, generator=generator, device=device)
    return torch.where(first < settings.reference_sharpest_share, extent.sort(dim=1).values, extent)


def _draw_noise(
    count: int, frames: int, settings: BurstSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw shot and read noise of every frame; frames of a burst differ by half a stop."""
    level = log_uniform((count, 1), settings.noise, generator)
    level = level * uniform((count, frames), (-0.3, 0.3), generator).exp2()
    part = uniform((count, 1), settings.shot_part, generator)
    return part * level**2 / 0.18, (1 - part) * level**2


def _draw_exposures(
    choices: list[Choices], frames: int, settings: BurstSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw exposures against the reference's, and how well they are matched; (N, F) each."""
    each = (len(choices), frames)
    bracketed = torch.tensor([choice.bracketed for choice in choices], device=generator.device)
    wide = uniform(each, (-settings.bracket_ev, settings.bracket_ev), generator)
    normal = torch.randn(2, *each, generator=generator, device=generator.device)
    exposure_ev = torch.where(bracketed.view(-1, 1), wide, settings.exposure_ev * normal[0])
    later = _later(frames, generator)
    return exposure_ev * later, 1 + settings.gain_error * normal[1] * later


def _draw_colour(
    jpeg: Tensor, frames: int, settings: BurstSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw the gains of white balance (N, 3), and its drift over JPEG frames (N, F, 3)."""
    balance = uniform((len(jpeg), 3), settings.white_balance, generator)
    balance[:, 1] = 1
    normal = torch.randn(len(jpeg), frames, 3, generator=generator, device=generator.device)
    drift = settings.white_balance_drift * normal * jpeg.view(-1, 1, 1)
    return balance, 1 + drift * _later(frames, generator).view(-1, 1)


def _draw_mixing(count: int, settings: BurstSettings, generator: torch.Generator) -> Tensor:
    """Draw what of the scene's colours each of a sensor's sees; rows sum to 1; (N, 3, 3).

    As the matrices of real cameras lie: their filters overlap, green's with both others'.
    """
    device = generator.device
    low = torch.tensor([[0.0, 0.15, 0.0], [0.06, 0.0, 0.08], [0.0, 0.15, 0.0]], device=device)
    high = torch.tensor([[0.0, 0.4, 0.12], [0.22, 0.0, 0.24], [0.08, 0.35, 0.0]], device=device)
    mixed = _chance((count, 1, 1), settings.mixed_share, generator)
    dice = torch.rand(count, 3, 3, generator=generator, device=device)
    others = (low + (high - low) * dice) * mixed
    return others + torch.diag_embed(1 - others.sum(dim=2))


def _draw_placement(
    count: int, frames: int, settings: BurstSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw where pixels fell (N, F, 2), and what lies beyond a frame's edge (N, F) [px]."""
    shift = uniform((count, frames, 2), (-3.0, 3.0), generator)
    shift[:, 0] = shift[:, 0].round()  # the reference is not resampled
    edge = uniform((count, frames), (0, settings.crop / 3), generator)
    edged = _chance((count, frames), settings.edge_share, generator)
    return shift, edge * edged * _later(frames, generator)


def _chance(shape: tuple[int, ...], share: float, generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device) < share


def _later(frames: int, generator: torch.Generator) -> Tensor:
    """Return 0 for the reference, 1 for the frames after it; (F,)."""
    return (torch.arange(frames, device=generator.device) > 0).float()
