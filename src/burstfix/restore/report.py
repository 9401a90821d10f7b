"""What a restoration tells: progress while it runs, a report when it is done."""

import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


class Reporter:
    """Receives progress and messages; this one is silent, the command line draws.

    A stage is one of "decode", "align", "fuse", "write", and has a known number of steps.
    """

    def stage(self, name: str, steps: int) -> None:
        """Begin a stage."""

    def step(self) -> None:
        """Finish one step of the stage."""

    def warn(self, message: str) -> None:
        """Tell what the user should know although the work goes on."""

    def note(self, message: str) -> None:
        """Tell a detail that only a curious user wants."""


@dataclass(frozen=True, kw_only=True)
class FrameReport:
    """How one input frame fared."""

    path: str
    used: bool
    why: str = ""  # where it was not used
    kind: str = ""  # of a pair's frames: "noisy" or "blurry"
    sharpness: float | None = None  # comparable within one burst only
    correlation: float | None = None  # with the reference, after alignment; 1 is perfect
    gain: float | None = None  # factor that brought it to the reference's exposure
    weight: float | None = None  # its share of the picture; the shares sum to 1


@dataclass(kw_only=True)
class Report:
    """One restoration: inputs, choices, timings and the output."""

    output: str
    backend: str
    task: str = "burst"
    backend_weights: str | None = None  # path of the weights file
    weights_sha256: str | None = None
    version: str = ""
    status: str = "written"  # or "skipped", or "planned" in a dry run
    reference: str = ""
    told_by: str = ""  # how a pair's noisy and blurry frames were told apart
    colour: tuple[float, float, float] | None = None  # what a pair's noisy R, G, B were scaled by
    size: tuple[int, int] | None = None  # (height, width)
    device: str = ""
    precision: str = ""
    frames: list[FrameReport] = field(default_factory=list)
    timings_s: dict[str, float] = field(default_factory=dict)
    peak_memory_bytes: int | None = None  # of this process; None where the system does not tell
    warnings: list[str] = field(default_factory=list)

    @property
    def used(self) -> int:
        """How many frames the picture was made from."""
        return sum(frame.used for frame in self.frames)

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return asdict(self)


def peak_memory_bytes() -> int | None:
    """Return the most memory this process has held; None where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
