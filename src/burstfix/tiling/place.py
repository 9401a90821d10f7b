"""Where networks compute, and in what; what had to be given up there holds for all that follow."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from burstfix import device as devices
from burstfix.backends.base import Network
from burstfix.device import Precision

CPU = torch.device("cpu")

Result = TypeVar("Result")


def _unheard(message: str) -> None:
    """Tell nobody."""
    del message


@dataclass
class Place:
    """A device and a precision, which change where they do not suffice.

    Args:
        device: where networks compute.
        precision: of networks with weights; formulas always compute in fp32.
        may_leave: whether the CPU takes over where the device's memory does not suffice.
        warn: is told what was given up.
        note: is told details.
    """

    device: torch.device
    precision: Precision = "auto"
    may_leave: bool = False
    warn: Callable[[str], None] = _unheard
    note: Callable[[str], None] = _unheard
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def dtype(self, network: Network) -> torch.dtype:
        """Return what a network computes in."""
        trained = any(True for _ in network.parameters())
        return devices.choose_precision(self.precision if trained else "fp32", self.device)

    def precision_of(self, network: Network) -> Precision:
        """Name what a network computes in."""
        return devices.precision_of(self.dtype(network))

    def attempt(self, act: Callable[[], Result], what: str) -> Result:
        """Do something on the device; where memory does not suffice, once more on the CPU.

        Args:
            act: is to look up the device each time.
            what: words what memory is needed for: "for the network".

        Raises:
            DeviceError: memory does not suffice, and there is no other device to go to.
        """
        try:
            return act()
        except (MemoryError, RuntimeError) as error:
            if not devices.is_out_of_memory(error):
                raise
            self.leave(what, error)
        return self.attempt(act, what)  # outside, where the error and its tensors are gone

    def leave(self, what: str, cause: Exception | None = None) -> None:
        """Go over to the CPU.

        Args:
            what: words what the device's memory does not suffice for.
            cause: how that showed.

        Raises:
            DeviceError: the device must not be left, or is the CPU.
        """
        left = self.device
        if left.type == "cpu" or not self.may_leave:
            raise devices.lacks_memory(left, what) from cause
        self.device = CPU
        self.warn(
            f"The memory of {left} does not suffice {what}: from here on the CPU computes, which "
            "takes longer."
        )

    def give_up_half(self, network: Network) -> None:
        """Go over to fp32, whose range is wider than that of half precision."""
        with self._lock:  # two frames of a film may find out at once
            given_up = self.precision_of(network)
            self.precision = "fp32"
        if given_up != "fp32":
            self.warn(
                f"The network's values overflow in {given_up}: from here on it computes in fp32, "
                "which takes longer."
            )
