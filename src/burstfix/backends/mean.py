"""The plain mean of the aligned frames, over what each frame saw."""

from dataclasses import dataclass

import torch
from torch import Tensor

from burstfix.backends.base import Backend, Contract, Network


@dataclass(frozen=True, kw_only=True)
class Config:
    """The mean has no settings."""


class MeanNetwork(Network):
    """Averages each pixel over the frames that saw it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        del config
        self.contract = Contract(
            tasks=("burst", "video"), multiple_of=1, receptive_radius=0, working_bytes=8
        )

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Average the frames, weighted by what they saw; see `Network.forward`.

        A pixel that no frame saw keeps the reference's value.
        """
        del descriptor
        total = burst[:, 0] * seen[:, 0]
        weight = seen[:, 0].clone()
        for number in range(1, burst.shape[1]):  # frame by frame: a whole product is a burst again
            total.addcmul_(burst[:, number], seen[:, number])
            weight += seen[:, number]
        tiny = torch.finfo(weight.dtype).tiny
        mean = total.div_(weight.clamp_min(tiny))
        return torch.where(weight > 0, mean, burst[:, 0])


BACKEND = Backend("mean", Config, MeanNetwork, "plain mean of the aligned frames", trained=False)
