"""Codes linear light to integers: as exact as `color.encode`, and many times as quick."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from burstfix import color
from burstfix.frame import Curve

Array = npt.NDArray[Any]

_SHIFT = 13  # low bits of a float32 that do not choose the segment: 1024 segments an octave
_CHUNK = 1 << 15  # values worked on at once, so that they stay in the processor's cache


class Coder:
    """Turns light into codes by line segments between knots at round float32 bit patterns.

    Such knots lie dense near black, where curves are steep, so that every code of 16 bits
    comes out of its own light. Where a curve is too wild for that, the exact way is taken.

    Args:
        curve: the coding.
        top: the highest code, 255 or 65535.
    """

    def __init__(self, curve: Curve, top: int) -> None:
        self._curve = curve
        self._top = top
        segments = int(np.float32(1).view(np.int32) >> _SHIFT) + 1
        bits = np.arange(segments + 1, dtype=np.int32) << _SHIFT
        knots = bits.view(np.float32)
        codes = np.clip(_encode(knots, curve), 0, 1).astype(np.float64) * top
        slope = np.diff(codes) / np.diff(knots.astype(np.float64))
        base = codes[:-1] - slope * knots[:-1] + 0.5  # casting to integers rounds down
        self._slope = slope.astype(np.float32)
        self._base = base.astype(np.float32)
        self._exact = self._gives_every_code_back()

    def code(self, light: Array, out: Array) -> None:
        """Clip light to 0 to 1, code and round it.

        Args:
            light: linear light; (3, h, w) float32.
            out: where the codes go; (h, w, 3) of uint8 or uint16.

        Raises:
            ValueError: the light is not finite.
        """
        height, width = light.shape[1:]
        rows = max(1, _CHUNK // max(width, 1))
        for top in range(0, height, rows):
            for channel in range(3):
                chunk = light[channel, top : top + rows]
                if not np.isfinite(chunk.sum(dtype=np.float32)):
                    raise ValueError("The picture holds values that are no numbers.")
                out[top : top + rows, :, channel] = self._codes(np.clip(chunk, 0, 1))

    def _codes(self, light: Array) -> Array:
        """Return codes plus one half, of light within 0 to 1."""
        if not self._exact:
            exact = _encode(light, self._curve).astype(np.float64) * self._top + 0.5
            return np.clip(exact, 0, self._top + 0.5)
        segment = light.view(np.int32) >> _SHIFT
        codes: Array = self._slope.take(segment, mode="clip")  # -0 takes the first segment
        codes *= light
        codes += self._base.take(segment, mode="clip")
        return codes

    def _gives_every_code_back(self) -> bool:
        """Tell whether the segments code the light of each code as that code."""
        self._exact = True
        codes = np.arange(self._top + 1)
        light = color.decode(torch.from_numpy((codes / self._top).astype(np.float32)), self._curve)
        return bool((self._codes(np.clip(light.numpy(), 0, 1)).astype(np.int64) == codes).all())


def _encode(light: Array, curve: Curve) -> Array:
    """Apply `color.encode` to an array."""
    coded: Array = color.encode(torch.from_numpy(np.ascontiguousarray(light)), curve).numpy()
    return coded
