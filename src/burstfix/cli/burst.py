"""`burstfix burst`: frames in, one picture out."""

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from burstfix.cli import options as opt
from burstfix.cli.memory import tune

if TYPE_CHECKING:
    from burstfix.cli.console import Terminal
    from burstfix.cli.run import Command
    from burstfix.restore.options import Options
    from burstfix.restore.report import Report

EXAMPLES = """\b
Examples:
  burstfix burst IMG_*.dng -o night.png
  burstfix burst a.jpg b.jpg c.jpg -o out.tif --backend mean
  burstfix burst night/*/ -o restored/          each folder is a burst
  burstfix burst card/ --split -o restored/ -n  which bursts lie in one folder
  burstfix burst IMG_*.cr3 -o "{first}-{n}.tif" --linear
  burstfix burst IMG_*.jpg -o out.png --check   also out.check.png: what no frame supports
  burstfix burst IMG_*.jpg -o out.png --json > report.json
"""


def burst(
    frames: Annotated[
        list[str],
        typer.Argument(
            help="Frames of one burst: files or globs; or folders, each a burst.",
            show_default=False,
        ),
    ],
    output: opt.OutputOption,
    backend: opt.BackendOption = "set",
    weights: opt.WeightsOption = None,
    settings: opt.SettingsOption = None,
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
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write NAME.check.png too: white where the picture, blurred as each frame is, "
            "shows what the frames do not support. --json tells it of each frame.",
        ),
    ] = False,
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
    """Restore one picture from a burst, or one from each of several folders."""
    tune(backend)
    from burstfix.cli.console import Terminal
    from burstfix.cli.run import run, show_plan, split_all
    from burstfix.restore.grouping import split_bursts
    from burstfix.restore.inputs import find_bursts, name_outputs

    terminal = Terminal(quiet=quiet, verbose=verbose)
    options = opt.read_options(
        opt.Method(backend, weights, settings, reference, skip_bad),
        opt.Writing(on_exists, bit_depth, quality, linear, strip),
        opt.Computing(device, precision, tile, memory),
    )
    options = dataclasses.replace(options, check=check)
    bursts = find_bursts(frames, terminal, output=output)
    if split:
        part = partial(split_bursts, gap_s=gap, skip_bad=skip_bad, reporter=terminal)
        bursts = split_all(bursts, part, terminal)
    usual = opt.usual_ending(bit_depth, linear=linear)
    outputs = name_outputs(output, bursts, backend, terminal, usual=usual)
    work = list(zip(bursts, outputs, strict=True))
    command = _command(options, terminal)
    if dry_run:
        show_plan(work, command, terminal, json=json, debug=debug)
    else:
        run(work, command, terminal, json=json, debug=debug)


def _command(options: "Options", terminal: "Terminal") -> "Command":
    """Word what a burst is to `run`."""
    from burstfix.cli.run import Command
    from burstfix.restore.burst import plan_burst, restore_burst

    return Command(
        noun="bursts",
        restore=lambda files, output: restore_burst(files.files, output, options, terminal),
        plan=lambda files, output: plan_burst(files.files, output, options),
        closing=_closing,
        planned=lambda report: f"from {len(report.frames)} frames by {report.backend}",
    )


def _closing(report: "Report") -> str:
    """Word what was done."""
    fused = f"{report.used} of {len(report.frames)} frames fused"
    if not report.check:
        return fused
    return f"{fused}, which disagree by {report.disagreement:.1f} of 255, see {report.check},"
