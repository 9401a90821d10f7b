"""What the user sees: progress and messages on stderr, results on stdout."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from burstfix.restore.report import Reporter

if TYPE_CHECKING:
    from burstfix.restore.report import Report

STAGES = {
    "decode": "Reading",
    "align": "Aligning",
    "fuse": "Fusing",
    "write": "Writing",
    "render": "Rendering",
    "score": "Scoring",
}


class Terminal(Reporter):
    """Draws a bar a stage on a terminal; without one, or when quiet, nothing moves."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self.console = Console(stderr=True, highlight=False)  # obeys NO_COLOR
        self._progress: Progress | None = None
        self._task: Any = None

    @contextmanager
    def progress(self) -> Iterator[None]:
        """Show bars for the stages that begin inside."""
        if self.quiet or not self.console.is_terminal:
            yield
            return
        columns = (
            TextColumn("{task.description:>9}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            self._progress = progress
            try:
                yield
            finally:
                self._progress = None

    def stage(self, name: str, steps: int) -> None:
        """Begin a bar."""
        if self._progress:
            self._task = self._progress.add_task(STAGES.get(name, name), total=steps)

    def step(self) -> None:
        """Move the bar on."""
        if self._progress:
            self._progress.advance(self._task)

    def warn(self, message: str) -> None:
        """Print a warning; --quiet leaves errors only."""
        if not self.quiet:
            self.console.print(f"[yellow]Warning:[/yellow] {escape(message)}", soft_wrap=True)

    def note(self, message: str) -> None:
        """Print a detail, with --verbose."""
        if self.verbose:
            self.console.print(escape(message), soft_wrap=True, style="dim")

    def say(self, message: str) -> None:
        """Print a closing line, unless --quiet."""
        if not self.quiet:
            self.console.print(escape(message), soft_wrap=True)

    def alone(self, photographs: Sequence[Path]) -> None:
        """Tell which photographs belong to no group and are left out."""
        if photographs:
            names = ", ".join(path.name for path in photographs)
            self.say(f"{len(photographs)} photographs stand alone and are left out: {names}.")

    def frames(self, report: "Report") -> None:
        """Print how each frame fared, with --verbose."""
        if not self.verbose:
            return
        self.note(f"{'sharpness':>9}  {'correlation':>11}  {'gain':>6}  {'weight':>6}  frame")
        for frame in report.frames:
            figures = (frame.sharpness, frame.correlation, frame.gain, frame.weight)
            texts = ["-" if figure is None else f"{figure:.3g}" for figure in figures]
            marks = " (reference)" if frame.path == report.reference else ""
            marks += "" if frame.used else f" (not used: {frame.why})"
            self.note(
                f"{texts[0]:>9}  {texts[1]:>11}  {texts[2]:>6}  {texts[3]:>6}  {frame.path}{marks}"
            )


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on one line of stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()
