"""Predicts for every frame the Wiener filter that undoes its blur, in the Fourier domain.

Wieschollek et al. 2016, section 3.1 (b), after Chakrabarti 2016: each band goes through a dense
layer, the bands are merged in pairs, and dense layers with ReLU end in the 4225 real numbers that
a 65 x 65 spectrum of a real filter has.
"""

import torch
from torch import Tensor, nn

from burstfix.backends.wieschollek.config import PATCH

FREE = PATCH * PATCH  # real numbers in the spectrum of a real patch
_MIDDLE = PATCH // 2
_STEP = 0.1  # of the filter to a unit of the last layer, whose inputs are many


def hermitian(values: Tensor) -> Tensor:
    """Lay out free numbers as a spectrum with the symmetry of a real filter's.

    Args:
        values: (..., 4225).

    Returns:
        Half spectra as in `dft`; (..., 33, 65, 2).
    """
    real, imaginary = values[..., : _MIDDLE + 1], values[..., _MIDDLE + 1 : PATCH]
    zero = torch.zeros_like(real[..., :1])
    first = torch.stack(  # column 0 holds its own mirror images
        [
            torch.cat([real, real[..., 1:].flip(-1)], dim=-1),
            torch.cat([zero, imaginary, -imaginary.flip(-1)], dim=-1),
        ],
        dim=-1,
    )
    others = values[..., PATCH:].reshape(*values.shape[:-1], _MIDDLE, PATCH, 2)
    return torch.cat([first.unsqueeze(-3), others], dim=-3)


class Predictor(nn.Module):
    """Dense layers from the four bands of a frame to its filter; the same for all frames.

    Args:
        inputs: how many numbers each band has, highest octave first.
        hidden: width; 1 is the paper's.
    """

    def __init__(self, inputs: list[int], hidden: float) -> None:
        super().__init__()
        narrow, middle, wide = (max(2, round(width * hidden)) for width in (1024, 2048, 4096))
        self.bands = nn.ModuleList([nn.Linear(width, narrow) for width in inputs])
        self.pairs = nn.ModuleList([nn.Linear(2 * narrow, middle) for _ in range(2)])
        self.trunk = nn.ModuleList([nn.Linear(2 * middle, wide), nn.Linear(wide, wide)])
        self.last = nn.Linear(wide, FREE)
        for layer in (*self.bands, *self.pairs, *self.trunk):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.last.weight)  # before training filters leave frames as they are
        nn.init.zeros_(self.last.bias)

    def forward(self, bands: list[Tensor]) -> Tensor:
        """Predict filters less 1 from four bands (n, 14, width); (n, 14, 33, 65, 2) float32."""
        b1, b2, b3, b4 = (
            torch.relu(layer(band)) for layer, band in zip(self.bands, bands, strict=True)
        )
        high, low = self.pairs
        features = torch.cat(
            [
                torch.relu(high(torch.cat([b1, b2], dim=-1))),
                torch.relu(low(torch.cat([b3, b4], dim=-1))),
            ],
            dim=-1,
        )
        for layer in self.trunk:
            features = torch.relu(layer(features))
        return _STEP * hermitian(self.last(features).float())
