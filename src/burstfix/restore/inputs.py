"""From what was typed to bursts of files, and from bursts to the names of their pictures."""

import glob
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from burstfix.errors import InputError, UsageError
from burstfix.io.mark import is_result
from burstfix.restore.report import Reporter

_RASTER = ".jpg .jpeg .jpe .png .tif .tiff .webp .avif .jp2 .j2k .bmp .ppm .pgm .pnm"
RASTER_SUFFIXES = frozenset(_RASTER.split())
_RAW = (
    ".3fr .ari .arw .bay .cap .cr2 .cr3 .crw .dcr .dcs .dng .erf .fff .gpr .iiq .k25 .kdc .mdc"
    " .mef .mos .mrw .nef .nrw .orf .pef .ptx .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f"
)
RAW_SUFFIXES = frozenset(_RAW.split())
_JPEG = frozenset({".jpg", ".jpeg", ".jpe"})
_HEIF = frozenset({".heic", ".heif", ".hif"})
_FOREIGN = {  # what cannot be read
    **dict.fromkeys(_HEIF, "HEIC"),
    ".jxl": "JPEG XL",
    ".gif": "GIF",
    ".psd": "PSD",
    ".psb": "PSD",
}
_FOREIGN_MENDS = {
    "HEIC": "Convert them to JPEG or TIFF, or set the phone to take its most compatible format.",
    "JPEG XL": "Convert them to PNG or TIFF; djxl of libjxl does so without loss.",
    "GIF": "Give photographs: raw, JPEG, PNG, TIFF or WebP.",
    "PSD": "Save them as TIFF in the editor.",
}
NAME_FIELDS = ("stem", "first", "last", "n", "date", "backend", "ext")


@dataclass(frozen=True, kw_only=True)
class BurstFiles:
    """The files of one burst, in order, and the folder they were found in if one was named."""

    files: tuple[Path, ...]
    folder: Path | None = None

    @property
    def name(self) -> str:
        """What a person would call it: the folder's name, else the first file's stem."""
        return self.folder.resolve().name if self.folder else self.files[0].stem


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The pictures in a folder.

    Args:
        files: in natural order.
        previews: how many files were left out since the raw files beside them stand for them.
        foreign: how many cannot be read, by format.
    """

    files: tuple[Path, ...]
    previews: int
    foreign: Counter[str]


def find_bursts(
    arguments: Sequence[str | Path],
    reporter: Reporter | None = None,
    *,
    output: Path | None = None,
) -> list[BurstFiles]:
    """Expand files, folders and globs to bursts: all files named are one, each folder is one.

    Globs are expanded here too, since Windows shells do not; a file whose name contains
    brackets is taken literally where it exists.

    Args:
        arguments: what was typed.
        reporter: is told what was left out; None is silent.
        output: where results go. In folders, earlier results are then no frames; and where it is
            a folder itself that is no burst, unless it is the only one. None takes all pictures.

    Raises:
        InputError: something does not exist, or a folder has no picture, or all have none but
            results.
    """
    told = reporter or Reporter()
    found = [path for argument in arguments for path in expand(argument)]
    folders = [path for path in found if path.is_dir()]
    loose = _refuse_repeats([path for path in found if not path.is_dir()])
    bursts = [BurstFiles(files=tuple(loose))] if loose else []
    if output is not None:
        folders = _without_target(folders, output.resolve(), told)
    bare = []
    for folder in folders:
        if files := _frames_in(folder, told, results=output is None):
            bursts.append(BurstFiles(files=tuple(files), folder=folder))
        else:
            bare.append(folder)
    if bare and not bursts:
        raise InputError(
            f"{bare[0]} holds no picture but those that burstfix restored.",
            "Name another folder, or these pictures themselves.",
        )
    for folder in bare:
        told.warn(f"{folder} is left out: burstfix restored all pictures in it.")
    return bursts


def _without_target(folders: list[Path], target: Path, reporter: Reporter) -> list[Path]:
    """Leave out the folder that results go to, which a glob takes along in a later run."""
    others = [folder for folder in folders if folder.resolve() != target]
    if not others or len(others) == len(folders):
        return folders
    reporter.warn(f"{target} is left out: it is where -o puts the results.")
    return others


def _frames_in(folder: Path, reporter: Reporter, *, results: bool) -> list[Path]:
    """List a folder's pictures; unless asked for, without those that burstfix restored.

    Raises:
        InputError: the folder has no picture at all.
    """
    listing = pictures_in(folder)
    if not listing.files:
        raise no_picture(folder, listing.foreign)
    tell_foreign(folder, listing.foreign, reporter)
    tell_previews(folder, listing, reporter)
    frames = [path for path in listing.files if results or _is_raw(path) or not is_result(path)]
    if count := len(listing.files) - len(frames):
        reporter.note(f"{folder}: pictures that burstfix restored are left out ({count}).")
    return without_worked(folder, frames, reporter)


def without_worked(folder: Path, pictures: Sequence[Path], reporter: Reporter) -> list[Path]:
    """Leave out what was made of raw files beside them, and warn of it."""
    raw_stems = {path.stem for path in pictures if _is_raw(path)}
    worked = [path for path in pictures if path.stem in raw_stems and not _is_raw(path)]
    if worked:
        names = ", ".join(path.name for path in worked)
        reporter.warn(f"{folder}: the raw files are taken, not what was made of them: {names}.")
    return [path for path in pictures if path not in set(worked)]


def natural_key(path: Path) -> tuple[tuple[int, int | str], ...]:
    """Sort key under which IMG_9 comes before IMG_10."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts if part)


def name_outputs(
    template: Path,
    bursts: Sequence[BurstFiles],
    backend: str,
    reporter: Reporter | None = None,
    *,
    usual: str = "png",
) -> list[Path]:
    """Decide where each burst's picture goes.

    Args:
        template: a file name; a folder (one that exists, or a name without a suffix); or a
            name with fields in braces: {stem} {first} {last} {n} {date} {backend} {ext}.
        bursts: what is to be restored.
        backend: fills {backend}.
        reporter: is told of bursts that do not tell their {date}; None is silent.
        usual: extension without the dot, in a folder and for {ext}.

    Raises:
        UsageError: an unknown field, or two bursts would write the same file.
        InputError: {date} is asked for, and no file can be read.
    """
    folder_wanted = template.is_dir() or (not template.suffix and "{" not in template.name)
    if folder_wanted:
        outputs = [template / f"{burst.name}.{usual}" for burst in bursts]
    else:
        outputs = fill_names(template, bursts, backend, reporter, usual=usual)
    if clash := first_clash(outputs):
        one, other = (bursts[number].folder or bursts[number].files[0] for number in clash)
        raise UsageError(
            f"The bursts {one} and {other} would be written to the same file, {outputs[clash[1]]}.",
            "Give a folder as -o, one that exists where its name has a dot; or use {stem} in its "
            "name. Give the bursts' folders different names.",
        )
    return outputs


def first_clash(outputs: Sequence[Path]) -> tuple[int, int] | None:
    """Return the numbers of the first two outputs that would be one file; None if none are."""
    first: dict[str, int] = {}
    for number, output in enumerate(outputs):
        # Where the system ignores case, or how accents are composed, these are one file.
        key = unicodedata.normalize("NFC", str(output)).casefold()
        if key in first:
            return first[key], number
        first[key] = number
    return None


def expand(argument: str | Path) -> list[Path]:
    """Expand a glob, in natural order; what exists stands for itself.

    Raises:
        InputError: there is nothing of this name, or it may not be looked at.
    """
    try:
        there = Path(argument).exists()
    except OSError as error:
        raise _closed(Path(argument), error) from error
    if there:
        return [Path(argument)]
    if glob.has_magic(str(argument)):
        matches = sorted((Path(match) for match in glob.glob(str(argument))), key=natural_key)  # noqa: PTH207 may be absolute
        if matches:
            return matches
        raise InputError(f"No file matches {argument}.", "Check the pattern and the folder.")
    raise InputError(f"{argument} does not exist.", "Check the name and the folder.")


def pictures_in(folder: Path) -> Listing:
    """List a folder's pictures; a raw file stands for the JPEG or HEIF file beside it.

    Raises:
        InputError: the folder cannot be listed.
    """
    try:
        seen = [
            path
            for path in sorted(folder.iterdir(), key=natural_key)
            if path.is_file() and not path.name.startswith(".")
        ]
    except OSError as error:
        raise _closed(folder, error) from error
    raw_stems = {path.stem for path in seen if _is_raw(path)}
    # A camera writes these beside its raw files; a TIFF or PNG file there is someone's work.
    previews = [
        path for path in seen if path.stem in raw_stems and path.suffix.lower() in _JPEG | _HEIF
    ]
    rest = [path for path in seen if path not in set(previews)]
    formats = [_FOREIGN.get(path.suffix.lower()) for path in rest]
    return Listing(
        files=tuple(path for path in rest if path.suffix.lower() in RASTER_SUFFIXES | RAW_SUFFIXES),
        previews=len(previews),
        foreign=Counter(kind for kind in formats if kind),
    )


def tell_previews(folder: Path, listing: Listing, reporter: Reporter) -> None:
    """Tell that raw files were taken, and not what the camera wrote beside them."""
    if listing.previews:
        reporter.note(
            f"{folder}: took the raw files, not the {listing.previews} pictures beside them."
        )


def tell_foreign(folder: Path, foreign: Counter[str], reporter: Reporter) -> None:
    """Warn of photographs in a folder that cannot be read.

    Args:
        folder: where they are.
        foreign: how many, by format.
        reporter: is told.
    """
    for kind in foreign:
        told = _counted(kind, foreign[kind])
        reporter.warn(
            f"{folder}: {told} left out, which burstfix cannot read. {_FOREIGN_MENDS[kind]}"
        )


def no_picture(folder: Path, foreign: Counter[str]) -> InputError:
    """Make the error of a folder without pictures, but for some that cannot be read."""
    if foreign:
        told = " and ".join(_counted(kind, foreign[kind]) for kind in foreign)
        return InputError(
            f"{folder} holds no picture but {told}, which burstfix cannot read.",
            " ".join(_FOREIGN_MENDS[kind] for kind in foreign),
        )
    return InputError(
        f"{folder} holds no picture.", "Name a folder with raw files, JPEG, PNG, TIFF or WebP."
    )


def _counted(kind: str, count: int) -> str:
    return f"{count} {kind} {'file' if count == 1 else 'files'}"


def _is_raw(path: Path) -> bool:
    return path.suffix.lower() in RAW_SUFFIXES


def _closed(path: Path, error: OSError) -> InputError:
    return InputError(
        f"{path} cannot be looked into: {error.strerror}.",
        "Change its permissions, or name what you may read.",
    )


def _refuse_repeats(files: list[Path]) -> list[Path]:
    for path, count in Counter(path.resolve() for path in files).items():
        if count > 1:
            raise UsageError(f"{path} was given {count} times.", "Name each frame once.")
    return files


def fill_names(
    template: Path,
    bursts: Sequence[BurstFiles],
    backend: str,
    reporter: Reporter | None = None,
    *,
    usual: str = "png",
) -> list[Path]:
    """Fill the fields in braces of outputs' names, as `name_outputs`.

    Raises:
        UsageError: a field is not known.
        InputError: {date} is asked for, and no file can be read.
    """
    dates: dict[Path, str] = {}
    if "{date}" in str(template):
        dates = _dates_of([burst.files[0] for burst in bursts], reporter or Reporter())
    ending = template.suffix.lstrip(".")
    shared = {"backend": backend, "ext": ending if ending and "{" not in ending else usual}
    return [_fill(template, burst, shared, dates.get(burst.files[0], "")) for burst in bursts]


def _fill(template: Path, burst: BurstFiles, shared: dict[str, str], date: str) -> Path:
    fields = shared | {
        "stem": burst.name,
        "first": burst.files[0].stem,
        "last": burst.files[-1].stem,
        "n": str(len(burst.files)),
    }
    if date:
        fields["date"] = date
    try:
        return Path(str(template).format_map(fields))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"-o {template} has a field that is not known.",
            "Known are " + " ".join(f"{{{name}}}" for name in NAME_FIELDS) + ".",
        ) from error


def _dates_of(paths: Sequence[Path], reporter: Reporter) -> dict[Path, str]:
    """Return the days on which photographs were taken; "undated" where a file does not tell.

    A file that cannot be read fails when it is restored, and stops no other here.
    """
    from burstfix.io.decode import probe  # only where {date} asks for it

    try:
        looks = probe(paths, skip_bad=True)
    except InputError:  # none can be read
        looks = []
    taken = {look.path: look.metadata.taken for look in looks}
    dates = {}
    for path in paths:
        moment = taken.get(path)
        dates[path] = moment.strftime("%Y-%m-%d") if moment else "undated"
        if moment is None:
            reporter.warn(f"{path.name} does not tell when it was taken; {{date}} becomes undated.")
    return dates
