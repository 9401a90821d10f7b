"""An order of frames that rests on their content alone, so that the given order changes no bit."""

import torch
from torch import Tensor

_PRIMES = (1, 3, 7)  # part the keys of equal pixels in different roles


def content_order(*parts: Tensor, first: int = 0) -> Tensor:
    """Find the order of frames by their content.

    The key is the sum of the bit patterns as integers: exact in any order of summation.

    Args:
        parts: what makes up the frames; each (N, F, ...), at most three.
        first: how many frames keep their place at the start.

    Returns:
        The place of each frame in what was given; (N, F) int64.
    """
    keys = [
        part.float().contiguous().view(torch.int32).flatten(2).sum(dim=2, dtype=torch.int64) * prime
        for part, prime in zip(parts, _PRIMES, strict=False)
    ]
    key = torch.stack(keys).sum(dim=0)
    order = key[:, first:].argsort(dim=1) + first
    kept = torch.arange(first, device=key.device).expand(len(key), -1)
    return torch.cat([kept, order], dim=1)


def given_order(burst: Tensor) -> Tensor:
    """Return the order in which frames are; (N, F, ...) to (N, F) int64."""
    return torch.arange(burst.shape[1], device=burst.device).expand(len(burst), -1)


def positions(order: Tensor) -> Tensor:
    """Return where frames lie once bursts and frames are one axis; (N, F) to (N * F,) int64."""
    first = torch.arange(len(order), device=order.device) * order.shape[1]
    return (order + first[:, None]).flatten()


def take(frames: Tensor, order: Tensor) -> Tensor:
    """Put frames into an order; (N, F, ...) and (N, F) to (N, F, ...)."""
    row = torch.arange(len(frames), device=frames.device)[:, None]
    return frames[row, order]
