"""The whole of `set`: frames in any order, fused and corrected."""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from burstfix.backends.base import DESCRIPTOR, Backend, Contract, Explanation, Network, Survey
from burstfix.backends.order import content_order, given_order, take
from burstfix.backends.set.blocks import cropped, meet
from burstfix.backends.set.blur import BlurNet
from burstfix.backends.set.cells import CELL, FADE, cut, join
from burstfix.backends.set.code import to_code, to_light
from burstfix.backends.set.config import FLOORS, SCALES, Config
from burstfix.backends.set.frames import FrameNet
from burstfix.backends.set.fusion import Fusion
from burstfix.backends.set.trunk import GROWING, Trunk
from burstfix.backends.set.wiener import MARGIN, deblur
from burstfix.frame import Box, Size

_AROUND = 15  # px to each side over which a change is judged
_SIDE = 2 * _AROUND + 1
_MOST = 6.0  # of what the logarithm of a weight or a floor is changed by


class SetNetwork(Network):
    """Frames as a set: fused by learned weights, corrected by a deep trunk."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.frame_net = FrameNet(config)
        self.fusion = Fusion(config)
        self.blur = BlurNet(config) if config.blur_widths else None
        self.trunk = Trunk(config)
        self.restraint = config.restraint
        survey = Survey(cell=CELL, margin=MARGIN, fade=FADE, planes=3 * len(FLOORS))
        self.contract = Contract(
            tasks=("burst", "pair", "single", "video"),
            multiple_of=SCALES[-1],
            receptive_radius=receptive_radius(config),
            halo=96,  # measured: what lies farther changes no code by 1/1024
            order_invariant=True,
            working_bytes=144,
            once_bytes=17 * config.trunk_widths[0],
            survey=survey if config.blur_widths else None,
        )

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Restore the reference frame; arguments and result as `Network.forward`."""
        return self.forward_core(burst, seen, descriptor, Box.whole(_size(burst)))

    def forward_core(self, burst: Tensor, seen: Tensor, descriptor: Tensor, core: Box) -> Tensor:
        """Restore a part; arguments and result as `Network.forward_core`."""
        order = content_order(burst, seen, descriptor, first=1)
        burst, seen, descriptor = (take(part, order) for part in (burst, seen, descriptor))
        return self._restore(burst, seen, descriptor, core)[0]

    def restore_and_explain(
        self, burst: Tensor, seen: Tensor, descriptor: Tensor
    ) -> tuple[Tensor, Explanation | None]:
        """Restore, and tell the blur that was found; as `Network.restore_and_explain`."""
        return self._restore(burst, seen, descriptor, Box.whole(_size(burst)))

    def find_blur(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor | None:
        """Tell the blur alone; as `Network.find_blur`."""
        del seen  # the frames are weighed by it, not their blur
        if self.blur is None:
            return None
        cells = cut(burst.float(), 0)
        known = descriptor.repeat_interleave(cells.shape[1], dim=0)
        psfs: Tensor = self.blur(cells.flatten(0, 1).mean(dim=2), known)[0]
        return psfs.view(*cells.shape[:2], *psfs.shape[1:])

    def _restore(
        self, burst: Tensor, seen: Tensor, descriptor: Tensor, core: Box
    ) -> tuple[Tensor, Explanation | None]:
        """Restore in one pass: the cells are cut out of the burst itself."""
        order = given_order(burst)
        if self.blur is None:
            return self._fuse(burst, seen, descriptor, order, None, core), None
        blocks, whole = cut(burst.float(), MARGIN), cut(seen, 0)
        cells = blocks.shape[1]
        known = descriptor.repeat_interleave(cells, dim=0)
        psfs, pieces = self._deblur(self.blur, blocks.flatten(0, 1), whole.flatten(0, 1), known)
        pieces = pieces.flatten(1, 2).view(len(burst), cells, -1, *pieces.shape[-2:])
        pictures = join(pieces, _size(burst))
        result = self._fuse(burst, seen, descriptor, order, pictures, core)
        psfs = psfs.view(len(burst), cells, *psfs.shape[1:])
        return result, Explanation(psfs, pictures.view(len(burst), -1, 3, *pictures.shape[-2:]))

    def survey(self, blocks: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Deblur some cells; arguments and result as `Network.survey`."""
        assert self.blur is not None
        inner = slice(MARGIN, MARGIN + CELL)
        order = content_order(blocks[..., inner, inner], seen, descriptor, first=1)
        blocks, seen, descriptor = (take(part, order) for part in (blocks, seen, descriptor))
        return self._deblur(self.blur, blocks, seen, descriptor)[1].flatten(1, 2)

    def forward_surveyed(
        self, burst: Tensor, seen: Tensor, descriptor: Tensor, surveyed: Tensor, core: Box
    ) -> Tensor:
        """Restore with deblurred pictures; arguments and result as `Network.forward_surveyed`."""
        order = content_order(burst, seen, descriptor, first=1)
        return self._fuse(burst, seen, descriptor, order, surveyed, core)

    def _fuse(
        self,
        burst: Tensor,
        seen: Tensor,
        descriptor: Tensor,
        order: Tensor,
        deblurred: Tensor | None,
        core: Box,
    ) -> Tensor:
        """Fuse frames and correct a part, with what undoing blur gave: (N, 3 R, H, W)."""
        light, shared = self._meet(burst, seen, descriptor, order)
        pictures = to_code(light) if deblurred is None else to_code(light, deblurred)
        del light
        judged = core.grow(_AROUND).intersect(Box.whole(_size(burst))) if self.restraint else core
        correction, logits = self.trunk(pictures, shared, judged)
        pictures = cropped(pictures, judged)
        base = pictures[:, :3]
        if deblurred is not None:
            choices = (base, *torch.split(pictures[:, -3 * len(FLOORS) :], 3, dim=1))
            shares = torch.split(logits.softmax(dim=1), 1, dim=1)
            base = torch.zeros_like(base)
            for share, choice in zip(shares, choices, strict=True):
                base = torch.addcmul(base, share, choice)
        restored = base + correction
        if self.restraint and burst.shape[1] == 1 and not self.training:  # it lets no gradient by
            # A file that tells its noise tells what may be taken off.
            unknown = descriptor[:, 0, DESCRIPTOR.index("shot")].isnan().view(-1, 1, 1, 1)
            given = to_code(cropped(burst[:, 0], judged))
            restored = torch.where(unknown, hold_back(given, restored, self.restraint), restored)
        return to_light(cropped(restored, core.shift(-judged.top, -judged.left)))

    def _meet(
        self, burst: Tensor, seen: Tensor, descriptor: Tensor, order: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Fuse the frames' pictures, and their features; those of each frame end here."""
        levels = self.frame_net(burst, seen, descriptor, order)
        shared = [meet(features, burst.shape[1]) for features in levels]
        return self.fusion(burst, seen, levels, order), shared

    def _deblur(
        self, blur: BlurNet, blocks: Tensor, seen: Tensor, descriptor: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Estimate the blur of all frames in each of M cells and undo it."""
        inner = slice(MARGIN, MARGIN + CELL)
        psfs, trust, floors = blur(blocks[..., inner, inner].mean(dim=2), descriptor)
        weight = seen.mean(dim=(2, 3, 4)) * trust.clamp(-_MOST, _MOST).exp()
        ratios = floors.clamp(-_MOST, _MOST).exp() * torch.tensor(FLOORS, device=floors.device)
        return psfs, deblur(blocks, psfs.exp(), weight, ratios)

    def adopt(self, state: Mapping[str, Tensor]) -> None:
        """Begin with trained weights.

        Those without blur grow, and restore as before at first. Of a deeper network the
        last blocks are left out: each only refines. Of weights of other widths, or of fewer blocks,
        only what estimates blur is taken, where it fits: the hardest part to learn.
        """
        own = self.state_dict()
        deeper = all(_shape(own, name) == _shape(state, name) for name in own)
        grown = {name: state[name] for name in own} if deeper else dict(state)
        finding = [name for name in own if name.startswith("blur.")]
        if self.blur is not None and not any(name.startswith("blur.") for name in state):
            grown |= {name: own[name] for name in finding}
            grown |= self.trunk.grow({name: state[f"trunk.{name}"] for name in GROWING})
        elif finding and not deeper:
            grown = own | {name: state[name] for name in finding if name in state}
        super().adopt(grown)

    def frame_weights(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Tell each frame's share of the fused pictures; as `Network.frame_weights`."""
        order = given_order(burst)
        levels = self.frame_net(burst, seen, descriptor, order)
        shares = self.fusion.weigh(levels, seen, order)
        return torch.stack([share.mean(dim=(2, 3, 4)) for share in shares]).mean(dim=0)


def hold_back(given: Tensor, restored: Tensor, restraint: float) -> Tensor:
    """Leave as it was what would change little.

    Args:
        given: the frame, coded; (N, 3, H, W).
        restored: what it became, coded; (N, 3, H, W).
        restraint: root mean square of the change around a pixel below which there is none.

    Returns:
        The restored frame, with less of its small changes; (N, 3, H, W).
    """
    change = restored - given
    energy = change.square().mean(dim=1, keepdim=True)
    around = energy
    for window, padding in (((_SIDE, 1), (_AROUND, 0)), ((1, _SIDE), (0, _AROUND))):  # as a square
        around = F.avg_pool2d(around, window, 1, padding, count_include_pad=False)
    return given + change * (around / restraint**2 - 1).clamp(0, 1)


def _size(pictures: Tensor) -> Size:
    return pictures.shape[-2], pictures.shape[-1]


def _shape(state: Mapping[str, Tensor], name: str) -> torch.Size | None:
    return state[name].shape if name in state else None


def receptive_radius(config: Config) -> int:
    """Count how far a pixel reaches, along the longest way, from the output back to the input.

    What cells look at, where blur is estimated, comes on top.
    """
    trunk = [(2, 1)]  # (scale, 3x3 convolutions); the trunk's head
    trunk += [(s, 2 * n) for s, n in zip(SCALES, config.trunk_up_blocks, strict=False)]
    trunk += [(s, 2 * n) for s, n in zip(SCALES, config.trunk_blocks, strict=True)][::-1]
    trunk += [(2, 1)]  # its stem
    frame = [(2, 1), (4, 1), (8, 1)]  # enlarging the pyramid
    frame += [(s, 2) for s in SCALES[:-1]]
    frame += [(s, 2 * n) for s, n in zip(SCALES, config.frame_blocks, strict=True)][::-1]
    frame += [(2, 1)]
    return _reach(trunk + frame) + (_AROUND if config.restraint else 0)


def _reach(steps: list[tuple[int, int]]) -> int:
    radius = 0
    for scale, convolutions in steps:
        radius = (math.ceil(radius / scale) + convolutions) * scale
    return radius


BACKEND = Backend(
    "set", Config, SetNetwork, "learned fusion of any number of frames, deblurs and denoises"
)
