"""Frames of one kind as their mean, for networks that take one frame of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from burstfix.backends.base import DESCRIPTOR
from burstfix.backends.mean import Config, MeanNetwork
from burstfix.frame import Box, Size
from burstfix.tiling import Room, Source, delivered


@dataclass(frozen=True)
class Merged:
    """An aligned burst of which runs of frames are averaged; implements `tiling.Source`.

    Args:
        source: the frames; those of one run lie behind each other.
        counts: how many frames each run has; they sum to the frames of `source`.
    """

    source: Source
    counts: Sequence[int]

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self.source.size

    @property
    def frames(self) -> int:
        """How many runs there are."""
        return len(self.counts)

    def read(self, box: Box, into: Room | None = None) -> Room:
        """Read a box of every run's mean; as `tiling.Source`.

        Backend `mean` averages. A run saw what any of its frames saw.
        """
        burst, seen = self.source.read(box)
        mean = MeanNetwork(Config())
        lights, shares = [], []
        for start, end in pairwise(accumulate(self.counts, initial=0)):
            part, share = burst[None, start:end], seen[None, start:end]
            lights.append(part[0, 0] if end - start == 1 else mean(part, share, share)[0])
            shares.append(share[0].amax(dim=0))
        return delivered((torch.stack(lights), torch.stack(shares)), into)


def merge_descriptor(descriptor: Tensor, counts: Sequence[int]) -> Tensor:
    """Describe the means: of n frames' noise, 1/n is left; (1, F, D) to (1, runs, D)."""
    firsts = list(accumulate(counts, initial=0))[:-1]
    merged = descriptor[:, firsts].clone()
    noise = [DESCRIPTOR.index("shot"), DESCRIPTOR.index("read")]
    merged[..., noise] /= torch.tensor(counts, dtype=merged.dtype)[:, None]
    return merged
