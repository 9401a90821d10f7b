"""The options that all restorations share, and how they are read."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from burstfix.errors import UsageError

if TYPE_CHECKING:
    from burstfix.restore.options import Options


class Precision(StrEnum):
    """What the network computes in."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


class OnExists(StrEnum):
    """What happens to a picture that is there already."""

    FAIL = "fail"
    SKIP = "skip"
    OVERWRITE = "overwrite"
    RENAME = "rename"


OutputOption = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="Picture to write: .png, .tif, .jpg or .webp; a folder; or a name with "
        "{stem} {first} {last} {n} {date} {backend} {ext}.",
        show_default=False,
    ),
]
BackendOption = Annotated[str, typer.Option("--backend", "-b", help="See `burstfix backends`.")]
WeightsOption = Annotated[
    Path | None, typer.Option("--weights", "-w", help="Weights file, or a shipped one's name.")
]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="NAME=VALUE of the backend's settings, as stride=8."),
]
SkipBadOption = Annotated[
    bool, typer.Option("--skip-bad", help="Go on without frames that cannot be read.")
]
OnExistsOption = Annotated[
    OnExists, typer.Option("--on-exists", help="If the picture is there already.")
]
BitDepthOption = Annotated[
    int | None,
    typer.Option("--bit-depth", help="8, 16, or 32 (float TIFF). [default: 16; JPEG, WebP 8]"),
]
QualityOption = Annotated[int, typer.Option("--quality", min=1, max=100, help="JPEG, WebP.")]
LinearOption = Annotated[
    bool, typer.Option("--linear", help="Write scene-linear TIFF, no tone curve.")
]
StripOption = Annotated[bool, typer.Option("--strip", help="Leave EXIF and provenance out.")]
DeviceOption = Annotated[
    str, typer.Option("--device", "-d", help="auto, cpu, cuda, cuda:N or mps.")
]
PrecisionOption = Annotated[
    Precision, typer.Option("--precision", help="The network's arithmetic.")
]
TileOption = Annotated[str, typer.Option("--tile", help="Tile side [px]; less needs less memory.")]
MemoryOption = Annotated[
    str | None,
    typer.Option("--memory", "-m", help="Most memory to use [GB]. [default: half of the free]"),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", "-n", help="Show what would be done; write nothing.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print a JSON object a picture on stdout.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Tell of each frame.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]


class Method(NamedTuple):
    """What restores, as typed."""

    backend: str
    weights: Path | None
    settings: Sequence[str] | None
    reference: str = "auto"
    skip_bad: bool = False
    strength: float = 1.0
    even_sharp: bool = False
    allow_pickle: bool = False


class Writing(NamedTuple):
    """How the picture is written, as typed."""

    on_exists: OnExists
    bit_depth: int | None
    quality: int
    linear: bool
    strip: bool


class Computing(NamedTuple):
    """Where the network computes, as typed."""

    device: str
    precision: Precision
    tile: str
    memory: str | None


def read_options(method: Method, writing: Writing, computing: Computing) -> "Options":
    """Turn what was typed into options.

    Raises:
        UsageError: something is not known; it names the option.
    """
    from burstfix import device
    from burstfix.restore.options import Options

    return Options(
        backend=method.backend,
        weights=method.weights,
        settings=_settings(method.settings or []),
        reference=_reference(method.reference),
        skip_bad=method.skip_bad,
        strength=method.strength,
        even_sharp=method.even_sharp,
        allow_pickle=method.allow_pickle,
        linear=writing.linear,
        bit_depth=writing.bit_depth,
        quality=writing.quality,
        on_exists=writing.on_exists.value,
        keep_metadata=not writing.strip,
        device=computing.device,
        precision=computing.precision.value,
        tile=_tile(computing.tile),
        memory=device.parse_memory(computing.memory) if computing.memory else None,
    )


def usual_ending(bit_depth: int | None, *, linear: bool) -> str:
    """Return the extension, without the dot, of a picture whose name does not tell one."""
    return "tif" if linear or bit_depth == 32 else "png"


def _reference(text: str) -> Literal["auto", "first"] | int:
    if text == "auto":
        return "auto"
    if text == "first":
        return "first"
    if text.isdecimal() and int(text) >= 1:
        return int(text)
    raise UsageError(f"--reference {text} is not known.", "Give auto, first, or 1, 2, 3…")


def _settings(texts: Sequence[str]) -> dict[str, str]:
    for text in texts:
        if not all(text.partition("=")):
            raise UsageError(f"--set {text} is not known.", "Give a name and a value: stride=8.")
    return {text.partition("=")[0]: text.partition("=")[2] for text in texts}


def _tile(text: str) -> int | None:
    if text == "auto":
        return None
    if text.isdecimal() and int(text) >= 64:
        return int(text)
    raise UsageError(f"--tile {text} is not known.", "Give auto, or a side of at least 64 px.")
