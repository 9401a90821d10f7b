"""Gives a restored picture the colours of another: the ab channels of CIE Lab are replaced.

Wieschollek et al. 2016, section 3.3. The primaries are taken for sRGB's, whatever they are: both
pictures have the same, and only their common lightness is exchanged.
"""

import torch
from torch import Tensor

from burstfix.color import SRGB_FROM_XYZ

_KNEE = 6 / 29  # CIE 15: below its cube the root of Lab is straight
_OFFSET = 4 / 29


def with_lightness(colour: Tensor, luminance: Tensor) -> Tensor:
    """Replace the lightness of a picture, keep its a and b.

    Args:
        colour: linear light; (N, 3, H, W).
        luminance: what the result shall have, linear light; (N, 1, H, W).

    Returns:
        Linear light; (N, 3, H, W).
    """
    matrix = _xyz_from_rgb()
    roots = _root(_mix(matrix, colour))
    shift = _root(luminance) - roots[:, 1:2]
    # a and b are differences of the roots, so they stay if all three move alike.
    return _mix(torch.linalg.inv(matrix), _cube(roots + shift))


def luminance_of(light: Tensor) -> Tensor:
    """Return the luminance Y of linear light; (..., 3, H, W) to (..., 1, H, W)."""
    red, green, blue = _xyz_from_rgb()[1].tolist()
    r, g, b = light.unbind(-3)
    luminance: Tensor = red * r + green * g + blue * b
    return luminance.unsqueeze(-3)


def _xyz_from_rgb() -> Tensor:
    """Return the matrix to CIE XYZ over its white, which becomes (1, 1, 1); (3, 3)."""
    matrix = torch.linalg.inv(torch.tensor(SRGB_FROM_XYZ, dtype=torch.float64))
    scaled: Tensor = matrix / matrix.sum(dim=1, keepdim=True)
    return scaled


def _mix(matrix: Tensor, picture: Tensor) -> Tensor:
    mixed: Tensor = torch.einsum("ij,njhw->nihw", matrix.to(picture), picture)
    return mixed


def _root(light: Tensor) -> Tensor:
    """Code light as Lab does, up to scale and offset; any shape, below black too."""
    # Clamped first: a gradient through a root at 0 would be infinite.
    bright = light.clamp_min(_KNEE**3).pow(1 / 3)
    root: Tensor = torch.where(light > _KNEE**3, bright, light / (3 * _KNEE**2) + _OFFSET)
    return root


def _cube(root: Tensor) -> Tensor:
    """Undo `_root`."""
    light: Tensor = torch.where(root > _KNEE, root.pow(3), (root - _OFFSET) * (3 * _KNEE**2))
    return light
