"""Whole pictures as a short noisy and a long shaken exposure with known truth: for demos."""

import math
from dataclasses import dataclass

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
from burstfix.synth.sequence import Film

PAIR_NOISE = {"low": 0.04, "high": 0.12}  # deviation at middle grey, in the long one's exposure
PAIR_BLUR: dict[str, Range] = {"mild": (3, 6), "medium": (8, 14), "severe": (18, 28)}
LIGHT = 1 / 8  # what the short frame gets
GAP = 2  # sharp frames that are lost between the exposures


@dataclass(frozen=True, kw_only=True)
class RenderedPair:
    """A short and a long exposure of one scene; frame 0 is the short one.

    Args:
        sequence: one scene, filmed; moment 0 is the short exposure, the others the long one.
        light: what the short frame gets of the long one's light, 0 to 1.
        sigma: deviation of the short frame's noise at middle grey, once it is as bright as the
            long one; saturation is 1.
        white_balance: gains of red, green, blue that turn the mosaic's colours into the scene's.
        seed: of the noise.
    """

    sequence: Film
    light: float
    sigma: float
    white_balance: Balance
    seed: int

    @property
    def size(self) -> Size:
        """Height and width of both frames."""
        return self.sequence.size

    def noise(self, index: int) -> tuple[float, float]:
        """Return shot and read noise of a frame as recorded: variances, saturation is 1."""
        shot, read = noise_of(self.sigma)
        if index == 0:
            return shot * self.light, read * self.light**2
        # A sensor's read noise, counted in electrons, is larger where it amplifies less.
        return shot * self.light, read * self.light**1.5

    def truth(self) -> Tensor:
        """Render what a steady, noiseless camera would have recorded in place of the short frame.

        Returns:
            Linear light in the long frame's exposure, 0 to 1; (3, h, w).
        """
        return self.sequence.frame(0)[0].clamp(0, 1)

    def exposed(self, index: int) -> Tensor:
        """Render a frame's light before noise and saturation, in its own exposure; (3, h, w)."""
        if index == 0:
            return self.sequence.frame(0)[0].clamp_min(0) * self.light
        return self.sequence.average(range(1, len(self.sequence.times)))[0].clamp_min(0)

    def linear(self, index: int) -> Tensor:
        """Render a frame as a sensor with three colours a pixel would see it.

        Returns:
            Linear light, at most 1; noise may fall below 0; (3, h, w).
        """
        noisy = add_noise(self.exposed(index), self.noise(index), 2 * self.seed + index)
        return noisy.clamp_max_(1)

    def mosaic(self, index: int) -> Tensor:
        """Render a frame as raw data, (h, w) uint16; as `render_film.raw_mosaic`."""
        seed = 2 * self.seed + index
        return raw_mosaic(self.exposed(index), self.noise(index), self.white_balance, seed)


def render_pair(
    photo: Tensor,
    *,
    noise: str | float = "low",
    blur: str | Range = "medium",
    light: float = LIGHT,
    moving: bool = False,
    white_balance: Balance = BALANCE,
    seed: int = 0,
) -> RenderedPair:
    """Make a hand-held pair of a photograph.

    Frames are smaller than the photograph: its margin is what shake brings into view. They are
    not registered: the camera drifts between them as it shakes.

    Args:
        photo: linear light, 1 = saturation, may exceed 1; (3, H, W).
        noise: a name in `PAIR_NOISE`, or a deviation as `RenderedPair.sigma`.
        blur: a name in `PAIR_BLUR`, or the least and largest extent of the shake [px].
        light: what the short frame gets of the long one's light, 0 to 1.
        moving: whether a thing moves over the scene.
        white_balance: gains of red, green and blue of the camera, each at least 1.
        seed: of everything random; the same seed gives the same pair.

    Raises:
        InputError: the photograph is too small for such a shake.
    """
    low, high = PAIR_BLUR[blur] if isinstance(blur, str) else blur
    generator = torch.Generator().manual_seed(2 * seed + 1)
    extent = draw_extent((low, high), generator)
    span = max(8, math.ceil(2 * float(extent)))  # moments half a pixel apart on a straight way
    sequence = film_picture(
        photo,
        times=torch.tensor([0.0, *range(1 + GAP, 1 + GAP + span)]),
        exposed=range(1, 1 + span),
        frames_per_s=8.0 * span,  # the long exposure takes an eighth of a second
        extent=extent,
        blur=(low, high),
        moving=moving,
        generator=generator,
    )
    sigma = PAIR_NOISE[noise] if isinstance(noise, str) else noise
    return RenderedPair(
        sequence=sequence, light=light, sigma=sigma, white_balance=white_balance, seed=seed
    )
