"""How near a picture is to the truth, and how far an alignment is off.

The picture metrics compare values as they are: give both pictures in the coding that matters.
Display-coded (sRGB) values weigh errors roughly as eyes do, and are what papers report.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from burstfix.frame import Size

_WINDOW = 11  # px, of SSIM's Gaussian
_SIGMA = 1.5  # px
_NEWTON_STEPS = 4


def psnr(picture: Tensor, truth: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio.

    Args:
        picture: values with peak 1; (..., 3, H, W).
        truth: likewise.

    Returns:
        One value a picture [dB]; (...). Infinite where both are equal.
    """
    return -10 * (picture - truth).square().mean(dim=(-3, -2, -1)).log10()


def ssim(picture: Tensor, truth: Tensor) -> Tensor:
    """Return the structural similarity of Wang et al. 2004, averaged over channels.

    A Gaussian window of 11 px with sigma 1.5 px, only where it lies inside the picture.

    Args:
        picture: values 0 to 1; (..., 3, H, W), at least 11 px each way.
        truth: likewise.

    Returns:
        One value a picture, at most 1; (...).
    """
    a, b = picture.flatten(0, -3)[:, None].double(), truth.flatten(0, -3)[:, None].double()
    mean_a, mean_b = _local_mean(a), _local_mean(b)
    variance_a = _local_mean(a * a) - mean_a.square()
    variance_b = _local_mean(b * b) - mean_b.square()
    covariance = _local_mean(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    similarity /= (mean_a.square() + mean_b.square() + c1) * (variance_a + variance_b + c2)
    return similarity.mean(dim=(-2, -1)).view(picture.shape[:-2]).mean(dim=-1).to(picture.dtype)


def shift_compensated_psnr(picture: Tensor, truth: Tensor, reach: int = 8) -> Tensor:
    """Return the PSNR that the best shift of the whole picture, to a fraction of a pixel, allows.

    A restored picture may sit where the frames' mean shake put it, which no one can know.

    Args:
        picture: values with peak 1; (..., 3, H, W).
        truth: likewise.
        reach: greatest shift [px]; this border is left out of the comparison.

    Returns:
        One value a picture [dB]; (...).
    """
    pictures, truths = (each.reshape(-1, *each.shape[-3:]) for each in (picture, truth))
    best = [
        _best_shift_psnr(one, other, reach) for one, other in zip(pictures, truths, strict=True)
    ]
    return torch.stack(best).view(picture.shape[:-3])


def corner_error(estimate: Tensor, truth: Tensor, size: Size) -> Tensor:
    """Return how far apart two homographies put the picture's corners.

    Args:
        estimate: transforms of points (x, y); (..., 3, 3).
        truth: likewise.
        size: (height, width) of the picture that they map from.

    Returns:
        The mean distance over the four corners [px]; (...).
    """
    bottom, right = size[0] - 1, size[1] - 1
    corners = torch.tensor(
        [[0, right, 0, right], [0, 0, bottom, bottom], [1, 1, 1, 1]],
        dtype=torch.float64,
        device=estimate.device,
    )
    there, here = (transform.double() @ corners for transform in (truth, estimate))
    difference = there[..., :2, :] / there[..., 2:, :] - here[..., :2, :] / here[..., 2:, :]
    return difference.square().sum(dim=-2).sqrt().mean(dim=-1)


def _local_mean(values: Tensor) -> Tensor:
    """Average in the Gaussian window; (N, 1, H, W) to (N, 1, H - 10, W - 10)."""
    at = torch.arange(_WINDOW, dtype=values.dtype, device=values.device) - _WINDOW // 2
    window = torch.exp(-0.5 * (at / _SIGMA).square())
    window /= window.sum()
    return F.conv2d(F.conv2d(values, window.view(1, 1, 1, -1)), window.view(1, 1, -1, 1))


def _best_shift_psnr(picture: Tensor, truth: Tensor, reach: int) -> Tensor:
    """Search whole pixels exhaustively, then refine by Gauss-Newton; both (3, H, W)."""
    start = _best_whole_shift(picture, truth, reach)
    shift = start.clone()
    inside = truth[:, reach:-reach, reach:-reach] if reach else truth
    best = _psnr_at(picture, inside, shift, reach)
    for _ in range(_NEWTON_STEPS):
        moved = _shifted(picture, shift)
        down, right = torch.gradient(moved, dim=(-2, -1))
        slopes = torch.stack([_crop(down, reach).flatten(), _crop(right, reach).flatten()], dim=1)
        error = (inside - _crop(moved, reach)).flatten()
        normal = slopes.T @ slopes + 1e-12 * torch.eye(2, dtype=slopes.dtype, device=slopes.device)
        step = torch.linalg.solve(normal, slopes.T @ error)
        shift = torch.clamp(shift + step, start - 1, start + 1)
        best = torch.maximum(best, _psnr_at(picture, inside, shift, reach))
    return best


def _best_whole_shift(picture: Tensor, truth: Tensor, reach: int) -> Tensor:
    """Return the shift (down, right) by whole pixels that fits best; (2,)."""
    height, width = picture.shape[-2:]
    inside = _crop(truth, reach)
    errors = torch.stack(
        [
            (picture[:, y : height - 2 * reach + y, x : width - 2 * reach + x] - inside)
            .square()
            .mean()
            for y in range(2 * reach + 1)
            for x in range(2 * reach + 1)
        ]
    )
    y, x = divmod(int(errors.argmin()), 2 * reach + 1)
    return picture.new_tensor([y - reach, x - reach])


def _psnr_at(picture: Tensor, inside: Tensor, shift: Tensor, reach: int) -> Tensor:
    return psnr(_crop(_shifted(picture, shift), reach), inside)


def _shifted(picture: Tensor, shift: Tensor) -> Tensor:
    """Return picture[y + down, x + right], interpolated by cubics; (3, H, W)."""
    height, width = picture.shape[-2:]
    y = torch.arange(height, dtype=picture.dtype, device=picture.device) + shift[0]
    x = torch.arange(width, dtype=picture.dtype, device=picture.device) + shift[1]
    grid = torch.stack(
        [
            (2 * x / (width - 1) - 1).expand(height, width),
            (2 * y / (height - 1) - 1)[:, None].expand(height, width),
        ],
        dim=-1,
    )
    return F.grid_sample(
        picture[None], grid[None], mode="bicubic", padding_mode="border", align_corners=True
    )[0]


def _crop(picture: Tensor, border: int) -> Tensor:
    return picture[..., border : picture.shape[-2] - border, border : picture.shape[-1] - border]
