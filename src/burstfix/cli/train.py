"""`burstfix train`: make weights of your own."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from burstfix.errors import INTERRUPTED, OutputError, UsageError

if TYPE_CHECKING:
    from burstfix.cli.console import Terminal
    from burstfix.io.photos import Photo
    from burstfix.train.checkpoint import Run
    from burstfix.train.config import Recipe, TaskName
    from burstfix.train.log import Report

app = typer.Typer(help="Train weights of your own.", no_args_is_help=True, rich_markup_mode=None)

EXAMPLES = """\b
Examples:
  burstfix train burst --data photos/ -o my.safetensors --minutes 60
  burstfix train burst --data photos/ -o my.safetensors --minutes 90 --resume my.checkpoint
  burstfix train burst --data photos/ -o my.safetensors --from set-burst
  torchrun --nproc_per_node 8 -m burstfix train burst --data photos.pack -o my.safetensors
"""
PAIR_EXAMPLES = """\b
Examples:
  burstfix train pair --data photos/ -o my.safetensors --minutes 60
  burstfix train pair --data photos/ -o my.safetensors --from set-burst
  burstfix train pair --data photos/ -o my.safetensors --recipe deblur-rnn-pair
  burstfix train pair --data clips/ --clips -o my.safetensors
"""
SINGLE_EXAMPLES = """\b
Examples:
  burstfix train single --data photos/ -o my.safetensors --from set-burst
  burstfix train single --data photos/ -o my.safetensors --minutes 30 --from set-single
  burstfix train single --data clips/ --clips -o my.safetensors --recipe multiscale-single
"""
VIDEO_EXAMPLES = """\b
Examples:
  burstfix train video --data photos/ -o my.safetensors --from set-burst
  burstfix train video --data photos/ -o my.safetensors --recipe dvd-video
  burstfix train video --data clips/ --clips -o my.safetensors
"""
TELL_EVERY_S = 15.0
FEW = 100  # photographs


@app.callback()
def group() -> None:
    """Train weights of your own."""


Clips = Annotated[
    bool,
    typer.Option(
        "--clips", help="--data holds folders of consecutive sharp frames, 240 a second, say."
    ),
]
Data = Annotated[
    Path,
    typer.Option("--data", help="Folder of sharp photographs, or a pack.", show_default=False),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="Weights file to write.", show_default=False)
]
Minutes = Annotated[
    float, typer.Option("--minutes", min=0.1, help="Over all sittings; the schedule obeys it.")
]
Resume = Annotated[Path | None, typer.Option("--resume", help="Checkpoint to go on from.")]
Begin = Annotated[
    Path | None,
    typer.Option("--from", help="Weights to begin with: adapts them to your photographs."),
]
Credit = Annotated[
    str, typer.Option("--credit", help="Whom the weights' card credits for the photographs.")
]
Device = Annotated[str, typer.Option("--device", "-d", help="auto, cpu, cuda, mps.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]


@app.command(epilog=EXAMPLES, no_args_is_help=True)
def burst(
    data: Data,
    output: Output,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            help="A name as wieschollek-burst, or a .toml file. [default: set-burst; with CUDA and "
            "8 GB set-burst-gpu; on a CPU for up to 15 minutes set-burst-quick; with --resume the "
            "checkpoint's]",
        ),
    ] = None,
    minutes: Minutes = 60.0,
    resume: Resume = None,
    begin_from: Begin = None,
    credit: Credit = "",
    device: Device = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a burst network on your photographs; Ctrl-C saves what is there."""
    del debug  # read by `main`
    _train(
        "burst",
        data,
        output,
        recipe=recipe,
        minutes=minutes,
        resume=resume,
        begin_from=begin_from,
        credit=credit,
        device=device,
        quiet=quiet,
    )


@app.command(epilog=PAIR_EXAMPLES, no_args_is_help=True)
def pair(
    data: Data,
    output: Output,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            help="A name as deblur-rnn-pair, or a .toml file. [default: set-pair; with --resume "
            "the checkpoint's]",
        ),
    ] = None,
    clips: Clips = False,
    minutes: Minutes = 60.0,
    resume: Resume = None,
    begin_from: Begin = None,
    credit: Credit = "",
    device: Device = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a network for a noisy and a shaken exposure; Ctrl-C saves what is there."""
    del debug  # read by `main`
    _train(
        "pair",
        data,
        output,
        recipe=recipe,
        minutes=minutes,
        resume=resume,
        begin_from=begin_from,
        credit=credit,
        device=device,
        quiet=quiet,
        clips=clips,
    )


@app.command(epilog=SINGLE_EXAMPLES, no_args_is_help=True)
def single(
    data: Data,
    output: Output,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            help="A name as multiscale-single, or a .toml file. [default: set-single; with "
            "--resume the checkpoint's]",
        ),
    ] = None,
    clips: Clips = False,
    minutes: Minutes = 60.0,
    resume: Resume = None,
    begin_from: Begin = None,
    credit: Credit = "",
    device: Device = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a network for one shaken, soft or noisy frame; Ctrl-C saves what is there."""
    del debug  # read by `main`
    _train(
        "single",
        data,
        output,
        recipe=recipe,
        minutes=minutes,
        resume=resume,
        begin_from=begin_from,
        credit=credit,
        device=device,
        quiet=quiet,
        clips=clips,
    )


@app.command(epilog=VIDEO_EXAMPLES, no_args_is_help=True)
def video(
    data: Data,
    output: Output,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            help="A name as dvd-video, or a .toml file. [default: set-video; with --resume the "
            "checkpoint's]",
        ),
    ] = None,
    clips: Clips = False,
    minutes: Minutes = 60.0,
    resume: Resume = None,
    begin_from: Begin = None,
    credit: Credit = "",
    device: Device = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a network for films, a frame with its neighbours; Ctrl-C saves what is there."""
    del debug  # read by `main`
    _train(
        "video",
        data,
        output,
        recipe=recipe,
        minutes=minutes,
        resume=resume,
        begin_from=begin_from,
        credit=credit,
        device=device,
        quiet=quiet,
        clips=clips,
    )


def _train(
    task: "TaskName",
    data: Path,
    output: Path,
    *,
    recipe: str | None,
    minutes: float,
    resume: Path | None,
    begin_from: Path | None,
    credit: str,
    device: str,
    quiet: bool,
    clips: bool = False,
) -> None:
    """Follow a recipe, and tell how it went."""
    from burstfix import device as devices
    from burstfix.cli.console import Terminal
    from burstfix.train.choice import choose_recipe, deal, fit
    from burstfix.train.loop import Budget, train

    terminal, chosen = Terminal(quiet=quiet), devices.choose(device)
    plan = _named(recipe, resume) or fit(choose_recipe(chosen, minutes, task), begin_from)
    plan = deal(plan, int(os.environ.get("WORLD_SIZE", "1")))  # of torchrun
    _check(output, resume, begin_from)
    if plan.task != task:
        mend = f"Run `burstfix train {plan.task}`, or name another recipe."
        raise UsageError(f"The recipe trains for {plan.task}, not for {task}.", mend)
    photos = _read(data, plan, clips=clips)
    _introduce(photos, plan, terminal)
    terminal.say(f"Training {plan.backend} for {minutes:g} minutes on {chosen}; Ctrl-C saves.")
    run = train(
        plan,
        photos,
        output,
        budget=Budget(minutes=minutes),
        device=chosen,
        resume=resume,
        begin_from=begin_from,
        data=credit,
        report=_Teller(terminal),
    )
    _conclude(run, output, minutes, terminal)


def _named(recipe: str | None, resume: Path | None) -> "Recipe | None":
    """Read the recipe asked for, or that of the run to go on with; None where neither is given."""
    from burstfix.train.checkpoint import read_recipe_of
    from burstfix.train.config import read_recipe

    if recipe is not None:
        return read_recipe(recipe)
    return read_recipe_of(resume) if resume else None


def _read(data: Path, recipe: "Recipe", *, clips: bool) -> "list[Photo]":
    """Read photographs or clips to learn from."""
    from burstfix.io.clips import read_clips
    from burstfix.io.photos import read_photos
    from burstfix.train.data import clip_lengths

    if not clips:
        return read_photos(data)
    least, longest = clip_lengths(recipe)
    return read_clips(data, least=least, longest=longest)


def _conclude(run: "Run", output: Path, minutes: float, terminal: "Terminal") -> None:
    """Say what came of a run, and how to go on where it was interrupted."""
    scores = [score for _, score in run.scores]
    if len(scores) > 1:
        terminal.say(f"Validation went from {scores[0]:.2f} to {scores[-1]:.2f} dB.")
    beside = ", ".join(output.with_suffix(kind).name for kind in (".checkpoint", ".csv", ".svg"))
    terminal.say(f"Wrote {output} after {run.step} steps, and beside it {beside}.")
    if run.elapsed_s < 60 * minutes:
        terminal.say(
            f"Interrupted after {run.elapsed_s / 60:.1f} of {minutes:g} minutes. To go on, add "
            f"--resume {output.with_suffix('.checkpoint')}"
        )
        raise typer.Exit(INTERRUPTED)


def _check(output: Path, resume: Path | None, begin_from: Path | None) -> None:
    """Refuse what would lose an earlier run, or fail only after minutes of work."""
    from burstfix.io.atomic import resolve_output

    if resume and begin_from:
        raise UsageError(
            "--resume goes on with a run, --from begins a new one.", "Give one of the two."
        )
    checkpoint = output.with_suffix(".checkpoint")
    written = (checkpoint, output.with_suffix(".csv"), output.with_suffix(".svg"))
    if output in written:
        raise UsageError(
            f"{output.name} is a name for what is written beside the weights.",
            "Give -o a name that ends in .safetensors.",
        )
    own = resume and checkpoint.exists() and resume.resolve() == checkpoint.resolve()
    for path in (output, *written):
        if path.exists() and not own:
            other = (
                f"Go on with that by --resume {checkpoint}" if checkpoint.exists() else "Delete it"
            )
            raise OutputError(
                f"{path} is there, perhaps of an earlier run.",
                f"{other}, or name another file with -o.",
            )
    resolve_output(output, on_exists="overwrite")


def _introduce(photos: "list[Photo]", recipe: "Recipe", terminal: "Terminal") -> None:
    """Say what the photographs are good for."""
    from burstfix.train.data import least_side, split_photos

    side = least_side(recipe)
    split = split_photos(photos, recipe.validation_share, side)
    learning, kept = len(split.training), len(split.validation)
    small = len(photos) - learning - kept
    tail = f", {small} left out: smaller than {side} px" if small else ""
    terminal.say(
        f"{len(photos)} photographs: {learning} to learn from, {kept} to validate on{tail}."
    )
    if learning < FEW:
        terminal.warn(
            f"{learning} photographs are few: weights will fit these scenes better than others."
        )


class _Teller:
    """Prints a line now and then, and with every validation: logs outlive terminals."""

    def __init__(self, terminal: "Terminal") -> None:
        self.terminal = terminal
        self.next_s = 0.0
        self.score: float | None = None

    def __call__(self, report: "Report") -> None:
        if report.elapsed_s < self.next_s and report.psnr == self.score:
            return
        self.next_s, self.score = report.elapsed_s + TELL_EVERY_S, report.psnr
        score = f", validation {report.psnr:.2f} dB" if report.psnr is not None else ""
        pace = f", {report.bursts_per_s:.1f} bursts/s" if report.bursts_per_s else ""
        skipped = ", step skipped" if report.skipped else ""
        self.terminal.say(
            f"{report.progress:6.1%}  {_clock(report.left_s)} left, step {report.step}, loss "
            f"{report.loss:.4f}{score}{pace}{skipped}"
        )


def _clock(seconds: float) -> str:
    """Write a time as h:mm:ss, without hours where there are none."""
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
    )
