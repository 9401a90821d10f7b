"""Runs a network over one tile, and copes where memory or half precision do not suffice."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from burstfix.backends.base import Network
from burstfix.errors import DeviceError, InputError
from burstfix.frame import Box
from burstfix.tiling.layout import Layout
from burstfix.tiling.reader import Tile

Surveyed = Callable[[Box], Tensor] | None  # planes of the first pass for a box, if there is one

LEAST_SIDE = 64  # px; smaller tiles are mostly halo

_LESS = (
    "Close other programs, use fewer frames, or choose another device (--device cpu) "
    "or a lighter --backend."
)

# What allocators without an exception of their own write.
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "ALLOC_FAILED",
)


class Runner:
    """Restores tiles; remembers what it had to give up for one, for all that follow.

    Args:
        network: what restores; moved to the device, its weights to channels_last.
        layout: where tiles lie.
        descriptor: what is known of each frame; (1, F, D).
        device: where to compute.
        dtype: what convolutions and products of networks with weights compute in.
    """

    def __init__(
        self,
        network: Network,
        layout: Layout,
        *,
        descriptor: Tensor,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.network = network.to(device).eval()
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.layout = layout
        self.descriptor = descriptor.to(device)
        self.device = device
        self.dtype = dtype
        self.largest: float = math.inf  # pixels of a region that memory suffices for

    def restore(self, tile: Tile, surveyed: Surveyed = None) -> Tensor:
        """Restore a tile's region.

        Args:
            tile: its input.
            surveyed: returns planes of the first pass for a box, if the network has one.

        Returns:
            Linear light; (3, h, w) float32 on the CPU.
        """
        return self._restore(self.layout.region(tile.core), tile, surveyed)

    def survey(self, blocks: Tensor, seen: Tensor) -> Tensor:
        """Do the first pass of some cells; as `Network.survey`, from and to the CPU."""
        try:
            with computing(self.device, self.dtype):
                known = self.descriptor.expand(len(blocks), -1, -1)
                on_device = blocks.to(self.device), seen.to(self.device)
                result = self.network.survey(on_device[0], on_device[1], known).float().cpu()
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            if len(blocks) == 1:
                raise DeviceError(
                    f"The memory of {self.device} does not suffice to estimate the blur.",
                    _LESS,
                ) from error
        else:
            if self.dtype == torch.float32 or torch.isfinite(result).all():
                return result
            self.dtype = torch.float32
            return self.survey(blocks, seen)
        halves = (blocks.chunk(2), seen.chunk(2))
        return torch.cat([self.survey(*half) for half in zip(*halves, strict=True)])

    def _restore(self, region: Box, tile: Tile, surveyed: Surveyed) -> Tensor:
        height, width = region.size
        if height * width <= self.largest:
            result = self._attempt(region, tile, surveyed)
            if result is not None:
                return self._checked(result, region, tile, surveyed)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()  # a smaller tile needs other pieces
            self.largest = min(self.largest, height * width / 2)
        result = torch.empty(3, height, width)
        for part in self._halves(region):
            at = part.shift(-region.top, -region.left)
            result[:, at.top : at.bottom, at.left : at.right] = self._restore(part, tile, surveyed)
        return result

    def _attempt(self, region: Box, tile: Tile, surveyed: Surveyed) -> Tensor | None:
        """Restore a region; None where memory does not suffice."""
        try:
            return self._compute(region, tile, surveyed)
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
        return None  # outside, where the error and the tensors of its frames are gone

    def _compute(self, region: Box, tile: Tile, surveyed: Surveyed) -> Tensor:
        box = self.layout.box(region)
        at = box.shift(-tile.box.top, -tile.box.left)
        with computing(self.device, self.dtype):
            burst, seen = (
                part[..., at.top : at.bottom, at.left : at.right]
                .to(self.device, non_blocking=True)
                .unsqueeze(0)
                for part in (tile.burst, tile.seen)
            )
            core = region.shift(-box.top, -box.left)
            planes = surveyed(box)[None].to(self.device) if surveyed else None
            restored = self.network.restore_light(burst, seen, self.descriptor, core, planes)
            return restored[0].cpu()

    def _checked(
        self,
        result: Tensor,
        region: Box,
        tile: Tile,
        surveyed: Surveyed,
    ) -> Tensor:
        """Return the result if it is finite; else redo it in fp32, or fail."""
        if torch.isfinite(result).all():
            return result
        if not torch.isfinite(tile.burst).all():
            raise InputError(
                "The frames hold pixels that are no numbers (NaN or infinity).",
                "Export them again, with finite values.",
            )
        if self.dtype == torch.float32:
            raise DeviceError(
                f"The network gave values that are no numbers at row {region.top}, "
                f"column {region.left}.",
                "Try --device cpu; if that fails too, the weights are unfit: use other weights or "
                "another --backend.",
            )
        self.dtype = torch.float32
        return self._restore(region, tile, surveyed)

    def _halves(self, region: Box) -> tuple[Box, Box]:
        """Cut a region across its longer side, between two cells."""
        top, left, bottom, right = region
        multiple = self.layout.multiple
        if bottom - top >= right - left:
            middle = (top + bottom) // 2 // multiple * multiple
            halves = Box(top, left, middle, right), Box(middle, left, bottom, right)
        else:
            middle = (left + right) // 2 // multiple * multiple
            halves = Box(top, left, bottom, middle), Box(top, middle, bottom, right)
        if max(region.size) <= LEAST_SIDE or any(half.empty for half in halves):
            raise DeviceError(
                f"The memory of {self.device} does not suffice for a tile of "
                f"{right - left} x {bottom - top} pixels.",
                _LESS,
            )
        return halves


def _is_out_of_memory(error: MemoryError | RuntimeError) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(sign in str(error) for sign in _OUT_OF_MEMORY)


@contextmanager
def computing(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Run networks without gradients, their convolutions and products in `dtype`."""
    half = dtype != torch.float32
    with (
        torch.inference_mode(),
        torch.backends.cudnn.flags(enabled=True, allow_tf32=half),  # TF32 is no fp32
        torch.autocast(device.type, dtype=dtype, enabled=half),
    ):
        yield
