"""Colour tags of films: which matrix, range and transfer their numbers mean.

Numbers are those of ITU-T H.273, which all containers and codecs share.
"""

from dataclasses import dataclass

import numpy as np

from burstfix.color import LINEAR, SRGB
from burstfix.frame import Curve, Size

UNKNOWN = 2
FULL = 2  # of `range`, as FFmpeg numbers it: 1 is limited, 0 unknown

_RGB = 0
_MATRICES = {  # weights of red and blue in luma
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601
    6: (0.299, 0.114),
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
    10: (0.2627, 0.0593),
}
_BT709 = Curve(g=1 / 0.45, a=1 / 1.099, b=0.099 / 1.099, c=1 / 4.5, d=0.081)
_SMPTE240 = Curve(g=1 / 0.45, a=1 / 1.1115, b=0.1115 / 1.1115, c=1 / 4, d=0.0912)
_PQ, _HLG = 16, 18
_SAMPLES = 4096  # of tables
_PQ_WHITE = 1000 / 10000  # of PQ's light that is 1 here: most mastering ends at 1000 cd/m²


@dataclass(frozen=True, kw_only=True)
class Tags:
    """What a film says of its colours.

    Args:
        matrix: how luma and colour differences come from R'G'B'.
        range: 2 where codes use their full range, 1 where they keep to 16 to 235; 0 is unknown.
        transfer: how light is coded.
        primaries: of R, G and B.
    """

    matrix: int = UNKNOWN
    range: int = 0
    transfer: int = UNKNOWN
    primaries: int = UNKNOWN

    @property
    def hdr(self) -> bool:
        """Whether light is coded for high dynamic range."""
        return self.transfer in {_PQ, _HLG}


def luma_weights(tags: Tags, size: Size) -> tuple[float, float]:
    """Return the weights of red and blue in luma.

    Untagged films are taken as players take them: small ones have BT.601's.
    """
    large = size[0] > 576 or size[1] > 1024
    return _MATRICES.get(tags.matrix, _MATRICES[1 if large else 5])


def curve_for(tags: Tags) -> Curve:
    """Return how light is coded; cameras that do not tell follow BT.709."""
    if tags.transfer in _CURVES:
        return _CURVES[tags.transfer]
    return _BT709


def _pq() -> Curve:
    """Tabulate SMPTE ST 2084: code to light, 1 being 1000 cd/m²."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 78.84375, 0.8359375, 18.8515625, 18.6875
    root = np.linspace(0, 1, _SAMPLES) ** (1 / m2)
    light = (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    return Curve(table=tuple((light / _PQ_WHITE).tolist()))


def _hlg() -> Curve:
    """Tabulate the inverse of BT.2100's hybrid log-gamma OETF: code to scene light."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    code = np.linspace(0, 1, _SAMPLES)
    light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    return Curve(table=tuple(light.tolist()))


_CURVES = {
    1: _BT709,
    4: Curve(g=2.2),
    5: Curve(g=2.8),
    6: _BT709,
    7: _SMPTE240,
    8: LINEAR,
    13: SRGB,
    14: _BT709,
    15: _BT709,
    _PQ: _pq(),
    _HLG: _hlg(),
}
