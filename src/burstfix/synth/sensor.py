"""What a sensor does to light: highlights, Bayer mosaic, shot and read noise, demosaicing."""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

# Malvar, He & Cutler 2004: linear demosaicing with 5x5 filters, in eighths.
_GREEN = (
    (0, 0, -1, 0, 0),
    (0, 0, 2, 0, 0),
    (-1, 2, 4, 2, -1),
    (0, 0, 2, 0, 0),
    (0, 0, -1, 0, 0),
)
_ALONG_ROW = (  # red where green stands and red lies left and right; transposed: above and below
    (0, 0, 0.5, 0, 0),
    (0, -1, 0, -1, 0),
    (-1, 4, 5, 4, -1),
    (0, -1, 0, -1, 0),
    (0, 0, 0.5, 0, 0),
)
_DIAGONAL = (
    (0, 0, -1.5, 0, 0),
    (0, 2, 0, 2, 0),
    (-1.5, 0, 6, 0, -1.5),
    (0, 2, 0, 2, 0),
    (0, 0, -1.5, 0, 0),
)


def restore_highlights(photos: Tensor, others: Tensor, boost: Tensor) -> Tensor:
    """Give clipped regions the light that the photograph lost, so that they leave streaks.

    After Aittala & Durand 2018: intensity-boosted data of other photographs is added there.

    Args:
        photos: linear light, 1 = white; (n, 3, h, w).
        others: other photographs; (n, 3, h, w).
        boost: how many times white to add; (n,).

    Returns:
        Light that reaches above 1 where `photos` is nearly white; (n, 3, h, w).
    """
    brightest = photos.amax(dim=1, keepdim=True)
    clipped = ((brightest - 0.9) / 0.1).clamp(0, 1)
    return photos + boost.view(-1, 1, 1, 1) * clipped * others


def mosaic(rgb: Tensor) -> Tensor:
    """Keep one colour a pixel: RGGB from the top left.

    Args:
        rgb: sensor light, h and w even; (n, 3, h, w).

    Returns:
        (n, 1, h, w).
    """
    bayer = rgb[:, 1:2].clone()
    bayer[:, 0, ::2, ::2] = rgb[:, 0, ::2, ::2]
    bayer[:, 0, 1::2, 1::2] = rgb[:, 2, 1::2, 1::2]
    return bayer


def demosaic(bayer: Tensor) -> Tensor:
    """Bring back three colours a pixel by the filters of Malvar, He & Cutler 2004.

    Args:
        bayer: an RGGB mosaic, h and w even; (n, 1, h, w).

    Returns:
        (n, 3, h, w); a pixel's own colour stays as it is.
    """
    cells = F.pad(F.pixel_unshuffle(bayer, 2), (1, 1, 1, 1), mode="replicate")
    kernel = _demosaic_kernel().to(bayer)
    return F.pixel_shuffle(F.conv2d(cells, kernel), 2)


def add_noise(light: Tensor, shot: Tensor, read: Tensor, generator: torch.Generator) -> Tensor:
    """Add noise of variance shot * light + read, Gaussian.

    Args:
        light: sensor light, 1 = saturation; (n, ...).
        shot: variance per light, in units of saturation; (n,).
        read: variance in the dark, in units of saturation squared; (n,).
        generator: draws the noise; same device as `light`.

    Returns:
        Noisy light of the same shape, not clipped.
    """
    each = (-1, *[1] * (light.dim() - 1))
    deviation = (light.clamp_min(0) * shot.view(each)).add_(read.view(each)).sqrt_()
    noise = torch.randn(light.shape, generator=generator, device=light.device)
    return noise.mul_(deviation).add_(light)


def add_hot_pixels(bayer: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Set a share of the pixels of a mosaic to a random level above their own; (n, 1, h, w)."""
    chance = torch.rand(bayer.shape, generator=generator, device=bayer.device)
    hot = chance < share
    return torch.where(hot, torch.maximum(bayer, chance / max(share, 1e-12)), bayer)


def correlated_noise(shape: tuple[int, int, int, int], generator: torch.Generator) -> Tensor:
    """Draw noise with the grain of unknown processing; after Aittala & Durand 2018.

    White noise passes twice through a random convolution that mixes colours, a ReLU in a random
    proportion, and every other time through a coarser grid: the same ones for all pictures, as
    one camera processes all frames of a burst alike.

    Args:
        shape: (n, 3, h, w).
        generator: draws noise and filters; the result lies on its device.

    Returns:
        Mean 0 in each colour, deviation 1 in each picture; (n, 3, h, w).
    """
    device = generator.device
    _, channels, height, width = shape
    dice = torch.rand(3, generator=generator, device=device).tolist()
    field = torch.randn(shape, generator=generator, device=device)
    for layer in range(2):
        if dice[layer] < 0.5:
            field = F.interpolate(field, scale_factor=1 / (1.3 + dice[2]), mode="bilinear")
        kernel = torch.randn(channels, channels, 3, 3, generator=generator, device=device)
        kernel[:, :, 1, 1] += 2  # a centre, else colours have no pixel of their own
        field = F.conv2d(F.pad(field, (1, 1, 1, 1), mode="replicate"), kernel)
        field = F.leaky_relu(field, 1 - dice[layer])
    if field.shape[-2:] != (height, width):
        field = F.interpolate(field, size=(height, width), mode="bilinear")
    # No colour has a mean of its own: grain must not tint what nobody could then untint.
    field = field - field.mean(dim=(2, 3), keepdim=True)
    spread = field.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return field / spread.clamp_min(1e-6)


@lru_cache(maxsize=1)
def _demosaic_kernel() -> Tensor:
    """Return one filter per colour and place in the 2x2 cell, over cells; (12, 4, 3, 3)."""
    green = torch.tensor(_GREEN) / 8
    row = torch.tensor(_ALONG_ROW) / 8
    diagonal = torch.tensor(_DIAGONAL) / 8
    own = torch.zeros(5, 5)
    own[2, 2] = 1
    filters = (  # for each colour: at R, at G beside R, at G beside B, at B
        (own, row, row.T, diagonal),
        (green, own, own, green),
        (diagonal, row.T, row, own),
    )
    kernel = torch.zeros(3, 2, 2, 2, 2, 3, 3)
    for colour, places in enumerate(filters):
        for place, taps in enumerate(places):
            i, j = divmod(place, 2)
            for dy in range(-2, 3):
                for dx in range(-2, 3):
                    cell = ((i + dy) // 2 + 1, (j + dx) // 2 + 1)
                    kernel[colour, i, j, (i + dy) % 2, (j + dx) % 2][cell] += taps[dy + 2, dx + 2]
    return kernel.view(12, 4, 3, 3)
