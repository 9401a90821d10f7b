"""`burstfix pair`: a short, noisy and a long, shaken exposure in, one picture out."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from burstfix.cli import options as opt
from burstfix.cli.memory import tune
from burstfix.errors import UsageError

if TYPE_CHECKING:
    from burstfix.cli.console import Terminal
    from burstfix.cli.run import Command
    from burstfix.restore.inputs import BurstFiles
    from burstfix.restore.options import Options
    from burstfix.restore.report import Report

EXAMPLES = """\b
Examples:
  burstfix pair short.dng long.dng -o hall.tif     which is which is found out
  burstfix pair --noisy a.jpg --blurry b.jpg -o out.png
  burstfix pair short*.dng long*.dng -o out.tif    several of each kind
  burstfix pair pairs/*/ -o restored/              each folder is a pair
  burstfix pair card/ --split -o restored/ -n      which pairs lie in one folder
"""


def pair(
    output: opt.OutputOption,
    frames: Annotated[
        list[str] | None,
        typer.Argument(
            help="A short and a long exposure, or several of each: files or globs; or folders, "
            "each a pair.",
            show_default=False,
        ),
    ] = None,
    noisy: Annotated[
        list[str] | None,
        typer.Option("--noisy", help="A short, noisy frame; may be repeated.", show_default=False),
    ] = None,
    blurry: Annotated[
        list[str] | None,
        typer.Option("--blurry", help="A long, shaken one; may be repeated.", show_default=False),
    ] = None,
    backend: opt.BackendOption = "set",
    weights: opt.WeightsOption = None,
    settings: opt.SettingsOption = None,
    split: Annotated[
        bool, typer.Option("--split", help="Find the pairs in each folder, by the files' times.")
    ] = False,
    gap: Annotated[
        float, typer.Option("--gap", min=0, help="Longest pause in a pair, for --split [s].")
    ] = 30,
    skip_bad: opt.SkipBadOption = False,
    on_exists: opt.OnExistsOption = opt.OnExists.FAIL,
    bit_depth: opt.BitDepthOption = None,
    quality: opt.QualityOption = 95,
    linear: opt.LinearOption = False,
    strip: opt.StripOption = False,
    device: opt.DeviceOption = "auto",
    precision: opt.PrecisionOption = opt.Precision.AUTO,
    tile: opt.TileOption = "auto",
    memory: opt.MemoryOption = None,
    dry_run: opt.DryRunOption = False,
    json: opt.JsonOption = False,
    quiet: opt.QuietOption = False,
    verbose: opt.VerboseOption = False,
    debug: opt.DebugOption = False,
) -> None:
    """Restore one picture from a short, noisy and a long, shaken exposure of one scene."""
    tune(backend)
    from burstfix.cli.console import Terminal
    from burstfix.cli.run import run, show_plan, split_all
    from burstfix.restore.grouping import split_pairs
    from burstfix.restore.inputs import name_outputs

    terminal = Terminal(quiet=quiet, verbose=verbose)
    options = opt.read_options(
        opt.Method(backend, weights, settings, skip_bad=skip_bad),
        opt.Writing(on_exists, bit_depth, quality, linear, strip),
        opt.Computing(device, precision, tile, memory),
    )
    named = _name(noisy or [], blurry or [])
    pairs = _find(frames or [], named, output, terminal)
    if split:
        part = partial(split_pairs, gap_s=gap, skip_bad=skip_bad, reporter=terminal)
        pairs = split_all(pairs, part, terminal)
    usual = opt.usual_ending(bit_depth, linear=linear)
    outputs = name_outputs(output, pairs, backend, terminal, usual=usual)
    work = list(zip(pairs, outputs, strict=True))
    if named.any and len(work) > 1:
        raise UsageError(
            "--noisy and --blurry name the frames of one pair.",
            f"Restore the {len(work)} pairs one by one, or without these options.",
        )
    command = _command(named, options, terminal)
    if dry_run:
        show_plan(work, command, terminal, json=json, debug=debug)
    else:
        run(work, command, terminal, json=json, debug=debug)


@dataclass(frozen=True)
class _Named:
    """Files whose kind was typed."""

    noisy: tuple[Path, ...]
    blurry: tuple[Path, ...]

    @property
    def any(self) -> bool:
        """Whether there are such files."""
        return bool(self.noisy or self.blurry)


def _name(noisy: list[str], blurry: list[str]) -> _Named:
    """Expand what was typed after --noisy and --blurry to files."""
    from burstfix.restore.inputs import find_bursts

    kinds = []
    for option, texts in (("--noisy", noisy), ("--blurry", blurry)):
        found = find_bursts(texts)
        if any(files.folder for files in found):
            raise UsageError(f"{option} names a folder.", "Name files.")
        kinds.append(tuple(path for files in found for path in files.files))
    return _Named(*kinds)


def _find(
    frames: list[str], named: _Named, output: Path, terminal: "Terminal"
) -> "list[BurstFiles]":
    """Expand what was typed to pairs; files whose kind was typed need not be typed again.

    Raises:
        UsageError: nothing was typed.
    """
    from burstfix.restore.inputs import find_bursts

    found = find_bursts(frames, output=output)
    typed = {path.resolve() for files in found for path in files.files}
    extra = [path for path in (*named.noisy, *named.blurry) if path.resolve() not in typed]
    if not frames and not extra:
        raise UsageError(
            "No frame is named.", "Name a short and a long exposure, or a folder with both."
        )
    return find_bursts([*frames, *extra], terminal, output=output)


def _command(named: _Named, options: "Options", terminal: "Terminal") -> "Command":
    """Word what a pair is to `run`."""
    from burstfix.cli.run import Command
    from burstfix.restore.pair import plan_pair, restore_pair

    return Command(
        noun="pairs",
        restore=lambda files, output: restore_pair(
            files.files, output, options, terminal, noisy=named.noisy, blurry=named.blurry
        ),
        plan=lambda files, output: plan_pair(
            files.files, output, options, noisy=named.noisy, blurry=named.blurry
        ),
        closing=lambda report: f"{_named_frames(report)} fused",
        planned=lambda report: f"a pair, told apart by {report.told_by}, by {report.backend}",
    )


def _named_frames(report: "Report") -> str:
    """Say which frames were taken for which, and how that was told."""
    texts = []
    for kind in ("noisy", "blurry"):
        names = [Path(f.path).name for f in report.frames if f.used and f.kind == kind]
        texts.append(f"{kind} {', '.join(names)}")
    return f"{' and '.join(texts)} (told by {report.told_by})"
