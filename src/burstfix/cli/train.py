"""`burstfix train` and `burstfix pack`: make weights of your own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from burstfix.cli.console import Terminal
    from burstfix.train.log import Report

app = typer.Typer(help="Train weights of your own.", no_args_is_help=True, rich_markup_mode=None)

EXAMPLES = """\b
Examples:
  burstfix train burst --data photos/ -o my.safetensors --minutes 60
  burstfix train burst --data photos/ -o my.safetensors --minutes 90 --resume my.checkpoint
  torchrun --nproc_per_node 8 -m burstfix train burst --data photos.pack -o my.safetensors
"""
TELL_EVERY = 20  # steps


@app.callback()
def group() -> None:
    """Train weights of your own."""


@app.command(epilog=EXAMPLES, no_args_is_help=True)
def burst(
    data: Annotated[
        Path,
        typer.Option("--data", help="Folder of sharp photographs, or a pack.", show_default=False),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Weights file to write.", show_default=False)
    ],
    recipe: Annotated[
        str, typer.Option("--recipe", help="set-burst, aittala-burst, ..., or a .toml file.")
    ] = "set-burst",
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.1, help="Over all sittings; the schedule obeys it.")
    ] = 60.0,
    resume: Annotated[
        Path | None, typer.Option("--resume", help="Checkpoint to go on from.")
    ] = None,
    credit: Annotated[
        str, typer.Option("--credit", help="Whom the weights' card credits for the photographs.")
    ] = "",
    device: Annotated[str, typer.Option("--device", "-d", help="auto, cpu, cuda, mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Train a burst network on your photographs; Ctrl-C saves what is there."""
    del debug  # read by `main`
    from burstfix import device as devices
    from burstfix.cli.console import Terminal
    from burstfix.io.photos import read_photos
    from burstfix.train.config import read_recipe
    from burstfix.train.loop import Budget, train

    terminal = Terminal(quiet=quiet)
    chosen = devices.choose(device)
    photos = read_photos(data)
    terminal.say(f"{len(photos)} photographs; {minutes:g} minutes on {chosen}.")
    run = train(
        read_recipe(recipe),
        photos,
        output,
        budget=Budget(minutes=minutes),
        device=chosen,
        resume=resume,
        data=credit,
        report=lambda report: _tell(report, terminal),
    )
    scores = [score for _, score in run.scores]
    if scores:
        terminal.say(f"Validation went from {scores[0]:.2f} to {scores[-1]:.2f} dB.")
    terminal.say(f"Wrote {output} after {run.step} steps.")


def pack(
    folder: Annotated[Path, typer.Argument(help="Folder of photographs.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The pack, as photos.pack.", show_default=False)
    ],
    quality: Annotated[int, typer.Option("--quality", min=1, max=100)] = 85,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Pack photographs into one compact file that travels to a GPU server."""
    del debug  # read by `main`
    from burstfix.io.photos import pack_photos

    count = pack_photos(folder, output, quality=quality)
    size = output.stat().st_size / (1 << 20)
    typer.echo(f"Packed {count} photographs into {output}, {size:.1f} MiB.", err=True)


def _tell(report: "Report", terminal: "Terminal") -> None:
    """Print a line now and then: training takes long, and logs outlive terminals."""
    if report.step % TELL_EVERY != 1:
        return
    score = f", validation {report.psnr:.2f} dB" if report.psnr is not None else ""
    terminal.say(
        f"{report.progress:6.1%}  step {report.step}, loss {report.loss:.4f}{score}, "
        f"{report.bursts_per_s:.1f} bursts/s"
    )
