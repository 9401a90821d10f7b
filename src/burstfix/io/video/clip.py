"""Reads films frame by frame, whatever FFmpeg decodes, and tells where one breaks off."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from torch import Tensor

from burstfix.errors import InputError
from burstfix.io.video.facts import (
    ClipInfo,
    info_of,
    planes_of,
    promised_end_s,
    time_base_of,
)
from burstfix.io.video.planes import Plane, to_light

_LEAST_MISSING_S = 0.1  # by which a film must end early to count as broken off
JUMP_S = 1  # by which times fall where another recording begins
_COPY = "Copy the film again from the camera; ffmpeg -i film -c copy may mend its file."
_STILLS = ("image2", "_pipe")  # demuxers of single pictures


class BrokenClip(InputError):  # noqa: N818 the film is broken, not the program
    """The film cannot be read to its end; what came before is sound."""


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
        self.time_base = time_base_of(stream)
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
        if self.last:
            if time < self.last.time - JUMP_S * self.info.clock:
                mend = "Restore its recordings one by one: cut it there, with ffmpeg or an editor."
                raise self._broken("its times begin again, as of another recording", mend)
            time = max(time, self.last.time + 1)  # two frames of one time cannot be written
        duration = int((frame.duration or 0) * self.time_base.numerator)
        if duration <= 0 and self.info.rate:
            duration = round(self.info.clock / self.info.rate)
        return Picture(planes_of(frame, self.info.kind), time, max(duration, 1))

    def _check_end(self) -> None:
        """Raise where the file promised more than it gave."""
        if self.last is None:
            return
        end_s = (self.last.time + self.last.duration) / self.info.clock
        slack_s = max(_LEAST_MISSING_S, 2 * self.last.duration / self.info.clock)
        promised_s = promised_end_s(self.stream)
        if promised_s is not None and end_s < promised_s - slack_s:
            raise self._broken(f"of its {promised_s:.1f} s")
        if _cut_short(self.info.path, self.stream):
            raise self._broken("the file is cut short")

    def _broken(self, why: str, mend: str = _COPY) -> BrokenClip:
        after_s = (self.last.time + self.last.duration) / self.info.clock if self.last else 0.0
        return BrokenClip(f"{self.info.path} breaks off after {after_s:.2f} s: {why}.", mend)


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
        info = info_of(path, stream, first)
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
        yield container, picture_stream(path, container)


def picture_stream(path: Path, container: InputContainer) -> VideoStream:
    """Choose a film's picture: the default one that is no cover.

    Args:
        path: of the file, for messages.
        container: the open file.

    Raises:
        InputError: there is none, or it is of an unknown codec.
    """
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
    target = Fraction(start, info.clock) / time_base_of(stream)
    container.seek(int(target), stream=stream, backward=True)


def _next(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Decode on; what cannot be decoded ends it."""
    try:
        for frame in container.decode(stream):
            assert isinstance(frame, VideoFrame)
            yield frame
    except (av.FFmpegError, OSError):
        return


def _cut_short(path: Path, stream: VideoStream) -> bool:
    """Tell whether the file's index points beyond its end."""
    there = path.stat().st_size
    return any(entry.pos + entry.size > there for entry in stream.index_entries)


def _reason(error: Exception) -> str:
    reason: Any = getattr(error, "strerror", None) or error
    return str(reason).rstrip(".")
