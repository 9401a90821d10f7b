"""`burstfix train flow` and `burstfix train reblur`: what films need beside restoration."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from burstfix.cli.train import TELL_EVERY_S, Credit, Data, Debug, Device, Output, Quiet
from burstfix.errors import OutputError

if TYPE_CHECKING:
    from burstfix.cli.console import Terminal
    from burstfix.train.flow import FlowReport

FLOW_EXAMPLES = """\b
Examples:
  burstfix train flow --data photos/ -o flow.safetensors --minutes 60
"""


def flow(
    data: Data,
    output: Output,
    recipe: Annotated[
        str, typer.Option("--recipe", help="A name as flownets-flow-paper, or a .toml file.")
    ] = "flownets-flow",
    minutes: Annotated[float, typer.Option("--minutes", min=0.01, help="How long.")] = 60.0,
    credit: Credit = "",
    device: Device = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train FlowNetS, which `train reblur` takes for its gradient; Ctrl-C saves what is there."""
    del debug  # read by `main`
    from burstfix import device as devices
    from burstfix.cli.console import Terminal
    from burstfix.io.photos import read_photos
    from burstfix.train.flow import read_flow_recipe, train_flow

    terminal = Terminal(quiet=quiet)
    check_new(output)
    plan = read_flow_recipe(recipe)
    scores = train_flow(
        plan,
        read_photos(data),
        output,
        minutes=minutes,
        device=devices.choose(device),
        data=credit,
        report=_FlowTeller(terminal, 60 * minutes),
    )
    terminal.say(
        f"Wrote {output} after {scores.steps} steps: flow is off by {scores.error:.2f} px on "
        f"average, where no motion at all would be by {scores.still:.2f} px."
    )


def check_new(output: Path) -> None:
    """Refuse to write over weights, or where nothing can be written, before minutes of work."""
    from burstfix.io.atomic import resolve_output

    if output.exists():
        raise OutputError(f"{output} is there already.", "Name another file with -o.")
    resolve_output(output, on_exists="overwrite")


class _FlowTeller:
    """Prints a line now and then."""

    def __init__(self, terminal: "Terminal", seconds: float) -> None:
        self.terminal = terminal
        self.share = TELL_EVERY_S / seconds
        self.next = 0.0

    def __call__(self, report: "FlowReport") -> None:
        if report.progress < self.next:
            return
        self.next = report.progress + self.share
        self.terminal.say(f"{report.progress:6.1%}  step {report.step}, loss {report.loss:.4f}")
