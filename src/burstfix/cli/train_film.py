"""`burstfix train flow` and `burstfix train reblur`: what films need beside restoration."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from burstfix.cli import options as opt
from burstfix.cli.train import TELL_EVERY_S, Credit, Data, Debug, Device, Output, Quiet
from burstfix.errors import INTERRUPTED, OutputError, UsageError

if TYPE_CHECKING:
    from burstfix.cli.console import Terminal
    from burstfix.train.flow import FlowReport

FLOW_EXAMPLES = """\b
Examples:
  burstfix train flow --data photos/ -o flow.safetensors --minutes 60
"""
REBLUR_EXAMPLES = """\b
Examples:
  burstfix train reblur --video clip.mp4 -w deblurgan-single -o tuned.safetensors
  burstfix train reblur --video a.mp4 --video b.mp4 -w my.safetensors -o tuned.safetensors
  burstfix train reblur --video frames/ -b dvd -o tuned.safetensors --data photos/
"""


class BlurModelName(StrEnum):
    """How results are blurred again."""

    CONV = "conv"
    WARP = "warp"


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
    if scores.interrupted:
        raise typer.Exit(INTERRUPTED)


def reblur(
    video: Annotated[
        list[Path],
        typer.Option(
            "--video",
            help="A film, or a folder of its frames; several may be given.",
            show_default=False,
        ),
    ],
    output: Output,
    backend: opt.BackendOption = "set",
    weights: opt.WeightsOption = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Sharp photographs for samples with truth. [default: the film's own frames, "
            "made smaller]",
        ),
    ] = None,
    iterations: Annotated[int, typer.Option("--iterations", min=1)] = 200,
    rate: Annotated[float, typer.Option("--rate", help="Learning rate of Adam.")] = 1e-4,
    alpha: Annotated[
        float, typer.Option("--alpha", min=0, help="Weight of the films beside samples.")
    ] = 0.1,
    exposure_cycle: Annotated[
        float | None,
        typer.Option(
            "--exposure-cycle",
            help="Half of the share of time that the shutter is open, to 0.5. [default: from "
            "metadata, or what explains the frames best]",
        ),
    ] = None,
    model: Annotated[
        BlurModelName, typer.Option("--model", help="Kernels of a table, or moved frames.")
    ] = BlurModelName.CONV,
    two_frames: Annotated[
        bool, typer.Option("--two-frames", help="Flow to one neighbour instead of two.")
    ] = False,
    flow: Annotated[
        Path | None, typer.Option("--flow", help="Weights of FlowNetS. [default: classical flow]")
    ] = None,
    flow_gradient: Annotated[
        bool, typer.Option("--flow-gradient", help="Learn through the flow too; needs --flow.")
    ] = False,
    fps: Annotated[str, typer.Option("--fps", help="Of single frames.")] = "30",
    device: Device = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Tune a network to films without truth; the weights change only where that helps."""
    del debug  # read by `main`
    if flow_gradient and not flow:
        raise UsageError("Classical flow has no gradient.", "Give weights of FlowNetS by --flow.")
    from burstfix import device as devices
    from burstfix.cli.console import Terminal
    from burstfix.cli.tuning import TunePlan, tune_to_films, tuned_card
    from burstfix.cli.video import read_rate
    from burstfix.restore.film import find_film
    from burstfix.train.reblur import TuneSettings
    from burstfix.weights import find_network, save

    check_new(output)
    settings = TuneSettings(
        iterations=iterations,
        rate=rate,
        alpha=alpha,
        exposure_cycle=exposure_cycle,
        model=model.value,
        two_frames=two_frames,
        flow_gradient=flow_gradient,
    )
    films = [find_film([film]) for film in video]
    plan = TunePlan(films=films, settings=settings, data=data, flow=flow, rate=read_rate(fps))
    network, card = find_network(backend, "video", weights)
    if card is None:
        raise UsageError(f"{backend} has no weights to tune.", "Choose another backend.")
    terminal = Terminal(quiet=quiet)
    with terminal.progress():
        tuning = tune_to_films(network, plan, devices.choose(device), terminal)
    save(tuning.network, tuned_card(card, tuning, plan), output)
    terminal.say(f"Wrote {output}{'' if tuning.kept else ', the weights as they were'}.")


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
