"""Reads films frame by frame, whatever FFmpeg decodes, and tells where one breaks off."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from torch import Tensor

from burstfix.errors import InputError
from burstfix.frame import Curve, Size
from burstfix.io.video.planes import Chroma, Plane, PlaneFormat, to_light
from burstfix.io.video.tags import FULL, Tags, curve_for, luma_weights

_LEAST_MISSING_S = 0.1  # by which a film must end early to count as broken off
_DEPTHS = (8, 9, 10, 12, 14, 16)  # of planes that FFmpeg knows
_STILLS = ("image2", "_pipe")  # demuxers of single pictures


class BrokenClip(InputError):  # noqa: N818 the film is broken, not the program
    """The film cannot be read to its end; what came before is sound."""


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


class Picture(NamedTuple):
    """One frame of a film: its codes, and when it is shown [ticks]."""

    planes: tuple[Plane, ...]
    time: int
    duration: int


@dataclass
class Clip:
    """An open film; `open_clip` makes it.

    Args:
        info: what its file tells.
    """

    info: ClipInfo
    _container: InputContainer = field(repr=False)
    _stream: VideoStream = field(repr=False)

    def light(self, picture: Picture) -> Tensor:
        """Return a frame in linear light; (3, H, W) float32."""
        return to_light(picture.planes, self.info.kind)

    def pictures(self, start: int | None = None) -> Iterator[Picture]:
        """Read frames in the order they are shown.

        Args:
            start: the first time wanted [ticks]; frames before it are left out.

        Raises:
            BrokenClip: the film breaks off after the frames that were given.
        """
        if start is not None and _lands_before(self.info, start):
            _seek(self._container, self._stream, start, self.info)
        for picture in _Reader(self.info, self._stream, start).read(self._container):
            if start is None or picture.time >= start:
                yield picture


class _Reader:
    """Turns decoded frames into pictures with rising times."""

    def __init__(self, info: ClipInfo, stream: VideoStream, start: int | None = None) -> None:
        self.info = info
        self.stream = stream
        self.start = start  # frames before may be damaged: they are what a seek lands on
        self.time_base = _time_base(stream)
        self.last: Picture | None = None

    def read(self, container: InputContainer) -> Iterator[Picture]:
        """Decode to the end, or to where the film breaks off."""
        try:
            for frame in container.decode(self.stream):
                assert isinstance(frame, VideoFrame)
                picture = self._picture(frame)
                if frame.is_corrupt and (self.start is None or picture.time >= self.start):
                    raise self._broken("a frame is damaged")
                self.last = picture
                yield picture
        except (av.FFmpegError, OSError) as error:
            raise self._broken(_reason(error)) from error
        self._check_end()

    def time_of(self, frame: VideoFrame) -> int:
        """Return when a frame is shown [ticks]; without a time it follows the one before."""
        after = self.last.time + self.last.duration if self.last else 0
        pts = frame.pts if frame.pts is not None else frame.dts
        if pts is None:
            return after
        return int(pts * self.time_base.numerator)

    def _picture(self, frame: VideoFrame) -> Picture:
        size = frame.height, frame.width
        if size != self.info.size:
            raise self._broken(f"its pictures change to {frame.width}x{frame.height}")
        time = self.time_of(frame)
        if self.last:  # two frames of one time cannot be written
            time = max(time, self.last.time + 1)
        duration = int((frame.duration or 0) * self.time_base.numerator)
        if duration <= 0 and self.info.rate:
            duration = round(self.info.clock / self.info.rate)
        return Picture(_planes(frame, self.info.kind), time, max(duration, 1))

    def _check_end(self) -> None:
        """Raise where the file promised more than it gave."""
        if self.last is None:
            return
        end_s = (self.last.time + self.last.duration) / self.info.clock
        slack_s = max(_LEAST_MISSING_S, 2 * self.last.duration / self.info.clock)
        promised_s = _promised_end_s(self.stream)
        if promised_s is not None and end_s < promised_s - slack_s:
            raise self._broken(f"of its {promised_s:.1f} s")
        if _cut_short(self.info.path, self.stream):
            raise self._broken("the file is cut short")

    def _broken(self, why: str) -> BrokenClip:
        after_s = (self.last.time + self.last.duration) / self.info.clock if self.last else 0.0
        return BrokenClip(
            f"{self.info.path} breaks off after {after_s:.2f} s: {why}.",
            "Copy the film again from the camera; ffmpeg -i film -c copy may mend its file.",
        )


@contextmanager
def open_clip(path: Path) -> Iterator[Clip]:
    """Open a film.

    Raises:
        InputError: it is missing, no film, without a picture, or of an unknown codec.
    """
    with _reopened(path) as (container, stream):
        first = next(_next(container, stream), None)
        if first is None:
            raise InputError(
                f"{path} holds no frame that can be decoded.",
                "Check that it plays; if it was cut short, copy it again from the camera.",
            )
        info = _info(path, stream, first)
    with _reopened(path) as (container, stream):
        yield Clip(info, container, stream)


@contextmanager
def _reopened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and choose its picture."""
    if not path.exists():
        raise InputError(f"{path} does not exist.", "Check the name and the folder.")
    try:
        container = av.open(str(path), "r", metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise InputError(
            f"{path} is no film that can be read: {_reason(error)}.",
            "Check that it plays; if it was cut short, copy it again from the camera.",
        ) from error
    with container:
        yield container, _picture_stream(path, container)


def _picture_stream(path: Path, container: InputContainer) -> VideoStream:
    """Choose the picture: the default one that is no cover."""
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not streams or container.format.name.endswith(_STILLS):
        kinds = ", ".join(stream.type for stream in container.streams) or "nothing"
        raise InputError(
            f"{path} holds no moving picture, but {kinds}.",
            "Name a film; for photographs there are `burstfix burst` and `burstfix single`.",
        )
    chosen = next(
        (one for one in streams if one.disposition & av.stream.Disposition.default), streams[0]
    )
    if chosen.codec_context is None:
        raise InputError(
            f"The picture of {path} is coded in a way that is not known.",
            "Convert it to H.264 or ProRes with the program that came with the camera.",
        )
    chosen.thread_type = "AUTO"
    return chosen


def _lands_before(info: ClipInfo, start: int) -> bool:
    """Tell whether seeking to a time lands before it, as not all files allow."""
    with _reopened(info.path) as (container, stream):
        try:
            _seek(container, stream, start, info)
        except (av.FFmpegError, OSError):
            return False
        first = next(_next(container, stream), None)
        return first is not None and _Reader(info, stream).time_of(first) <= start


def _seek(container: InputContainer, stream: VideoStream, start: int, info: ClipInfo) -> None:
    """Go to the last key frame that is not after a time [ticks]."""
    target = Fraction(start, info.clock) / _time_base(stream)
    container.seek(int(target), stream=stream, backward=True)


def _next(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Decode on; what cannot be decoded ends it."""
    try:
        for frame in container.decode(stream):
            assert isinstance(frame, VideoFrame)
            yield frame
    except (av.FFmpegError, OSError):
        return


def _info(path: Path, stream: VideoStream, first: VideoFrame) -> ClipInfo:
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
        clock=_time_base(stream).denominator,
        rate=rate,
        codec=stream.codec_context.name,
        start=int((first.pts or 0) * _time_base(stream).numerator),
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
    data: Any = frame.side_data  # the stubs know motion vectors alone
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


def _planes(frame: VideoFrame, kind: PlaneFormat) -> tuple[Plane, ...]:
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


def _time_base(stream: VideoStream) -> Fraction:
    assert stream.time_base is not None
    return stream.time_base


def _promised_end_s(stream: VideoStream) -> float | None:
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
        return float(stream.duration * _time_base(stream))
    whole: Any = stream.container  # an input's, which has a duration
    return _promised_end_s(stream) or (whole.duration / av.time_base if whole.duration else None)


def _cut_short(path: Path, stream: VideoStream) -> bool:
    """Tell whether the file's index points beyond its end."""
    there = path.stat().st_size
    return any(entry.pos + entry.size > there for entry in stream.index_entries)


def _reason(error: Exception) -> str:
    reason: Any = getattr(error, "strerror", None) or error
    return str(reason).rstrip(".")
