"""The code in which `set` sees light: like a square root, but smooth and odd about 0."""

import math

import torch
from torch import Tensor

_KNEE = 1 / 64  # light below which the code is near linear: noise at black stays finite


def to_code(light: Tensor) -> Tensor:
    """Compress linear light like a square root that is smooth and odd about 0."""
    scale = math.sqrt(1 + _KNEE) - math.sqrt(_KNEE)
    code = ((light.abs() + _KNEE).sqrt() - math.sqrt(_KNEE)) / scale
    return torch.copysign(code, light)


def to_light(code: Tensor) -> Tensor:
    """Invert `to_code`."""
    scale = math.sqrt(1 + _KNEE) - math.sqrt(_KNEE)
    light = (code.abs() * scale + math.sqrt(_KNEE)).square() - _KNEE
    return torch.copysign(light, code)
