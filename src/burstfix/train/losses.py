"""What training minimises: differences to the truth, as the eye sees them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from burstfix.backends.base import Explanation
from burstfix.backends.pyramid import halve
from burstfix.errors import UsageError
from burstfix.train.config import LossWeights

_KNEE = 0.003  # keeps the slope at black near that of sRGB, and finite
_DARK = 7  # px to each side of a pixel whose neighbourhood's darkest value counts: 15x15
_EDGE = 16  # px at the edges where undoing blur lacks what lies beyond


def to_display(light: Tensor) -> Tensor:
    """Code linear light nearly as sRGB does, with a gradient everywhere; any shape."""
    power = 1 / 2.2
    black, white = _KNEE**power, (1 + _KNEE) ** power
    code: Tensor = ((light.abs() + _KNEE).pow(power) - black) / (white - black)
    return torch.copysign(code, light)


def restoration_loss(output: Tensor, truth: Tensor, weights: LossWeights) -> Tensor:
    """Compare pictures in display code.

    Args:
        output: what the network made, linear light; (N, 3, H, W) float32.
        truth: linear light; (N, 3, H, W) float32.
        weights: what each term counts.

    Returns:
        The loss of each picture; (N,).
    """
    codes, true_codes = to_display(output), to_display(truth)
    difference = codes - true_codes
    total = torch.zeros_like(difference[:, 0, 0, 0])
    if weights.absolute:
        total = total + weights.absolute * _mean(difference.abs())
    if weights.squared:
        total = total + weights.squared * _mean(difference.square())
    if weights.charbonnier:
        total = total + weights.charbonnier * _mean((difference.square() + 1e-6).sqrt())
    if weights.gradient:
        across, down = difference.diff(dim=-1), difference.diff(dim=-2)
        total = total + weights.gradient * (_mean(across.abs()) + _mean(down.abs()))
    if weights.fourier:
        spectrum = torch.fft.rfft2(difference, norm="ortho")
        total = total + weights.fourier * _mean(spectrum.abs())
    if weights.sobel:
        total = total + weights.sobel * 2 * _mean(sobel(difference).abs())
    if weights.dark:
        shade = dark_channel(codes) - dark_channel(true_codes)
        total = total + weights.dark * _mean(shade.square())
    return total


def earlier_loss(picture: Tensor, truth: Tensor, weights: LossWeights) -> Tensor:
    """Compare what an earlier part of a network makes, with the truth at its size.

    `denoised` is equation (7) of Zhang et al. 2019; `coarser` stands before the coarser scales in
    equation (4) of Nah et al. 2017, as `squared` stands before the finest.

    Args:
        picture: linear light, halved any number of times; (N, 3, h, w) float32.
        truth: linear light; (N, 3, H, W) float32.
        weights: what each term counts.

    Returns:
        The loss of each picture; (N,).
    """
    true_codes = to_display(truth)
    while true_codes.shape[-1] > picture.shape[-1]:
        true_codes = halve(true_codes)
    difference = to_display(picture) - true_codes
    denoised = weights.denoised * _mean(difference.abs())
    return denoised + weights.coarser * _mean(difference.square())


def sobel(pictures: Tensor) -> Tensor:
    """Filter by Sobel's 3x3 kernels of 1, 2 and 1; Zhang et al. 2019, equation (6).

    Args:
        pictures: any numbers; (N, C, H, W).

    Returns:
        8 times the slopes to the right, then 8 times those down, where kernels fit inside;
        (N, 2 C, H - 2, W - 2).
    """
    across = pictures[..., 2:] - pictures[..., :-2]
    down = pictures[..., 2:, :] - pictures[..., :-2, :]
    across = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
    down = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
    return torch.cat([across, down], dim=1)


def dark_channel(pictures: Tensor) -> Tensor:
    """Return the least value of all colours around each pixel; Zhang et al. 2019, equation (2).

    The paper names no size of the neighbourhood; it is 15x15, as of He et al. 2011, whom it
    cites. Nor can its norm be meant as written: for the weight 250 to give terms "in the similar
    scale" it must be a mean of squares.

    Args:
        pictures: any numbers; (N, 3, H, W).

    Returns:
        (N, 1, H, W).
    """
    darkest = pictures.amin(dim=1, keepdim=True)
    # Row by row, then column by column: the least of a square, quicker.
    rows = F.max_pool2d(-darkest, (1, 2 * _DARK + 1), 1, (0, _DARK))
    return -F.max_pool2d(rows, (2 * _DARK + 1, 1), 1, (_DARK, 0))


def blur_loss(
    found: Explanation | None, truth: Tensor, psfs: Tensor, weights: LossWeights
) -> Tensor:
    """Compare the blur that a network found, and the picture without it, with the truth.

    Args:
        found: what the network tells.
        truth: linear light; (N, 3, H, W) float32.
        psfs: true point spread functions of the frames, in their order; (N, F, k, k).
        weights: what each term counts.

    Returns:
        The loss of each picture; (N,).

    Raises:
        UsageError: the network tells nothing.
    """
    if found is None:
        raise UsageError(
            "The loss counts blur, but this network estimates none.",
            "Set `blur` and `deblurred` in the recipe's loss to 0, or give `set` blur_widths.",
        )
    middle = found.pictures.shape[1] // 2
    edge = min(_EDGE, truth.shape[-1] // 4)
    inner = (..., slice(edge, -edge), slice(edge, -edge))
    picture = restoration_loss(found.pictures[:, middle][inner], truth[inner], weights)
    return weights.deblurred * picture + weights.blur * _divergence(found.log_psfs, psfs)


def _divergence(log_psfs: Tensor, psfs: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of softened true PSFs, averaged; (N,)."""
    taps = torch.tensor([0.25, 0.5, 0.25], device=psfs.device)
    soft = F.conv2d(psfs.flatten(0, 1)[:, None], (taps[:, None] * taps)[None, None], padding=1)
    soft = soft.view(len(psfs), 1, *psfs.shape[1:])
    entropy = torch.special.entr(soft).sum(dim=(-2, -1))
    return _mean(-entropy - (soft * log_psfs).sum(dim=(-2, -1)))


def _mean(values: Tensor) -> Tensor:
    """Average each picture; (N, ...) to (N,)."""
    return values.flatten(1).mean(dim=1)
