"""Files that `burstfix synth` writes."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from burstfix.frame import Curve, Metadata
    from burstfix.synth.render_pair import RenderedPair


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


def neutral(white_balance: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return the camera's colour of a neutral surface, the largest channel 1."""
    least = min(white_balance)
    red, green, blue = (least / gain for gain in white_balance)
    return red, green, blue


def write_pair_frame(rendered: "RenderedPair", index: int, path: Path) -> None:
    """Write the short or the long frame of a pair; with the short one the truth."""
    from datetime import datetime, timedelta

    from burstfix import color
    from burstfix.frame import Metadata
    from burstfix.io.dng import Sensor, write_dng
    from burstfix.synth import render

    raw = path.suffix == ".dng"
    taken = datetime(2024, 1, 1, 20, 0) + timedelta(milliseconds=50 * index)
    exposure_s = 1 / 8 if index else rendered.light / 8
    metadata = Metadata(
        exposure_s=exposure_s, iso=800, aperture=2.0, taken=taken, camera="burstfix"
    )
    if index == 0:
        curve = color.NEUTRAL if raw else color.SRGB
        write_png(rendered.truth(), truth_path(path), metadata, curve)
    if not raw:
        write_png(rendered.linear(index), path, metadata, color.SRGB)
        return
    sensor = Sensor(
        black_level=render.BLACK_LEVEL_DN,
        white_level=render.WHITE_LEVEL_DN,
        as_shot_neutral=neutral(rendered.white_balance),
        color_matrix=color.SRGB_FROM_XYZ,
        noise=rendered.noise(index),
    )
    write_dng(path, rendered.mosaic(index).numpy(), sensor=sensor, metadata=metadata)
