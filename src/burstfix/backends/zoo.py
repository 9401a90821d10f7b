"""Networks of other programs, as spandrel loads them, behind our contract."""

import importlib
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from burstfix.backends.base import Contract, Network
from burstfix.errors import BurstfixError, UsageError, WeightsError

PICKLES = frozenset({".pth", ".pt", ".ckpt", ".bin"})  # extensions
HALO = 64  # px; their receptive fields are not told, and fade. Programs of their kind read 16 to 32
_UNKNOWN_RADIUS = 1 << 16  # px; farther than any halo: so neighbouring tiles are faded
_WORKING_BYTES = 2400  # a guess for 48 channels at full size; tiles that do not fit are halved


class SizeRequirements(Protocol):
    """What pictures a network takes; as `spandrel.SizeRequirements`."""

    multiple_of: int


class Descriptor(Protocol):
    """A network and what is known of it; as `spandrel.ImageModelDescriptor`."""

    scale: int
    input_channels: int
    output_channels: int
    supports_half: bool
    supports_bfloat16: bool

    @property
    def model(self) -> nn.Module:
        """The network itself, which calls use."""
        ...

    @property
    def purpose(self) -> str:
        """SR, FaceSR, Inpainting or Restoration."""
        ...

    @property
    def size_requirements(self) -> SizeRequirements:
        """What the sides must be; calls pad smaller pictures."""
        ...

    def __call__(self, image: Tensor, /) -> Tensor:
        """Restore a picture, display-coded, 0 to 1; (1, 3, H, W) to the same."""
        ...


class ZooNetwork(Network):
    """A network of one picture, which comes and goes in sRGB codes from 0 to 1.

    Its receptive field is not known: tiles read `HALO` px around and fade into each other. What
    looks at the whole picture (NAFNet's pooled attention, Restormer's between channels) looks at
    a tile here, so tiles change the picture a little.

    Args:
        descriptor: what spandrel made of a file.

    Raises:
        UsageError: it does something else than restore one RGB picture at its own size.
    """

    def __init__(self, descriptor: Descriptor) -> None:
        super().__init__()
        _check(descriptor)
        self.descriptor = descriptor
        self.model = descriptor.model  # moves to devices with us
        self.contract = Contract(
            tasks=("single",),
            frames=1,
            alignment="none",
            coding="display",
            multiple_of=descriptor.size_requirements.multiple_of,
            receptive_radius=_UNKNOWN_RADIUS,
            halo=HALO,
            working_bytes=_WORKING_BYTES,
        )

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Restore the frame; arguments and result as `Network.forward`."""
        del seen, descriptor
        codes = burst[:, 0].clamp(0, 1)  # they know nothing else
        kind = codes.device.type
        halved = torch.is_autocast_enabled(kind) and self._takes(torch.get_autocast_dtype(kind))
        with torch.autocast(kind, enabled=halved, dtype=torch.get_autocast_dtype(kind)):
            return torch.cat([self.descriptor(one[None]) for one in codes])

    def remark(self, frames: int) -> str:
        """Tell that tiles may show; as `Network.remark`."""
        del frames
        return (
            f"Nobody tells how far this network looks: tiles read {HALO} px around and fade into "
            "each other."
        )

    def _takes(self, dtype: torch.dtype) -> bool:
        if dtype == torch.bfloat16:
            return self.descriptor.supports_bfloat16
        return self.descriptor.supports_half


def load(path: Path, *, allow_pickle: bool = False) -> tuple[ZooNetwork, str]:
    """Build the network whose weights another program wrote; spandrel knows its architecture.

    Args:
        path: .safetensors, or a pickle of tensors.
        allow_pickle: whether pickles may be read. Also then nothing but tensors is taken.

    Returns:
        The network, in inference mode and fp32, on the CPU; and its architecture's name.

    Raises:
        UsageError: spandrel is not installed; or the network is for something else.
        WeightsError: a pickle that may not be read; a damaged file or an unknown architecture.
    """
    if path.suffix.lower() in PICKLES and not allow_pickle:
        raise WeightsError(
            f"{path} is a pickle: reading it can run any code that its author put in.",
            "Convert it to .safetensors; or, if you trust where it comes from, add --allow-pickle.",
        )
    spandrel = _spandrel(path)
    state = spandrel.canonicalize_state_dict(_read(path))
    try:
        descriptor = spandrel.ModelLoader().load_from_state_dict(state)
    except spandrel.UnsupportedModelError as error:
        raise WeightsError(
            f"{path} is of no architecture that spandrel knows.",
            "Choose other weights, or update spandrel.",
        ) from error
    except Exception as error:  # foreign code may raise anything; it is reported, not hidden
        raise WeightsError(
            f"{path} makes no network: {type(error).__name__}: {str(error)[:200]}.",
            "Fetch the file again, or choose other weights.",
        ) from error
    try:
        network = ZooNetwork(descriptor)
    except UsageError as error:
        raise UsageError(f"{path}: {error.what}", error.mend) from error
    return network.float().eval(), str(descriptor.architecture.name)


def _check(descriptor: Descriptor) -> None:
    channels = descriptor.input_channels, descriptor.output_channels
    if descriptor.purpose != "Restoration" or descriptor.scale != 1:
        what = f"This network is for {descriptor.purpose} at scale {descriptor.scale}."
    elif channels != (3, 3):
        what = f"This network takes {channels[0]} channels and makes {channels[1]}, not 3."
    else:
        return
    raise UsageError(what, "Choose weights that restore one RGB picture at its own size.")


def _spandrel(path: Path) -> Any:  # noqa: ANN401 a module
    try:
        return importlib.import_module("spandrel")
    except ImportError as error:
        raise UsageError(
            f"{path} was not written by burstfix; to read it takes spandrel, which cannot be "
            f"imported ({error}).",
            'Install it with pip install "burstfix[zoo]".',
        ) from error


def _read(path: Path) -> dict[str, Any]:
    """Read tensors, and nothing else: also of a pickle that may be read no code is run."""
    try:
        if path.suffix.lower() not in PICKLES:
            return dict(safetensors.torch.load_file(path))
        found = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise _unreadable(path, "it holds more than tensors, which is never run") from error
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError) as error:
        raise _unreadable(path, " ".join(str(error).split())[:200]) from error
    if not isinstance(found, dict):
        raise _unreadable(path, f"it holds a {type(found).__name__}")
    return found


def _unreadable(path: Path, reason: str) -> BurstfixError:
    return WeightsError(
        f"{path} holds no weights that can be read: {reason}.",
        "Fetch the file again; or convert it to .safetensors where it was made.",
    )
