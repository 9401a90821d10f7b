"""The command line: its commands, and the one place where an error becomes a message."""

import os
import signal
import sys
import traceback
from types import FrameType
from typing import Annotated

import typer

from burstfix import __version__
from burstfix.cli import (
    backends,
    burst,
    evaluate,
    pack,
    pair,
    single,
    synth,
    train,
    train_film,
    video,
)
from burstfix.cli.told import as_told
from burstfix.errors import INTERRUPTED

app = typer.Typer(
    help="Fuse a burst of hand-held photographs into one sharp, clean picture.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: quicker, and the same in a pipe
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(name="burst", epilog=burst.EXAMPLES, no_args_is_help=True)(burst.burst)
app.command(name="pair", epilog=pair.EXAMPLES, no_args_is_help=True)(pair.pair)
app.command(name="single", epilog=single.EXAMPLES, no_args_is_help=True)(single.single)
app.command(name="video", epilog=video.EXAMPLES, no_args_is_help=True)(video.video)
app.command(name="backends")(backends.backends)
app.add_typer(synth.app, name="synth")
app.add_typer(train.app, name="train")
train.app.command(name="flow", epilog=train_film.FLOW_EXAMPLES, no_args_is_help=True)(
    train_film.flow
)
train.app.command(name="reblur", epilog=train_film.REBLUR_EXAMPLES, no_args_is_help=True)(
    train_film.reblur
)
app.command(name="pack")(pack.pack)
app.command(name="evaluate", epilog=evaluate.EXAMPLES, no_args_is_help=True)(evaluate.evaluate)


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Fuse a burst of hand-held photographs into one sharp, clean picture."""
    if version:
        typer.echo(f"burstfix {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGTERM, _stop)  # so that temporary files are removed
    # Torch's threads spin while they wait, which on a busy machine takes ten times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app(prog_name="burstfix")  # also as `python -m burstfix`
    except KeyboardInterrupt:
        _fail("Interrupted; nothing half-written is left.", INTERRUPTED)
    except Exception as error:  # noqa: BLE001 the last stop: users get a sentence, not a traceback
        told = as_told(error)
        _fail(f"{told.what}\n{told.mend}", told.exit_code)


def _fail(message: str, exit_code: int) -> None:
    if "--debug" in sys.argv[1:]:
        traceback.print_exc()
    typer.secho(message, fg="red", err=True)
    raise SystemExit(exit_code)


def _stop(signum: int, _: FrameType | None) -> None:
    raise SystemExit(128 + signum)


if __name__ == "__main__":
    main()
