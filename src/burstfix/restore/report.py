"""What a restoration tells: progress while it runs, a report when it is done."""

import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


class Reporter:
    """Receives progress and messages; this one is silent, the command line draws.

    A stage is one of "decode", "align", "fuse", "check", "write", "restore"; its number of steps
    is 0 where it is not known.
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
    disagreement: float | None = None  # with the picture, blurred alike; codes of 0 to 255


@dataclass(kw_only=True)
class Outcome:
    """What is told of every restoration, of a photograph or a film."""

    output: str
    backend: str
    task: str = "burst"
    backend_weights: str | None = None  # path of the weights file
    weights_sha256: str | None = None
    settings: dict[str, str] = field(default_factory=dict)  # of the backend, that were changed
    version: str = ""
    status: str = "written"  # or "skipped", or "planned" in a dry run
    size: tuple[int, int] | None = None  # (height, width)
    device: str = ""  # that was computed on in the end
    precision: str = ""  # that the network computed in, in the end: fp32, bf16 or fp16
    timings_s: dict[str, float] = field(default_factory=dict)
    peak_memory_bytes: int | None = None  # of this process; None where the system does not tell
    warnings: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return asdict(self)


@dataclass(kw_only=True)
class Report(Outcome):
    """One photograph: inputs, choices, timings and the output."""

    reference: str = ""
    strength: float = 1.0  # how much of the restoration was asked for
    warranted: float = 1.0  # how much was restored of a single photograph; 0: sharp and clean
    told_by: str = ""  # how a pair's noisy and blurry frames were told apart
    colour: tuple[float, float, float] | None = None  # what a pair's noisy R, G, B were scaled by
    check: str = ""  # path of the map of where frames disagree, if one was asked for
    disagreement: float | None = None  # of all frames together; codes of 0 to 255
    frames: list[FrameReport] = field(default_factory=list)

    @property
    def used(self) -> int:
        """How many frames the picture was made from."""
        return sum(frame.used for frame in self.frames)


@dataclass(kw_only=True)
class VideoReport(Outcome):
    """One film: what it was, what was made of it, and how quickly."""

    input: str = ""
    codec: str = ""  # of the output; png for a folder
    alignment: str = ""  # how neighbours were aligned
    frames: int = 0  # that were written, those of an interrupted run included
    resumed: int = 0  # frames that an interrupted run had finished
    length_s: float | None = None  # from the first frame's time to the last one's end
    frames_per_s: float | None = None
    cuts_s: list[float] = field(default_factory=list)  # when the scene changes, in the source
    neighbours: float | None = None  # that a frame was restored with, on average
    copied: list[str] = field(default_factory=list)  # streams beside the picture
    broken: bool = False  # whether the film broke off before its end


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
