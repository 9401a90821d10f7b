"""How to restore; the defaults are the command line's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from burstfix.device import Precision
from burstfix.errors import UsageError
from burstfix.io.atomic import OnExists


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to restore a burst.

    Args:
        backend: a name that `burstfix backends` lists.
        weights: a weights file; None takes the shipped ones.
        settings: of the backend, by name, to change; weights must fit them.
        reference: the frame that gives geometry and colour; auto is the sharpest, a number
            counts from 1.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: of networks with weights.
        tile: side of a tile [px]; None chooses from the memory.
        memory: the most memory to use [bytes]; None is half of what is free.
        skip_bad: whether to go on without frames that cannot be read.
        linear: whether to write scene-linear light (TIFF alone).
        bit_depth: of the output; None takes the format's default.
        quality: of JPEG and WebP, 1 to 100.
        on_exists: what to do when the output exists.
        keep_metadata: whether EXIF and provenance are written.
        strength: how much of the restoration is taken, 0 (the reference as it is) to 1; mixed in
            linear light.
        even_sharp: whether photographs, of `single`, that are sharp and clean already are restored
            all the same.
        allow_pickle: whether a weights file may be a pickle, which can run any code.
        check: whether the picture is compared with the frames, and a map of where it disagrees
            written beside it; of bursts.
    """

    backend: str = "set"
    weights: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    reference: Literal["auto", "first"] | int = "auto"
    device: str = "auto"
    precision: Precision = "auto"
    tile: int | None = None
    memory: int | None = None
    skip_bad: bool = False
    linear: bool = False
    bit_depth: int | None = None
    quality: int = 95
    on_exists: OnExists = "fail"
    keep_metadata: bool = True
    strength: float = 1.0
    even_sharp: bool = False
    allow_pickle: bool = False
    check: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise UsageError(
                f"There is no strength {self.strength}.", "Give 0 (nothing is changed) to 1."
            )
