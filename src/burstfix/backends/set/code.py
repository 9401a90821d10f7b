"""The code in which `set` sees light: like a square root, but smooth and odd about 0."""

import math

import torch
from torch import Tensor

_KNEE = 1 / 64  # light below which the code is near linear: noise at black stays finite
_SCALE = math.sqrt(1 + _KNEE) - math.sqrt(_KNEE)  # so that 1 is coded as 1
_LEAST = math.sqrt(_KNEE) / _SCALE  # the root of no light


def to_code(*light: Tensor) -> Tensor:
    """Compress linear light like a square root that is smooth and odd about 0.

    Args:
        light: pictures, whose channels follow each other in the result; each (N, C, H, W).
    """
    if torch.is_grad_enabled():  # the gradient of a root needs the root
        together = torch.cat(light, dim=1) if len(light) > 1 else light[0]
        return torch.copysign(_root(together.abs()) - _LEAST, together)
    first = light[0]  # else in one piece: memory that was not touched yet costs more than computing
    code = first.new_empty(len(first), sum(part.shape[1] for part in light), *first.shape[2:])
    start = 0
    for part in light:
        own = code[:, start : start + part.shape[1]]
        _root(torch.abs(part, out=own)).sub_(_LEAST).copysign_(part)
        start += part.shape[1]
    return code


def _root(light: Tensor) -> Tensor:
    return light.mul_(_SCALE**-2).add_(_KNEE * _SCALE**-2).sqrt_()  # in place: 2x as quick


def to_light(code: Tensor) -> Tensor:
    """Invert `to_code`."""
    light = (code.abs() * _SCALE + math.sqrt(_KNEE)).square() - _KNEE
    return torch.copysign(light, code)
