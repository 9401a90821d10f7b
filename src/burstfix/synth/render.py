"""Whole pictures as a shaken, noisy burst with known truth: for demos and benchmarks."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from burstfix.errors import InputError
from burstfix.frame import Box, Size
from burstfix.synth import psf, sensor
from burstfix.synth.motion import corner_homographies, rigid
from burstfix.synth.resample import PREFILTER_RADIUS, pixel_grid, spline_sample, transform

NOISE = {"low": 0.01, "medium": 0.03, "high": 0.10}  # standard deviation, saturation is 1
BLUR = {"none": (0.0, 0.0), "easy": (3.0, 9.0), "mixed": (3.0, 25.0), "hard": (9.0, 25.0)}

BLACK_LEVEL_DN = 512
WHITE_LEVEL_DN = 16383
MIDDLE_GREY = 0.18
SHOT_PART = 0.5  # of the mosaic's noise variance at middle grey; the rest is read noise
TILE = 960  # px; bounds the memory, whatever the picture
LEAST_SIDE = 64  # px


@dataclass(frozen=True, kw_only=True)
class RenderedBurst:
    """A burst of one scene that renders its frames when asked: 12 MP frames fill memory fast.

    Every call for the same frame gives the same pixels. Each frame has its own geometry; any of
    them may serve as the reference.

    Args:
        scene: linear light, 1 = saturation, may exceed 1; (3, H, W).
        size: of the frames, both even.
        source_from_scene: where points of the scene lie in each frame; (F, 3, 3) float64.
        psfs: blur of each frame in its own geometry, about its centroid; (F, k, k).
        exposure_ev: of each frame, against the scene; (F,).
        sigma: noise of `linear`; of `mosaic` at middle grey.
        white_balance: gains of red, green, blue that turn the mosaic's colours into the scene's.
        seed: of the noise.
    """

    scene: Tensor
    size: Size
    source_from_scene: Tensor
    psfs: Tensor
    exposure_ev: Tensor
    sigma: float
    white_balance: tuple[float, float, float]
    seed: int

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return len(self.psfs)

    @property
    def shot(self) -> float:
        """Variance of the mosaic's noise per light, in units of saturation."""
        return SHOT_PART * self.sigma**2 / MIDDLE_GREY

    @property
    def read(self) -> float:
        """Variance of the mosaic's noise in the dark, in units of saturation squared."""
        return (1 - SHOT_PART) * self.sigma**2

    def source_from_reference(self, reference: int) -> Tensor:
        """Return where points of one frame lie in every frame; (F, 3, 3) float64."""
        scene_from_reference: Tensor = torch.linalg.inv(self.source_from_scene[reference])
        homographies = self.source_from_scene @ scene_from_reference
        return homographies / homographies[:, 2:, 2:]

    def truth_for(self, index: int) -> Tensor:
        """Render what a steady, noiseless camera would have recorded in place of a frame.

        Returns:
            Linear light in the frame's geometry and exposure, 0 to 1; (3, h, w).
        """
        truth = torch.empty(3, *self.size)
        for box in _tiles(self.size):
            _put(truth, box, self._sharp(index, box).clamp_max(1))
        return truth

    def light(self, index: int) -> Tensor:
        """Render a frame's blurred light before noise and saturation; (3, h, w)."""
        light = torch.empty(3, *self.size)
        for box in _tiles(self.size):
            _put(light, box, self._blurred(index, box))
        return light

    def linear(self, index: int) -> Tensor:
        """Render a frame as a sensor with three colours a pixel and white noise would see it.

        Returns:
            Linear light, at most 1; noise may fall below 0; (3, h, w).
        """
        generator = torch.Generator().manual_seed(_seed(self.seed, index))
        frame = torch.empty(3, *self.size)
        for box in _tiles(self.size):
            light = self._blurred(index, box)
            noise = torch.randn(light.shape, generator=generator)
            _put(frame, box, light.add_(noise, alpha=self.sigma).clamp_max_(1))
        return frame

    def mosaic(self, index: int) -> Tensor:
        """Render a frame as raw data: RGGB mosaic, shot and read noise, 14 bits.

        Returns:
            `BLACK_LEVEL_DN` is black, `WHITE_LEVEL_DN` saturation; (h, w) uint16.
        """
        generator = torch.Generator().manual_seed(_seed(self.seed, self.frames + index))
        balance = torch.tensor(self.white_balance).view(1, 3, 1, 1)
        shot, read = torch.tensor([self.shot]), torch.tensor([self.read])
        levels = torch.empty(self.size, dtype=torch.uint16)
        for box in _tiles(self.size):
            light = self._blurred(index, box).unsqueeze(0) / balance
            noisy = sensor.add_noise(sensor.mosaic(light), shot, read, generator)
            coded = noisy * (WHITE_LEVEL_DN - BLACK_LEVEL_DN) + BLACK_LEVEL_DN
            tile = coded.round_().clamp_(0, WHITE_LEVEL_DN)[0, 0]
            levels[box.top : box.bottom, box.left : box.right] = tile.to(torch.uint16)
        return levels

    def _sharp(self, index: int, box: Box) -> Tensor:
        """Warp the scene to a box in or around a frame, in its exposure, not below 0."""
        scene_from_source = torch.linalg.inv(self.source_from_scene[index])
        grid = pixel_grid(box.size, top=box.top, left=box.left)
        points = transform(scene_from_source[None], grid)
        left, top = (points.amin(dim=(0, 1, 2)).floor() - PREFILTER_RADIUS - 2).int().tolist()
        right, bottom = (points.amax(dim=(0, 1, 2)).ceil() + PREFILTER_RADIUS + 3).int().tolist()
        whole = Box.whole((self.scene.shape[-2], self.scene.shape[-1]))
        part = Box(top, left, bottom, right).intersect(whole)
        scene = self.scene[None, :, part.top : part.bottom, part.left : part.right]
        points -= torch.tensor([part.left, part.top])
        gain = 2.0 ** float(self.exposure_ev[index])
        return spline_sample(scene, points)[0].clamp_min_(0).mul_(gain)

    def _blurred(self, index: int, box: Box) -> Tensor:
        """Render the light of a box of a frame, noiseless and not saturated; (3, h, w)."""
        half = self.psfs.shape[-1] // 2
        # With what lies around: no pixel of the box sees a border, reflected or not.
        sharp = self._sharp(index, box.grow(half))
        blurred = psf.convolve(sharp[None], self.psfs[index][None])[0]
        return blurred[:, half : half + box.size[0], half : half + box.size[1]].contiguous()


def render_burst(
    photo: Tensor,
    *,
    frames: int = 8,
    noise: str | float = "medium",
    blur: str | tuple[float, float] = "mixed",
    shake_px: float = 20.0,
    rotation_deg: float = 0.5,
    exposure_ev: float = 0.0,
    white_balance: tuple[float, float, float] = (2.0, 1.0, 1.6),
    seed: int = 0,
) -> RenderedBurst:
    """Make a hand-held burst of a photograph.

    Frames are smaller than the photograph: its margin is what shake brings into view.

    Args:
        photo: linear light, 1 = saturation, may exceed 1; (3, H, W).
        frames: how many.
        noise: a name in `NOISE`, or the standard deviation at middle grey, saturation is 1.
        blur: a name in `BLUR`, or the least and largest extent of the frames' shakes [px].
        shake_px: how far frames are displaced from the photograph's middle, at most.
        rotation_deg: how far frames are turned, at most.
        exposure_ev: how far exposures differ from the first frame's, at most, up or down.
        white_balance: gains of red, green and blue of the camera, each at least 1.
        seed: of everything random; the same seed gives the same burst.

    Raises:
        InputError: the photograph is too small for such a shake.
    """
    sigma = NOISE[noise] if isinstance(noise, str) else noise
    limits = BLUR[blur] if isinstance(blur, str) else blur
    generator = torch.Generator().manual_seed(_seed(seed, -1))
    extent = limits[0] + (limits[1] - limits[0]) * torch.rand(frames, generator=generator)
    side = 2 * math.ceil(limits[1]) + 1  # a centred path reaches no farther than its extent
    psfs = psf.random_walk_psfs(extent, generator=generator, size=max(3, side))
    scene_size = (photo.shape[-2], photo.shape[-1])
    margin = _margin(scene_size, side // 2, shake_px, rotation_deg)
    exposures = exposure_ev * (2 * torch.rand(frames, generator=generator) - 1)
    exposures[0] = 0
    return RenderedBurst(
        scene=photo,
        size=_frame_size(scene_size, margin),
        source_from_scene=_draw_homographies(
            frames,
            scene_size,
            margin=margin,
            shake_px=shake_px,
            rotation_deg=rotation_deg,
            generator=generator,
        ),
        psfs=psfs,
        exposure_ev=exposures,
        sigma=sigma,
        white_balance=white_balance,
        seed=seed,
    )


def _margin(scene: Size, reach: int, shake_px: float, rotation_deg: float) -> int:
    """Return what frames must keep of the photograph's border, so that none shows it [px]."""
    turned = max(scene) / 2 * math.sin(math.radians(abs(rotation_deg)))
    return math.ceil(1.1 * shake_px + turned + reach + 3)


def _frame_size(scene: Size, margin: int) -> Size:
    """Return what remains within the margin, even on both sides."""
    size = (scene[0] - 2 * margin) // 2 * 2, (scene[1] - 2 * margin) // 2 * 2
    if min(size) < LEAST_SIDE:
        raise InputError(
            f"The photograph ({scene[1]}x{scene[0]} px) is too small: such shake needs "
            f"a margin of {margin} px on every side.",
            "Take a larger photograph, or less shake.",
        )
    return size


def _draw_homographies(
    frames: int,
    scene: Size,
    *,
    margin: int,
    shake_px: float,
    rotation_deg: float,
    generator: torch.Generator,
) -> Tensor:
    """Draw where the scene lies in every frame: shift, turn and a trace of perspective."""
    dice = 2 * torch.rand(frames, 11, generator=generator, dtype=torch.float64) - 1
    shift, angle = dice[:, :2], dice[:, 2] * math.radians(rotation_deg)
    shift = shake_px * shift / shift.norm(dim=1, keepdim=True).clamp_min(1)
    middle = ((scene[1] - 1) / 2, (scene[0] - 1) / 2)
    tilt = corner_homographies(0.1 * shake_px / 2 * dice[:, 3:].view(-1, 4, 2), scene)
    moved = rigid(shift - margin, angle, middle)
    homographies = moved @ tilt
    return homographies / homographies[:, 2:, 2:]


def _tiles(size: Size) -> Iterator[Box]:
    """Cut a picture of even sides into boxes of even corners."""
    for top in range(0, size[0], TILE):
        for left in range(0, size[1], TILE):
            yield Box(top, left, min(top + TILE, size[0]), min(left + TILE, size[1]))


def _put(picture: Tensor, box: Box, tile: Tensor) -> None:
    picture[:, box.top : box.bottom, box.left : box.right] = tile


def _seed(seed: int, stream: int) -> int:
    """Give every stream of random numbers of a burst a seed of its own."""
    return seed * 1_000_003 + stream + 1
