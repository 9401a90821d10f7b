"""Work through what was named, picture by picture, and tell how each fared."""

import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from burstfix.cli.told import as_told
from burstfix.errors import BurstfixError

if TYPE_CHECKING:
    from burstfix.cli.console import Terminal
    from burstfix.restore.grouping import Groups
    from burstfix.restore.inputs import BurstFiles
    from burstfix.restore.report import Report

Work = list[tuple["BurstFiles", Path]]  # the files of each picture, and where it goes


@dataclass(frozen=True, kw_only=True)
class Command:
    """How a command does and words its work.

    Args:
        noun: what the files of one picture are, in the plural: "bursts".
        restore: makes one picture from its files.
        plan: checks what `restore` would do.
        closing: words what was done, after "Wrote FILE: ".
        planned: words what would be done, after "FILE: ".
        name: what to call the files of one picture.
        batch: whether pictures are many and quick: then one bar moves over all, and those that
            are skipped are told only by their number.
    """

    noun: str
    restore: Callable[["BurstFiles", Path], "Report"]
    plan: Callable[["BurstFiles", Path], "Report"]
    closing: Callable[["Report"], str]
    planned: Callable[["Report"], str]
    name: Callable[["BurstFiles"], str] = lambda files: files.name
    batch: bool = False


def split_all(
    named: "list[BurstFiles]",
    split: Callable[["BurstFiles"], "Groups"],
    terminal: "Terminal",
) -> "list[BurstFiles]":
    """Part what was named into the files of single pictures, and tell what belongs to none."""
    found: list[BurstFiles] = []
    for files in named:
        groups = split(files)
        found += groups.bursts
        for path in groups.unread:
            terminal.warn(f"Skipped: {path} cannot be read.")
        terminal.alone(groups.alone)
    return found


def run(work: Work, command: Command, terminal: "Terminal", *, json: bool, debug: bool) -> None:
    """Restore picture after picture; of several, one that fails does not stop the others.

    Raises:
        Exception: the only picture failed.
    """

    def restore(files: "BurstFiles", output: Path) -> None:
        if one_bar:
            report = command.restore(files, output)
        else:
            with terminal.progress():
                report = command.restore(files, output)
        counts[report.status] += 1
        _tell(report, command, terminal, json=json)

    counts: Counter[str] = Counter()
    one_bar = command.batch and len(work) > 1
    if not one_bar:
        _each(work, restore, command, terminal, counts, json=json, debug=debug)
        return
    with terminal.progress(len(work)):
        _each(work, restore, command, terminal, counts, json=json, debug=debug)


def show_plan(
    work: Work, command: Command, terminal: "Terminal", *, json: bool, debug: bool
) -> None:
    """Check what can be checked without reading pixels, and show it.

    Raises:
        Exception: the only picture cannot be made.
    """

    def show(files: "BurstFiles", output: Path) -> None:
        report = command.plan(files, output)
        counts[report.status] += 1
        _show(report, command, terminal, json=json)

    counts: Counter[str] = Counter()
    _each(work, show, command, terminal, counts, json=json, debug=debug)


def _each(
    work: Work,
    act: Callable[["BurstFiles", Path], None],
    command: Command,
    terminal: "Terminal",
    counts: Counter[str],
    *,
    json: bool,
    debug: bool,
) -> None:
    """Act on every picture, and sum up how they fared."""
    failures: list[tuple[str, BurstfixError]] = []
    for number, (files, output) in enumerate(work, start=1):
        try:
            act(files, output)
        except Exception as error:  # a bad file stops no other, and no fault does
            told = as_told(error)
            if json:
                _print_failure(files, output, told)
            if len(work) == 1:
                raise
            if debug:
                traceback.print_exc()
            name = command.name(files)
            failures.append((name, told))
            terminal.fail(name, told)
        terminal.finished(number)
    if len(work) > 1:
        _sum_up(work, command, terminal, counts, [name for name, _ in failures])
    if failures:
        all_failed = len(failures) == len(work)
        raise typer.Exit(failures[0][1].exit_code if all_failed else 1)


def _sum_up(
    work: Work,
    command: Command,
    terminal: "Terminal",
    counts: Counter[str],
    failed: list[str],
) -> None:
    if command.batch:
        told = ", ".join(f"{counts[status]} {status}" for status in sorted(counts))
        terminal.say(f"{len(work)} {command.noun}: {told or 'none restored'}.")
    if failed:
        terminal.say(f"{len(failed)} of {len(work)} {command.noun} failed:")
        for name in failed:
            terminal.say(f"  {name}")


def _print_failure(files: "BurstFiles", output: Path, error: BurstfixError) -> None:
    """Print a line of JSON like a report's, of a picture that could not be made."""
    from burstfix.cli.console import print_json

    print_json(
        {
            "output": str(output),
            "status": "failed",
            "error": error.what,
            "mend": error.mend,
            "exit_code": error.exit_code,
            "frames": [{"path": str(path)} for path in files.files],
        }
    )


def _tell(report: "Report", command: Command, terminal: "Terminal", *, json: bool) -> None:
    """Tell of a picture that was made."""
    from burstfix.cli.console import print_json

    if json:
        print_json(report.as_json())
    if not command.batch:
        terminal.frames(report)
    if report.status == "skipped":
        message = f"Skipped {report.output}: it exists."
        (terminal.note if command.batch else terminal.say)(message)
        return
    seconds = sum(report.timings_s.values())
    terminal.say(
        f"Wrote {report.output}: {command.closing(report)} by {report.backend} on "
        f"{report.device} in {seconds:.1f} s."
    )


def _show(report: "Report", command: Command, terminal: "Terminal", *, json: bool) -> None:
    """Tell of a picture that would be made."""
    from burstfix.cli.console import print_json

    if json:
        print_json(report.as_json())
    elif report.status == "skipped":
        terminal.say(f"{report.output}: exists, would be skipped")
    else:
        terminal.say(f"{report.output}: {command.planned(report)}")
        for frame in report.frames if not command.batch else ():
            kind = f"{frame.kind}  " if frame.kind else ""
            terminal.say(f"  {kind}{frame.path}" + (f" ({frame.why})" if frame.why else ""))
