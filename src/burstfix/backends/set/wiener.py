"""The part of `set` that undoes known blur: a Wiener filter over all frames at once."""

import torch
from torch import Tensor

from burstfix.backends.set.blur import PSF_SIDE, frequencies
from burstfix.backends.set.cells import CELL, FADE

MARGIN = 48  # px around a cell: the reach of a point spread function, and what is tapered off
_TAPER = 24  # px
_DETAIL = 0.05  # squared frequency at which natural pictures' power has fallen well
_LEAST = 0.02  # share of the floor at frequency 0


def deblur(blocks: Tensor, psfs: Tensor, trust: Tensor, floors: Tensor) -> Tensor:
    """Fuse frames of known blur, cell by cell.

    The estimate with least squared error if cells were periodic, noise white and detail's power
    falling with the square of frequency: the sum of conj(H) Y w over frames, divided by the sum of
    |H|^2 w plus a floor.

    Args:
        blocks: linear light of M cells with `MARGIN` around; (M, F, 3, s, s) float32.
        psfs: point spread functions that sum to 1; (M, F, k, k). What their centroids are off is
            taken back.
        trust: weight w of each frame, as the inverse of its noise's variance; (M, F).
        floors: ratios of noise to detail, R of them; (M, R).

    Returns:
        One picture a floor of the cells with `FADE` around, t = CELL + 2 FADE, in linear light;
        (M, R, 3, t, t) float32.
    """
    taper = _taper(blocks.shape[-1], blocks.device)
    middle = blocks.mean(dim=(1, 3, 4), keepdim=True)
    above, below = _sums(blocks, middle, taper, psfs, trust)
    prior = _LEAST + frequencies(blocks.shape[-1], blocks.device) / _DETAIL
    floor = floors[..., None, None] * prior
    ratio = above[:, None] / (below[:, None] + floor)[:, :, None]
    restored: Tensor = torch.fft.irfft2(ratio, s=tuple(blocks.shape[-2:])) + middle
    inner = slice(MARGIN - FADE, MARGIN + CELL + FADE)
    return restored[..., inner, inner]


def _sums(
    blocks: Tensor, middle: Tensor, taper: Tensor, psfs: Tensor, trust: Tensor
) -> tuple[Tensor, Tensor]:
    """Add up conj(H) Y w and |H|^2 w over frames; (M, 3, s, h) complex and (M, s, h)."""
    above: Tensor | None = None
    below: Tensor | None = None
    for index in range(blocks.shape[1]):  # frame by frame: all spectra would fill the memory
        spectrum = torch.fft.rfft2((blocks[:, index] - middle[:, 0]) * taper)
        transfer = transfer_function(psfs[:, index], blocks.shape[-1])
        weighted = transfer.conj() * trust[:, index, None, None]
        part, energy = spectrum * weighted[:, None], (transfer * weighted).real
        above = part if above is None else above + part
        below = energy if below is None else below + energy
    assert above is not None
    assert below is not None
    return above, below


def transfer_function(psfs: Tensor, side: int) -> Tensor:
    """Transform point spread functions, centred on their centroids.

    Args:
        psfs: sum to 1; (M, k, k), k odd.
        side: of the blocks [px].

    Returns:
        Half spectra; (M, side, side // 2 + 1) complex.
    """
    half = PSF_SIDE // 2
    axis = torch.arange(PSF_SIDE, device=psfs.device) - half
    across = half + (psfs.sum(dim=1) * axis).sum(dim=1)
    along = half + (psfs.sum(dim=2) * axis).sum(dim=1)
    down = _shift(torch.fft.fftfreq(side, device=psfs.device), along)
    right = _shift(torch.fft.rfftfreq(side, device=psfs.device), across)
    spectrum: Tensor = torch.fft.rfft2(psfs, s=(side, side))
    return spectrum * down[:, :, None] * right[:, None]


def _shift(frequency: Tensor, distance: Tensor) -> Tensor:
    """Return the phases that bring what lies at a distance to 0; (n,) and (M,) to (M, n)."""
    angle = 2 * torch.pi * distance[:, None] * frequency
    return torch.polar(torch.ones_like(angle), angle)


def _taper(side: int, device: torch.device) -> Tensor:
    """Return weights that fall to 0 at a block's edges, which the transform joins; (s, s)."""
    ramp = torch.ones(side, device=device)
    rising = torch.arange(_TAPER, device=device) + 0.5
    ramp[:_TAPER] = torch.sin(torch.pi * rising / (2 * _TAPER)).square()
    ramp = torch.minimum(ramp, ramp.flip(0))
    return ramp * ramp[:, None]
