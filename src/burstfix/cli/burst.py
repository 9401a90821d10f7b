"""`burstfix burst`: frames in, one picture out."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from burstfix.errors import BurstfixError, UsageError

if TYPE_CHECKING:
    from burstfix.cli.console import Terminal
    from burstfix.restore.inputs import BurstFiles
    from burstfix.restore.options import Options
    from burstfix.restore.report import Report

EXAMPLES = """\b
Examples:
  burstfix burst IMG_*.dng -o night.png
  burstfix burst a.jpg b.jpg c.jpg -o out.tif --backend mean
  burstfix burst night/*/ -o restored/          each folder is a burst
  burstfix burst card/ --split -o restored/ -n  which bursts lie in one folder
  burstfix burst IMG_*.cr3 -o "{first}-{n}.tif" --linear
  burstfix burst IMG_*.jpg -o out.png --json > report.json
"""


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


def burst(
    frames: Annotated[
        list[str],
        typer.Argument(
            help="Frames of one burst: files or globs; or folders, each a burst.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Picture to write: .png, .tif, .jpg or .webp; a folder; or a name with "
            "{stem} {first} {last} {n} {date} {backend} {ext}.",
            show_default=False,
        ),
    ],
    backend: Annotated[
        str, typer.Option("--backend", "-b", help="See `burstfix backends`.")
    ] = "set",
    weights: Annotated[
        Path | None,
        typer.Option("--weights", "-w", help="Weights file, or a shipped one's name."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE of the backend's settings, as stride=8."),
    ] = None,
    reference: Annotated[
        str,
        typer.Option(
            "--reference", "-r", help="Whose geometry and colour: auto (sharpest), first, or 1, 2…"
        ),
    ] = "auto",
    split: Annotated[
        bool, typer.Option("--split", help="Find the bursts in each folder, by the files' times.")
    ] = False,
    gap: Annotated[
        float, typer.Option("--gap", min=0, help="Longest pause in a burst, for --split [s].")
    ] = 2,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Go on without frames that cannot be read.")
    ] = False,
    on_exists: Annotated[
        OnExists, typer.Option("--on-exists", help="If the picture is there already.")
    ] = OnExists.FAIL,
    bit_depth: Annotated[
        int | None,
        typer.Option("--bit-depth", help="8, 16, or 32 (float TIFF). [default: 16; JPEG, WebP 8]"),
    ] = None,
    quality: Annotated[int, typer.Option("--quality", min=1, max=100, help="JPEG, WebP.")] = 95,
    linear: Annotated[
        bool, typer.Option("--linear", help="Write scene-linear TIFF, no tone curve.")
    ] = False,
    strip: Annotated[bool, typer.Option("--strip", help="Leave EXIF and provenance out.")] = False,
    device: Annotated[
        str, typer.Option("--device", "-d", help="auto, cpu, cuda, cuda:N or mps.")
    ] = "auto",
    precision: Annotated[
        Precision, typer.Option("--precision", help="The network's arithmetic.")
    ] = Precision.AUTO,
    tile: Annotated[
        str, typer.Option("--tile", help="Tile side [px]; less needs less memory.")
    ] = "auto",
    memory: Annotated[
        str | None,
        typer.Option("--memory", "-m", help="Most memory to use [GB]. [default: half of the free]"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show what would be done; write nothing.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object a burst on stdout.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell of each frame.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Restore one picture from a burst, or one from each of several folders."""
    from burstfix import device as devices
    from burstfix.cli.console import Terminal
    from burstfix.restore.inputs import find_bursts, name_outputs
    from burstfix.restore.options import Options

    terminal = Terminal(quiet=quiet, verbose=verbose)
    options = Options(
        backend=backend,
        weights=weights,
        settings=_settings(settings or []),
        reference=_reference(reference),
        device=device,
        precision=precision.value,
        tile=_tile(tile),
        memory=devices.parse_memory(memory) if memory else None,
        skip_bad=skip_bad,
        linear=linear,
        bit_depth=bit_depth,
        quality=quality,
        on_exists=on_exists.value,
        keep_metadata=not strip,
    )
    bursts, notes = find_bursts(frames)
    for note in notes:
        terminal.note(note)
    if split:
        bursts = _split(bursts, gap, terminal)
    outputs = name_outputs(output, bursts, backend)
    work = list(zip(bursts, outputs, strict=True))
    if dry_run:
        _plan(work, options, terminal, json=json)
        return
    if len(work) == 1:
        _report(_restore(*work[0], options, terminal), terminal, json=json)
        return
    _restore_all(work, options, terminal, json=json, debug=debug)


def _split(bursts: "list[BurstFiles]", gap_s: float, terminal: "Terminal") -> "list[BurstFiles]":
    """Part what was named into bursts, and tell what belongs to none."""
    from burstfix.restore.grouping import split_bursts

    found: list[BurstFiles] = []
    for burst_files in bursts:
        groups = split_bursts(burst_files, gap_s)
        found += groups.bursts
        if groups.alone:
            names = ", ".join(path.name for path in groups.alone)
            terminal.say(f"{len(groups.alone)} photographs stand alone and are left out: {names}.")
    return found


def _restore(
    files: "BurstFiles", output: Path, options: "Options", terminal: "Terminal"
) -> "Report":
    from burstfix.restore.burst import restore_burst

    with terminal.progress():
        return restore_burst(files.files, output, options, terminal)


def _restore_all(
    work: list[tuple["BurstFiles", Path]],
    options: "Options",
    terminal: "Terminal",
    *,
    json: bool,
    debug: bool,
) -> None:
    """Restore burst after burst; one that fails does not stop the others."""
    from burstfix.cli.console import print_json

    failures: list[BurstfixError] = []
    for files, output in work:
        try:
            _report(_restore(files, output, options, terminal), terminal, json=json)
        except BurstfixError as error:
            if debug:
                raise
            failures.append(error)
            typer.secho(f"{files.name}: {error.what}\n{error.mend}", fg="red", err=True)
            if json:
                print_json({"output": str(output), "status": "failed", "error": error.what})
    if failures:
        terminal.say(f"{len(failures)} of {len(work)} bursts failed.")
        all_failed = len(failures) == len(work)
        raise typer.Exit(failures[0].exit_code if all_failed else 1)


def _report(report: "Report", terminal: "Terminal", *, json: bool) -> None:
    from burstfix.cli.console import print_json

    if json:
        print_json(report.as_json())
    terminal.frames(report)
    if report.status == "skipped":
        terminal.say(f"Skipped {report.output}: it exists.")
        return
    seconds = sum(report.timings_s.values())
    terminal.say(
        f"Wrote {report.output}: {report.used} of {len(report.frames)} frames fused by "
        f"{report.backend} on {report.device} in {seconds:.1f} s."
    )


def _plan(
    work: list[tuple["BurstFiles", Path]], options: "Options", terminal: "Terminal", *, json: bool
) -> None:
    """Check what can be checked without reading pixels, and show it."""
    from burstfix.cli.console import print_json
    from burstfix.restore.burst import plan_burst

    for files, output in work:
        report = plan_burst(files.files, output, options)
        if json:
            print_json(report.as_json())
        elif report.status == "skipped":
            terminal.say(f"{output}: exists, would be skipped")
        else:
            terminal.say(f"{report.output}: from {len(report.frames)} frames by {report.backend}")
            for frame in report.frames:
                terminal.say(f"  {frame.path}" + (f" ({frame.why})" if frame.why else ""))


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
