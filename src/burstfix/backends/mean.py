"""The plain mean of the aligned frames, over what each frame saw.

Frames are averaged as square roots of light, as other tools average coded pictures: files that
clip noise at black would lift the shadows of a mean in linear light (on 8-bit frames it lost 0.7
to 1.8 dB), and a few bright outliers would outweigh the rest.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from burstfix.backends.base import Backend, Contract, Network
from burstfix.color import from_root, to_root


@dataclass(frozen=True, kw_only=True)
class Config:
    """How frames are averaged.

    Args:
        coded: whether as square roots of light, or else as light.
    """

    coded: bool = True


class MeanNetwork(Network):
    """Averages each pixel over the frames that saw it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.contract = Contract(
            tasks=("burst", "video"), multiple_of=1, receptive_radius=0, working_bytes=8
        )

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Average the frames, weighted by what they saw; see `Network.forward`.

        A pixel that no frame saw keeps the reference's value.
        """
        del descriptor
        total = torch.zeros_like(burst[:, 0])
        weight = torch.zeros_like(seen[:, 0])
        for number in range(burst.shape[1]):  # frame by frame: a whole product is a burst again
            light = burst[:, number]
            total.addcmul_(to_root(light) if self.config.coded else light, seen[:, number])
            weight += seen[:, number]
        mean = total.div_(weight.clamp_min(torch.finfo(weight.dtype).tiny))
        return torch.where(weight > 0, from_root(mean) if self.config.coded else mean, burst[:, 0])


BACKEND = Backend("mean", Config, MeanNetwork, "plain mean of the aligned frames", trained=False)
