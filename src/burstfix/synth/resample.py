"""Sampling pictures through homographies and flows, batched."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

PREFILTER_RADIUS = 8  # the spline's inverse filter has faded to 1e-5 there


def pixel_grid(
    size: Sequence[int],
    *,
    top: float = 0,
    left: float = 0,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Return the coordinates (x, y) of every pixel of a box of (height, width); (h, w, 2)."""
    y = torch.arange(size[0], dtype=dtype, device=device) + top
    x = torch.arange(size[1], dtype=dtype, device=device) + left
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def transform(source_from_target: Tensor, points: Tensor) -> Tensor:
    """Map points through homographies.

    Args:
        source_from_target: (n, 3, 3).
        points: coordinates (x, y); (h, w, 2) for all, or (n, h, w, 2). Take float64 for
            whole pictures; float32 is right to 0.001 px in crops.

    Returns:
        Coordinates in the sources; (n, h, w, 2).
    """
    if points.dim() == 3:
        points = points.expand(len(source_from_target), -1, -1, -1)
    linear = source_from_target[:, :, :2].transpose(1, 2).unsqueeze(1)
    mapped = points @ linear + source_from_target[:, :, 2].view(-1, 1, 1, 3)
    return mapped[..., :2] / mapped[..., 2:]


def sample(images: Tensor, points: Tensor, mode: str = "bicubic") -> Tensor:
    """Sample pictures at points; outside, the border repeats.

    Args:
        images: any light; (n, c, h, w).
        points: coordinates (x, y) in the images [px]; (n, h2, w2, 2).
        mode: "bilinear" or "bicubic". Quick, but bicubic moves edges by up to 0.05 px; where
            geometry must be exact, use `spline_sample`.

    Returns:
        Samples; (n, c, h2, w2).
    """
    return F.grid_sample(
        images, _normalise(points, images), mode=mode, padding_mode="border", align_corners=True
    )


def sample_through(
    images: Tensor,
    source_from_target: Tensor,
    size: Sequence[int],
    *,
    inset: int = 0,
    mode: str = "bicubic",
) -> Tensor:
    """Sample pictures through homographies; several times as quick as by `transform`.

    Args:
        images: any light; (n, c, h, w).
        source_from_target: (n, 3, 3).
        size: of the result, (height, width).
        inset: x and y of the result's first pixel in the target.
        mode: as in `sample`.

    Returns:
        Samples; (n, c, height, width). Outside the images the border repeats.
    """
    height, width = images.shape[-2:]
    scale = [[2 / (width - 1), 0, -1], [0, 2 / (height - 1), -1], [0, 0, 1]]
    matrices = torch.tensor(scale).to(source_from_target) @ source_from_target
    device, dtype = images.device, matrices.dtype
    grid = pixel_grid(size, top=inset, left=inset, device=device, dtype=dtype).view(-1, 2).T
    x, y, w = (matrices[:, :, :2] @ grid + matrices[:, :, 2:]).unbind(1)  # rows of pixels: quick
    points = torch.stack([x / w, y / w], dim=-1).view(len(images), size[0], size[1], 2)
    return F.grid_sample(
        images, points.to(images.dtype), mode=mode, padding_mode="border", align_corners=True
    )


def spline_sample(images: Tensor, points: Tensor) -> Tensor:
    """Sample pictures with interpolating cubic splines: nearly as sharp as Fourier's.

    Args:
        images: any light, more than `PREFILTER_RADIUS` px a side; (n, c, h, w).
        points: coordinates (x, y) in the images [px]; (n, h2, w2, 2).

    Returns:
        Samples; (n, c, h2, w2). Outside the images the border's coefficients repeat.
    """
    coefficients = _spline_coefficients(images)
    base = points.floor()
    near, far, share = _spline_taps(points - base)
    first, second = base + near, base + far  # where one bilinear sample stands for two taps
    share_x, share_y = (part.unsqueeze(1).to(images.dtype) for part in share.unbind(-1))
    result = torch.zeros(())
    for x, weight_x in ((first, share_x), (second, 1 - share_x)):
        for y, weight_y in ((first, share_y), (second, 1 - share_y)):
            corner = torch.stack([x[..., 0], y[..., 1]], dim=-1)
            result = result + weight_x * weight_y * sample(coefficients, corner, "bilinear")
    return result


def _spline_taps(fraction: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return, per axis, the offsets of two bilinear samples and the first one's share."""
    after = fraction
    before = 1 - after
    taps = (
        before**3 / 6,
        2 / 3 - after**2 * (2 - after) / 2,
        2 / 3 - before**2 * (2 - before) / 2,
        after**3 / 6,
    )
    share = taps[0] + taps[1]
    return taps[1] / share - 1, 1 + taps[3] / (1 - share), share


def _spline_coefficients(images: Tensor) -> Tensor:
    """Filter pictures so that the cubic B-spline with these coefficients passes through them."""
    pole = math.sqrt(3) - 2
    radius = PREFILTER_RADIUS
    taps = [math.sqrt(3) * pole ** abs(k) for k in range(-radius, radius + 1)]
    kernel = torch.tensor(taps, dtype=images.dtype, device=images.device)
    count, channels, height, width = images.shape
    flat = images.reshape(count * channels, 1, height, width)
    flat = F.conv2d(F.pad(flat, (0, 0, radius, radius), mode="reflect"), kernel.view(1, 1, -1, 1))
    flat = F.conv2d(F.pad(flat, (radius, radius, 0, 0), mode="reflect"), kernel.view(1, 1, 1, -1))
    return flat.view(count, channels, height, width)


def _normalise(points: Tensor, images: Tensor) -> Tensor:
    """Scale pixel coordinates to -1..1, as grid_sample counts them with align_corners."""
    height, width = images.shape[-2:]
    scale = torch.tensor([2 / (width - 1), 2 / (height - 1)], dtype=points.dtype)
    return (points * scale.to(points.device) - 1).to(images.dtype)
