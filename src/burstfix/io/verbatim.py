"""Pass on a file as it is, where storing its picture anew would lose something and gain nothing."""

import shutil
from pathlib import Path

from burstfix.errors import InputError
from burstfix.io.atomic import replacing
from burstfix.io.write import Format

_LOSSY = {"jpeg": b"\xff\xd8\xff", "webp": b"RIFF"}  # what files of these containers begin with


def would_lose(path: Path, kind: Format) -> bool:
    """Tell whether a file is of a container that loses detail whenever it is written.

    Args:
        path: the file of the picture, as a camera or a program wrote it.
        kind: how the picture would be stored, untouched.
    """
    begins = _LOSSY.get(kind.container)
    if begins is None or kind.quality != Format.quality:
        return False  # who asks for a quality wants its size
    try:
        with path.open("rb") as file:
            return file.read(len(begins)) == begins
    except OSError:
        return False


def pass_on(path: Path, target: Path, *, replace: bool) -> None:
    """Copy a file: wholly, or not at all.

    Args:
        path: the file.
        target: the copy, as `atomic.resolve_output` returned it.
        replace: whether a file of that name may be replaced.

    Raises:
        InputError: the file cannot be read any more.
        OutputError: the copy cannot be written; an older file is untouched.
    """
    try:
        source = path.open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read any more: {error}.", "Run it again.") from error
    with source, replacing(target, replace=replace) as file:
        shutil.copyfileobj(source, file)
