"""From what was typed to single photographs, and from them to the names of their pictures."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from burstfix.errors import InputError, OutputError, UsageError
from burstfix.io.write import format_for, is_writable
from burstfix.restore.inputs import (
    BurstFiles,
    expand,
    fill_names,
    first_clash,
    natural_key,
    no_picture,
    pictures_in,
    tell_foreign,
    tell_previews,
    without_worked,
)
from burstfix.restore.options import Options
from burstfix.restore.report import Reporter

KEEP = "keep"  # in place of an extension: the photograph's own, where it can be written


@dataclass(frozen=True, kw_only=True)
class Photograph:
    """A photograph, and the folder that was named and holds it, at whatever depth."""

    path: Path
    folder: Path | None = None


def find_photographs(
    arguments: Sequence[str | Path], output: Path, reporter: Reporter | None = None
) -> list[Photograph]:
    """Expand files, globs and folders, with the folders in them, to photographs.

    What lies in the output folder is left out, so that a later run does not restore results.
    So are hidden files and folders, links to folders, and files that are no pictures by name.

    Args:
        arguments: what was typed.
        output: where results go.
        reporter: is told what was left out; None is silent.

    Returns:
        The photographs in natural order.

    Raises:
        InputError: something does not exist or cannot be listed, or a folder has no picture.
    """
    photographs: list[Photograph] = []
    for path in (found for argument in arguments for found in expand(argument)):
        if not path.is_dir():
            photographs.append(Photograph(path=path))
            continue
        apart = (output.parent if "{" in output.name else output).resolve()
        files = _walk(path, apart, reporter or Reporter())
        photographs += [Photograph(path=file, folder=path) for file in files]
    return list(dict.fromkeys(photographs))


def place(
    photographs: Sequence[Photograph],
    output: Path,
    ending: str | None,
    usual: str,
    backend: str,
    reporter: Reporter | None = None,
) -> list[Path]:
    """Decide where each photograph's picture goes.

    Args:
        photographs: what is to be restored.
        output: a file, for one photograph; a folder, in which the folders that were named are
            mirrored (one folder's contents directly, several each under its name); or a name with
            fields in braces, as `inputs.fill_names`.
        ending: extension without the dot in a folder, or `KEEP`; None takes the usual one.
        usual: the usual one.
        backend: fills {backend}.
        reporter: is told of photographs that do not tell their {date}; None is silent.

    Raises:
        UsageError: two photographs would be written to one file, or what is asked for contradicts
            itself.
        InputError: {date} is asked for, and no file can be read.
    """
    in_folder = _names_folder(photographs, output)
    if in_folder:
        several = len({photograph.folder for photograph in photographs}) > 1
        outputs = [
            output
            / _below(photograph, several=several).with_suffix(
                _suffix(photograph.path, ending or usual)
            )
            for photograph in photographs
        ]
    elif ending is not None:
        raise UsageError(
            f"--format is for folders; {output.name} tells its format itself.",
            "Leave --format out, or name a folder.",
        )
    else:
        bursts = [BurstFiles(files=(photograph.path,)) for photograph in photographs]
        outputs = fill_names(output, bursts, backend, reporter, usual=usual)
    _refuse_collisions(photographs, outputs, in_folder=in_folder)
    return outputs


def check_outputs(
    photographs: Sequence[Photograph], outputs: Sequence[Path], options: Options
) -> None:
    """Check all before work begins: formats, and that results are kept apart from inputs.

    Raises:
        UsageError: a format cannot hold what is asked for.
        OutputError: an input would be replaced, or a result be taken for an input by a later run.
    """
    for example in {output.suffix.lower(): output for output in outputs}.values():
        format_for(
            example, bit_depth=options.bit_depth, linear=options.linear, quality=options.quality
        )
    inputs = {_identity(photograph.path): photograph.path for photograph in photographs}
    folders = {photograph.folder.resolve() for photograph in photographs if photograph.folder}
    taken = {photograph.path.parent.resolve() for photograph in photographs if photograph.folder}
    for output in outputs:
        if options.on_exists != "rename" and output.exists() and _identity(output) in inputs:
            source = inputs[_identity(output)]
            raise OutputError(
                f"The output {output} is the input {source}; inputs are never replaced.",
                "Give -o another folder, or the pictures another --format.",
            )
        if output.parent.resolve() in taken | folders:
            raise OutputError(
                f"{output} would lie among the photographs, and the next run would restore it "
                "again.",
                "Give -o a folder of its own; it may lie inside.",
            )


def _walk(folder: Path, apart: Path, reporter: Reporter) -> list[Path]:
    """List the pictures in a folder and in the folders in it but `apart`, in natural order."""

    def fail(error: OSError) -> None:
        raise InputError(
            f"The folder {error.filename} cannot be listed: {error.strerror}.",
            "Change its permissions, or name the other folders one by one.",
        ) from error

    files: list[Path] = []
    foreign: Counter[str] = Counter()  # told once, however many folders hold some
    for place_, inner, _ in os.walk(folder, onerror=fail):
        here = Path(place_)
        shown = (here / name for name in inner if not name.startswith("."))
        kept = sorted((path for path in shown if path.resolve() != apart), key=natural_key)
        inner[:] = [path.name for path in kept]
        listing = pictures_in(here)
        tell_previews(here, listing, reporter)
        files += without_worked(here, listing.files, reporter)
        foreign += listing.foreign
    if not files:
        raise no_picture(folder, foreign)
    tell_foreign(folder, foreign, reporter)
    return files


def _names_folder(photographs: Sequence[Photograph], output: Path) -> bool:
    """Tell whether `output` is a folder; many photographs go into one, or get names with fields."""
    if "{" in output.name:
        return False
    many = len(photographs) > 1 or any(photograph.folder for photograph in photographs)
    if many and not output.is_dir() and is_writable(output):
        raise UsageError(
            f"{len(photographs)} photographs cannot be written to one file, {output}.",
            'Name a folder, or use a field, as in -o "{stem}-sharp.png".',
        )
    return many or output.is_dir() or not output.suffix


def _below(photograph: Photograph, *, several: bool) -> Path:
    """Return where a photograph lies below the folder that was named."""
    if photograph.folder is None:
        return Path(photograph.path.name)
    inside = photograph.path.relative_to(photograph.folder)
    return photograph.folder.resolve().name / inside if several else inside


def _suffix(path: Path, ending: str) -> str:
    if ending != KEEP:
        return f".{ending}"
    return path.suffix if is_writable(path) else ".png"


def _refuse_collisions(
    photographs: Sequence[Photograph], outputs: Sequence[Path], *, in_folder: bool
) -> None:
    if clash := first_clash(outputs):
        one, other = (photographs[number].path for number in clash)
        told_apart = len({_suffix(path, KEEP).casefold() for path in (one, other)}) > 1
        keep = ", or try --format keep" if in_folder and told_apart else ""
        raise UsageError(
            f"{one} and {other} would both be written to {outputs[clash[1]]}.",
            f"Rename one, or restore them into different folders{keep}.",
        )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None  # a missing input is told when it is read
    return status.st_dev, status.st_ino
