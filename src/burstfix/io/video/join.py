"""Joins segments to one film, and copies what else was in the source: sound, subtitles, chapters.

Packets are copied as they are; nothing is coded anew.
"""

import heapq
import io
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import av
from av.container import InputContainer, OutputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from burstfix.errors import OutputError
from burstfix.io.video.clip import JUMP_S, picture_stream
from burstfix.io.video.encode import Encoding, clock_options, tag
from burstfix.io.video.facts import ClipInfo

if TYPE_CHECKING:
    from av.packet import Packet  # generic for the type checker alone

_COPIED = ("audio", "subtitle")
_OF_THE_FILE = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
_OF_A_STREAM = {"encoder", "handler_name", "vendor_id", "duration", "number_of_frames"}


class Segment(NamedTuple):
    """A finished segment: its file, the times of its first and last frame [ticks], its frames."""

    path: Path
    first: int
    last: int
    frames: int


@dataclass(frozen=True, kw_only=True)
class Extras:
    """What goes into the film beside its pictures.

    Args:
        source: the file that sound and subtitles are copied from; None copies nothing.
        kinds: which of audio and subtitle.
        start: the time of the source that becomes 0 [ticks]; None keeps all times.
        end: what begins then or later is left out [ticks]; None copies all.
        metadata: whether titles, chapters and the like are kept.
        broken: whether the source breaks off: then what can be read of it is copied.
    """

    source: Path | None
    kinds: tuple[str, ...] = _COPIED
    start: int | None = None
    end: int | None = None
    metadata: bool = True
    broken: bool = False


@dataclass(frozen=True)
class Copied:
    """What was found beside the picture: "audio (aac)" and the like, and what was left out."""

    kept: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def check_extras(extras: Extras, encoding: Encoding, target: Path) -> Copied:
    """Find what will be copied, before any work is done.

    Raises:
        OutputError: the container cannot hold it.
    """
    if extras.source is None:
        return Copied()
    kept, left_out = list[str](), list[str]()
    unwanted = set(_COPIED).difference(extras.kinds)
    with _opened(extras.source) as source:
        picture = picture_stream(extras.source, source)
        for stream in source.streams:
            name = f"{stream.type} ({_codec_of(stream)})"
            if stream in _chosen(source, extras):
                _check_fits(stream, encoding.container, target, name)
                kept.append(name)
            elif stream.index != picture.index and stream.type not in unwanted:
                left_out.append(name)
    return Copied(tuple(kept), tuple(left_out))


def join(
    file: BinaryIO,
    segments: Sequence[Segment],
    encoding: Encoding,
    info: ClipInfo,
    extras: Extras,
) -> None:
    """Write the film.

    Args:
        file: where to; must be able to seek.
        segments: in order.
        encoding: how they were written.
        info: of the source, whose rotation is kept.
        extras: what else goes in.

    Raises:
        OutputError: FFmpeg refuses to put it together.
    """
    try:
        with ExitStack() as stack:
            target, runs = _begin(stack, file, segments, encoding, info, extras)
            for _, _, packet in heapq.merge(*runs, key=lambda run: run[:2]):
                target.mux(packet)
    except av.FFmpegError as error:
        raise OutputError(
            f"FFmpeg cannot join the segments and the sound: {error.strerror}.",
            "All frames are kept: repeat the command with --resume, and with --no-audio "
            "--no-subtitles to see whether these are at fault.",
        ) from error


def _begin(
    stack: ExitStack,
    file: BinaryIO,
    segments: Sequence[Segment],
    encoding: Encoding,
    info: ClipInfo,
    extras: Extras,
) -> "tuple[OutputContainer, list[Iterator[_Timed]]]":
    """Open the film and its streams; and what gives each kind of packets, in order."""
    source = stack.enter_context(_opened(extras.source)) if extras.source else None
    options = clock_options(encoding.container, encoding.clock)
    if encoding.container in {"mp4", "mov"} and source and _phone_tags(source):
        options["movflags"] = "use_metadata_tags"
    target = stack.enter_context(av.open(file, "w", format=encoding.container, options=options))
    first = stack.enter_context(av.open(str(segments[0].path), "r"))
    picture = _add_picture(target, first.streams.video[0], encoding, info)
    start = _origin(source, extras, segments[0].first, encoding.clock)
    runs = [_pictures(segments, picture, encoding, start)]
    if source:
        streams = {
            stream.index: target.add_stream_from_template(stream)
            for stream in _chosen(source, extras)
        }
        if extras.metadata:
            _copy_metadata(source, target, extras, streams, picture)
        kept = extras if extras.start is None else replace(extras, start=start)
        runs.append(_packets(source, streams, kept, start, encoding.clock))
    return target, runs


def _origin(source: InputContainer | None, extras: Extras, first: int, clock: int) -> int:
    """Return the time of the source that becomes 0 [ticks].

    Args:
        source: the open file.
        extras: what is copied of it.
        first: time of the first picture [ticks].
        clock: ticks in a second.
    """
    if extras.start is not None:
        return first
    if source is None or source.format.name not in _ZERO_MEANS_NOTHING:
        return 0
    starts = [
        Fraction(stream.start_time) * stream.time_base
        for stream in _chosen(source, extras)
        if stream.start_time is not None and stream.time_base is not None
    ]
    return min([first, *(math.floor(start * clock) for start in starts)])


def _add_picture(
    target: OutputContainer, template: VideoStream, encoding: Encoding, info: ClipInfo
) -> VideoStream:
    """Add the stream that the segments' packets go into."""
    picture = target.add_stream_from_template(template)
    picture.time_base = Fraction(1, encoding.clock)
    # What segments do not hold: NUT no colours, MOV no aspect here; a time code needs the rate.
    tag(picture.codec_context, encoding.tags)
    picture.codec_context.sample_aspect_ratio = encoding.aspect
    picture.codec_context.framerate = encoding.rate
    if encoding.codec == "hevc" and encoding.container != "matroska":
        picture.codec_context.codec_tag = "hvc1"
    if info.turn:
        picture.set_display_matrix(info.turn)
    return picture


def _opened(path: Path) -> InputContainer:
    return av.open(str(path), "r", metadata_errors="replace")


def _phone_tags(source: InputContainer) -> bool:
    """Tell whether there are tags like com.apple.quicktime.make, which MP4 drops by default.

    Keeping them costs those tags of iTunes that QuickTime has no name for.
    """
    return any("." in name for name in source.metadata)


_ZERO_MEANS_NOTHING = {"mpegts", "mpeg"}  # a broadcast's clock runs since some other time
_Timed = tuple[Fraction, int, "Packet[Stream]"]


def _pictures(
    segments: Sequence[Segment], stream: Stream, encoding: Encoding, start: int
) -> Iterator[_Timed]:
    """Read the segments' packets, with their times in the film."""
    tick = Fraction(1, encoding.clock)
    for segment, following in zip_longest(segments, segments[1:]):
        with av.open(str(segment.path), "r") as container:
            packets = [packet for packet in container.demux() if packet.size]
            times = [segment.first + round(_shown(packet) / tick) for packet in packets]
            after = following.first if following else times[-1] + _length(packets[-1], tick)
            for packet, (time, until) in zip(packets, pairwise([*times, after]), strict=True):
                packet.pts = packet.dts = time - start
                packet.duration = until - time
                packet.time_base = tick
                packet.stream = stream
                yield (time - start) * tick, 0, packet


def _shown(packet: "Packet[Stream]") -> Fraction:
    """Return when a segment's packet is shown, after the segment's first [s]."""
    assert packet.pts is not None
    return packet.pts * packet.time_base


def _length(packet: "Packet[Stream]", tick: Fraction) -> int:
    return max(1, round((packet.duration or 0) * packet.time_base / tick))


def _packets(
    source: InputContainer, streams: dict[int, Stream], extras: Extras, origin: int, clock: int
) -> Iterator[_Timed]:
    """Read what is copied, with its times in the film, up to where they begin again."""
    start = Fraction(origin, clock)
    latest = dict[int, Fraction]()
    end = None if extras.end is None else Fraction(extras.end, clock)
    if not streams:
        return
    packets = source.demux([source.streams[index] for index in streams])
    for packet in _sound(packets) if extras.broken else packets:
        if not packet.size or packet.dts is None:
            continue  # the end of a stream
        time = (packet.pts if packet.pts is not None else packet.dts) * packet.time_base
        before = latest.get(packet.stream.index, time)
        if time < before - JUMP_S:
            return
        latest[packet.stream.index] = max(time, before)
        if (extras.start is not None and time < start) or (end is not None and time >= end):
            continue
        shift = round(start / packet.time_base)
        packet.dts -= shift
        if packet.pts is not None:
            packet.pts -= shift
        packet.stream = streams[packet.stream.index]
        yield packet.dts * packet.time_base, 1, packet


def _sound(packets: "Iterator[Packet[Stream]]") -> "Iterator[Packet[Stream]]":
    """Give packets up to where their file breaks off."""
    try:
        yield from packets
    except (av.FFmpegError, OSError):
        return


def _chosen(source: InputContainer, extras: Extras) -> list[Stream]:
    return [
        stream
        for stream in source.streams
        if stream.type in extras.kinds and stream.codec_context is not None
    ]


def _codec_of(stream: Stream) -> str:
    return stream.codec_context.name if stream.codec_context is not None else "unknown"


def _check_fits(stream: Stream, container: str, target: Path, name: str) -> None:
    """Write a header into memory, to see whether the container takes a stream."""
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (av.FFmpegError, ValueError) as error:
        mend = "Name an .mkv file, which holds nearly all"
        if container == "matroska":
            mend = "Name a .mov file"
        without = "--no-audio" if stream.type == "audio" else "--no-subtitles"
        raise OutputError(
            f"{target.suffix} cannot hold the film's {name} as it is.",
            f"{mend}; or leave it out with {without}.",
        ) from error


def _copy_metadata(
    source: InputContainer,
    target: OutputContainer,
    extras: Extras,
    streams: dict[int, Stream],
    picture: Stream,
) -> None:
    """Copy titles, tags, languages and, of whole films, chapters."""
    kept = {k: v for k, v in source.metadata.items() if k.lower() not in _OF_THE_FILE}
    target.metadata.update(kept)
    pairs = [(source.streams[index], stream) for index, stream in streams.items()]
    assert extras.source is not None
    pairs.append((picture_stream(extras.source, source), picture))
    for old, new in pairs:
        new.metadata.update(
            {k: v for k, v in old.metadata.items() if k.lower() not in _OF_A_STREAM}
        )
        new.disposition = old.disposition
    if extras.start is None and extras.end is None and source.chapters():
        target.set_chapters(source.chapters())
