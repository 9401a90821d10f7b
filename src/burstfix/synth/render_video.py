"""Whole pictures as a shaken, noisy film with known truth: for demos."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from burstfix.errors import InputError
from burstfix.frame import Size
from burstfix.synth.plan import Range
from burstfix.synth.render import LEAST_SIDE
from burstfix.synth.render_film import add_noise, draw_extent, film_picture, noise_of
from burstfix.synth.sequence import Film, centre_ways

VIDEO_NOISE = {"none": 0.0, "low": 0.005, "high": 0.03}  # deviation at middle grey
VIDEO_BLUR: dict[str, Range] = {"none": (0.05, 0.05), "small": (2, 6), "large": (10, 20)}
RATE = 30  # frames a second
_LEAST_MOMENTS = 7  # of an exposure, as few as films are averaged of
_ROOM = 8  # px that frames stay within the photograph


@dataclass(frozen=True, kw_only=True)
class RenderedVideo:
    """A film of one scene that renders its frames when asked.

    Args:
        sequence: one scene, filmed in quick succession.
        exposures: which of its moments each frame averages; an odd number.
        exposure: share of the time that the shutter is open.
        sigma: deviation of the noise at middle grey; saturation is 1.
        seed: of the noise.
    """

    sequence: Film
    exposures: tuple[range, ...]
    exposure: float
    sigma: float
    seed: int

    @property
    def size(self) -> Size:
        """Height and width of the frames."""
        return self.sequence.size

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return len(self.exposures)

    def extents_px(self) -> list[float]:
        """Tell how far shake spreads a point in the middle of each frame."""
        return _extents(self.sequence, self.exposures).tolist()

    def truth(self, index: int) -> Tensor:
        """Render what a frame's middle moment showed, where its blur's centroid lies.

        Returns:
            Linear light, 0 to 1; (3, h, w).
        """
        moments = self.exposures[index]
        middle = moments[len(moments) // 2]
        path = self.sequence.path
        rest = torch.zeros_like(path)
        rest[:, middle] = path[:, middle] - path[:, list(moments)].mean(dim=1)
        return replace(self.sequence, rest=rest).frame(middle)[0].clamp(0, 1)

    def linear(self, index: int) -> Tensor:
        """Render a frame as a sensor with three colours a pixel would see it.

        Returns:
            Linear light, at most 1; noise may fall below 0; (3, h, w).
        """
        light = self.sequence.average(self.exposures[index])[0].clamp_min(0)
        if self.sigma:
            light = add_noise(light, noise_of(self.sigma), 1000 * self.seed + index)
        return light.clamp_max(1)


def render_video(
    photo: Tensor,
    *,
    frames: int = 24,
    noise: str | float = "low",
    blur: str | Range = "small",
    exposure: float = 0.5,
    moving: bool = False,
    seed: int = 0,
) -> RenderedVideo:
    """Film a photograph by hand, `RATE` frames a second.

    Frames are smaller than the photograph: its margin is what the camera's drift brings into
    view. The average of the frames' shakes is as large as asked for; some are shaken more.

    Args:
        photo: linear light, 1 = saturation, may exceed 1; (3, H, W).
        frames: how many.
        noise: a name in `VIDEO_NOISE`, or a deviation as `RenderedVideo.sigma`.
        blur: a name in `VIDEO_BLUR`, or the least and largest extent of the shake [px].
        exposure: share of the time that the shutter is open, above 0 and at most 1.
        moving: whether a thing moves over the scene.
        seed: of everything random; the same seed gives the same film.

    Raises:
        InputError: the photograph is too small for such a shake.
    """
    limits = VIDEO_BLUR[blur] if isinstance(blur, str) else blur
    generator = torch.Generator().manual_seed(2 * seed + 1)
    extent = draw_extent(limits, generator)
    half = max(_LEAST_MOMENTS, math.ceil(2 * float(extent))) // 2  # half a pixel apart, about
    span = 2 * half + 1
    exposures = tuple(range(n * span, (n + 1) * span) for n in range(frames))
    own = torch.arange(-half, half + 1.0)
    sequence = film_picture(
        photo,
        times=torch.cat([own + (n - frames // 2) * span / exposure for n in range(frames)]),
        exposed=exposures[frames // 2],
        frames_per_s=RATE * span / exposure,
        extent=extent,
        blur=limits,
        moving=moving,
        generator=generator,
    )
    shake = _extents(sequence, exposures).mean().clamp_min(1e-6)
    sequence = replace(sequence, path=sequence.path * (extent / shake))
    return RenderedVideo(
        sequence=replace(sequence, margin=_margin(sequence)),
        exposures=exposures,
        exposure=exposure,
        sigma=VIDEO_NOISE[noise] if isinstance(noise, str) else noise,
        seed=seed,
    )


def _extents(sequence: Film, exposures: Sequence[range]) -> Tensor:
    """Return each frame's shake in the middle of the picture [px]; (F,)."""
    height, width = sequence.scenes.shape[-2:]
    ways = centre_ways(sequence.path, sequence.axis, torch.tensor([width - 1.0, height - 1]) / 2)[0]
    own = torch.stack([ways[list(moments)] for moments in exposures])
    return torch.cdist(own, own).amax(dim=(1, 2))


def _margin(sequence: Film) -> int:
    """Return how far frames must lie within the photograph to show nothing beyond it [px]."""
    height, width = sequence.scenes.shape[-2:]
    corners = [torch.tensor([x, y]) for x in (0.0, width - 1) for y in (0.0, height - 1)]
    path, axis, focal = sequence.path, sequence.axis, sequence.focal
    ways = [centre_ways(path, axis, corner, focal) for corner in corners]
    margin = math.ceil(float(torch.stack(ways).abs().max())) + _ROOM
    if min(height, width) - 2 * margin < LEAST_SIDE:
        raise InputError(
            f"The photograph ({width}x{height} px) is too small: the camera drifts by up to "
            f"{margin} px.",
            "Take a larger photograph, fewer frames, less shake, or another --seed.",
        )
    return margin
