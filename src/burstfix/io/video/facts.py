"""What a film's file tells of it, and the planes of its frames."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from burstfix.frame import Curve, Size
from burstfix.io.video.planes import Chroma, Plane, PlaneFormat
from burstfix.io.video.tags import FULL, Tags, curve_for, luma_weights

_DEPTHS = (8, 9, 10, 12, 14, 16)  # of planes that FFmpeg knows


@dataclass(frozen=True, kw_only=True)
class ClipInfo:
    """What a film's file tells.

    Args:
        path: of the file.
        size: (height, width) as stored; players turn it by `turn`.
        clock: ticks in a second; all times are whole ticks.
        rate: frames in a second, on average; None where unknown.
        start: when the first frame is shown [ticks].
        codec: its name.
        kind: how its planes code light.
        tags: what it says of its colours.
        turn: the display matrix, nine numbers of FFmpeg's; empty where there is none.
        degrees: by how much players turn the picture, counter-clockwise.
        aspect: width over height of a pixel.
        frames: how many there are about; None where unknown.
        length_s: how long the film is; None where unknown.
        interlaced: whether the frames are woven of fields.
        notes: what of the film cannot be kept.
    """

    path: Path
    size: Size
    clock: int
    rate: Fraction | None
    codec: str
    start: int = 0
    kind: PlaneFormat
    tags: Tags
    turn: tuple[int, ...] = ()
    degrees: int = 0
    aspect: Fraction = Fraction(1)
    frames: int | None = None
    length_s: float | None = None
    interlaced: bool = False
    notes: tuple[str, ...] = ()

    @property
    def curve(self) -> Curve:
        """How light is coded."""
        return self.kind.curve


def info_of(path: Path, stream: VideoStream, first: VideoFrame) -> ClipInfo:
    """Collect what a stream and its first frame tell."""
    size = first.height, first.width
    tags = Tags(
        matrix=_tag(first.colorspace, stream.codec_context.colorspace, Tags.matrix),
        range=_tag(first.color_range, stream.codec_context.color_range, 0),
        transfer=_tag(first.color_trc, stream.codec_context.color_trc, Tags.transfer),
        primaries=_tag(first.color_primaries, stream.codec_context.color_primaries, Tags.primaries),
    )
    matrix = _side_data(first, "DISPLAYMATRIX")
    rate = stream.average_rate or stream.guessed_rate
    length_s = _length_s(stream)
    frames = round(length_s * rate) if length_s and rate else stream.frames or None
    return ClipInfo(
        path=path,
        size=size,
        clock=time_base_of(stream).denominator,
        rate=rate,
        codec=stream.codec_context.name,
        start=int((first.pts or 0) * time_base_of(stream).numerator),
        kind=_kind(first, tags),
        tags=tags,
        turn=_nine(matrix) if matrix else (),
        degrees=first.rotation if matrix else 0,
        aspect=stream.sample_aspect_ratio or Fraction(1),
        frames=frames,
        length_s=length_s,
        interlaced=first.interlaced_frame,
        notes=_notes(first),
    )


def _side_data(frame: VideoFrame, name: str) -> SideData | None:
    data: Any = frame.side_data  # its annotations know motion vectors alone
    every = (data[number] for number in range(len(data)))
    return next((one for one in every if one.type.name == name), None)


def _nine(matrix: SideData) -> tuple[int, ...]:
    """Return a display matrix's numbers."""
    return tuple(np.frombuffer(memoryview(matrix), np.int32).tolist())


def _notes(first: VideoFrame) -> tuple[str, ...]:
    """Tell what of a film goes lost."""
    notes = []
    if any(component.is_alpha for component in first.format.components):
        notes.append("Its transparency is left out.")
    if _side_data(first, "MASTERING_DISPLAY_METADATA"):
        notes.append("What it tells of the display it was mastered on is left out.")
    return tuple(notes)


def _tag(of_frame: int, of_stream: int, unknown: int) -> int:
    """Return a colour tag of the frame, or where it has none of the stream."""
    return next((int(tag) for tag in (of_frame, of_stream) if tag not in {unknown, None}), unknown)


def _kind(frame: VideoFrame, tags: Tags) -> PlaneFormat:
    """Choose the planes that hold a frame's codes as they are."""
    size = frame.height, frame.width
    form = frame.format
    bits = max(component.bits for component in form.components)
    depth = next((known for known in _DEPTHS if known >= bits), 16)
    chroma: Chroma
    if form.is_rgb or form.has_palette:
        chroma = "rgb"
    elif len(form.components) < 3:
        chroma, depth = "gray", depth if depth != 9 else 10
    else:
        across, down = form.chroma_width(64), form.chroma_height(64)
        chroma = (
            "420" if (across, down) == (32, 32) else "422" if (across, down) == (32, 64) else "444"
        )
    full = tags.range == FULL or form.name.startswith("yuvj") or chroma == "rgb"
    return PlaneFormat(
        size=size,
        chroma=chroma,
        bits=depth,
        full=full,
        luma=luma_weights(tags, size),
        curve=curve_for(tags),
    )


def pixel_format(kind: PlaneFormat) -> str:
    """Return FFmpeg's name of planes."""
    deep = f"{kind.bits}le" if kind.bits > 8 else ""
    names = {"rgb": "gbrp", "gray": "gray"}
    return f"{names.get(kind.chroma, f'yuv{kind.chroma}p')}{deep}"


def planes_of(frame: VideoFrame, kind: PlaneFormat) -> tuple[Plane, ...]:
    """Copy a frame's codes out, as planes."""
    name = pixel_format(kind)
    if frame.format.name not in {name, name.replace("yuv", "yuvj")}:
        frame = frame.reformat(format=name)  # packed another way: the codes stay
    dtype = np.dtype(np.uint8 if kind.bits == 8 else "<u2")
    planes = []
    for plane, (height, width) in zip(frame.planes, kind.shapes, strict=False):
        codes = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)
        planes.append(codes[:height, :width].copy())
    return tuple(planes)


def time_base_of(stream: VideoStream) -> Fraction:
    """Return the unit of its times [s]."""
    assert stream.time_base is not None
    return stream.time_base


def promised_end_s(stream: VideoStream) -> float | None:
    """Return when the file says that its picture ends; None where it does not."""
    text = stream.metadata.get("DURATION", "")  # as Matroska's writers put it: 00:01:02.500000000
    parts = text.split(":")
    if len(parts) == 3:
        try:
            hours, minutes, seconds = (float(part) for part in parts)
        except ValueError:
            return None
        return 3600 * hours + 60 * minutes + seconds
    return None


def _length_s(stream: VideoStream) -> float | None:
    """Return how long the film is; None where nothing tells."""
    if stream.duration:
        return float(stream.duration * time_base_of(stream))
    whole: Any = stream.container  # an input's, which has a duration
    return promised_end_s(stream) or (whole.duration / av.time_base if whole.duration else None)
