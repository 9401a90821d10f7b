"""The whole of `set`: frames in any order, fused and corrected."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from burstfix.backends.base import Backend, Contract, Explanation, Network
from burstfix.backends.order import content_order, take
from burstfix.backends.set.blocks import meet
from burstfix.backends.set.blur import BlurNet
from burstfix.backends.set.cells import CELL, FADE, cut
from burstfix.backends.set.code import to_code, to_light
from burstfix.backends.set.config import FLOORS, SCALES, Config
from burstfix.backends.set.frames import FrameNet
from burstfix.backends.set.fusion import Fusion
from burstfix.backends.set.trunk import GROWING, Trunk
from burstfix.backends.set.wiener import MARGIN, deblur

# Measured: what lies farther changes no code by 1/1024. The deblurred pictures are whole only
# where all that a cell looks at was read, MARGIN around it.
_HALO = 96
_MOST = 6.0  # of what the logarithm of a weight or a floor is changed by


class SetNetwork(Network):
    """Frames as a set: fused by learned weights, corrected by a deep trunk."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.frame_net = FrameNet(config)
        self.fusion = Fusion(config)
        self.blur = BlurNet(config) if config.blur_widths else None
        self.trunk = Trunk(config)
        self.contract = Contract(
            tasks=("burst", "pair"),
            multiple_of=CELL if config.blur_widths else SCALES[-1],
            receptive_radius=receptive_radius(config),
            halo=_HALO + (MARGIN if config.blur_widths else 0),
            order_invariant=True,
            working_bytes=360,
        )

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Restore the reference frame; arguments and result as `Network.forward`."""
        order = content_order(burst, seen, descriptor, first=1)
        burst, seen, descriptor = (take(part, order) for part in (burst, seen, descriptor))
        return self._restore(burst, seen, descriptor)[0]

    def restore_and_explain(
        self, burst: Tensor, seen: Tensor, descriptor: Tensor
    ) -> tuple[Tensor, Explanation | None]:
        """Restore, and tell the blur that was found; as `Network.restore_and_explain`."""
        return self._restore(burst, seen, descriptor)

    def _restore(
        self, burst: Tensor, seen: Tensor, descriptor: Tensor
    ) -> tuple[Tensor, Explanation | None]:
        levels = self.frame_net(burst, seen, descriptor)
        shares = self.fusion.weigh(levels, seen)
        light = self.fusion.pictures(burst, shares)
        explanation = self._deblur(burst, seen, descriptor)
        if explanation is not None:
            light = torch.cat([light, explanation.pictures.flatten(1, 2)], dim=1)
        pictures = to_code(light)
        shared = [meet(features, burst.shape[1]) for features in levels]
        correction, logits = self.trunk(pictures, shared)
        base = pictures[:, :3]
        if explanation is not None:
            choices = torch.cat([base, pictures[:, -3 * len(FLOORS) :]], dim=1)
            choices = choices.view(len(base), -1, *base.shape[1:])
            base = (choices * logits.softmax(dim=1)[:, :, None]).sum(dim=1)
        return to_light(base + correction), explanation

    def _deblur(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Explanation | None:
        """Estimate the blur of all frames and undo it."""
        if self.blur is None:
            return None
        psfs, trust, floors = self.blur(burst, descriptor)
        visible = cut(seen, 0).mean(dim=(3, 4, 5)).flatten(0, 1)
        weight = visible * trust.clamp(-_MOST, _MOST).exp()
        ratios = floors.clamp(-_MOST, _MOST).exp() * torch.tensor(FLOORS, device=floors.device)
        pictures = deblur(burst.float(), psfs.exp(), weight, ratios)
        return Explanation(psfs.view(len(burst), -1, *psfs.shape[1:]), pictures)

    def adopt(self, state: Mapping[str, Tensor]) -> None:
        """Begin with trained weights; those without blur grow, and restore as before at first."""
        grown = dict(state)
        if self.blur is not None and not any(name.startswith("blur.") for name in state):
            own = self.state_dict()
            grown |= {name: value for name, value in own.items() if name.startswith("blur.")}
            grown |= self.trunk.grow({name: state[f"trunk.{name}"] for name in GROWING})
        super().adopt(grown)

    def frame_weights(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Tell each frame's share of the fused pictures; as `Network.frame_weights`."""
        levels = self.frame_net(burst, seen, descriptor)
        shares = self.fusion.weigh(levels, seen)
        return torch.stack([share.mean(dim=(2, 3, 4)) for share in shares]).mean(dim=0)


def receptive_radius(config: Config) -> int:
    """Count how far a pixel reaches, along the longest way, from the output back to the input."""
    trunk = [(2, 1)]  # (scale, 3x3 convolutions); the trunk's head
    trunk += [(s, 2 * n) for s, n in zip(SCALES, config.trunk_up_blocks, strict=False)]
    trunk += [(s, 2 * n) for s, n in zip(SCALES, config.trunk_blocks, strict=True)][::-1]
    trunk += [(2, 1)]  # its stem
    frame = [(2, 1), (4, 1), (8, 1)]  # enlarging the pyramid
    frame += [(s, 2) for s in SCALES[:-1]]
    frame += [(s, 2 * n) for s, n in zip(SCALES, config.frame_blocks, strict=True)][::-1]
    frame += [(2, 1)]
    radius = _reach(trunk + frame)
    if config.blur_widths:  # cells fade into their neighbours, which look `MARGIN` farther
        cells = math.ceil((_reach(trunk) + FADE) / CELL)
        radius = max(radius, cells * CELL + MARGIN)
    return radius


def _reach(steps: list[tuple[int, int]]) -> int:
    radius = 0
    for scale, convolutions in steps:
        radius = (math.ceil(radius / scale) + convolutions) * scale
    return radius


BACKEND = Backend(
    "set", Config, SetNetwork, "learned fusion of any number of frames, deblurs and denoises"
)
