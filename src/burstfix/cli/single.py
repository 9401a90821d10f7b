"""`burstfix single`: one photograph in, one picture out; or a folder of them."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from burstfix.cli import options as opt
from burstfix.cli.memory import tune

if TYPE_CHECKING:
    from burstfix.cli.console import Terminal
    from burstfix.cli.run import Command
    from burstfix.restore.report import Report
    from burstfix.restore.single import Singles

EXAMPLES = """\b
Examples:
  burstfix single shaken.jpg -o sharp.png
  burstfix single holiday/ -o restored/            the folders in it too; run again to go on
  burstfix single holiday/ -o restored/ --format keep    JPEG stays JPEG
  burstfix single *.dng -o "{stem}-sharp.tif" --strength 0.6
  burstfix single holiday/ -o restored/ --dry-run  what would be done
  burstfix single holiday/ -o restored/ --json > report.ndjson
  burstfix single shaken.jpg -o sharp.png --weights NAFNet.safetensors   with burstfix[zoo]
"""


class Ending(StrEnum):
    """What pictures in a folder are."""

    PNG = "png"
    TIF = "tif"
    JPG = "jpg"
    WEBP = "webp"
    KEEP = "keep"


def single(
    photographs: Annotated[
        list[str],
        typer.Argument(
            help="Photographs: files, globs, or folders with the folders in them.",
            show_default=False,
        ),
    ],
    output: opt.OutputOption,
    strength: Annotated[
        float,
        typer.Option(
            "--strength", "-s", min=0, max=1, help="How much is restored; 0 changes nothing."
        ),
    ] = 1,
    even_sharp: Annotated[
        bool,
        typer.Option(
            "--even-sharp",
            help="Restore JPEGs and the like too that are sharp in places, and clean.",
        ),
    ] = False,
    backend: opt.BackendOption = "set",
    weights: opt.WeightsOption = None,
    allow_pickle: Annotated[
        bool,
        typer.Option(
            "--allow-pickle",
            help="Read --weights of other programs that are pickles (.pth); trust their author.",
        ),
    ] = False,
    settings: opt.SettingsOption = None,
    ending: Annotated[
        Ending | None,
        typer.Option(
            "--format",
            "-f",
            help="In a folder; keep takes each photograph's own, PNG for raw files. [default: png; "
            "tif with --linear or 32 bits]",
            show_default=False,
        ),
    ] = None,
    on_exists: Annotated[
        opt.OnExists | None,
        typer.Option(
            "--on-exists",
            help="If the picture is there already. [default: skip; fail for one file]",
            show_default=False,
        ),
    ] = None,
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
    """Restore one shaken or noisy photograph, or a folder of them, each by itself."""
    tune(backend)
    from burstfix.cli.console import Terminal
    from burstfix.cli.run import run, show_plan
    from burstfix.restore import folders
    from burstfix.restore.inputs import BurstFiles
    from burstfix.restore.single import Singles

    terminal = Terminal(quiet=quiet, verbose=verbose)
    found = folders.find_photographs(photographs, output, terminal)
    if on_exists is None:
        many = len(found) > 1 or found[0].folder is not None
        on_exists = opt.OnExists.SKIP if many else opt.OnExists.FAIL
    options = opt.read_options(
        opt.Method(
            backend,
            weights,
            settings,
            strength=strength,
            even_sharp=even_sharp,
            allow_pickle=allow_pickle,
        ),
        opt.Writing(on_exists, bit_depth, quality, linear, strip),
        opt.Computing(device, precision, tile, memory),
    )
    usual = opt.usual_ending(bit_depth, linear=linear)
    outputs = folders.place(found, output, ending and ending.value, usual, backend, terminal)
    folders.check_outputs(found, outputs, options)
    paths = [photograph.path for photograph in found]
    work = [(BurstFiles(files=(path,)), to) for path, to in zip(paths, outputs, strict=True)]
    with Singles(list(zip(paths, outputs, strict=True)), options) as singles:
        command = _command(singles, terminal)
        if dry_run:
            show_plan(work, command, terminal, json=json, debug=debug)
        else:
            run(work, command, terminal, json=json, debug=debug)


def _command(singles: "Singles", terminal: "Terminal") -> "Command":
    """Word what a photograph is to `run`."""
    from burstfix.cli.run import Command

    return Command(
        noun="photographs",
        restore=lambda files, output: singles.restore(files.files[0], output, terminal),
        plan=lambda files, output: singles.plan(files.files[0], output),
        closing=lambda report: _closing(report, singles.options.strength),
        planned=_planned,
        name=lambda files: str(files.files[0]),
        batch=True,
    )


def _closing(report: "Report", strength: float) -> str:
    """Tell how much was done."""
    taken = strength * report.warranted
    if taken == 0 and strength:
        return "sharp and clean already, left as it is (--even-sharp restores it),"
    why = "" if report.warranted == 1 else ", for it is nearly sharp (--even-sharp restores all),"
    return "restored" if taken == 1 else f"restored at strength {taken:.2g}{why}"


def _planned(report: "Report") -> str:
    height, width = report.size or (0, 0)
    return f"from {report.frames[0].path} ({width} x {height}) by {report.backend}"
