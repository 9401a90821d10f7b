"""The whole of `set`: frames in any order, fused and corrected."""

import math

import torch
from torch import Tensor

from burstfix.backends.base import Backend, Contract, Network
from burstfix.backends.order import content_order, take
from burstfix.backends.set.blocks import meet
from burstfix.backends.set.code import to_code, to_light
from burstfix.backends.set.config import SCALES, Config
from burstfix.backends.set.frames import FrameNet
from burstfix.backends.set.fusion import Fusion
from burstfix.backends.set.trunk import Trunk


class SetNetwork(Network):
    """Frames as a set: fused by learned weights, corrected by a deep trunk."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.frame_net = FrameNet(config)
        self.fusion = Fusion(config)
        self.trunk = Trunk(config)
        self.contract = Contract(
            multiple_of=SCALES[-1],
            receptive_radius=receptive_radius(config),
            halo=96,  # measured: what lies farther changes no code by 1/1024
            order_invariant=True,
            working_bytes=360,
        )

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Restore the reference frame; arguments and result as `Network.forward`."""
        order = content_order(burst, seen, descriptor, first=1)
        burst, seen, descriptor = (take(part, order) for part in (burst, seen, descriptor))
        levels = self.frame_net(burst, seen, descriptor)
        shares = self.fusion.weigh(levels, seen)
        pictures = to_code(self.fusion.pictures(burst, shares))
        shared = [meet(features, burst.shape[1]) for features in levels]
        return to_light(pictures[:, :3] + self.trunk(pictures, shared))

    def frame_weights(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Tell each frame's share of the fused pictures; as `Network.frame_weights`."""
        levels = self.frame_net(burst, seen, descriptor)
        shares = self.fusion.weigh(levels, seen)
        return torch.stack([share.mean(dim=(2, 3, 4)) for share in shares]).mean(dim=0)


def receptive_radius(config: Config) -> int:
    """Count how far a pixel reaches, along the longest way, from the output back to the input."""
    steps = [(2, 1)]  # (scale, 3x3 convolutions); the trunk's head
    steps += [(s, 2 * n) for s, n in zip(SCALES, config.trunk_up_blocks, strict=False)]
    steps += [(s, 2 * n) for s, n in zip(SCALES, config.trunk_blocks, strict=True)][::-1]
    steps += [(2, 1), (2, 1), (4, 1), (8, 1)]  # the trunk's stem, and enlarging the pyramid
    steps += [(s, 2) for s in SCALES[:-1]]
    steps += [(s, 2 * n) for s, n in zip(SCALES, config.frame_blocks, strict=True)][::-1]
    steps += [(2, 1)]
    radius = 0
    for scale, convolutions in steps:
        radius = (math.ceil(radius / scale) + convolutions) * scale
    return radius


BACKEND = Backend(
    "set", Config, SetNetwork, "learned fusion of any number of frames, deblurs and denoises"
)
