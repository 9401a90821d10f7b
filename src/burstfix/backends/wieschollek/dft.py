"""Discrete Fourier transforms of small patches as matrix products.

Patches of 65, 33 and 17 pixels are too small for a fast transform to pay: two matrix products
that compute the wanted frequencies alone take a third of its time. They work on real numbers.

A spectrum is a real tensor (..., columns, rows, 2): column frequency, row frequency, real and
imaginary part. Patches are real, so columns go from 0 to the highest frequency only; rows go round
as in `torch.fft`. Transforms are orthonormal.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def half(side: int) -> list[int]:
    """Return the column frequencies that a real patch of odd side needs."""
    return list(range(side // 2 + 1))


def around(side: int) -> list[int]:
    """Return all row frequencies of a patch of odd side, in the order of `torch.fft`."""
    return [*range(side // 2 + 1), *range(-(side // 2), 0)]


class Transform(nn.Module):
    """From patches to the frequencies asked for.

    Args:
        side: of the patches, odd [px].
        columns: column frequencies, in periods to a side.
        rows: row frequencies likewise.
        window: what rows and columns of a patch are multiplied with first; (side,).
    """

    by_columns: Tensor
    by_rows: Tensor

    def __init__(
        self, side: int, columns: Sequence[int], rows: Sequence[int], window: Tensor
    ) -> None:
        super().__init__()
        cosine, sine = _waves(side, columns)
        scaled = window.double()[:, None] / math.sqrt(side)
        by_columns = torch.stack([cosine * scaled, -sine * scaled], dim=2)  # (side, C, 2)
        cosine, sine = _waves(side, rows)
        cosine, sine = cosine * scaled, sine * scaled
        # (a + ib)(cos - i sin); the parts of the input stacked, those of the output in turns
        by_rows = torch.stack(
            [torch.stack([cosine, -sine], dim=2), torch.stack([sine, cosine], dim=2)], dim=0
        )
        self.side, self.count = side, len(columns)
        self.register_buffer("by_columns", by_columns.flatten(1).float(), persistent=False)
        self.register_buffer("by_rows", by_rows.flatten(0, 1).flatten(1).float(), persistent=False)

    def forward(self, patches: Tensor) -> Tensor:
        """Transform patches (..., side, side) to spectra (..., columns, rows, 2)."""
        lead = patches.shape[:-2]
        waves = (patches.reshape(-1, self.side) @ self.by_columns).view(
            -1, self.side, self.count, 2
        )
        lines = waves.permute(0, 2, 3, 1).reshape(-1, 2 * self.side)
        return (lines @ self.by_rows).view(*lead, self.count, -1, 2)


class Inverse(nn.Module):
    """From whole spectra back to the middle of the patches.

    Args:
        side: of the patches that the spectra describe, odd [px].
        kept: side of the middle that is wanted [px].
        window: what rows and columns of that are multiplied with; (kept,).
    """

    by_rows: Tensor
    by_columns: Tensor

    def __init__(self, side: int, kept: int, window: Tensor) -> None:
        super().__init__()
        first = (side - kept) // 2
        scaled = window.double() / math.sqrt(side)
        cosine, sine = (w[first : first + kept].T * scaled for w in _waves(side, around(side)))
        by_rows = torch.stack(  # (a + ib)(cos + i sin)
            [torch.cat([cosine, sine], dim=1), torch.cat([-sine, cosine], dim=1)], dim=1
        )
        cosine, sine = (w[first : first + kept].T * scaled for w in _waves(side, half(side)))
        twice = torch.full((len(cosine), 1), 2.0, dtype=torch.float64)
        twice[0] = 1  # every column but the first stands for its mirror image too
        by_columns = torch.stack([twice * cosine, -twice * sine], dim=1)
        self.kept, self.count = kept, len(cosine)
        self.register_buffer("by_rows", by_rows.flatten(0, 1).float(), persistent=False)
        self.register_buffer("by_columns", by_columns.flatten(0, 1).float(), persistent=False)

    def forward(self, spectra: Tensor) -> Tensor:
        """Transform spectra (..., columns, rows, 2) back to (..., kept, kept)."""
        lead = spectra.shape[:-3]
        lines = spectra.reshape(-1, len(self.by_rows)) @ self.by_rows
        waves = lines.view(-1, self.count, 2, self.kept).permute(0, 3, 1, 2)
        patches = waves.reshape(-1, 2 * self.count) @ self.by_columns
        return patches.view(*lead, self.kept, self.kept)


def multiply(first: Tensor, second: Tensor) -> Tensor:
    """Multiply spectra as complex numbers; (..., columns, rows, 2)."""
    product = torch.view_as_complex(first) * torch.view_as_complex(second)
    return torch.view_as_real(product)


def hann(side: int) -> Tensor:
    """Return a Hann window without its zeros; (side,)."""
    return torch.sin((torch.arange(side) + 0.5) * (math.pi / side)).square()


def _waves(side: int, frequencies: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of every frequency at every pixel; (side, frequencies) each."""
    position = torch.arange(side, dtype=torch.float64)[:, None]
    angle = position * torch.tensor(frequencies, dtype=torch.float64) * (2 * math.pi / side)
    return angle.cos(), angle.sin()
