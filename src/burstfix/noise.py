"""How much noise linear light has: variance = shot * signal + read."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_BLOCK = 8  # px
_BINS = 24  # of brightness
_LEAST_BLOCKS = 40  # in a bin that counts
_QUANTILE = 0.1  # of a bin's blocks by variance: the flattest, which texture touches least
# The quantile of the variance estimate over the variance, for white noise: with 64 correlated
# samples a block's estimate scatters. Measured on 600,000 blocks of made noise.
_QUANTILE_OF_WHITE = 0.6284
_REFITS = 20
_CLIPPED = 0.99
_NEAR_WHITE = 0.9


@dataclass(frozen=True, kw_only=True)
class NoiseModel:
    """Variance of linear light, in units of saturation squared: shot * signal + read.

    Args:
        shot: photon noise: variance per signal.
        read: variance in the dark.
    """

    shot: float
    read: float

    def variance(self, signal: Tensor) -> Tensor:
        """Return the variance at a signal in linear light; of the same shape."""
        return self.shot * signal.clamp_min(0) + self.read

    def sigma(self, signal: Tensor) -> Tensor:
        """Return the standard deviation at a signal in linear light; of the same shape."""
        return self.variance(signal).sqrt()

    def scaled(self, gain: float) -> "NoiseModel":
        """Return the model of the same light after multiplication by a gain."""
        return NoiseModel(shot=self.shot * gain, read=self.read * gain * gain)


def estimate(light: Tensor) -> NoiseModel:
    """Estimate the noise of one picture from its flattest parts.

    Measures the variance of Immerkaer's high-pass in small blocks, takes a low quantile among
    blocks of like brightness, and fits a line robustly. It sees white noise: what demosaicing,
    denoising or JPEG has smoothed looks less than it is, and light that an unknown tone curve
    has bent has no straight line; take the estimate of a JPEG for an order of magnitude.

    Args:
        light: linear light; (3, H, W), at least 16 px each way.

    Returns:
        The model; both parts 0 where nothing varies, or nothing but clipped pixels is there.
    """
    signal, variance = _blocks(light)
    if len(signal) == 0:
        return NoiseModel(shot=0, read=0)
    centres, levels, counts = _by_brightness(signal, variance)
    shot, read = _fit_line(centres, levels, counts)
    return NoiseModel(shot=shot, read=read)


def compare(light: Tensor, clean: Tensor) -> NoiseModel | None:
    """Measure the noise of one picture against another of the same light that has next to none.

    Unlike `estimate` it sees noise that demosaicing, denoising or JPEG has smoothed. The clean one
    may be blurred: only what is flat in it counts.

    Args:
        light: linear light; (3, H, W), at least 8 px each way.
        clean: likewise, of the same size; 1 or more where it must not count.

    Returns:
        The model; None where all of the clean picture is near white.
    """
    # Noise itself must not choose: of bright blocks it would leave those with little.
    usable = (clean < _NEAR_WHITE).all(dim=0).to(light.dtype)
    whole = (-F.max_pool2d(-usable[None], _BLOCK)).expand(3, -1, -1).flatten() > 0
    signal, rough = (part[whole].cpu().double() for part in _moments(clean))
    variance = _moments(light - clean)[1][whole].cpu().double()
    if len(signal) == 0:
        return None
    bins = [(signal[b], _flat(variance[b], rough[b])) for b in _bins(signal)]
    centres = torch.stack([values.mean() for values, _ in bins])
    levels = torch.stack([values.median() for _, values in bins])
    counts = torch.tensor([float(len(values)) for _, values in bins], dtype=torch.float64)
    shot, read = _fit_line(centres, levels, counts)
    return NoiseModel(shot=shot, read=read)


def _moments(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the variance of each block of each channel; (n,) each."""
    mean = F.avg_pool2d(picture[None], _BLOCK)
    inner = picture[None, :, : mean.shape[-2] * _BLOCK, : mean.shape[-1] * _BLOCK]
    rest = inner - mean.repeat_interleave(_BLOCK, -2).repeat_interleave(_BLOCK, -1)
    count = _BLOCK * _BLOCK
    variance = F.avg_pool2d(rest.square(), _BLOCK) * (count / (count - 1))
    return mean.flatten(), variance.flatten()


def _flat(variance: Tensor, rough: Tensor) -> Tensor:
    """Choose the half of a bin's blocks that vary least in the clean picture."""
    return variance[rough <= rough.median()]


def _blocks(light: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the noise variance of each block that is not clipped; (n,) each."""
    difference = torch.tensor([1.0, -2.0, 1.0], device=light.device)
    kernel = torch.outer(difference, difference) / 6  # keeps the variance of white noise
    detail = F.conv2d(light[:, None], kernel[None, None])
    centre = light[:, None, 1:-1, 1:-1]
    signal = F.avg_pool2d(centre, _BLOCK).flatten()
    variance = F.avg_pool2d(detail.square(), _BLOCK).flatten()
    clipped = ((centre >= _CLIPPED) | (centre == 0)).to(light.dtype)
    whole = F.max_pool2d(clipped, _BLOCK).flatten() == 0
    return signal[whole].double(), variance[whole].double()


def _by_brightness(signal: Tensor, variance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return brightness, noise variance and number of blocks of each bin."""
    bins = [(signal[part], variance[part]) for part in _bins(signal)]
    centres = torch.stack([values.mean() for values, _ in bins])
    low = torch.stack([values.quantile(_QUANTILE) for _, values in map(_capped, bins)])
    counts = torch.tensor([float(len(values)) for values, _ in bins], dtype=torch.float64)
    return centres, low / _QUANTILE_OF_WHITE, counts


def _bins(signal: Tensor) -> tuple[Tensor, ...]:
    """Split blocks by brightness; the numbers of those in each bin."""
    count = max(1, min(_BINS, len(signal) // _LEAST_BLOCKS))
    return signal.argsort().tensor_split(count)


def _capped(part: tuple[Tensor, Tensor], most: int = 1_000_000) -> tuple[Tensor, Tensor]:
    """Thin a bin out evenly: `quantile` takes at most 16 million values."""
    stride = -(-len(part[0]) // most)
    return part[0][::stride], part[1][::stride]


def _fit_line(x: Tensor, y: Tensor, counts: Tensor) -> tuple[float, float]:
    """Fit y = slope * x + offset, neither negative, with little weight on what lies far above.

    The variance of a variance grows as its square, so residuals count relative to the line.
    """
    weight = counts.clone().to(x.device)
    slope, offset = 0.0, float(y.median())
    for _ in range(_REFITS):
        scale = (slope * x + offset).clamp_min(1e-12)
        slope, offset = _non_negative_line(x, y, weight / scale.square())
        residual = (y - slope * x - offset) / (slope * x + offset).clamp_min(1e-12)
        spread = 1.4826 * residual.abs().median().clamp_min(0.01)
        weight = counts.to(x.device) / (1 + (residual / (2 * spread)).square()).square()
    return slope, offset


def _non_negative_line(x: Tensor, y: Tensor, weight: Tensor) -> tuple[float, float]:
    """Return the weighted least-squares slope and offset; a negative one is set to 0."""
    total = weight.sum()
    mean_x, mean_y = (weight * x).sum() / total, (weight * y).sum() / total
    spread = (weight * (x - mean_x).square()).sum()
    if spread <= 1e-12 * total:
        return 0.0, float(mean_y)
    slope = float((weight * (x - mean_x) * (y - mean_y)).sum() / spread)
    if slope <= 0:
        return 0.0, float(mean_y)
    offset = float(mean_y - slope * mean_x)
    if offset < 0:
        bright = (weight * x * x).sum()
        return float((weight * x * y).sum() / bright), 0.0
    return slope, offset
