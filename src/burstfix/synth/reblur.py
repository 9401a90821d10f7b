"""Blurs sharp frames of a film again, by the flow between them: Chen et al. 2018, section 3.3.

Flows are `source_from_target`: what stands at p one frame later (or earlier) stands at p + flow in
the frame itself. During the exposure a pixel thus sees the frame along the two straight segments
from p to p + tau * flow, one for the time after the middle of the exposure and one for that before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from burstfix.synth import psf
from burstfix.synth.resample import pixel_grid, sample

RANGE = 16  # px, the farthest that a segment of the table reaches; the paper's
_POINTS = 512  # of which a segment is drawn

BlurModel = Literal["conv", "warp"]


@dataclass(frozen=True)
class Triples:
    """K crops of a film, each of three consecutive frames, and these with their neighbours.

    Args:
        bursts: the frame before, the frame, and the one after, each followed by its aligned
            neighbours; linear light, (K, 3, F, 3, h, w).
        seen: how far each pixel was seen, 0 to 1; (K, 3, F, 1, h, w).
        descriptor: as `Network.forward` takes it; (1, F, D).
        flows: where what the next frame shows stands in the frame, and what the frame before
            shows, found in the whole frames; (K, 2, 2, h, w) [px]. None: nobody has looked.
        sure: where these flows and the ones back lead home; (K, 1, h, w), 0 or 1.
    """

    bursts: Tensor
    seen: Tensor
    descriptor: Tensor
    flows: Tensor | None = None
    sure: Tensor | None = None

    def __len__(self) -> int:
        return len(self.bursts)

    def to(self, device: torch.device) -> "Triples":
        """Return the crops on a device."""
        parts = (self.bursts, self.seen, self.descriptor, self.flows, self.sure)
        return Triples(*(part if part is None else part.to(device) for part in parts))  # type: ignore[arg-type] # what is None may be

    def take(self, chosen: Sequence[int]) -> "Triples":
        """Return some of the crops."""
        places = list(chosen)
        flows, sure = (part if part is None else part[places] for part in (self.flows, self.sure))
        return Triples(self.bursts[places], self.seen[places], self.descriptor, flows, sure)


def reblur(
    sharp: Tensor,
    later: Tensor,
    earlier: Tensor | None = None,
    *,
    exposure_cycle: float,
    model: BlurModel = "conv",
) -> Tensor:
    """Blur a frame as its camera did.

    Where in its blur a sharp frame lies nobody can tell: networks learn to put it at the centroid,
    so the blur is centred there. The paper's begins at the frame's middle moment, which in shaken
    films lies pixels beside it.

    Args:
        sharp: the frame in linear light; (N, 3, H, W).
        later: flow from the next frame back to this one, (x, y) [px]; (N, 2, H, W).
        earlier: likewise from the frame before; None is the two-frame form, which takes the
            opposite of `later`.
        exposure_cycle: tau, the part of a frame's interval that is exposed before the middle of
            the exposure, and again after it: half of the shutter's share.
        model: `conv` is equations 8 and 9; `warp` averages frames moved along the segments.

    Returns:
        The blurred frame; (N, 3, H, W). The frame's border repeats.
    """
    before = -later if earlier is None else earlier
    segments = exposure_cycle * later, exposure_cycle * before
    centroid = (segments[0] + segments[1]) / 4  # of both together, each evenly passed
    if model == "warp":
        return _warp_and_average(sharp, segments, centroid)
    return _convolve(_moved(sharp, -centroid), segments)


@cache
def kernel_table(reach: int = RANGE) -> Tensor:
    """Draw the kernels of all whole-numbered segments (u, v) from the origin; each sums to 1.

    A segment's points are laid evenly and splatted bilinearly: equation 8, whose delta is as wide
    as a pixel.

    Args:
        reach: the farthest that segments go [px].

    Returns:
        Taps by where they lie and for which segment: [y + reach, x + reach, v + reach, u + reach];
        s = 2 reach + 1, (s, s, s, s) float32. Not to be changed: it is made once.
    """
    side = 2 * reach + 1
    ends = pixel_grid((side, side), top=-reach, left=-reach, dtype=torch.float32).view(-1, 1, 2)
    shares = (torch.arange(_POINTS) + 0.5) / _POINTS
    kernels = psf.splat(ends * shares.view(1, -1, 1), side)  # (v u, y, x)
    return kernels.permute(1, 2, 0).reshape(side, side, side, side).contiguous()


def segment_kernels(segment: Tensor, reach: int = RANGE) -> Tensor:
    """Look the kernels of segments up, interpolated bilinearly between four: equation 9.

    Args:
        segment: where each pixel's segment ends, (x, y) [px], cut at `RANGE`; (N, 2, H, W).
        reach: taps farther away than this are left out; no less than the segments' reach.

    Returns:
        [n, y + reach, x + reach, row, column]; (N, 2 reach + 1, 2 reach + 1, H, W). It has a
        gradient with respect to the segments.
    """
    rows = [_kernel_rows(segment, y, reach) for y in range(-reach, reach + 1)]
    return torch.stack(rows, dim=1)


def _kernel_rows(segment: Tensor, y: int, reach: int) -> Tensor:
    """Look one row of taps up; (N, 2 reach + 1, H, W)."""
    count, _, height, width = segment.shape
    taps = slice(RANGE - reach, RANGE + reach + 1)
    table = kernel_table()[RANGE + y, taps].to(segment)
    points = segment.permute(0, 2, 3, 1).reshape(1, -1, width, 2) / RANGE
    found = F.grid_sample(
        table[None], points, mode="bilinear", padding_mode="border", align_corners=True
    )
    return found.view(-1, count, height, width).transpose(0, 1)


def _convolve(sharp: Tensor, segments: tuple[Tensor, Tensor]) -> Tensor:
    """Convolve each pixel by the mean of its two kernels, row of taps by row."""
    farthest = max(float(segment.detach().abs().max()) for segment in segments)
    reach = min(RANGE, int(farthest) + 1)  # rows and columns beyond hold zeros alone
    padded = F.pad(sharp, (reach,) * 4, mode="replicate")
    total = torch.zeros_like(sharp)
    for y in range(-reach, reach + 1):
        # Recomputed for the gradient: all taps of all pixels need a thousand times their room.
        total = total + checkpoint(_convolve_row, padded, *segments, y, reach, use_reentrant=False)
    return total


def _convolve_row(padded: Tensor, later: Tensor, earlier: Tensor, y: int, reach: int) -> Tensor:
    """Sum what one row of taps sees."""
    height, width = later.shape[-2:]
    taps = (_kernel_rows(later, y, reach) + _kernel_rows(earlier, y, reach)) / 2
    row = padded[..., reach + y : reach + y + height, :]
    total = torch.zeros_like(row[..., :width])
    for x in range(2 * reach + 1):
        total = total + taps[:, x : x + 1] * row[..., x : x + width]
    return total


def _moved(sharp: Tensor, way: Tensor) -> Tensor:
    """Return what stands at p + way(p); (N, 3, H, W), (N, 2, H, W)."""
    if not way.detach().any():
        return sharp
    grid = pixel_grid(sharp.shape[-2:], device=sharp.device, dtype=sharp.dtype)
    return sample(sharp, grid + way.permute(0, 2, 3, 1))


def _warp_and_average(sharp: Tensor, segments: tuple[Tensor, Tensor], centroid: Tensor) -> Tensor:
    """Average the frame moved along both segments (section 4.4), a step for each pixel of them.

    The paper moves the frame to its neighbours and averages; steps between keep long segments from
    becoming two ghosts.
    """
    height, width = sharp.shape[-2:]
    grid = pixel_grid((height, width), device=sharp.device, dtype=sharp.dtype)
    grid = grid - centroid.permute(0, 2, 3, 1)
    total = torch.zeros_like(sharp)
    for segment in segments:
        way = segment.permute(0, 2, 3, 1)
        steps = int(way.detach().abs().max()) + 1
        for step in range(steps):
            moved = sample(sharp, grid + (step + 0.5) / steps * way, "bilinear")
            total = total + moved / (2 * steps)
    return total
