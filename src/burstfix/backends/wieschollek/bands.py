"""What the network sees of a patch: Fourier coefficients in four bands, shared over the burst.

Wieschollek et al. 2016, section 3.1 (a), after Chakrabarti 2016: the patch's middle is transformed
at 17, 33 and 65 pixels. Each band keeps the coefficients z with 4 < max|z| <= 8, one octave; so
the highest octave is seen at 17 pixels and the lowest of the three at 65. The fourth band is what
lies below, max|z| <= 4 of 65 pixels. Half of each is kept: patches are real.

Chosen here: the middles are windowed, else the jump where a patch wraps around would hide how
little a blurred one has at high frequency.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from burstfix.backends.wieschollek.config import FRAMES, PATCH
from burstfix.backends.wieschollek.dft import Transform, hann

SIDES = (17, 33, 65, 65)  # of the middle that each band is taken from [px]
LIMITS = ((4, 8), (4, 8), (4, 8), (-1, 4))  # max|z| of each band: above, up to
_REACH = 8  # highest frequency that is computed, in periods to a side
_DARK = 0.02  # magnitudes below count as nothing, over the patch's deviation


def positions(above: int, up_to: int) -> list[tuple[int, int]]:
    """List a band's coefficients as (column, row) frequencies, one of each mirrored pair."""
    return [
        (column, row)
        for column in range(up_to + 1)
        for row in range(-up_to, up_to + 1)
        if above < max(column, abs(row)) <= up_to and (column > 0 or row >= 0)
    ]


class Bands(nn.Module):
    """Takes the four bands of patches."""

    def __init__(self) -> None:
        super().__init__()
        reach = range(-_REACH, _REACH + 1)
        self.transforms = nn.ModuleList(
            [
                Transform(side, range(_REACH + 1), reach, hann(side) / 0.375**0.5)
                for side in SIDES[:3]
            ]
        )  # the factor restores the energy that the window takes
        for number, (above, up_to) in enumerate(LIMITS):
            index = [column * len(reach) + row + _REACH for column, row in positions(above, up_to)]
            self.register_buffer(f"index_{number}", torch.tensor(index), persistent=False)

    def forward(self, patches: Tensor) -> list[Tensor]:
        """Take the bands of patches (..., 65, 65); each (..., coefficients, 2)."""
        spectra = []
        for transform, side in zip(self.transforms, SIDES[:3], strict=True):
            first = (PATCH - side) // 2
            middle = patches[..., first : first + side, first : first + side]
            spectra.append(transform(middle).flatten(-3, -2))
        spectra.append(spectra[-1])
        return [
            spectrum.index_select(-2, self.get_buffer(f"index_{number}"))
            for number, spectrum in enumerate(spectra)
        ]


def relative(band: Tensor, frequency: Tensor) -> Tensor:
    """Describe coefficients by how they differ from those of the other frames.

    Args:
        band: coefficients of all frames; (n, F, K, 2).
        frequency: of each coefficient [periods to a pixel]; (K,).

    Returns:
        Real and imaginary part after the frames' mean was turned to 1, over the mean magnitude;
        and the logarithm of the magnitude, where natural pictures are near 0; (n, F, K, 3).
    """
    mean = band.mean(dim=1, keepdim=True)
    length = mean.square().sum(dim=-1).sqrt()
    magnitude = band.square().sum(dim=-1).sqrt()
    scale = 1 / ((length + 1e-6) * (magnitude.mean(dim=1, keepdim=True) + _DARK * 0.1))
    real = (band * mean).sum(dim=-1) * scale
    imaginary = (band[..., 1] * mean[..., 0] - band[..., 0] * mean[..., 1]) * scale
    # Natural spectra fall as 1 / frequency.
    level = (magnitude * (20 * frequency) + _DARK).log()
    return torch.stack([real, imaginary, 0.5 * level], dim=-1)


class Sharing(nn.Module):
    """Lets frames tell each other of one band: a small network over the burst (`mlp 1`).

    Two 1x1 convolutions over what the burst has at a coefficient, alike for all coefficients of
    the band. Before training they pass everything on unchanged.
    """

    def __init__(self, planes: int) -> None:
        super().__init__()
        width = FRAMES * planes
        self.first = nn.Linear(width, 2 * width)
        self.second = nn.Linear(2 * width, width)
        unit = torch.eye(width)
        with torch.no_grad():
            self.first.weight.copy_(torch.cat([unit, -unit]))
            self.second.weight.copy_(torch.cat([unit, -unit], dim=1))
            self.first.bias.zero_()
            self.second.bias.zero_()

    def forward(self, band: Tensor) -> Tensor:
        """Share over the burst; (n, 14, K, planes) to the same shape."""
        count, frames, coefficients, planes = band.shape
        vectors = band.transpose(1, 2).flatten(2)  # (n, K, 14 * planes)
        shared: Tensor = self.second(torch.relu(self.first(vectors)))
        return shared.view(count, coefficients, frames, planes).transpose(1, 2)


class Inputs(nn.Module):
    """Turns bands into what the dense layers take, shared over the burst."""

    def __init__(self, kind: Literal["plain", "relative"]) -> None:
        super().__init__()
        self.kind = kind
        self.planes = 3 if kind == "relative" else 2
        self.sharing = nn.ModuleList([Sharing(self.planes) for _ in SIDES])
        for number, (side, limits) in enumerate(zip(SIDES, LIMITS, strict=True)):
            z = torch.tensor(positions(*limits)).float()
            frequency = z.square().sum(dim=1).sqrt() / side
            self.register_buffer(f"frequency_{number}", frequency, persistent=False)

    @property
    def widths(self) -> list[int]:
        """How many numbers each band has in a frame."""
        return [self.planes * len(positions(*limits)) for limits in LIMITS]

    def forward(self, bands: list[Tensor]) -> list[Tensor]:
        """Describe four bands (n, 14, K, 2); each becomes (n, 14, K * planes)."""
        described = []
        for number, (band, share) in enumerate(zip(bands, self.sharing, strict=True)):
            frequency = self.get_buffer(f"frequency_{number}")
            if self.kind == "relative":
                values = relative(band, frequency)
            else:
                values = band * (20 * frequency + 0.05)[:, None]  # natural spectra come out even
            described.append(share(values).flatten(2))
        return described
