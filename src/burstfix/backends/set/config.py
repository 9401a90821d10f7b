"""What rebuilds a `set` network, and the scales that it works at."""

from dataclasses import dataclass, field

SCALES = (2, 4, 8, 16)  # pixels to a feature at each level
FLOORS = (1e-3, 1e-2, 1e-1)  # first ratios of noise to detail, of the pictures that are deblurred


@dataclass(frozen=True, kw_only=True)
class Config:
    """Written into the weights file, so the file alone rebuilds the network.

    Args:
        frame_widths: channels of a frame's features at 1/2, 1/4, 1/8 and 1/16.
        frame_blocks: blocks of the frame's way down, at each scale.
        trunk_widths: channels of the trunk at each scale.
        trunk_blocks: blocks of the trunk's way down, at each scale.
        trunk_up_blocks: blocks of the trunk's way up, at 1/2, 1/4 and 1/8.
        heads: how many fused pictures the trunk sees.
        blur_widths: channels of what estimates the frames' blur, at 1/2, 1/4, 1/8 and 1/16 of its
            lag maps. Empty: blur is not estimated.
        restraint: a frame alone of unknown noise stays as it is where all that would change is
            less than this, and changes wholly from 1.4 times as much [codes, as of
            `code.to_code`; over 31x31 px]: what is sharp and clean already shall come back
            unharmed. 0: never held back.
    """

    frame_widths: tuple[int, ...] = (32, 64, 96, 128)
    frame_blocks: tuple[int, ...] = (0, 1, 2, 2)
    trunk_widths: tuple[int, ...] = (48, 96, 128, 160)
    trunk_blocks: tuple[int, ...] = (1, 2, 2, 3)
    trunk_up_blocks: tuple[int, ...] = (2, 2, 1)
    heads: int = 4
    # Files that are older than these settings are read with their defaults.
    blur_widths: tuple[int, ...] = field(default=(), metadata={"added": True})
    restraint: float = field(default=0.0, metadata={"added": True})
