"""Writes Bayer DNG files that raw developers open: a mosaic and what is needed to render it."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from burstfix.frame import Metadata
from burstfix.io import ifd
from burstfix.io.atomic import replacing
from burstfix.io.deflate import bands
from burstfix.io.exif import exif_directory
from burstfix.io.ifd import Directory, Field

_PATTERNS = {"RGGB": (0, 1, 1, 2), "BGGR": (2, 1, 1, 0), "GRBG": (1, 0, 2, 1), "GBRG": (1, 2, 0, 1)}
_DAYLIGHT = 21  # EXIF's light source D65
_ORIENTATION = 274


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """What turns the numbers of a mosaic into colour.

    Args:
        pattern: colours of the upper left 2 x 2 pixels, row by row.
        black_level: number without light [DN].
        white_level: number at saturation [DN].
        as_shot_neutral: the camera's R, G and B of a neutral surface under the light of the
            scene, the largest 1.
        color_matrix: camera's R, G and B from XYZ under D65; rows of three.
        noise: variance = shot * signal + read, of signals from 0 at black to 1 at white; None
            where unknown.
    """

    pattern: str = "RGGB"
    black_level: int
    white_level: int
    as_shot_neutral: tuple[float, float, float]
    color_matrix: Sequence[Sequence[float]]
    noise: tuple[float, float] | None = None


def write_dng(
    path: Path,
    mosaic: npt.NDArray[np.uint16],
    *,
    sensor: Sensor,
    metadata: Metadata,
    software: str = "burstfix",
    orientation: int = 1,
    replace: bool = False,
) -> None:
    """Write a raw picture, wholly or not at all.

    Args:
        path: the .dng file.
        mosaic: one number a pixel [DN]; (H, W) uint16, both even.
        sensor: how to read them.
        metadata: camera, exposure, date.
        software: what made it.
        orientation: EXIF's, 1 to 8: how to turn the picture upright.
        replace: whether a file of that name may be replaced.

    Raises:
        OutputError: the file cannot be written.
        ValueError: the mosaic is not of 16 bits, or cuts the pattern.
    """
    if mosaic.dtype != np.uint16 or mosaic.ndim != 2 or any(side % 2 for side in mosaic.shape):
        raise ValueError("A mosaic is an array (H, W) of uint16 with even sides.")
    height, width = mosaic.shape
    told = exif_directory(metadata, (height, width), software, linear=True)
    start = 8
    fields = told.fields | _raw_fields(mosaic, sensor, metadata, start)
    fields[_ORIENTATION] = ifd.short(orientation)
    end = start + mosaic.nbytes + mosaic.nbytes % 2
    with replacing(path, replace=replace) as file:
        file.write(b"II*\0" + struct.pack("<I", end))
        for band in bands(mosaic):
            file.write(mosaic[band].astype("<u2", copy=False).tobytes())
        file.write(ifd.write_directory(Directory(fields, told.children), end))


def _raw_fields(
    mosaic: npt.NDArray[Any], sensor: Sensor, metadata: Metadata, start: int
) -> dict[int, Field]:
    """Return the fields that say how to read the samples, which begin at `start`."""
    height, width = mosaic.shape
    matrix = [value for row in sensor.color_matrix for value in row]
    fields = {
        254: ifd.long(0),  # the main picture
        256: ifd.long(width),
        257: ifd.long(height),
        258: ifd.short(16),
        259: ifd.short(1),  # not compressed
        262: ifd.short(32803),  # colour filter array
        273: ifd.long(start),
        277: ifd.short(1),
        278: ifd.long(height),
        279: ifd.long(mosaic.nbytes),
        284: ifd.short(1),
        33421: ifd.short(2, 2),
        33422: ifd.byte(bytes(_PATTERNS[sensor.pattern])),
        50706: ifd.byte(bytes((1, 4, 0, 0))),  # version
        50707: ifd.byte(bytes((1, 1, 0, 0))),  # the oldest reader that understands it
        50708: ifd.ascii_text(metadata.camera or "burstfix synthetic camera"),
        50710: ifd.byte(bytes((0, 1, 2))),  # planes are R, G, B
        50711: ifd.short(1),  # square pixels in a rectangle
        50713: ifd.short(1, 1),
        50714: ifd.long(sensor.black_level),
        50717: ifd.long(sensor.white_level),
        50721: ifd.signed_rational(*matrix),
        50728: ifd.rational(*sensor.as_shot_neutral),
        50730: ifd.signed_rational(0.0),  # no baseline exposure: render the numbers as they are
        50778: ifd.short(_DAYLIGHT),
    }
    if metadata.taken is not None:
        fields[306] = ifd.ascii_text(metadata.taken.strftime("%Y:%m:%d %H:%M:%S"))
    if sensor.noise is not None:
        fields[51041] = Field(12, struct.pack("<2d", *sensor.noise))
    return fields
