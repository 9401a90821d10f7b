"""Which device and precision to compute with; how much memory is free, and freeing some."""

import ctypes
import os
import re
import sys
from pathlib import Path
from typing import Literal

import torch

from burstfix.errors import DeviceError, UsageError

Precision = Literal["auto", "fp32", "bf16", "fp16"]

_DTYPES: dict[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_UNKNOWN_FREE = 4 << 30  # taken where the system does not tell

# What allocators without an exception of their own write.
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "ALLOC_FAILED",
)


def choose(name: str = "auto") -> torch.device:
    """Return the device of a name.

    Args:
        name: auto, cpu, cuda, cuda:N or mps; auto is CUDA where there is one, then MPS, then CPU.

    Raises:
        UsageError: the name is none of these.
        DeviceError: this machine has no such device.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise UsageError(f"There is no device {name}.", "Give auto, cpu, cuda, cuda:N or mps.")
    if name == "cpu":
        return torch.device("cpu")
    if name == "auto":
        found = "cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu"
        return torch.device(found)
    device = torch.device(name)
    if device.type == "mps" and not _has_mps():
        raise DeviceError("This machine has no MPS device.", "Use --device auto or cpu.")
    if device.type == "cuda":
        _check_cuda(device)
    return device


def choose_precision(name: Precision, device: torch.device) -> torch.dtype:
    """Return the type that convolutions compute in.

    Args:
        name: auto is bf16 where the device computes it natively, else fp32.
        device: where the network runs.
    """
    if name != "auto":
        return _DTYPES[name]
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if native else torch.float16
    if device.type == "cpu" and _cpu_computes_bf16():
        return torch.bfloat16
    return torch.float32


def precision_of(dtype: torch.dtype) -> Precision:
    """Name a type that `choose_precision` returned."""
    return next(name for name, known in _DTYPES.items() if known == dtype)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception says that memory did not suffice."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _OUT_OF_MEMORY)


def lacks_memory(device: torch.device, what: str) -> DeviceError:
    """Make the error of a device whose memory does not suffice.

    Args:
        device: where.
        what: words what for: "for the network".
    """
    another = "" if device.type == "cpu" else "choose another device (--device cpu), "
    return DeviceError(
        f"The memory of {device} does not suffice {what}.",
        f"Close other programs, use fewer frames, {another}or take a lighter --backend.",
    )


def free_memory(device: torch.device) -> int:
    """Return how much memory is free on a device [bytes]; for the CPU within its cgroup."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    return min(_free_system_memory(), *_free_cgroup_memory())


def trim_memory() -> None:
    """Hand back what the process holds of memory and does not use, where glibc can be asked to."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)


def parse_memory(text: str) -> int:
    """Read an amount of memory.

    Args:
        text: a number with K, M, G or T behind, or a plain number of gigabytes: "4", "800M".

    Returns:
        The amount [bytes].

    Raises:
        UsageError: the text is no positive amount.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", text, re.IGNORECASE)
    amount = int(float(match[1]) * _UNITS[match[2].lower() or "g"]) if match else 0
    if amount <= 0:
        raise UsageError(
            f"{text!r} is no amount of memory.", "Write for example 4 (gigabytes), 1.5G or 800M."
        )
    return amount


def cores() -> int:
    """Return how many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check_cuda(device: torch.device) -> None:
    if not torch.cuda.is_available():
        why = "no CUDA device, or its driver is too old" if torch.version.cuda else "no CUDA device"
        mend = "" if torch.version.cuda else " Your torch is built without CUDA."
        raise DeviceError(f"There is {why}.", f"Use --device auto or cpu.{mend}")
    count = torch.cuda.device_count()
    if device.index is not None and device.index >= count:
        raise DeviceError(
            f"There is no CUDA device {device.index}.", f"Choose cuda:0 to cuda:{count - 1}."
        )


def _has_mps() -> bool:
    return torch.backends.mps.is_available()


def _cpu_computes_bf16() -> bool:
    """Tell whether bf16 is quicker than fp32 here: merely supported is slower."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _free_system_memory() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    if sys.platform == "win32":
        return _free_windows_memory()
    try:  # half of what is built in is a fair guess where nothing tells what is free
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (ValueError, OSError):
        return _UNKNOWN_FREE


def _free_windows_memory() -> int:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "page_total", "page_free")),
            *((name, ctypes.c_ulonglong) for name in ("virtual_total", "virtual_free", "extended")),
        )

    status = Status(length=ctypes.sizeof(Status))
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 unknown to mypy off Windows
    return int(status.free) if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else _UNKNOWN_FREE


def _free_cgroup_memory() -> list[int]:
    """Return what each memory limit over this process leaves [bytes]; cgroups v2 and v1."""
    left = []
    for folder in _cgroup_folders():
        for limit_name, used_name in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            limit, used = _number(folder / limit_name), _number(folder / used_name)
            if limit is not None and used is not None:
                left.append(max(0, limit - used + _reclaimable(folder)))
    return left or [sys.maxsize]


def _cgroup_folders() -> list[Path]:
    """Return this process's cgroup folders and those above, whose limits hold too."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    folders = []
    for line in lines:
        _, controllers, name = line.split(":", 2)
        root = Path("/sys/fs/cgroup", "memory" if "memory" in controllers.split(",") else "")
        own = root / name.lstrip("/")
        folders += [own, *(folder for folder in own.parents if folder.is_relative_to(root))]
    return list(dict.fromkeys(folders))


def _number(path: Path) -> int | None:
    """Read a whole number; None where there is none, or it means unlimited."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _reclaimable(folder: Path) -> int:
    """Return what the kernel gives back under pressure: file cache counts as used [bytes]."""
    try:
        lines = (folder / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
