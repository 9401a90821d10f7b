"""Sharp frames of one scene in quick succession: a hand-held camera, depth, things that move."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from burstfix.synth import motion
from burstfix.synth.resample import pixel_grid, sample, sample_through, transform

FRAMES_PER_S = 240.0
_WAVES = 48  # sinusoids that make up a path
_SLOWEST_HZ, _FASTEST_HZ = 0.3, 25.0


def tremor(
    count: int,
    times: Tensor,
    generator: torch.Generator,
    *,
    frames_per_s: Tensor | float = FRAMES_PER_S,
) -> Tensor:
    """Draw how a hand moves a camera about and along three axes: six paths of one spectrum.

    The power of a hand-held camera's shake falls with the square of frequency up to some Hz and
    with its fourth power from there on, and the trembling of muscles adds a bump between 6 and
    12 Hz. Sums of sinusoids with random phases have that spectrum at any moment, so moments need
    not be equally spaced.

    Args:
        count: how many cameras.
        times: moments, counted in frames; (T,).
        generator: draws the paths; same device as `times`.
        frames_per_s: frames a second, for all or for each; a number or (count,).

    Returns:
        Six coordinates over time, each of deviation 1 over long times; (count, T, 6).
    """
    device = generator.device
    frequency = torch.logspace(
        math.log10(_SLOWEST_HZ), math.log10(_FASTEST_HZ), _WAVES, device=device
    )
    dice = torch.rand(count, 3, 1, generator=generator, device=device).unbind(1)
    corner_hz, bump_hz = 2 + 6 * dice[0], 6 + 6 * dice[1]
    bump = torch.exp(-0.5 * ((frequency - bump_hz) / 1.5).square())
    bumpy = 1 + 2 * dice[2] * bump
    power = bumpy * frequency**-2 / (1 + (frequency / corner_hz).square())
    amplitude = (power * frequency).sqrt()  # the bands between frequencies widen as they rise
    amplitude = amplitude / amplitude.square().sum(dim=1, keepdim=True).sqrt()
    rate = torch.as_tensor(frames_per_s, dtype=torch.float32, device=device).expand(count)
    phase = 2 * math.pi * frequency * (times / rate.view(-1, 1)).unsqueeze(-1)  # (count, T, waves)
    waves = torch.cat([phase.cos(), phase.sin()], dim=-1)
    drawn = torch.randn(count, 2 * _WAVES, 6, generator=generator, device=device)
    return waves @ (drawn * amplitude.repeat(1, 2).unsqueeze(-1))


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Cut-outs that lie before some of the scenes of a batch, one before each.

    Args:
        items: which scenes; (m,) integers.
        picture: linear light times opacity, and opacity; (m, 4, H, W).
        nearness: how much farther parallax moves it than the scene behind, as a share; (m,).
        velocity: own way a frame, (x, y) [px]; (m, 2).
        spin: own turn a frame, in radians; (m,).
        centre: (x, y) about which it turns [px]; (m, 2).
    """

    items: Tensor
    picture: Tensor
    nearness: Tensor
    velocity: Tensor
    spin: Tensor
    centre: Tensor


@dataclass(frozen=True, kw_only=True)
class Film:
    """N scenes, each filmed by a moving camera: frames, and the exact flow between any two.

    The camera pans, tilts and rolls, which moves all of the picture by a homography, and shifts
    along three axes, which moves near things farther than the scene behind them.

    Args:
        scenes: what lies behind all else, linear light; (N, 3, H, W).
        layers: what lies before it, from back to front.
        margin: how far frames lie within the scenes on every side [px].
        times: of the moments, counted in frames from where things stand as cut out; (T,).
        path: the camera at each moment: pan and tilt [px at the axis], roll [radians], shifts
            right and down [px of the scene behind], and along the axis [share]; (N, T, 6).
        rest: the part of `path` that registering the scene behind takes out; (N, T, 6).
        shift: where frames then lie, (x, y) [px]; (N, T, 2).
        focal: focal lengths [px]; (N,).
        axis: where the optical axis meets the scenes, (x, y) [px]; (N, 2).
    """

    scenes: Tensor
    layers: tuple[Layer, ...]
    margin: int
    times: Tensor
    path: Tensor
    rest: Tensor
    shift: Tensor
    focal: Tensor
    axis: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames."""
        height, width = self.scenes.shape[-2:]
        return height - 2 * self.margin, width - 2 * self.margin

    def frame(self, moment: int, mode: str = "bicubic") -> Tensor:
        """Render the frames of one moment, sampled as `mode` says; (N, 3, h, w)."""
        size, inset = self.size, self.margin
        behind = self.scene_from_frame(moment)
        light = sample_through(self.scenes, behind, size, inset=inset, mode=mode)
        for layer in self.layers:
            matrices = self.scene_from_frame(moment, layer)
            # Not bicubic, which would ring at the edges of the cut-out.
            cut_out = sample_through(layer.picture, matrices, size, inset=inset, mode="bilinear")
            here = light[layer.items]
            light[layer.items] = here * (1 - cut_out[:, 3:]) + cut_out[:, :3]
        return light

    def frames(self) -> Tensor:
        """Render all frames; (N, T, 3, h, w)."""
        return torch.stack([self.frame(moment) for moment in range(len(self.times))], dim=1)

    def average(self, moments: Sequence[int]) -> Tensor:
        """Expose over some moments: the mean of their light; (N, 3, h, w)."""
        # Twice as quick, and the softening is lost in the shake.
        mode = "bicubic" if len(moments) == 1 else "bilinear"
        total = torch.zeros((), device=self.scenes.device)
        for moment in moments:
            total = total + self.frame(moment, mode)
        return total / len(moments)

    def flow(self, moment: int, other: int) -> Tensor:
        """Tell how far what each pixel shows moves until another moment.

        Args:
            moment: whose pixels.
            other: the later or earlier moment; what covers a thing there does not matter.

        Returns:
            (x, y) of the foremost thing that covers at least half of the pixel [px];
            (N, h, w, 2).
        """
        grid = self._grid()
        flow = self._way(grid, moment, other, None)
        for layer in self.layers:
            points = transform(self.scene_from_frame(moment, layer), grid)
            opaque = sample(layer.picture[:, 3:], points, "bilinear").squeeze(1) >= 0.5
            own = self._way(grid, moment, other, layer)
            flow[layer.items] = torch.where(opaque.unsqueeze(-1), own, flow[layer.items])
        return flow

    def scene_from_frame(self, moment: int, layer: Layer | None = None) -> Tensor:
        """Return where the frames' points lie in their scenes, or in a layer; (N or m, 3, 3)."""
        items = slice(None) if layer is None else layer.items
        path, rest = self.path[items, moment], self.rest[items, moment]
        focal, axis = self.focal[items], self.axis[items]
        moved = path[:, 3:] - rest[:, 3:]
        if layer is not None:
            moved = moved + layer.nearness.view(-1, 1) * path[:, 3:]
        turned = _turn(path[:, :3] - rest[:, :3], focal, axis)
        placed = motion.shifts(-self.shift[items, moment])
        scene = _approach(moved, axis) @ turned @ placed
        if layer is None:
            return scene
        time = self.times[moment]
        own = motion.rigid(time * layer.velocity, time * layer.spin, layer.centre)
        return motion.inverse(own) @ scene

    def _grid(self) -> Tensor:
        inset = float(self.margin)
        grid = pixel_grid(self.size, device=self.scenes.device, dtype=self.scenes.dtype)
        return grid + inset

    def _way(self, grid: Tensor, moment: int, other: int, layer: Layer | None) -> Tensor:
        """Follow points of frames within the scene behind, or within a layer; (N or m, h, w, 2)."""
        there = motion.inverse(self.scene_from_frame(other, layer))
        return transform(there @ self.scene_from_frame(moment, layer), grid) - grid


def centre_ways(path: Tensor, axis: Tensor, point: Tensor, focal: Tensor | None = None) -> Tensor:
    """Tell how far a path moves a point of the scene behind, to first order.

    Args:
        path: as in `Film`; (N, T, 6).
        axis: (x, y) of the optical axis [px]; (N, 2).
        point: (x, y) [px]; (2,).
        focal: focal lengths [px]; (N,). None takes pan and tilt as they are on the axis; at half
            a focal length to the side and above, they go a quarter farther.

    Returns:
        Where the camera looks from there, (x, y) [px]; (N, T, 2).
    """
    lever = (point - axis).unsqueeze(1)
    across = torch.stack([-lever[..., 1], lever[..., 0]], dim=-1)
    turned = path[..., :2]
    if focal is not None:
        away = lever / focal.view(-1, 1, 1)
        turned = turned + away * (away * turned).sum(dim=-1, keepdim=True)
    return turned + path[..., 2:3] * across + path[..., 3:5] + path[..., 5:] * lever


def _turn(angles: Tensor, focal: Tensor, axis: Tensor) -> Tensor:
    """Make the homographies of a camera that pans and tilts [px at the axis] and rolls.

    Args:
        angles: pan, tilt, roll; (n, 3).
        focal: focal lengths [px]; (n,).
        axis: (x, y) of the optical axis [px]; (n, 2).

    Returns:
        Where points of the turned frame lie in the straight one; (n, 3, 3).
    """
    across, down = (angles[:, :2] / focal.view(-1, 1)).atan().unbind(-1)
    zero = torch.zeros_like(across)
    pan, tilt = (torch.zeros(len(angles), 3, 3).to(angles) for _ in range(2))
    pan[:, 0, 0] = pan[:, 2, 2] = across.cos()
    pan[:, 0, 2], pan[:, 2, 0] = across.sin(), -across.sin()
    pan[:, 1, 1] = tilt[:, 0, 0] = 1
    tilt[:, 1, 1] = tilt[:, 2, 2] = down.cos()
    tilt[:, 1, 2], tilt[:, 2, 1] = down.sin(), -down.sin()
    roll = motion.rigid(torch.stack([zero, zero], dim=-1), angles[:, 2], (0, 0))
    lens = torch.zeros_like(pan)
    lens[:, 0, 0] = lens[:, 1, 1] = focal
    lens[:, :2, 2], lens[:, 2, 2] = axis, 1
    return lens @ pan @ tilt @ roll @ motion.inverse(lens)


def _approach(moved: Tensor, axis: Tensor) -> Tensor:
    """Make the homographies of a camera that shifts: right and down [px], and ahead [share]."""
    matrices = motion.shifts(moved[:, :2] - moved[:, 2:] * axis)
    matrices[:, 0, 0] += moved[:, 2]
    matrices[:, 1, 1] += moved[:, 2]
    return matrices
