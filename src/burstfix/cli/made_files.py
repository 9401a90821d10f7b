"""Files that `burstfix synth` writes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from burstfix.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from burstfix.frame import Curve, Metadata
    from burstfix.synth.render_pair import RenderedPair
    from burstfix.synth.render_single import RenderedSingle
    from burstfix.synth.render_video import RenderedVideo


def write_png(light: "Tensor", path: Path, metadata: "Metadata", curve: "Curve") -> None:
    """Write a picture in linear light, (3, h, w), as 16-bit PNG, coded by a curve."""
    from burstfix import __version__
    from burstfix.io.write import Canvas, format_for, save

    size = (light.shape[1], light.shape[2])
    canvas = Canvas(size, format_for(path), curve)
    canvas.put(0, 0, light)
    save(canvas, path, metadata=metadata, provenance={"version": __version__}, replace=True)


def truth_path(path: Path) -> Path:
    """Name the file with the truth of a frame."""
    return path.parent / "truth" / f"{path.stem}.png"


def refuse_present(paths: "Sequence[Path]") -> None:
    """Refuse to write over frames, or over the truth of others.

    Raises:
        OutputError: one is there.
    """
    for path in (*paths, *map(truth_path, paths)):
        if path.exists():
            raise OutputError(f"{path} exists already.", "Name an empty folder with -o.")


def neutral(white_balance: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return the camera's colour of a neutral surface, the largest channel 1."""
    least = min(white_balance)
    red, green, blue = (least / gain for gain in white_balance)
    return red, green, blue


def write_pair_frame(rendered: "RenderedPair", index: int, path: Path) -> None:
    """Write the short or the long frame of a pair; with the short one the truth."""
    from burstfix import color

    metadata = _taken(1 / 8 if index else rendered.light / 8, 50 * index)
    if index == 0:
        _write_truth(rendered.truth(), path, metadata)
    if path.suffix == ".dng":
        pixels = rendered.mosaic(index)
        _write_raw(pixels, path, rendered.white_balance, rendered.noise(index), metadata)
    else:
        write_png(rendered.linear(index), path, metadata, color.SRGB)


def write_single(rendered: "RenderedSingle", path: Path) -> None:
    """Write a shaken frame, its truth, and a record of how it was made."""
    from burstfix import color

    metadata = _taken(rendered.exposure_s, 0)
    if path.suffix == ".dng":
        pixels = rendered.mosaic()
        _write_raw(pixels, path, rendered.white_balance, rendered.noise, metadata)
    else:
        write_png(rendered.linear(), path, metadata, color.SRGB)
    _write_truth(rendered.truth(), path, metadata)
    record = {
        "size": rendered.size,
        "noise_sigma": rendered.sigma,
        "extent_px": round(rendered.extent_px, 2),
        "exposure_s": round(rendered.exposure_s, 4),
        "way_of_the_middle_px": rendered.way().tolist(),
    }
    write_record(record, truth_path(path).with_suffix(".json"))


def write_video(
    rendered: "RenderedVideo", folder: Path, *, film: bool, report: "Callable[[], None]"
) -> None:
    """Write a film, as one file or as pictures; the truth of each frame; and how it was made.

    Args:
        rendered: the film.
        folder: where it goes.
        film: whether to write `film.mov`; else a PNG file a frame.
        report: called after each frame.
    """
    from burstfix import color
    from burstfix.frame import Metadata
    from burstfix.synth.render_video import RATE

    if film:
        _write_mov(rendered, folder / "film.mov")
    for index in range(rendered.frames):
        path = folder / f"{index + 1:04}.png"
        if not film:
            metadata = _taken(rendered.exposure / RATE, 1000 * index // RATE)
            write_png(rendered.linear(index), path, metadata, color.SRGB)
        write_png(rendered.truth(index), truth_path(path), Metadata(), color.SRGB)
        report()
    record = {
        "size": rendered.size,
        "frames_per_s": RATE,
        "exposure": rendered.exposure,
        "noise_sigma": rendered.sigma,
        "extents_px": [round(extent, 2) for extent in rendered.extents_px()],
    }
    write_record(record, folder / "truth" / "film.json")


def _write_mov(rendered: "RenderedVideo", path: Path) -> None:
    """Encode a film as H.264."""
    from fractions import Fraction

    from burstfix.io.atomic import replacing
    from burstfix.io.video import choose_encoding
    from burstfix.io.video.encode import SegmentWriter
    from burstfix.restore.film import pictures_info
    from burstfix.synth.render_video import RATE

    info = pictures_info(path, rendered.size, rendered.frames, Fraction(RATE))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, replace=False) as file:
        writer = SegmentWriter(file, choose_encoding(path, info), 0)
        for index in range(rendered.frames):
            writer.put(rendered.linear(index), index, 1)
        writer.close()


def write_record(record: "Mapping[str, Any]", path: Path) -> None:
    """Write figures of how files were made, as JSON."""
    import json

    from burstfix.io.atomic import replacing

    with replacing(path, replace=True) as file:
        file.write(json.dumps(record, indent=1).encode())


def _taken(exposure_s: float, after_ms: int) -> "Metadata":
    """Return what a camera would tell of a frame."""
    from datetime import datetime, timedelta

    from burstfix.frame import Metadata

    taken = datetime(2024, 1, 1, 20, 0) + timedelta(milliseconds=after_ms)
    return Metadata(exposure_s=exposure_s, iso=800, aperture=2.0, taken=taken, camera="burstfix")


def _write_truth(light: "Tensor", path: Path, metadata: "Metadata") -> None:
    """Write the truth of a frame, coded as the frame will be shown."""
    from burstfix import color

    curve = color.NEUTRAL if path.suffix == ".dng" else color.SRGB
    write_png(light, truth_path(path), metadata, curve)


def _write_raw(
    pixels: "Tensor",
    path: Path,
    white_balance: tuple[float, float, float],
    noise: tuple[float, float],
    metadata: "Metadata",
) -> None:
    """Write a mosaic as DNG."""
    from burstfix import color
    from burstfix.io.dng import Sensor, write_dng
    from burstfix.synth import render

    sensor = Sensor(
        black_level=render.BLACK_LEVEL_DN,
        white_level=render.WHITE_LEVEL_DN,
        as_shot_neutral=neutral(white_balance),
        color_matrix=color.SRGB_FROM_XYZ,
        noise=noise,
    )
    write_dng(path, pixels.numpy(), sensor=sensor, metadata=metadata)
