"""Write what was restored, with what the report says of it."""

from pathlib import Path

from burstfix import __version__
from burstfix.frame import Frame
from burstfix.io.store import StoredCodes
from burstfix.io.verbatim import pass_on, would_lose
from burstfix.io.write import Canvas, Format, save
from burstfix.restore.options import Options
from burstfix.restore.recorder import Recorder
from burstfix.restore.report import Report


def write_picture(
    canvas: Canvas,
    target: Path,
    reference: Frame,
    kind: Format,
    options: Options,
    recorder: Recorder,
) -> None:
    """Write the picture, and tell what of its metadata was lost.

    What is not restored is passed on as it is where storing it anew would lose something.

    Args:
        canvas: the picture.
        target: the file, as `resolve_output` returned it.
        reference: the frame whose metadata go along.
        kind: how the picture is stored.
        options: whether metadata are kept and a file may be replaced; with the strength at last.
        recorder: of the report, which is written into the picture.

    Raises:
        OutputError: the file cannot be written; an older one is untouched.
    """
    overwrite, source = options.on_exists == "overwrite", reference.path
    # Pixels that were matched to another frame's are others than the file's.
    untouched = options.strength == 0 and isinstance(reference.pixels, StoredCodes)
    if untouched and options.keep_metadata and source and would_lose(source, kind):
        pass_on(source, target, replace=overwrite)
        recorder.note(f"{target.name} is {reference.name} as it was.")
        return
    for warning in save(
        canvas,
        target,
        metadata=reference.metadata,
        provenance=_provenance(recorder.report, options),
        keep_metadata=options.keep_metadata,
        replace=overwrite,
    ):
        recorder.warn(warning)


def _provenance(report: Report, options: Options) -> dict[str, str | float | list[str]]:
    """Tell how the picture came about; it travels in the picture's XMP."""
    return {
        "version": __version__,
        "command": report.task,
        "inputs": [Path(frame.path).name for frame in report.frames if frame.used],
        "reference": Path(report.reference).name,
        "backend": report.backend,
        "weights_sha256": report.weights_sha256 or "",
        "precision": report.precision,
        "settings": [f"{name}={value}" for name, value in options.settings.items()],
        "strength": "" if options.strength == 1 else options.strength,
    }
