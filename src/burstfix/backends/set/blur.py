"""The part of `set` that tells every frame's blur, from all frames together.

What tells of blur is how a frame's detail agrees with that of the others, and with its own, at
small displacements: if one frame is sharp, its cross-correlation with another shows the other's
point spread function, and if none is, the correlations still show how the blurs differ. So the
estimator sees no picture but such lag maps, one a frame and cell, and answers in their geometry.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from burstfix.backends.base import DESCRIPTOR
from burstfix.backends.set.blocks import Block, down, normalise, stack, up, walk
from burstfix.backends.set.cells import CELL
from burstfix.backends.set.config import FLOORS, Config
from burstfix.backends.set.frames import describe

PSF_SIDE = 51  # px, odd
_LAGS = 64  # px; side of the lag maps
_PLANES = 6  # maps a frame
_BLOCKS = (1, 1, 1, 2)
_PASS = 0.2  # cycles a pixel; noise outweighs detail beyond
_SPAN = 4.0  # px; untrained, a point spread function falls by e over it


class BlurNet(nn.Module):
    """A small U-Net over the lag maps, whose blocks exchange between frames."""

    prior: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        widths = config.blur_widths
        self.stem = nn.Conv2d(4 * _PLANES, widths[0], 3, padding=1)
        self.describe = nn.Linear(2 * len(DESCRIPTOR), widths[0])
        self.down = nn.ModuleList(down(a, b) for a, b in pairwise(widths))
        self.encode = nn.ModuleList(
            stack(width, count, exchange=True) for width, count in zip(widths, _BLOCKS, strict=True)
        )
        self.up = nn.ModuleList(up(b, a) for a, b in pairwise(widths))
        self.decode = nn.ModuleList(Block(width, exchange=True) for width in widths[:-1])
        self.head = nn.Conv2d(widths[0], 4, 3, padding=1)
        self.trust = nn.Linear(widths[-1], 1)
        self.floor = nn.Linear(widths[-1], len(FLOORS))
        for layer in (self.trust, self.floor):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        axis = torch.arange(PSF_SIDE) - PSF_SIDE // 2
        distance = (axis[:, None].square() + axis.square()).sqrt()
        self.register_buffer("prior", -distance / _SPAN, persistent=False)

    def forward(self, cells: Tensor, descriptor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tell the blur.

        Args:
            cells: linear light of one channel; (M, F, s, s) float32, s = CELL.
            descriptor: as `Network.forward` takes it, for each cell; (M, F, D).

        Returns:
            Logarithms of the point spread functions, which sum to 1, (M, F, k, k); logarithms of
            each frame's weight (M, F); logarithms of factors on the floors (M, FLOORS).
        """
        frames = cells.shape[1]
        maps = lag_maps(cells).flatten(0, 1)
        known = self.describe(describe(descriptor))
        planes = F.pixel_unshuffle(maps, 2).contiguous(memory_format=torch.channels_last)
        features = self.stem(planes)
        features = F.relu_(features + known.flatten(0, 1)[:, :, None, None].to(features.dtype))
        levels = walk(features, frames, self)
        logits = F.pixel_shuffle(self.head(normalise(levels[0])).float(), 2)[:, 0]
        first = _LAGS // 2 - PSF_SIDE // 2
        logits = logits[:, first : first + PSF_SIDE, first : first + PSF_SIDE] + self.prior
        psfs = logits.flatten(1).log_softmax(dim=1).view(-1, frames, PSF_SIDE, PSF_SIDE)
        pooled = normalise(levels[-1]).float().mean(dim=(2, 3)).view(len(psfs), frames, -1)
        return psfs, self.trust(pooled)[..., 0].float(), self.floor(pooled).float().mean(dim=1)


def lag_maps(cells: Tensor) -> Tensor:
    """Correlate every frame's detail with itself, with the reference and with the mean.

    Each correlation comes twice: of gradients, smoothed; and of detail whitened by the power that
    the frames have together.

    Args:
        cells: linear light of one channel; (M, F, s, s).

    Returns:
        Roots of the correlations, signed; 1 is the frames' mean power. No displacement lies at
        (32, 32); (M, F, 6, 64, 64).
    """
    side = CELL
    window = _hann(side, cells.device)
    light = cells - cells.mean(dim=(-2, -1), keepdim=True)
    spectrum = torch.fft.rfft2(light * (window * window[:, None]))
    partners = (spectrum, spectrum[:, :1], spectrum.mean(dim=1, keepdim=True))
    power = spectrum.abs().square()
    squared = frequencies(side, cells.device)
    gradients = squared * torch.exp(-squared / (2 * _PASS**2))
    maps = []
    for filtering in (gradients, _whitening(power)):
        level = None
        # A frame alone is the reference and the mean as well.
        for partner in partners if cells.shape[1] > 1 else partners[:1]:
            lags = _lags(spectrum * (partner.conj() * filtering), side)  # few partners, one filter
            if level is None:  # the frames' own correlations come first
                level = lags.mean(dim=1, keepdim=True)[..., _LAGS // 2, _LAGS // 2, None, None]
            part = lags / level.clamp_min(1e-12)
            maps.append(torch.copysign(part.abs().clamp_max(10).sqrt(), part))
    if cells.shape[1] == 1:
        maps = [each for each in maps for _ in partners]
    return torch.stack(maps, dim=2)


def frequencies(side: int, device: torch.device) -> Tensor:
    """Return the squared frequencies of a half spectrum [cycles a pixel]; (side, side // 2 + 1)."""
    down = torch.fft.fftfreq(side, device=device)[:, None]
    squared: Tensor = down.square() + torch.fft.rfftfreq(side, device=device).square()
    return squared


def _whitening(power: Tensor) -> Tensor:
    """Return what evens out the frames' common power; (M, F, s, s // 2 + 1) to (M, 1, ...)."""
    common = power.mean(dim=1, keepdim=True)
    smooth = F.avg_pool2d(common, 5, stride=1, padding=2, count_include_pad=False)
    least = 1e-3 * smooth.mean(dim=(-2, -1), keepdim=True) + 1e-12
    return torch.reciprocal(smooth + least)


def _lags(spectrum: Tensor, side: int) -> Tensor:
    """Transform a cross spectrum to small displacements; (M, F, s, s // 2 + 1) to 64 x 64."""
    half = _LAGS // 2
    rows = torch.fft.ifft(spectrum, dim=-2)
    rows = torch.cat([rows[..., -half:, :], rows[..., :half, :]], dim=-2)  # no others are needed
    lags = torch.fft.irfft(rows, n=side, dim=-1)
    return torch.cat([lags[..., -half:], lags[..., :half]], dim=-1)


def _hann(side: int, device: torch.device) -> Tensor:
    """Return a window that falls to 0 at both ends; (side,)."""
    return torch.sin(torch.pi * (torch.arange(side, device=device) + 0.5) / side).square()
