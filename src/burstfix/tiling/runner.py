"""Runs a network over one tile, and copes where memory or half precision do not suffice."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from burstfix import device as devices
from burstfix.backends.base import Network
from burstfix.errors import DeviceError, InputError
from burstfix.frame import Box
from burstfix.tiling.layout import Layout
from burstfix.tiling.place import Place
from burstfix.tiling.reader import Tile

Surveyed = Callable[[Box], Tensor] | None  # planes of the first pass for a box, if there is one

LEAST_SIDE = 64  # px; smaller tiles are mostly halo


class Runner:
    """Restores tiles; remembers what it had to give up for one, for all that follow.

    Args:
        network: what restores; `settle` has moved it to its place.
        layout: where tiles lie.
        descriptor: what is known of each frame; (1, F, D).
        place: where to compute, and in what.
        cpu_side: side of tiles that main memory holds, should the CPU take over [px].
    """

    def __init__(
        self,
        network: Network,
        layout: Layout,
        *,
        descriptor: Tensor,
        place: Place,
        cpu_side: int,
    ) -> None:
        self.network = network
        self.layout = layout
        self.descriptor = descriptor
        self.place = place
        self.cpu_side = cpu_side
        self.largest: float = math.inf  # pixels of a region that memory suffices for

    @property
    def dtype(self) -> torch.dtype:
        """What the network's convolutions and products compute in."""
        return self.place.dtype(self.network)

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
        dtype = self.dtype  # another thread may change it meanwhile
        try:
            result = self._survey(blocks, seen, dtype)
        except (MemoryError, RuntimeError) as error:
            if not devices.is_out_of_memory(error):
                raise
            if len(blocks) == 1:
                self._leave("to estimate the blur", error)
        else:
            if dtype == torch.float32 or torch.isfinite(result).all():
                return result
            self.place.give_up_half(self.network)
            return self.survey(blocks, seen)
        halves = (blocks.chunk(2), seen.chunk(2))  # of one cell it is that cell
        return torch.cat([self.survey(*half) for half in zip(*halves, strict=True)])

    def _survey(self, blocks: Tensor, seen: Tensor, dtype: torch.dtype) -> Tensor:
        device = self.place.device
        with computing(device, dtype):
            known = self.descriptor.to(device).expand(len(blocks), -1, -1)
            return self.network.survey(blocks.to(device), seen.to(device), known).float().cpu()

    def _restore(self, region: Box, tile: Tile, surveyed: Surveyed) -> Tensor:
        height, width = region.size
        if height * width <= self.largest:
            dtype = self.dtype
            result = self._attempt(region, tile, surveyed, dtype)
            if result is not None:
                return self._checked(result, region, tile, surveyed, dtype)
            self._shrink(region)
        parts = self._halves(region)
        if not parts:
            self._leave(f"for a tile of {width} x {height} pixels")
            self.largest = max(self.largest, height * width)  # else it were never attempted
            return self._restore(region, tile, surveyed)
        result = torch.empty(3, height, width)
        for part in parts:
            at = part.shift(-region.top, -region.left)
            result[:, at.top : at.bottom, at.left : at.right] = self._restore(part, tile, surveyed)
        return result

    def _shrink(self, region: Box) -> None:
        """Remember that memory does not suffice for a region."""
        height, width = region.size
        if self.place.device.type == "cuda":
            torch.cuda.empty_cache()  # a smaller tile needs other pieces
        self.largest = min(self.largest, height * width / 2)
        self.place.note(
            f"The memory of {self.place.device} does not suffice for a tile of {width} x {height} "
            "pixels: tiles are halved."
        )

    def _leave(self, what: str, cause: Exception | None = None) -> None:
        """Go over to the CPU, or raise DeviceError; see `Place.leave`."""
        self.place.leave(what, cause)
        settle(self.network, self.place.device)
        self.largest = self.cpu_side**2

    def _attempt(
        self, region: Box, tile: Tile, surveyed: Surveyed, dtype: torch.dtype
    ) -> Tensor | None:
        """Restore a region; None where memory does not suffice."""
        try:
            return self._compute(region, tile, surveyed, dtype)
        except (MemoryError, RuntimeError) as error:
            if not devices.is_out_of_memory(error):
                raise
        return None  # outside, where the error and the tensors of its frames are gone

    def _compute(self, region: Box, tile: Tile, surveyed: Surveyed, dtype: torch.dtype) -> Tensor:
        device, box = self.place.device, self.layout.box(region)
        at = box.shift(-tile.box.top, -tile.box.left)
        with computing(device, dtype):
            burst, seen = (
                part[..., at.top : at.bottom, at.left : at.right]
                .to(device, non_blocking=True)
                .unsqueeze(0)
                for part in (tile.burst, tile.seen)
            )
            core = region.shift(-box.top, -box.left)
            planes = surveyed(box)[None].to(device) if surveyed else None
            known = self.descriptor.to(device)
            restored = self.network.restore_light(burst, seen, known, core, planes)
            return restored[0].cpu()

    def _checked(
        self,
        result: Tensor,
        region: Box,
        tile: Tile,
        surveyed: Surveyed,
        dtype: torch.dtype,
    ) -> Tensor:
        """Return the result if it is finite; else redo it in fp32, or fail."""
        if torch.isfinite(result).all():
            return result
        if not torch.isfinite(tile.burst).all():
            raise InputError(
                "The frames hold pixels that are no numbers (NaN or infinity).",
                "Export them again, with finite values.",
            )
        if dtype == torch.float32:
            raise DeviceError(
                f"The network gave values that are no numbers at row {region.top}, "
                f"column {region.left}.",
                "Try --device cpu; if that fails too, the weights are unfit: use other weights or "
                "another --backend.",
            )
        self.place.give_up_half(self.network)
        return self._restore(region, tile, surveyed)

    def _halves(self, region: Box) -> tuple[Box, Box] | None:
        """Cut a region across its longer side, between two cells; None where it is too small."""
        top, left, bottom, right = region
        multiple = self.layout.multiple
        if bottom - top >= right - left:
            middle = (top + bottom) // 2 // multiple * multiple
            halves = Box(top, left, middle, right), Box(middle, left, bottom, right)
        else:
            middle = (left + right) // 2 // multiple * multiple
            halves = Box(top, left, bottom, middle), Box(top, middle, bottom, right)
        too_small = max(region.size) <= LEAST_SIDE or any(half.empty for half in halves)
        return None if too_small else halves


def settle(network: Network, device: torch.device) -> None:
    """Make a network ready on a device, its weights in channels_last."""
    network.to(device).eval()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


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
