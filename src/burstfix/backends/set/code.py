"""The code in which `set` sees light: like a square root, but smooth and odd about 0."""

import math

import torch
from torch import Tensor

_KNEE = 1 / 64  # light below which the code is near linear: noise at black stays finite
_SCALE = math.sqrt(1 + _KNEE) - math.sqrt(_KNEE)  # so that 1 is coded as 1


def to_code(light: Tensor) -> Tensor:
    """Compress linear light like a square root that is smooth and odd about 0."""
    root = light.abs().mul_(_SCALE**-2).add_(_KNEE * _SCALE**-2).sqrt_()  # in place: 2x as quick
    code = root - math.sqrt(_KNEE) / _SCALE
    return torch.copysign(code, light)


def to_light(code: Tensor) -> Tensor:
    """Invert `to_code`."""
    light = (code.abs() * _SCALE + math.sqrt(_KNEE)).square() - _KNEE
    return torch.copysign(light, code)
