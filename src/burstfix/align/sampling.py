"""Where a homography takes points, and the picture's light between its pixels, exactly.

OpenCV rounds positions to 1/32 pixel, which shows in fine detail and stalls an alignment that
aims at a hundredth. Here positions are kept to 1/2048 pixel, and in a way that makes the result
independent of the box it is read in: every coordinate that reaches `grid_sample` is a dyadic
fraction which float32 holds exactly, so that tiles equal the whole picture.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from burstfix.frame import Box

STEPS = 2048  # positions are multiples of 1/STEPS pixel
_STRIP_POINTS = 1 << 16  # positions worked out at once: they stay in the cache
MARGIN = 2  # pixels which the kernel reads beside the two around a point


def project(homography: np.ndarray, box: Box, stride: int = 1) -> tuple[Tensor, Tensor]:
    """Take the pixels of a box through a homography.

    Args:
        homography: target_from_source, points (x, y, 1); (3, 3) float64.
        box: whose pixels to take, in the source.
        stride: take every stride-th pixel of each row and column only.

    Returns:
        The targets' x and y in pixels; each (h, w) float64.
    """
    m = [[float(entry) for entry in row] for row in homography]
    x = torch.arange(box.left, box.right, stride, dtype=torch.float64)[None, :]
    y = torch.arange(box.top, box.bottom, stride, dtype=torch.float64)[:, None]
    scale = ((m[2][0] * x) + (m[2][1] * y + m[2][2])).reciprocal_()
    along = ((m[0][0] * x) + (m[0][1] * y + m[0][2])).mul_(scale)
    down = ((m[1][0] * x) + (m[1][1] * y + m[1][2])).mul_(scale)
    return along, down


def sample(source: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Read a picture between its pixels, by bicubic interpolation.

    Points outside read the nearest pixel of the border. At whole pixels it returns them to the
    bit; constants and ramps are exact everywhere.

    Args:
        source: any picture; (C, H, W) float32.
        x: columns in pixels of `source`; (h, w) float64.
        y: rows in pixels of `source`; (h, w) float64.

    Returns:
        The light there; (C, h, w) float32.
    """
    channels, height, width = source.shape
    buffer = _padded(source)
    grid = torch.empty(1, *x.shape, 2)
    strip = max(1, _STRIP_POINTS // max(x.shape[1], 1))
    for top in range(0, x.shape[0], strip):
        rows = slice(top, top + strip)
        grid[0, rows, :, 0] = _fold(x[rows], width, buffer.shape[-1])
        grid[0, rows, :, 1] = _fold(y[rows], height, buffer.shape[-2])
    found = F.grid_sample(buffer, grid, mode="bicubic", align_corners=False)
    return found[0].reshape(channels, *x.shape)


def _padded(source: Tensor) -> Tensor:
    """Lay the picture, its borders repeated, in the corner of a buffer with sides 2^n.

    The rest of the buffer is never read, thus not filled.
    """
    channels, height, width = source.shape
    sides = [1 << (side + 2 * MARGIN - 1).bit_length() for side in (height, width)]
    buffer = torch.empty(
        (1, channels, *sides), dtype=torch.float32, memory_format=torch.channels_last
    )
    bottom, right = height + MARGIN, width + MARGIN
    buffer[0, :, MARGIN:bottom, MARGIN:right] = source
    buffer[:, :, MARGIN:bottom, :MARGIN] = buffer[:, :, MARGIN:bottom, MARGIN : MARGIN + 1]
    buffer[:, :, MARGIN:bottom, right : right + MARGIN] = buffer[
        :, :, MARGIN:bottom, right - 1 : right
    ]
    within = slice(0, right + MARGIN)
    buffer[:, :, :MARGIN, within] = buffer[:, :, MARGIN : MARGIN + 1, within]
    buffer[:, :, bottom : bottom + MARGIN, within] = buffer[:, :, bottom - 1 : bottom, within]
    return buffer


def _fold(position: Tensor, length: int, side: int) -> Tensor:
    """Turn positions into the coordinates of `grid_sample` that give them on the buffer.

    Args:
        position: in pixels of the picture; float64.
        length: pixels of the picture along this axis.
        side: pixels of the buffer along this axis, a power of two.

    Returns:
        Coordinates from -1 to 1, exact in float32.
    """
    steps = position.clamp(0, length - 1).mul_(STEPS).round_().to(torch.int32)
    fraction = torch.bitwise_and(steps, STEPS - 1)
    change = torch.index_select(_CHANGE, 0, fraction.view(-1)).view_as(steps)
    corrected = steps.add_(change).to(torch.float32)
    return corrected.add_(MARGIN * STEPS + STEPS // 2).mul_(2 / (side * STEPS)).sub_(1)


def _change() -> Tensor:
    """Tabulate by how many steps to change a fraction of a pixel, so that ramps come out right.

    The kernel of `grid_sample` (Keys, a = -0.75) keeps detail better than Catmull and Rom's but
    bends a ramp by up to 0.05 pixel: asked for 1/2 + v it gives 1/2 + 3/4 v + v^3. The inverse
    of that cubic is v = sinh(asinh(4 u) / 3).
    """
    fraction = torch.arange(STEPS, dtype=torch.float64) / STEPS
    asked = 0.5 + torch.sinh(torch.asinh(4 * (fraction - 0.5)) / 3)
    return ((asked - fraction) * STEPS).round().to(torch.int32)


_CHANGE = _change()
