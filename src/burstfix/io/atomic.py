"""Where output goes: never over an input, and never half-written."""

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO, Literal

from burstfix.errors import OutputError

OnExists = Literal["fail", "skip", "overwrite", "rename"]

_OWN_FILES = Path("/proc/self/fd")
_MENDS = {
    errno.ENOSPC: "Free some space, or give -o a folder on another disk.",
    errno.EDQUOT: "Free some space, or give -o a folder on another disk.",
    errno.EFBIG: "Give -o a folder on a disk that holds large files.",
    errno.EROFS: "Give -o a folder that can be written to.",
    errno.EACCES: "Give -o a folder that you may write to, or change its permissions.",
    errno.EPERM: "Give -o a folder that you may write to, or change its permissions.",
    errno.ENAMETOOLONG: "Give -o a shorter name.",
}


def resolve_output(
    path: Path, *, on_exists: OnExists, inputs: Sequence[Path] = (), needed_bytes: int = 0
) -> Path | None:
    """Decide where to write, before any work is done. Changes nothing on the disk.

    Args:
        path: the output that was asked for.
        on_exists: what to do when it is there already.
        inputs: files that must not be replaced, under whatever name they are reached.
        needed_bytes: room that the disk must have.

    Returns:
        The file to write; its folder may still be missing. None: skip.

    Raises:
        OutputError: it must not or cannot be written.
    """
    try:
        _check_target(path, inputs if on_exists != "rename" else ())
        target = _beside(path, on_exists) if os.path.lexists(path) else path
        if target:
            _check_folder(target, needed_bytes)
    except OSError as error:
        raise _translated(path, error) from error
    return target


def resolve_folder(path: Path, *, on_exists: OnExists) -> Path | None:
    """Decide which folder to fill, before any work is done. Changes nothing on the disk.

    Args:
        path: the folder that was asked for; an empty one is as good as none.
        on_exists: what to do when something is in it already.

    Returns:
        The folder; it may still be missing. None: skip.

    Raises:
        OutputError: it must not or cannot be written.
    """
    try:
        if os.path.lexists(path) and not path.is_dir():
            raise OutputError(f"The output {path} is a file.", "Give -o another name.")
        target = _beside(path, on_exists) if path.is_dir() and any(path.iterdir()) else path
        if target:
            _check_folder(target / "picture", 0)
    except OSError as error:
        raise _translated(path, error) from error
    return target


def move_into(folder: Path, files: Sequence[Path]) -> None:
    """Move files into a folder, each whole or not at all; it may lie on another disk.

    Raises:
        OutputError: one cannot be moved; it and those after it stay where they were.
    """
    for file in files:
        target = folder / file.name
        try:
            file.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise _translated(target, error) from error
            with replacing(target, replace=True) as copy, file.open("rb") as whole:
                shutil.copyfileobj(whole, copy)
            file.unlink()


@contextmanager
def replacing(path: Path, *, replace: bool = False) -> Iterator[BinaryIO]:
    """Open a temporary file that takes the target's name once the block ends well.

    The folder is made where it is missing. Whatever happens meanwhile, the target is what it
    was before, or the whole new file; on an error or Ctrl-C the temporary file goes away. On
    Linux it has no name until it is whole, if the file system can do so: there even a process
    that is killed leaves nothing behind.

    Args:
        path: the target. Where it is a link, the file that it points to is replaced.
        replace: whether a target may be there already.

    Raises:
        OutputError: the file cannot be written, or the target appeared meanwhile.
    """
    temporary: Path | None = None
    try:
        target = path.resolve() if path.is_symlink() else path
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".burstfix-{secrets.token_hex(8)}.tmp")
        with _nameless(target.parent) or temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if not temporary.exists():
                # Fails where the name is taken, so without replacing there is no other name.
                _name(file, temporary if replace else target)
        if temporary.exists():
            _move(temporary, target, replace=replace)
        _sync_folder(target.parent)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise _translated(path, error) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _beside(path: Path, on_exists: OnExists) -> Path | None:
    """Decide where what is asked for goes instead of a path that is taken; None: skip."""
    if on_exists == "fail":
        raise _exists(path)
    if on_exists == "skip":
        return None
    return _free_name(path) if on_exists == "rename" else path


def _check_target(path: Path, inputs: Sequence[Path]) -> None:
    """Refuse folders, devices and inputs."""
    if not path.name or path.is_dir():
        raise OutputError(
            f"The output {path} is a folder.", "Name a file in it, as in -o folder/picture.png."
        )
    if not path.exists():
        return
    if not stat.S_ISREG(path.stat().st_mode):
        raise OutputError(f"The output {path} is not an ordinary file.", "Give -o another name.")
    for source in inputs:
        # By inode: links, and names in another case where the system ignores case, are caught.
        if source.exists() and source.samefile(path):
            raise OutputError(
                f"The output {path} is the input {source}; inputs are never replaced.",
                "Give -o another name or folder.",
            )


def _check_folder(path: Path, needed_bytes: int) -> None:
    """Refuse a folder that cannot be made or written to, or a full disk."""
    folder = path.absolute().parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise OutputError(f"{folder} is not a folder.", f"Choose another folder for {path.name}.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"The folder {folder} cannot be written to.", _MENDS[errno.EACCES])
    if needed_bytes and shutil.disk_usage(folder).free < needed_bytes:
        raise OutputError(
            f"The disk of {folder} lacks the {needed_bytes / 1e6:.0f} MB that {path.name} needs.",
            _MENDS[errno.ENOSPC],
        )


def _free_name(path: Path) -> Path:
    """Return the first of name-1, name-2, ... that is free."""
    names = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(1))
    return next(name for name in names if not os.path.lexists(name))


def _nameless(folder: Path) -> BinaryIO | None:
    """Open a file without a name, which is gone with the process; None where that is not to be."""
    if not hasattr(os, "O_TMPFILE") or not _OWN_FILES.is_dir():
        return None
    try:
        return os.fdopen(os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o666), "wb")
    except OSError:  # a file system that lacks it; what else is wrong shows when a name is given
        return None


def _name(file: BinaryIO, path: Path) -> None:
    """Give a file without a name one."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:  # an absolute path ignores the folder, but only with one does Python follow the link
        os.link(_OWN_FILES / str(file.fileno()), path.absolute(), src_dir_fd=folder)
    finally:
        os.close(folder)


def _move(temporary: Path, target: Path, *, replace: bool) -> None:
    """Give the finished file its name; FileExistsError where that is taken and must not be."""
    if replace:
        if target.exists():  # as an editor would: who may read it stays as it was
            shutil.copymode(target, temporary)
        temporary.replace(target)
        return
    try:
        target.hardlink_to(temporary)  # unlike a rename, this fails where the name is taken
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        temporary.replace(target)


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a power cut, where the system can."""
    with suppress(OSError):  # Windows opens no folders; some network disks sync none
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _exists(path: Path) -> OutputError:
    """Make the error of a target that is there already."""
    return OutputError(
        f"The output {path} exists already.",
        "Add --on-exists overwrite, skip or rename, or give -o another name.",
    )


def _translated(path: Path, error: OSError) -> OutputError:
    """Turn a system's error into one with a mend."""
    reason = error.strerror or str(error)
    mend = _MENDS.get(error.errno or 0, "Check the folder and the disk, or give -o another one.")
    return OutputError(f"Cannot write {path}: {reason}.", mend)
