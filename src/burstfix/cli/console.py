"""What the user sees: progress and messages on stderr, results on stdout."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from burstfix.errors import BurstfixError
from burstfix.restore.report import Reporter

if TYPE_CHECKING:
    from burstfix.restore.report import Report

STAGES = {
    "decode": "Reading",
    "align": "Aligning",
    "fuse": "Fusing",
    "check": "Checking",
    "write": "Writing",
    "render": "Rendering",
    "score": "Scoring",
    "restore": "Restoring",
    "tune": "Tuning",
}
_FRAMES = {"restore"}  # stages whose steps are a film's frames


class Terminal(Reporter):
    """Draws a bar a stage on a terminal; without one, or when quiet, nothing moves."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self.console = Console(stderr=True, highlight=False)  # obeys NO_COLOR
        self._progress: Progress | None = None
        self._task: Any = None
        self._overall: Any = None  # the one bar over all pictures, and how far a step moves it
        self._share = 0.0

    @contextmanager
    def progress(self, pictures: int | None = None) -> Iterator[None]:
        """Show bars for the stages that begin inside, or one for so many pictures."""
        if self.quiet or not self.console.is_terminal:
            yield
            return
        columns = (
            TextColumn("{task.description:>9}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Speed(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            self._progress = progress
            if pictures is not None:
                self._overall = progress.add_task("Restoring", total=pictures)
            try:
                yield
            finally:
                self._progress = self._overall = None

    def finished(self, pictures: int) -> None:
        """Move the bar over all pictures to so many."""
        if self._progress and self._overall is not None:
            self._progress.update(self._overall, completed=pictures)

    def stage(self, name: str, steps: int) -> None:
        """Begin a bar."""
        self._share = 1 / steps if name == "fuse" else 0.0  # the rest takes little of a picture
        if self._progress and self._overall is None:
            self._task = self._progress.add_task(
                STAGES.get(name, name), total=steps or None, frames=name in _FRAMES
            )

    def step(self) -> None:
        """Move the bar on."""
        if self._progress and self._overall is not None:
            self._progress.advance(self._overall, self._share)
        elif self._progress:
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

    def fail(self, name: str, error: BurstfixError) -> None:
        """Print why a picture could not be made, also when --quiet."""
        prefix = "" if name in error.what else f"{name}: "
        text = f"{prefix}{error.what}\n{error.mend}"
        self.console.print(escape(text), soft_wrap=True, style="red")

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


class _Speed(ProgressColumn):
    """How many frames a second are restored, where steps are a film's frames."""

    def render(self, task: Task) -> Text:
        """Return the text."""
        if not task.fields.get("frames") or not task.speed:
            return Text("")
        return Text(f"{task.speed:.2f} frames/s")


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on one line of stdout."""
    text = json.dumps(value, ensure_ascii=False)
    if not text.isascii() and not _prints(text):
        text = json.dumps(value)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _prints(text: str) -> bool:
    """Tell whether stdout can show a text; names of files may hold bytes that are no text."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
