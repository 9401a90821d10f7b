"""A contact sheet of synthetic bursts, so that a person can look at what training sees."""

import torch
import torch.nn.functional as F
from torch import Tensor

from burstfix import color
from burstfix.synth.burst import SyntheticBurst

GAP = 4  # px between pictures


def contact_sheet(bursts: SyntheticBurst, *, psfs: bool = True) -> Tensor:
    """Lay out bursts, one a row: truth, then the frames, each with its blur in the corner.

    Args:
        bursts: N bursts of F frames.
        psfs: whether to show the point spread functions, in the bottom right corners.

    Returns:
        The sheet coded as sRGB, 0 to 1, N rows of F + 1 pictures; (3, height, width).
    """
    frames = color.encode(bursts.frames.clamp(0, 1), color.SRGB)
    unseen = torch.tensor([0.35, 0.0, 0.35], device=frames.device).view(3, 1, 1)
    frames = frames + (1 - bursts.seen) * (unseen - 0.5 * frames)  # tinted, but still legible
    if psfs:
        side = min(bursts.psfs.shape[-1], frames.shape[-1] // 2)
        middle = (bursts.psfs.shape[-1] - side) // 2
        blur = bursts.psfs[..., middle : middle + side, middle : middle + side]
        light = (blur / blur.amax(dim=(-2, -1), keepdim=True).clamp_min(1e-9)).sqrt()
        frames[..., -side:, -side:] = light.unsqueeze(2)
    truth = color.encode(bursts.truth.clamp(0, 1), color.SRGB)
    pictures = torch.cat([truth.unsqueeze(1), frames], dim=1)
    padded = F.pad(pictures, (0, GAP, 0, GAP), value=1.0)
    count, columns, _, height, width = padded.shape
    return padded.permute(2, 0, 3, 1, 4).reshape(3, count * height, columns * width)
