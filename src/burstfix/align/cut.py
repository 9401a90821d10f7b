"""Tell whether a film cuts to another scene between two frames."""

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from burstfix.color import to_root

Thumbnail = NDArray[np.float32]  # roots of linear R, G and B; (27, 48, 3)

_SIZE = (27, 48)  # (height, width): so small that shake and most motion stay within a pixel or two
_REACH = (6, 10)  # by how much a thumbnail may have moved, down and across
_LEAST_ALIKE = 0.65  # correlation of two frames of one scene; of 4 in 100 unrelated photographs too
_FLAT = 0.01  # spread of roots below which a thumbnail shows nothing


def thumbnail(light: Tensor) -> Thumbnail:
    """Shrink a frame; (3, H, W) in linear light to (27, 48, 3)."""
    small = F.adaptive_avg_pool2d(light[None], _SIZE)[0]
    return np.ascontiguousarray(to_root(small).permute(1, 2, 0).numpy())


def is_cut(before: Thumbnail, after: Thumbnail) -> bool:
    """Tell whether two consecutive frames show different scenes.

    The middle of one is looked for in the other, so neither pans nor changes of brightness count.

    Args:
        before: a frame.
        after: the next.
    """
    down, across = _REACH
    middle = before[down:-down, across:-across]
    flat = [float(picture.std(axis=(0, 1)).max()) < _FLAT for picture in (middle, after)]
    if any(flat):
        return not all(flat)
    found = cv2.matchTemplate(after, middle, cv2.TM_CCOEFF_NORMED)
    return float(found.max()) < _LEAST_ALIKE
