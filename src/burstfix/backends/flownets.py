"""FlowNetS (Dosovitskiy et al. 2015, "FlowNetSimple"): the flow between two frames, learned.

It restores nothing, so it is none of the `BACKENDS`; reblurring takes it, for its gradient.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NAME = "flownets"  # on cards
SCALE = 20.0  # px of flow that the network calls 1; theirs
_KNEE = 0.003  # of linear light
_CELL = 64  # px that become one in the deepest layer
_SLOPE = 0.1  # of leaky ReLUs below 0
_ENCODER = (  # maps, kernel's side, stride: nine layers
    (64, 7, 2),
    (128, 5, 2),
    (256, 5, 2),
    (256, 3, 1),
    (512, 3, 2),
    (512, 3, 1),
    (512, 3, 2),
    (512, 3, 1),
    (1024, 3, 2),
)
_KEPT = (1, 3, 5, 7)  # layers that the refinement looks back at, of 1/4 to 1/32 of the side
_DECODER = (512, 256, 128, 64)  # maps of the upconvolutions, from 1/32 to 1/4


@dataclass(frozen=True, kw_only=True)
class Config:
    """Written into the weights file, so the file alone rebuilds the network.

    Args:
        width: factor on the maps of all layers; 1 is the paper's.
    """

    width: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.width <= 4:
            raise ValueError(f"width {self.width} is not between 0 and 4")

    def maps(self, full: int) -> int:
        """Return how many maps a layer has that has so many at width 1."""
        return max(4, round(full * self.width))


class FlowNetS(nn.Module):
    """Nine convolutions down to 1/64 of the side; flow, refined by upconvolutions up to 1/4."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        widths = [6, *(config.maps(maps) for maps, _, _ in _ENCODER)]
        self.encoder = nn.ModuleList(
            nn.Conv2d(fan_in, fan_out, side, stride, side // 2)
            for (fan_in, fan_out), (_, side, stride) in zip(pairwise(widths), _ENCODER, strict=True)
        )
        ups = [config.maps(maps) for maps in _DECODER]
        skips = [widths[1 + layer] for layer in reversed(_KEPT)]
        joined = [widths[-1], *(skip + up + 2 for skip, up in zip(skips, ups, strict=True))]
        self.flows = nn.ModuleList(nn.Conv2d(maps, 2, 3, 1, 1) for maps in joined)
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(fan_in, fan_out, 4, 2, 1)
            for fan_in, fan_out in zip(joined[:-1], ups, strict=True)
        )
        self.flow_ups = nn.ModuleList(nn.ConvTranspose2d(2, 2, 4, 2, 1) for _ in ups)

    def pyramid(self, frames: Tensor) -> list[Tensor]:
        """Predict flow at all scales.

        Args:
            frames: as of `to_input`, source and target one after the other;
                (N, 6, H, W), sides multiples of 64.

        Returns:
            Flow over `SCALE` at 1/64 to 1/4 of the side; (N, 2, h, w) each.
        """
        features, kept = frames, list[Tensor]()
        for number, layer in enumerate(self.encoder):
            features = F.leaky_relu(layer(features), _SLOPE)
            if number in _KEPT:
                kept.append(features)
        flows = [self.flows[0](features)]
        for up, flow_up, skip, head in zip(
            self.ups, self.flow_ups, reversed(kept), self.flows[1:], strict=True
        ):
            wider = F.leaky_relu(up(features), _SLOPE)
            features = torch.cat([skip, wider, flow_up(flows[-1])], dim=1)
            flows.append(head(features))
        return flows

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Find where each pixel of one frame lies in another.

        Args:
            source: linear light; (N, 3, H, W), of any size.
            target: likewise.

        Returns:
            target_from_source displacements, (x, y) [px]; (N, 2, H, W).
        """
        height, width = source.shape[-2:]
        finest = self.pyramid(to_input(source, target))[-1]
        full = F.interpolate(finest, scale_factor=4, mode="bilinear", align_corners=False)
        return SCALE * full[..., :height, :width]


def to_input(source: Tensor, target: Tensor) -> Tensor:
    """Code frames as the network takes them; (N, 3, H, W) each to (N, 6, h, w), sides filled up."""
    light = torch.cat([source, target], dim=1).clamp(0, 1)
    codes = (light + _KNEE).pow(1 / 2.2) - 0.5  # near to sRGB, with a finite slope at black
    height, width = codes.shape[-2:]
    return F.pad(codes, (0, -width % _CELL, 0, -height % _CELL), mode="replicate")
