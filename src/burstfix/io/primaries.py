"""Colours of the primaries: profiles of what files say of them, and frames brought to one set."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from burstfix.color import LINEAR, SRGB
from burstfix.frame import Box, Burst, Curve, Frame, Pixels, Size
from burstfix.io import icc

Matrix = NDArray[np.float64]

_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(  # cone responses from XYZ
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
# PNG's numbers for sRGB (third edition, 11.3.2): gamma, then x and y of white, red, green, blue
_SRGB_GAMMA = 0.45455
_SRGB_POINTS = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
_MOST_XYZ = 4  # of a primary; no real one comes near, and a profile holds up to 32768
_SAME_GAMMA, _SAME_POINT, _SAME_MATRIX = 1e-3, 2e-3, 2e-3


def profile_of_points(gamma: float | None, chromaticities: Sequence[float]) -> bytes:
    """Build the profile that a gamma and chromaticities describe, as PNG's gAMA and cHRM hold them.

    Programs that mean sRGB write its numbers there, whose power only comes near its curve: then,
    and where the numbers make no sense, there is no profile.

    Args:
        gamma: exponent from light to code; None is unknown.
        chromaticities: x and y of white, red, green and blue; empty is unknown.
    """
    known_gamma = gamma is not None and 0.1 <= gamma <= 10
    as_srgb = not known_gamma or abs((gamma or 0) - _SRGB_GAMMA) < _SAME_GAMMA
    points = _matrix_of_points(chromaticities)
    if points is None or np.allclose(chromaticities, _SRGB_POINTS, atol=_SAME_POINT):
        if as_srgb:
            return b""
        points = None
    curve = Curve(g=1 / gamma) if known_gamma and gamma else SRGB
    if curve.g == 1:
        curve = LINEAR
    return icc.of_curve(curve, points)


def match_primaries(frames: Burst, reference: int) -> tuple[list[Frame], list[Frame]]:
    """Bring frames whose profiles have other primaries than the reference's to those.

    Returns:
        The frames, unlike ones replaced; and those that cannot be matched, since their profile or
        the reference's has no primaries and they differ.
    """
    target = icc.primaries(frames[reference].metadata.icc)
    matched, left = list[Frame](), list[Frame]()
    for frame in frames:
        own = icc.primaries(frame.metadata.icc)
        if frame.metadata.icc == frames[reference].metadata.icc:
            matched.append(frame)
        elif own is None or target is None:
            matched.append(frame)
            left.append(frame)
        elif np.allclose(own, target, atol=_SAME_MATRIX):
            matched.append(frame)
        else:
            matrix = np.asarray(np.linalg.solve(target, own), np.float64)
            matched.append(replace(frame, pixels=_Recoloured(frame.pixels, matrix)))
    return matched, left


@dataclass(frozen=True)
class _Recoloured:
    """Pixels whose light is mixed anew; implements `frame.Pixels`.

    Args:
        pixels: in primaries of their own.
        matrix: new from old; (3, 3).
    """

    pixels: Pixels
    matrix: Matrix

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self.pixels.size

    def read(self, box: Box) -> Tensor:
        """Return a box in linear light of the new primaries; (3, h, w) float32."""
        mixed: Tensor = torch.from_numpy(self.matrix).float() @ self.pixels.read(box).flatten(1)
        return mixed.view(3, *box.size)


def _matrix_of_points(chromaticities: Sequence[float]) -> Matrix | None:
    """Return XYZ under D50 from RGB; (3, 3). None where the points span no colours."""
    if len(chromaticities) != 8:
        return None
    points = np.array(chromaticities, np.float64).reshape(4, 2)
    if not np.isfinite(points).all() or (points[:, 1] < 1e-4).any():
        return None
    xyz = np.column_stack([points[:, 0], points[:, 1], 1 - points.sum(axis=1)])
    white, colours = (xyz / points[:, 1:])[0], xyz[1:].T
    if abs(np.linalg.det(colours)) < 1e-4:
        return None
    from_rgb = colours * np.linalg.solve(colours, white)
    adapted = np.linalg.solve(
        _BRADFORD, ((_BRADFORD @ _D50) / (_BRADFORD @ white))[:, None] * (_BRADFORD @ from_rgb)
    )
    if not np.isfinite(adapted).all() or np.abs(adapted).max() > _MOST_XYZ:
        return None
    return np.asarray(adapted)
