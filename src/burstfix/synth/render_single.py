"""Whole pictures as one shaken, noisy exposure with known truth: for demos."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from burstfix.frame import Size
from burstfix.synth.plan import Range
from burstfix.synth.render_film import (
    BALANCE,
    Balance,
    add_noise,
    draw_extent,
    film_picture,
    noise_of,
    raw_mosaic,
)
from burstfix.synth.sequence import FRAMES_PER_S, Film, centre_ways

SINGLE_NOISE = {"none": 0.0005, "low": 0.005, "high": 0.03}  # deviation at middle grey
SINGLE_BLUR: dict[str, Range] = {"none": (0.05, 0.05), "small": (4, 9), "large": (14, 25)}
LEAST_MOMENTS = 7  # of an exposure, as few as Nah et al. average


@dataclass(frozen=True, kw_only=True)
class RenderedSingle:
    """One exposure of a scene.

    Args:
        sequence: one scene, filmed at `FRAMES_PER_S`; an odd number of moments, all exposed.
        extent_px: of the shake in the middle of the picture.
        sigma: deviation of the noise at middle grey; saturation is 1.
        white_balance: gains of red, green, blue that turn the mosaic's colours into the scene's.
        seed: of the noise.
    """

    sequence: Film
    extent_px: float
    sigma: float
    white_balance: Balance
    seed: int

    @property
    def size(self) -> Size:
        """Height and width of the frame."""
        return self.sequence.size

    @property
    def exposure_s(self) -> float:
        """How long the exposure takes."""
        return len(self.sequence.times) / FRAMES_PER_S

    @property
    def noise(self) -> tuple[float, float]:
        """Shot and read noise: variances, saturation is 1."""
        return noise_of(self.sigma)

    def truth(self) -> Tensor:
        """Render the middle frame alone; linear light, 0 to 1; (3, h, w)."""
        still = replace(self.sequence, rest=torch.zeros_like(self.sequence.rest))
        return still.frame(len(self.sequence.times) // 2)[0].clamp(0, 1)

    def exposed(self) -> Tensor:
        """Render the light before noise and saturation; (3, h, w)."""
        return self.sequence.average(range(len(self.sequence.times)))[0].clamp_min(0)

    def linear(self) -> Tensor:
        """Render the frame as a sensor with three colours a pixel would see it.

        Returns:
            Linear light, at most 1; noise may fall below 0; (3, h, w).
        """
        return add_noise(self.exposed(), self.noise, self.seed).clamp_max_(1)

    def mosaic(self) -> Tensor:
        """Render the frame as raw data, (h, w) uint16; as `render_film.raw_mosaic`."""
        return raw_mosaic(self.exposed(), self.noise, self.white_balance, self.seed)

    def way(self) -> Tensor:
        """Tell where the middle of the picture falls at each moment, (x, y) [px]; (T, 2)."""
        film = self.sequence
        height, width = film.scenes.shape[-2:]
        middle = torch.tensor([width - 1.0, height - 1.0]) / 2
        return -centre_ways(film.path - film.rest, film.axis, middle, film.focal)[0]


def render_single(
    photo: Tensor,
    *,
    noise: str | float = "low",
    blur: str | Range = "small",
    moving: bool = False,
    white_balance: Balance = BALANCE,
    seed: int = 0,
) -> RenderedSingle:
    """Make a hand-held exposure of a photograph, after Nah et al. 2017, section 2.

    The frame is smaller than the photograph: its margin is what shake brings into view. The mean
    of the camera's ways lies on the middle frame, which is the truth.

    Args:
        photo: linear light, 1 = saturation, may exceed 1; (3, H, W).
        noise: a name in `SINGLE_NOISE`, or a deviation as `RenderedSingle.sigma`.
        blur: a name in `SINGLE_BLUR`, or the least and largest extent of the shake [px].
        moving: whether a thing moves over the scene.
        white_balance: gains of red, green and blue of the camera, each at least 1.
        seed: of everything random; the same seed gives the same frame.

    Raises:
        InputError: the photograph is too small for such a shake.
    """
    limits = SINGLE_BLUR[blur] if isinstance(blur, str) else blur
    generator = torch.Generator().manual_seed(2 * seed + 1)
    extent = draw_extent(limits, generator)
    half = max(LEAST_MOMENTS, math.ceil(2 * float(extent))) // 2  # half a pixel apart, about
    sequence = film_picture(
        photo,
        times=torch.arange(-half, half + 1.0),
        exposed=range(2 * half + 1),
        frames_per_s=FRAMES_PER_S,
        extent=extent,
        blur=limits,
        moving=moving,
        generator=generator,
    )
    rest = sequence.path.mean(dim=1, keepdim=True).expand_as(sequence.path)
    return RenderedSingle(
        sequence=replace(sequence, rest=rest),
        extent_px=float(extent),
        sigma=SINGLE_NOISE[noise] if isinstance(noise, str) else noise,
        white_balance=white_balance,
        seed=seed,
    )
