"""Tell whether a photograph is sharp and clean already: then it is best left as it is.

A network that was trained on harm sees harm: in the soft background of a portrait defocus, in moss
motion. What a cell alone cannot tell, the whole photograph can: a shaken one is sharp nowhere, so
where a part is sharp, the rest is soft because it was meant to be, or moved.

What tells is the point spread function that the network finds where there is detail: how far it is
concentrated in the sharpest cells, and whether all cells are drawn out in one direction, as only
shake draws them. Limits were chosen on 60 training photographs as JPEGs: all are left alone while
sharp, 92 in 100 when shaken by 2 to 4 px, 22 by 4 to 9 px, 12 by 14 to 25 px.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from burstfix import device as devices
from burstfix.backends.base import DESCRIPTOR, Network
from burstfix.color import encode
from burstfix.frame import Box, Frame
from burstfix.restore.alignment import Aligned
from burstfix.tiling.runner import computing

CELL = 128  # px
GRID = 6  # cells a side that are looked at, evenly spaced
_DETAIL_SIDE = 15  # px; what varies over less than this is detail
_FLAT = 0.012  # standard deviation of the detail, in codes, of a cell that tells nothing
_SHARPEST = 0.95  # of the cells that tell something: this quantile
_PEAK = (0.05, 0.4)  # of a sharp cell's point spread function: at least; and more for its direction
_TRACE = 0.05  # of the peak; what is lower is estimation's own spread
# From the first to the second, less and less is restored.
_SHARP = (0.75, 0.85)  # times that peak
_ENDS = (0.5 / 255, 254.5 / 255)  # of the codes: at black or below, at white or above
_MOST_CLIPPED = 0.1  # of a cell's pixels, if its noise is to count
_NOISE = (2.0 / 255, 1.2 / 255)  # of the codes, in the flattest cell: standard deviation


def warranted(network: Network, aligned: Aligned, device: torch.device) -> float:
    """Tell how much of a restoration a photograph calls for.

    Args:
        network: is asked for the blur; one that tells none restores all.
        aligned: the photograph alone.
        device: where to compute.

    Returns:
        1: all; 0: none, since parts of it are sharp and it is clean. Raw files, which tell their
        noise, are restored always: the network knows what it may take for noise.
    """
    known = bool(torch.isfinite(aligned.told[..., DESCRIPTOR.index("read")]).all())
    if known or min(aligned.reference.size) < CELL or network.contract.survey is None:
        return 1.0
    cells = _cells(aligned.reference)
    codes = encode(cells, aligned.reference.curve).clamp(0, 1).mean(dim=1, keepdim=True)
    clean = _ramp(_least_noise(codes), *_NOISE)
    telling = _detail(codes) > _FLAT
    if not clean or not telling.any():
        return 1 - clean  # what shows nothing cannot be blurred
    psfs = _psfs(network, cells[telling], aligned.told, device)
    least = _PEAK[0] + _PEAK[1] * _direction(psfs)
    sharp = float(psfs.flatten(1).amax(dim=1).quantile(_SHARPEST)) / least
    return 1 - _ramp(sharp, *_SHARP) * clean


def _cells(photograph: Frame) -> Tensor:
    """Read cells all over a photograph; (cells, 3, CELL, CELL) of linear light."""
    tops, lefts = (_starts(length) for length in photograph.size)
    boxes = [Box(top, left, top + CELL, left + CELL) for top in tops for left in lefts]
    return torch.stack([photograph.read(box) for box in boxes])


def _starts(length: int) -> list[int]:
    """Space cells evenly along a side."""
    count = min(GRID, length // CELL)
    return [(length - CELL) * place // max(count - 1, 1) for place in range(count)]


def _psfs(network: Network, cells: Tensor, told: Tensor, device: torch.device) -> Tensor:
    """Return the point spread function found in each cell; (cells, k, k).

    All cells at once, or fewer where memory does not suffice.
    """
    try:
        return _find(network, cells, told, device)
    except (MemoryError, RuntimeError) as error:
        if not devices.is_out_of_memory(error) or len(cells) == 1:
            raise
    # Outside, where the error and the tensors of its frames are gone.
    return torch.cat([_psfs(network, half, told, device) for half in cells.chunk(2)])


def _find(network: Network, cells: Tensor, told: Tensor, device: torch.device) -> Tensor:
    """Ask the network, as `_psfs`.

    In fp32: little is computed, and whether a photograph is restored hangs on it.
    """
    lights = cells[:, None].to(device)
    network.to(device).eval()
    with computing(device, torch.float32):
        known = told.to(device).expand(len(cells), -1, -1)
        found = network.find_blur(network.code(lights), torch.ones_like(lights[:, :, :1]), known)
    if found is None:
        raise ValueError("The network has a first pass, but tells no blur.")
    return found[:, 0, 0].float().exp().cpu()


def _direction(psfs: Tensor) -> float:
    """Tell how far point spread functions are drawn out alike: 0 round, 1 along one line."""
    psfs = psfs * (psfs > _TRACE * psfs.amax(dim=(1, 2), keepdim=True))
    psfs = psfs / psfs.sum(dim=(1, 2), keepdim=True)
    axis = torch.arange(psfs.shape[-1], dtype=psfs.dtype)
    down, across = psfs.sum(dim=2), psfs.sum(dim=1)
    y, x = (axis - (part @ axis)[:, None] for part in (down, across))  # from each one's centroid
    yy, xx = float((down * y.square()).sum()), float((across * x.square()).sum())
    xy = float((psfs * y[:, :, None] * x[:, None, :]).sum())
    return math.hypot(xx - yy, 2 * xy) / max(xx + yy, 1e-12)


def _detail(codes: Tensor) -> Tensor:
    """Measure what varies over short distances: its standard deviation; (cells, 1, h, w)."""
    around = F.avg_pool2d(codes, _DETAIL_SIDE, stride=1)
    edge = _DETAIL_SIDE // 2
    return (codes[..., edge:-edge, edge:-edge] - around).flatten(1).std(dim=1)


def _least_noise(codes: Tensor) -> float:
    """Measure noise where there is least of it, but not where black or white hides it."""
    clipped = ((codes <= _ENDS[0]) | (codes >= _ENDS[1])).float().flatten(1).mean(dim=1)
    open_ = clipped < _MOST_CLIPPED
    return float(_noise(codes[open_] if open_.any() else codes).amin())


def _noise(codes: Tensor) -> Tensor:
    """Estimate each cell's noise from the median of Immerkaer's high-pass; (cells, 1, h, w)."""
    difference = torch.tensor([1.0, -2.0, 1.0])
    kernel = torch.outer(difference, difference) / 6
    detail = F.conv2d(codes, kernel[None, None]).abs().flatten(1)
    return detail.median(dim=1).values / 0.6745  # of a normal distribution


def _ramp(value: float, start: float, end: float) -> float:
    """Return 0 before the start, 1 beyond the end, and in between a share."""
    return min(max((value - start) / (end - start), 0.0), 1.0)
