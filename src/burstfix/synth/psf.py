"""Point spread functions of shaken and defocused cameras, and blurring with them."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def random_walk_paths(
    count: int, *, generator: torch.Generator, steps: int = 128, damping: float = 0.95
) -> Tensor:
    """Walk as a hand does: random accelerations, integrated twice with damping.

    After Aittala & Durand 2018, section 3.2; the first velocity is drawn from the stationary
    distribution, so that a path looks the same at its beginning and its end.

    Args:
        count: how many paths.
        generator: draws the accelerations; the paths lie on its device.
        steps: points of a path, equally spaced in time.
        damping: what velocity keeps each step, below 1; less makes more crooked paths.

    Returns:
        Points (x, y) in an arbitrary unit; (count, steps, 2).
    """
    device = generator.device
    acceleration = torch.randn(count, steps, 2, generator=generator, device=device)
    acceleration[:, 0] /= math.sqrt(1 - damping**2)
    walk = _damped_sums(steps, 0.99, device) @ _damped_sums(steps, damping, device)
    return _along_time(walk, acceleration)


def matern_paths(
    count: int, *, generator: torch.Generator, steps: int = 128, length: float = 0.3
) -> Tensor:
    """Draw paths from a Gaussian process with a Matérn covariance of smoothness 3/2.

    After Wieschollek et al. 2016, who draw their point spread functions this way.

    Args:
        count: how many paths.
        generator: draws the points; the paths lie on its device.
        steps: points of a path, equally spaced in time.
        length: correlation length as a share of the exposure; less makes more crooked paths.

    Returns:
        Points (x, y) in units of their standard deviation; (count, steps, 2).
    """
    device = generator.device
    time = torch.linspace(0, 1, steps, dtype=torch.float64)  # MPS knows none: on the CPU
    lag = math.sqrt(3) / length * (time[:, None] - time).abs()
    covariance = (1 + lag) * torch.exp(-lag)
    ridge = 1e-9 * torch.eye(steps, dtype=torch.float64)
    factor = torch.linalg.cholesky(covariance + ridge).float().to(device)
    return _along_time(factor, torch.randn(count, steps, 2, generator=generator, device=device))


def fit_paths(paths: Tensor, extent: Tensor, *, size: int, jitter: Tensor | None = None) -> Tensor:
    """Scale paths to an extent, and centre their centroids on the origin.

    Args:
        paths: points (x, y); (n, steps, 2).
        extent: wanted distance between the two points of a path farthest apart [px]; (n,).
            It is cut where a path would leave a bitmap of `size`.
        size: side of the bitmap that the paths must fit in.
        jitter: offsets added to the scaled points, a slight defocus [px]; (n, steps, 2).

    Returns:
        Points relative to the bitmap's centre [px]; (n, steps, 2).
    """
    diameter = torch.cdist(paths, paths).amax(dim=(1, 2)).clamp_min(1e-6)
    fitted = paths * (extent / diameter).view(-1, 1, 1)
    if jitter is not None:
        fitted = fitted + jitter
    fitted = fitted - fitted.mean(dim=1, keepdim=True)
    reach = fitted.abs().amax(dim=(1, 2)).clamp_min(1e-6)
    room = size // 2 - 1e-3  # the splat needs a neighbour on both sides
    return fitted * (room / reach).clamp_max(1).view(-1, 1, 1)


def splat(paths: Tensor, size: int) -> Tensor:
    """Accumulate paths into bitmaps; bilinear, which keeps the centroid exactly.

    Args:
        paths: points (x, y) relative to the centre, inside the bitmap [px]; (n, steps, 2).
        size: side of the bitmap, odd.

    Returns:
        Point spread functions that sum to 1; (n, size, size).
    """
    if size % 2 == 0:
        raise ValueError(f"A point spread function needs an odd size, not {size}.")
    count, steps, _ = paths.shape
    points = paths + size // 2
    corner = points.floor().clamp(0, size - 2)
    right, down = (points - corner).unbind(-1)
    column, row = corner.long().unbind(-1)
    picture = torch.arange(count, device=paths.device).view(-1, 1)
    index = (picture * size + row) * size + column
    weights = torch.stack(
        [(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down]
    )
    targets = torch.stack([index, index + 1, index + size, index + size + 1])
    bitmaps = torch.zeros(count * size * size, device=paths.device)
    bitmaps.index_add_(0, targets.flatten(), weights.flatten())
    return bitmaps.view(count, size, size) / steps


def random_walk_psfs(
    extent: Tensor,
    *,
    generator: torch.Generator,
    size: int = 51,
    defocus: Tensor | None = None,
    steps: int = 128,
) -> Tensor:
    """Draw shake as Aittala & Durand do.

    Args:
        extent: length of each shake, between its two farthest points [px]; (n,).
        generator: draws the paths; same device as `extent`.
        size: side of the bitmaps, odd.
        defocus: standard deviation of random offsets of the points [px]; (n,); None is none.
        steps: points of a path.

    Returns:
        Point spread functions, each sums to 1 with its centroid on the centre; (n, size, size).
    """
    count = len(extent)
    paths = random_walk_paths(count, generator=generator, steps=steps)
    jitter = None
    if defocus is not None:
        offsets = torch.randn(paths.shape, generator=generator, device=paths.device)
        jitter = offsets * defocus.view(-1, 1, 1)
    return splat(fit_paths(paths, extent, size=size, jitter=jitter), size)


def disc_paths(count: int, *, steps: int = 128, device: torch.device | None = None) -> Tensor:
    """Spread points evenly over a disc, as the light of a defocused lens falls.

    Returns:
        Points (x, y) in units of the radius, all discs alike; (count, steps, 2).
    """
    order = torch.arange(steps, device=device, dtype=torch.float32)
    radius = ((order + 0.5) / steps).sqrt()
    angle = order * (math.pi * (3 - math.sqrt(5)))  # Vogel's spiral: no two points are close
    points = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1)
    return points.expand(count, -1, -1)


def centroids(psfs: Tensor) -> Tensor:
    """Return the centroids (x, y) relative to the centre [px]; (n, size, size) to (n, 2)."""
    axis = torch.arange(psfs.shape[-1], device=psfs.device) - psfs.shape[-1] // 2
    x = (psfs.sum(dim=1) * axis).sum(dim=1)
    y = (psfs.sum(dim=2) * axis).sum(dim=1)
    return torch.stack([x, y], dim=1)


def spectra(psfs: Tensor, size: tuple[int, int]) -> Tensor:
    """Transform point spread functions so that multiplying a picture's spectrum blurs it.

    Args:
        psfs: (n, k, k), k odd.
        size: (height, width) of the pictures.

    Returns:
        Half spectra as of `torch.fft.rfft2`; (n, height, width // 2 + 1) complex.
    """
    side = psfs.shape[-1]
    padded = F.pad(psfs, (0, size[1] - side, 0, size[0] - side))
    spectrum: Tensor = torch.fft.rfft2(padded.roll((-(side // 2), -(side // 2)), dims=(1, 2)))
    return spectrum


def convolve(images: Tensor, psfs: Tensor) -> Tensor:
    """Blur pictures, each by its own point spread function; borders are reflected.

    Args:
        images: any light; (n, c, h, w), h and w above k // 2.
        psfs: (n, k, k), k odd.

    Returns:
        Blurred pictures; (n, c, h, w).
    """
    half = psfs.shape[-1] // 2
    padded = F.pad(images, (half, half, half, half), mode="reflect")
    height, width = (smooth_length(length) for length in padded.shape[-2:])
    spectrum = torch.fft.rfft2(padded, s=(height, width))
    spectrum *= spectra(psfs, (height, width)).unsqueeze(1)
    blurred: Tensor = torch.fft.irfft2(spectrum, s=(height, width))
    return blurred[..., half : half + images.shape[-2], half : half + images.shape[-1]]


def smooth_length(length: int) -> int:
    """Return the next length that has no prime factor above 5, which FFTs are quick at."""
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1


def _damped_sums(steps: int, damping: float, device: torch.device) -> Tensor:
    """Return the matrix whose product with a series is its damped cumulative sum."""
    lag = torch.arange(steps, device=device).view(-1, 1) - torch.arange(steps, device=device)
    return torch.where(lag >= 0, damping ** lag.clamp_min(0).float(), 0.0)


def _along_time(matrix: Tensor, series: Tensor) -> Tensor:
    """Multiply every series of points with a matrix over time; (n, steps, 2)."""
    count, steps, _ = series.shape
    flat = series.transpose(0, 1).reshape(steps, 2 * count)  # one product is quicker than n
    return (matrix @ flat).view(steps, count, 2).transpose(0, 1).contiguous()
