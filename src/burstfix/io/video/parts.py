"""Finished parts of a film that is being made, beside its target, so that a killed run goes on."""

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from burstfix.errors import OutputError, UsageError
from burstfix.io.atomic import replacing
from burstfix.io.video.join import Segment

Name = Callable[[int, int, int], None]  # first and last time [ticks], number of frames

_PLAN = "plan.json"
_NAME = re.compile(r"(\d{6})_(-?\d+)_(-?\d+)_(\d+)\.part")


@dataclass(frozen=True)
class Parts:
    """The folder of parts.

    Args:
        folder: beside the target.
    """

    folder: Path

    def finished(self) -> list[Segment]:
        """List the segments that are whole, in order."""
        found = list[Segment]()
        for path in sorted(self.folder.glob("*.part")):
            match = _NAME.fullmatch(path.name)
            if match and int(match[1]) == len(found):
                found.append(Segment(path, int(match[2]), int(match[3]), int(match[4])))
        return found

    @property
    def empty(self) -> bool:
        """Whether nothing is finished, neither segment nor picture."""
        return not any(path.suffix in {".part", ".png"} for path in self.folder.iterdir())

    @contextmanager
    def adding(self) -> Iterator[tuple[BinaryIO, Name]]:
        """Open a file for the next segment; it counts once it was named and the block ends.

        Yields:
            The file, and what to call with the times of its first and last frame [ticks] and its
            number of frames.
        """
        number = len(self.finished())
        nameless = self.folder / f"{number:06}.writing"
        named: list[str] = []

        def name(first: int, last: int, frames: int) -> None:
            named.append(f"{number:06}_{first}_{last}_{frames}.part")

        with replacing(nameless, replace=True) as file:
            yield file, name
        nameless.replace(self.folder / named[0])

    def rename(self, target: Path) -> None:
        """Give the folder the name of the target, once all parts are there.

        Raises:
            OutputError: it cannot be renamed.
        """
        try:
            (self.folder / _PLAN).unlink()
            self.folder.rename(target)
        except OSError as error:
            raise OutputError(
                f"Cannot rename {self.folder} to {target}: {error.strerror}.",
                "Rename it by hand: all frames are in it.",
            ) from error

    def remove(self) -> None:
        """Delete the folder with all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)


def parts_folder(target: Path) -> Path:
    """Return where a target's parts lie."""
    return target.with_name(f"{target.name}.burstfix-parts")


@contextmanager
def open_parts(target: Path, plan: Mapping[str, Any], *, resume: bool) -> Iterator[Parts]:
    """Make the folder of parts, or go on with that of a killed run.

    It stays if the block fails after a segment was finished.

    Args:
        target: the film to be.
        plan: all that changes the frames; parts of another plan do not fit.
        resume: whether to go on with parts that are there.

    Raises:
        OutputError: parts are there, and are not to be resumed; or nothing can be written.
        UsageError: they were made in another way.
    """
    parts = Parts(parts_folder(target))
    text = json.dumps(plan, sort_keys=True, indent=1)
    try:
        if parts.folder.exists() and parts.empty:
            parts.remove()  # a run that was killed before its first segment
        if parts.folder.exists():
            _check(parts, text, resume=resume)
        else:
            parts.folder.mkdir(parents=True)
            (parts.folder / _PLAN).write_text(text)
    except OSError as error:
        raise OutputError(
            f"Cannot write {parts.folder}: {error.strerror}.",
            "Give -o a folder that may be written to.",
        ) from error
    try:
        yield parts
    except BaseException:
        if parts.empty:
            parts.remove()
        raise
    parts.remove()


def _check(parts: Parts, text: str, *, resume: bool) -> None:
    """Refuse parts that are not to be resumed, or that do not fit; drop what is half-written."""
    if not resume:
        raise OutputError(
            f"An interrupted run has left {len(parts.finished())} finished parts in "
            f"{parts.folder}.",
            "Add --resume to go on with them, or delete that folder.",
        )
    there = parts.folder / _PLAN
    if not there.exists() or there.read_text() != text:
        changed = _changed(there.read_text() if there.exists() else "{}", text)
        raise UsageError(
            f"The parts in {parts.folder} were made otherwise: {changed}.",
            "Repeat the command as it was, or delete that folder to begin anew.",
        )
    for rest in parts.folder.glob("*.writing"):
        rest.unlink()


def _changed(old: str, new: str) -> str:
    """Name what differs between two plans."""
    before, after = dict[str, Any](), json.loads(new)
    with suppress(ValueError):
        before = json.loads(old)
    names = [name for name in after if before.get(name) != after[name]]
    return ", ".join(names) or "of another version"
