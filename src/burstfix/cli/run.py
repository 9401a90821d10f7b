"""Work through what was named, picture by picture, and tell how each fared."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from burstfix.errors import BurstfixError

if TYPE_CHECKING:
    from burstfix.cli.console import Terminal
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
    """

    noun: str
    restore: Callable[["BurstFiles", Path], "Report"]
    plan: Callable[["BurstFiles", Path], "Report"]
    closing: Callable[["Report"], str]
    planned: Callable[["Report"], str]


def run(work: Work, command: Command, terminal: "Terminal", *, json: bool, debug: bool) -> None:
    """Restore picture after picture; of several, one that fails does not stop the others.

    Raises:
        BurstfixError: the only picture failed.
    """
    if len(work) == 1:
        _report(_restore(work[0], command, terminal), command, terminal, json=json)
    else:
        _run_all(work, command, terminal, json=json, debug=debug)


def show_plan(work: Work, command: Command, terminal: "Terminal", *, json: bool) -> None:
    """Check what can be checked without reading pixels, and show it."""
    from burstfix.cli.console import print_json

    for files, output in work:
        report = command.plan(files, output)
        if json:
            print_json(report.as_json())
        elif report.status == "skipped":
            terminal.say(f"{output}: exists, would be skipped")
        else:
            terminal.say(f"{report.output}: {command.planned(report)}")
            for frame in report.frames:
                kind = f"{frame.kind}  " if frame.kind else ""
                terminal.say(f"  {kind}{frame.path}" + (f" ({frame.why})" if frame.why else ""))


def _restore(one: tuple["BurstFiles", Path], command: Command, terminal: "Terminal") -> "Report":
    with terminal.progress():
        return command.restore(*one)


def _run_all(
    work: Work, command: Command, terminal: "Terminal", *, json: bool, debug: bool
) -> None:
    from burstfix.cli.console import print_json

    failures: list[BurstfixError] = []
    for files, output in work:
        try:
            _report(_restore((files, output), command, terminal), command, terminal, json=json)
        except BurstfixError as error:
            if debug:
                raise
            failures.append(error)
            typer.secho(f"{files.name}: {error.what}\n{error.mend}", fg="red", err=True)
            if json:
                print_json({"output": str(output), "status": "failed", "error": error.what})
    if failures:
        terminal.say(f"{len(failures)} of {len(work)} {command.noun} failed.")
        all_failed = len(failures) == len(work)
        raise typer.Exit(failures[0].exit_code if all_failed else 1)


def _report(report: "Report", command: Command, terminal: "Terminal", *, json: bool) -> None:
    from burstfix.cli.console import print_json

    if json:
        print_json(report.as_json())
    terminal.frames(report)
    if report.status == "skipped":
        terminal.say(f"Skipped {report.output}: it exists.")
        return
    seconds = sum(report.timings_s.values())
    terminal.say(
        f"Wrote {report.output}: {command.closing(report)} by {report.backend} on "
        f"{report.device} in {seconds:.1f} s."
    )
