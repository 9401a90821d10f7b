"""What is left between two exposures' light after gains: slowly varying casts and curves.

Developed files do not keep to a line: tone curves bend dark light, and noise that was smoothed
and clipped leaves blotches of colour, which a gain of some stops brings out. The long exposure
knows better there. At the scale of its blur and above, it says what the light is.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from burstfix.align.geometry import Matrix, to_level
from burstfix.align.light import shrink
from burstfix.align.sampling import project, sample
from burstfix.frame import Box

Picture = NDArray[np.float32]

SIGMA = 8.0  # Gaussian, in pixels of the pictures: what is finer stays the short exposure's
STRIDE = 4  # pixels of the pictures between the field's knots
CLIPPED = 0.95  # light from where the long exposure tells nothing
ENOUGH = 0.1  # of a Gaussian's weight that must lie where both tell
FOREIGN = 0.4  # of the light: a difference so large is another thing, not a cast
FOREIGN_DARK = 0.004  # added to that, in the short exposure's light: a code or two of 8 bits


@dataclass(frozen=True)
class LightField:
    """By how much to change a picture's light, between knots linearly.

    Bright light is changed by a share of itself: what is added beside an edge would tint the
    other side. Dark light is lifted or lowered.

    Args:
        knots: changes over (light + dark); (3, h, w), float32.
        step: pixels between them, the same both ways.
        first: row and column of the first knot [px].
        dark: linear light from where changes are by share.
        foreign: how far the long exposure shows another thing, 0 to 1; (1, h, w), float32.
    """

    knots: Tensor
    step: int
    first: float
    dark: float
    foreign: Tensor

    def change(self, light: Tensor, box: Box) -> Tensor:
        """Return the light of a box as the field changes it; (3, h, w) to the same."""
        return torch.addcmul(light, light.clamp_min(0) + self.dark, self.read(box))

    def unchanging(self) -> "LightField":
        """Return a field that leaves light as it is, and tells other things alone."""
        return replace(self, knots=torch.zeros_like(self.knots))

    def read(self, box: Box) -> Tensor:
        """Return the field over a box; (3, h, w). The same whatever the box, to the bit."""
        return self._read(self.knots, box)

    def alike(self, box: Box) -> Tensor:
        """Return how far both exposures show the same things, 0 to 1; (1, h, w)."""
        return 1 - self._read(self.foreign, box)

    def _read(self, knots: Tensor, box: Box) -> Tensor:
        rows = self._between(box.top, box.bottom, knots.shape[1])
        columns = self._between(box.left, box.right, knots.shape[2])
        low, high, share = rows
        across = torch.lerp(knots[:, low], knots[:, high], share[:, None])
        low, high, share = columns
        return torch.lerp(across[:, :, low], across[:, :, high], share)

    def _between(self, start: int, end: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the knots before and after each pixel, and how far it lies along."""
        place = (torch.arange(start, end, dtype=torch.float64) - self.first) / self.step
        place = place.clamp_(0, count - 1)
        low = place.floor().long()
        return low, (low + 1).clamp_max(count - 1), (place - low).float()


def light_field(
    short: Picture,
    long: Picture,
    long_from_short: Matrix,
    factor: int,
    gain: float,
) -> LightField:
    """Measure how the long exposure's light differs from the short one's, smoothly.

    Where the long one is clipped or saw nothing, or shows another thing, the field fades to 0.

    Args:
        short: linear light at the long exposure's level, averaged over blocks; (3, h, w).
        long: the other, likewise; (3, h, w).
        long_from_short: takes the short exposure's (x, y) to the long one's, in full-resolution
            pixels; (3, 3).
        factor: side of the blocks in full-resolution pixels.
        gain: what the short exposure was multiplied by.
    """
    side = STRIDE * factor  # full-resolution pixels between knots
    small, other = shrink(short, STRIDE), shrink(long, STRIDE)
    clipped = shrink((long.max(axis=0, keepdims=True) > CLIPPED).astype(np.float32), STRIDE)
    x, y = project(to_level(long_from_short, side), Box.whole(small.shape[1:]))
    there = sample(torch.from_numpy(np.concatenate([other, clipped])), x, y).numpy()
    height, width = other.shape[1:]
    seen = ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)).numpy()
    reach = np.ones((2 * round(SIGMA / STRIDE) + 1,) * 2)
    mask = (seen & (cv2.dilate(there[3], reach) < 0.01)).astype(np.float32)
    coarse, _, _ = _difference(small, there[:3], mask, 3 * SIGMA / STRIDE, gain)
    fine, share, alike = _difference(small, there[:3], mask, SIGMA / STRIDE, gain)
    knots = coarse + (fine - coarse) * share  # where the finer saw nothing, the coarser
    return LightField(
        torch.from_numpy(np.ascontiguousarray(knots, dtype=np.float32)),
        side,
        (side - 1) / 2,
        FOREIGN_DARK * gain,
        torch.from_numpy(np.ascontiguousarray(1 - alike, dtype=np.float32))[None],
    )


def _difference(
    short: Picture, long: Picture, mask: Picture, sigma: float, gain: float
) -> tuple[Picture, Picture, Picture]:
    """Return how smoothed light differs, over (light + dark), how far both tell it, and are alike.

    The first is 0 where they do not.
    """
    known = cv2.GaussianBlur(mask, (0, 0), sigma)
    one, two = (
        np.stack([cv2.GaussianBlur(plane * mask, (0, 0), sigma) for plane in picture])
        / (known + 1e-4)
        for picture in (short, long)
    )
    dark = FOREIGN_DARK * gain
    foreign = FOREIGN * np.maximum(one, two).max(axis=0) + dark
    share = np.clip(known / ENOUGH, 0, 1)
    alike = np.exp(-((np.abs(two - one).max(axis=0) / foreign) ** 4))
    # Round another thing its smoothed light fades out, and looks like a cast there.
    side = 4 * round(sigma) + 1
    alike = cv2.erode(np.where(known < ENOUGH, 1, alike).astype(np.float32), np.ones((side, side)))
    alike = np.asarray(cv2.GaussianBlur(alike, (0, 0), sigma / 2), dtype=np.float32)
    change = (two - one) / (np.maximum(one, 0) + dark) * share * alike
    return np.asarray(change), np.asarray(share), alike
