"""Writes the result: linear light to codes, codes to a file with its metadata, all or nothing."""

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from burstfix import color
from burstfix.device import lacks_memory
from burstfix.errors import OutputError, UsageError
from burstfix.frame import Box, Curve, Metadata, Size
from burstfix.io import icc
from burstfix.io.atomic import OnExists, replacing, resolve_output
from burstfix.io.coder import Coder
from burstfix.io.exif import (
    Provenance,
    exif_directory,
    exif_for_output,
    is_uncalibrated,
    xmp_packet,
)
from burstfix.io.ifd import Directory
from burstfix.io.png import png_chunks
from burstfix.io.tiff import write_tiff

__all__ = [
    "Canvas",
    "Container",
    "Format",
    "OnExists",
    "Provenance",
    "format_for",
    "is_writable",
    "resolve_output",
    "save",
]

Container = Literal["png", "tiff", "jpeg", "webp"]

_EXTENSIONS: dict[str, Container] = {
    ".png": "png",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
}
_DEPTHS: dict[Container, tuple[int, ...]] = {  # the default first
    "png": (16, 8),
    "tiff": (16, 8, 32),
    "jpeg": (8,),
    "webp": (8,),
}
_LONGEST_SIDE: dict[Container, int] = {"jpeg": 65500, "webp": 16383}


@dataclass(frozen=True, kw_only=True)
class Format:
    """How a picture is stored.

    Args:
        container: the kind of file.
        bit_depth: of a sample: 8 or 16, or 32 for floating point.
        quality: of a JPEG, 1 to 100, always without chroma subsampling; of a WebP, whose
            100 is lossless (below, its format halves the chroma).
        linear: whether samples are linear light and not coded for display.
    """

    container: Container
    bit_depth: int
    quality: int = 95
    linear: bool = False

    @property
    def floating(self) -> bool:
        """Whether samples are floating point: neither rounded nor clipped."""
        return self.bit_depth == 32

    def most_bytes(self, size: Size) -> int:
        """Return about how large the file of a noisy picture of (height, width) gets."""
        samples = 3 * size[0] * size[1]
        lossy = self.container in {"jpeg", "webp"} and self.quality < 100
        return samples // 3 if lossy else samples * self.bit_depth // 8


def format_for(
    path: Path, *, bit_depth: int | None = None, linear: bool = False, quality: int = 95
) -> Format:
    """Choose how to store a picture, by the file's extension.

    Args:
        path: the output.
        bit_depth: 8, 16 or 32; None takes the container's default.
        linear: scene-linear light; TIFF alone, 32 bit unless 16 is asked for.
        quality: of JPEG and WebP, 1 to 100.

    Raises:
        UsageError: the extension is unknown, or the container cannot hold what is asked.
    """
    container = _EXTENSIONS.get(path.suffix.lower())
    if container is None:
        raise UsageError(
            f"No picture format has the extension of {path.name!r}.",
            f"End the output's name in one of {', '.join(_EXTENSIONS)}; or make the folder first, "
            "if it is one.",
        )
    if linear and container != "tiff":
        raise UsageError(
            f"Linear light cannot go into {path.name}.",
            "Name a .tif file, or leave --linear out.",
        )
    depths = (32, 16) if linear else _DEPTHS[container]
    if bit_depth is not None and bit_depth not in depths:
        allowed = " or ".join(str(depth) for depth in sorted(depths))
        kind = f"a linear {container.upper()}" if linear else f"a {container.upper()}"
        other = "" if container == "tiff" else "; name a .png for 16, or a .tif for 16 or 32"
        raise UsageError(
            f"{bit_depth} bits do not go into {kind} file.",
            f"Set --bit-depth to {allowed}{other}.",
        )
    if not 1 <= quality <= 100:
        raise UsageError(f"There is no quality {quality}.", "Set the quality from 1 to 100.")
    return Format(
        container=container, bit_depth=bit_depth or depths[0], quality=quality, linear=linear
    )


def is_writable(path: Path) -> bool:
    """Tell whether a file's extension names a format that can be written."""
    return path.suffix.lower() in _EXTENSIONS


class Canvas:
    """The picture to be written: takes linear light tile by tile, and holds codes.

    Args:
        size: (height, width).
        kind: how it will be stored.
        curve: how light is coded for display; not used where `kind` is linear.

    Raises:
        OutputError: the container holds no picture of that size.
        DeviceError: memory does not.
    """

    def __init__(self, size: Size, kind: Format, curve: Curve) -> None:
        longest = _LONGEST_SIDE.get(kind.container, max(size))
        if max(size) > longest:
            raise OutputError(
                f"A {kind.container.upper()} file holds no side of {max(size)} pixels.",
                "Name a .png or .tif file.",
            )
        self.kind = kind
        self.curve = color.LINEAR if kind.linear else curve
        dtype: Any = {8: np.uint8, 16: np.uint16, 32: np.float32}[kind.bit_depth]
        try:
            self._codes: npt.NDArray[Any] = np.zeros((*size, 3), dtype)
        except MemoryError as error:
            height, width = size
            what = f"for a picture of {height} x {width} pixels"
            raise lacks_memory(torch.device("cpu"), what) from error
        self._coder = None if kind.floating else Coder(self.curve, 2**kind.bit_depth - 1)

    @property
    def array(self) -> npt.NDArray[Any]:
        """What was put so far: RGB codes; (H, W, 3) of uint8, uint16 or float32."""
        return self._codes

    def light(self, box: Box) -> Tensor:
        """Return a box of what was put in linear light, as a reader sees it; (3, h, w) float32."""
        codes = self._codes[box.top : box.bottom, box.left : box.right].astype(np.float32)
        scale = 1 if self.kind.floating else 2**self.kind.bit_depth - 1
        return color.decode(torch.from_numpy(codes / scale).permute(2, 0, 1), self.curve)

    def put(self, top: int, left: int, light: Tensor) -> None:
        """Code a tile and keep it; tiles that do not overlap may come from several threads.

        Args:
            top: row of the tile's upper edge.
            left: column of its left edge.
            light: linear light, clipped here unless the samples are floating point;
                (3, h, w) float32.

        Raises:
            ValueError: the tile holds values that are no numbers, or leaves the picture.
        """
        height, width = light.shape[-2:]
        target = self._codes[top : top + height, left : left + width]
        if top < 0 or left < 0 or target.shape != (height, width, 3):
            raise ValueError(f"A tile of {height} x {width} at ({top}, {left}) leaves the picture.")
        if self._coder is not None:
            self._coder.code(light.detach().cpu().numpy(), target)
            return
        for row in range(0, height, 64):  # band by band, so that copies stay small
            coded = color.encode(light[:, row : row + 64].detach().cpu(), self.curve)
            if not coded.isfinite().all():
                raise ValueError("The picture holds values that are no numbers.")
            target[row : row + 64] = coded.permute(1, 2, 0).numpy()


@dataclass(frozen=True)
class _Labels:
    """Metadata ready to embed; empty is left out."""

    icc: bytes = b""
    exif: bytes = b""
    directory: Directory | None = None  # the same as `exif`
    xmp: bytes = b""


def save(
    canvas: Canvas,
    path: Path,
    *,
    metadata: Metadata,
    provenance: Provenance,
    keep_metadata: bool = True,
    replace: bool = False,
) -> list[str]:
    """Write the picture: wholly, or not at all.

    Args:
        canvas: the picture.
        path: the file, as `resolve_output` returned it.
        metadata: the reference's.
        provenance: how the picture came about: version, backend, inputs and the like.
        keep_metadata: whether EXIF and provenance go along; the profile always does, for
            without it colours are guessed.
        replace: whether a file of that name may be replaced.

    Returns:
        Warnings: what of the metadata could not be kept.

    Raises:
        OutputError: the file cannot be written; an older one is untouched.
    """
    labels, warnings = _labels(canvas, metadata, provenance, keep_metadata=keep_metadata)
    with replacing(path, replace=replace) as file:
        try:
            _encode(canvas, file, labels)
        except (ValueError, struct.error) as error:
            # Only the metadata can be at fault; if it is not, the second try fails as well.
            warnings.append(f"{path.name} is written without metadata: {error}")
            file.seek(0)
            file.truncate()
            try:
                _encode(canvas, file, _Labels(icc=icc.of_curve(canvas.curve)))
            except (ValueError, struct.error) as failure:
                raise OutputError(
                    f"Cannot write {path}: {failure}", "Choose another format by its extension."
                ) from failure
    return warnings


def _labels(
    canvas: Canvas, metadata: Metadata, provenance: Provenance, *, keep_metadata: bool
) -> tuple[_Labels, list[str]]:
    """Make the profile, the EXIF block and the XMP packet, and say what was lost."""
    profile, warnings = _profile(canvas, metadata)
    if not keep_metadata:
        return _Labels(icc=profile), warnings
    size, software = canvas.array.shape[:2], f"burstfix {provenance.get('version', '')}".strip()
    linear = canvas.curve == color.LINEAR
    exif, directory = b"", None
    try:
        directory = exif_directory(metadata, size, software, linear=linear)
        exif = exif_for_output(metadata, size, software, linear=linear)
    except (ValueError, TypeError, OverflowError, struct.error) as error:
        directory = None
        warnings.append(f"The reference's EXIF could not be kept: {error}")
    return _Labels(profile, exif, directory, xmp_packet(provenance)), warnings


def _profile(canvas: Canvas, metadata: Metadata) -> tuple[bytes, list[str]]:
    """Choose the profile that describes the samples."""
    given = metadata.icc
    sound = icc.looks_sound(given)
    warnings = []
    if given and not sound and not icc.is_grey(given):
        warnings.append("The reference's colour profile is damaged; sRGB's primaries are assumed.")
    if canvas.curve == color.LINEAR:
        if sound and not icc.has_primaries(given):
            warnings.append("The reference's profile has no primaries; sRGB's are assumed.")
        return icc.linear(given), warnings
    if not given:  # also raw files, whose curve is a rendering and not the coding
        if canvas.curve == color.SRGB and is_uncalibrated(metadata):
            warnings.append(
                "The reference's EXIF says that its colours are not sRGB's; since it has no "
                "profile, sRGB is assumed."
            )
        return icc.srgb(), warnings
    return (given if sound else icc.of_curve(canvas.curve)), warnings


def _encode(canvas: Canvas, file: BinaryIO, labels: _Labels) -> None:
    """Write the codes in the canvas's container."""
    kind = canvas.kind
    if kind.container == "png":
        chunks = png_chunks(canvas.array, icc=labels.icc, exif=labels.exif, xmp=labels.xmp)
        file.writelines(chunks)
    elif kind.container == "tiff":
        write_tiff(file, canvas.array, icc=labels.icc, exif=labels.directory, xmp=labels.xmp)
    else:
        file.write(_pillow_bytes(canvas, labels))


def _pillow_bytes(canvas: Canvas, labels: _Labels) -> bytes:
    """Encode JPEG or WebP; in memory, since these are small and a file object may be slow."""
    kind, buffer = canvas.kind, io.BytesIO()
    image = Image.fromarray(canvas.array)
    shared: dict[str, Any] = {"icc_profile": labels.icc or None, "xmp": labels.xmp or None}
    shared = {name: value for name, value in shared.items() if value is not None}
    if labels.exif:
        shared["exif"] = b"Exif\0\0" + labels.exif
    if kind.container == "jpeg":
        image.save(buffer, "JPEG", quality=kind.quality, subsampling=0, **shared)
    else:
        lossless = kind.quality == 100
        quality = 50 if lossless else kind.quality  # of lossless files it is the effort
        image.save(buffer, "WEBP", quality=quality, lossless=lossless, **shared)
    return buffer.getvalue()
