"""What a camera's own software does to a picture: denoising, sharpening, JPEG."""

import math
from functools import lru_cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor

_LUMA_TABLE = (  # ITU-T T.81, annex K: the tables that every encoder scales by its quality
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA_TABLE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
_YCC_FROM_RGB = (  # ITU-R BT.601, as JFIF takes it
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)


def to_ycc(codes: Tensor) -> Tensor:
    """Split display-coded colour into luma (0 to 1) and chroma (-0.5 to 0.5); (n, 3, h, w)."""
    return _mix(torch.tensor(_YCC_FROM_RGB), codes)


def from_ycc(ycc: Tensor) -> Tensor:
    """Join luma and chroma to display-coded RGB; (n, 3, h, w)."""
    return _mix(torch.linalg.inv(torch.tensor(_YCC_FROM_RGB, dtype=torch.float64)), ycc)


def clean(ycc: Tensor, luma: Tensor, chroma: Tensor) -> Tensor:
    """Denoise mildly, as cameras do before they compress.

    Args:
        ycc: luma and chroma; (n, 3, h, w).
        luma: detail of this size fades [code units]; 0 leaves all; (n,).
        chroma: how far chroma becomes its 5x5 mean, 0 to 1; (n,).

    Returns:
        Cleaned luma and chroma; (n, 3, h, w).
    """
    smooth = F.avg_pool2d(ycc[:, :1], 3, 1, 1, count_include_pad=False)
    detail = ycc[:, :1] - smooth
    energy = detail.square()
    kept = energy / (energy + luma.view(-1, 1, 1, 1).square() + 1e-12)
    colour = F.avg_pool2d(ycc[:, 1:], 5, 1, 2, count_include_pad=False)
    mixed = torch.lerp(ycc[:, 1:], colour, chroma.view(-1, 1, 1, 1))
    return torch.cat([smooth + kept * detail, mixed], dim=1)


def smooth_chroma(ycc: Tensor, noise: Tensor, share: Tensor) -> Tensor:
    """Leave no noise in chroma but at edges of luma: the guided filter of He et al. 2013.

    Args:
        ycc: luma and chroma; (n, 3, h, w).
        noise: deviation of luma's noise [code units], which is no edge; (n,).
        share: how much of the filtered chroma is taken, 0 to 1; (n,).

    Returns:
        Luma as it is, chroma smooth over 15x15; (n, 3, h, w).
    """
    mean = partial(F.avg_pool2d, kernel_size=15, stride=1, padding=7, count_include_pad=False)
    luma, chroma = ycc[:, :1], ycc[:, 1:]
    middle, colour = mean(luma), mean(chroma)
    spread = mean(luma.square()) - middle.square() + noise.view(-1, 1, 1, 1).square() + 1e-6
    slope = (mean(luma * chroma) - middle * colour) / spread
    offset = colour - slope * middle
    smooth = mean(slope) * luma + mean(offset)
    return torch.cat([luma, torch.lerp(chroma, smooth, share.view(-1, 1, 1, 1))], dim=1)


def sharpen(ycc: Tensor, amount: Tensor) -> Tensor:
    """Sharpen luma by an unsharp mask of 3x3; amount (n,), 0 leaves all; (n, 3, h, w)."""
    smooth = F.avg_pool2d(ycc[:, :1], 3, 1, 1, count_include_pad=False)
    luma = ycc[:, :1] + amount.view(-1, 1, 1, 1) * (ycc[:, :1] - smooth)
    return torch.cat([luma, ycc[:, 1:]], dim=1)


def quantise(ycc: Tensor, quality: Tensor, *, subsample: bool) -> Tensor:
    """Lose what a JPEG loses: rounds the cosine transform of blocks of 8x8.

    Args:
        ycc: luma and chroma; h and w are multiples of 8, or of 16 to subsample; (n, 3, h, w).
        quality: 1 to 100 on the scale of libjpeg; (n,).
        subsample: whether chroma has half the resolution (4:2:0).

    Returns:
        Luma and chroma as decoded; (n, 3, h, w).
    """
    grey = 128 / 255  # the level that JPEG counts luma from
    luma = _quantise_plane(ycc[:, :1] - grey, _table(_LUMA_TABLE, quality)).add_(grey)
    colour = F.avg_pool2d(ycc[:, 1:], 2) if subsample else ycc[:, 1:]
    colour = _quantise_plane(colour, _table(_CHROMA_TABLE, quality))
    if subsample:
        colour = F.interpolate(colour, scale_factor=2, mode="bilinear")
    return torch.cat([luma, colour], dim=1)


def compress(codes: Tensor, quality: Tensor, *, subsample: bool = False) -> Tensor:
    """Pass display-coded pictures through a JPEG file of 8 bits.

    Args:
        codes: 0 to 1; h and w are multiples of 8, or of 16 to subsample; (n, 3, h, w).
        quality: 1 to 100 on the scale of libjpeg; (n,).
        subsample: whether chroma has half the resolution (4:2:0).

    Returns:
        Multiples of 1/255 between 0 and 1; (n, 3, h, w).
    """
    return to_8_bits(from_ycc(quantise(to_ycc(codes), quality, subsample=subsample)))


def to_8_bits(codes: Tensor) -> Tensor:
    """Round codes to multiples of 1/255 between 0 and 1; any shape."""
    return codes.mul(255).round_().clamp_(0, 255).div_(255)


def _mix(matrix: Tensor, planes: Tensor) -> Tensor:
    return (matrix.to(planes) @ planes.flatten(2)).view(planes.shape)


def _table(table: tuple[tuple[int, ...], ...], quality: Tensor) -> Tensor:
    """Scale a quantisation table to qualities, as libjpeg does; (n, 8, 8), in codes of 0 to 1."""
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).view(-1, 1, 1)
    base = torch.tensor(table, dtype=torch.float32, device=quality.device)
    return ((base * scale + 50) / 100).floor().clamp(1, 255) / 255


def _quantise_plane(planes: Tensor, steps: Tensor) -> Tensor:
    """Round the cosine transform of every block to multiples of `steps`; (n, c, h, w)."""
    count, channels, height, width = planes.shape
    cosines = _cosines().to(planes)
    blocks = planes.view(count, channels, height // 8, 8, width)
    down = (cosines @ blocks).view(count, channels, height, width // 8, 8)
    waves = (down @ cosines.T).view(count, channels, height // 8, 8, width // 8, 8)
    grid = steps.view(count, 1, 1, 8, 1, 8)
    waves = (waves / grid).round_().mul_(grid)
    up = cosines.T @ waves.view(count, channels, height // 8, 8, width)
    return (up.view(count, channels, height, width // 8, 8) @ cosines).view(planes.shape)


@lru_cache(maxsize=1)
def _cosines() -> Tensor:
    """Return the orthonormal cosine transform of 8 samples; (8, 8)."""
    order = torch.arange(8, dtype=torch.float64)
    waves = torch.cos(math.pi / 8 * (order + 0.5) * order.view(-1, 1)) / 2
    waves[0] /= math.sqrt(2)
    return waves.float()
