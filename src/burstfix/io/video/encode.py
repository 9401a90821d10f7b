"""Writes frames as H.264, HEVC, ProRes or FFV1, segment by segment.

No frame is predicted from a later one, so frames are stored in the order they are shown, and
segments can be joined without encoding anything anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Literal

import av
import numpy as np
from av.codec.context import Flags
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from torch import Tensor

from burstfix.errors import OutputError, UsageError
from burstfix.io.video.facts import ClipInfo, pixel_format
from burstfix.io.video.planes import Chroma, PlaneFormat, to_planes
from burstfix.io.video.tags import FULL, Tags, luma_weights

Codec = Literal["auto", "h264", "hevc", "prores", "ffv1"]

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_BEST_CRF, _WORST_CRF = 0, 51


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """What a codec needs and holds."""

    encoder: str
    containers: tuple[str, ...]
    chroma: tuple[Chroma, ...]  # from less to more
    bits: tuple[int, ...]
    crf: int | None = None  # the default, where the codec has that scale
    segment: str = "mov"  # keeps any time exactly
    any_size: bool = False  # whether halved colour may have odd sides
    options: Mapping[str, str] = field(default_factory=dict)


_KINDS = {
    "h264": _Kind(
        encoder="libx264",
        containers=("mp4", "mov", "matroska"),
        chroma=("420", "422", "444"),
        bits=(8, 10),
        crf=17,
        options={"preset": "medium", "bf": "0"},
    ),
    "hevc": _Kind(
        encoder="libx265",
        containers=("mp4", "mov", "matroska"),
        chroma=("420", "422", "444"),
        bits=(8, 10, 12),
        crf=19,
        options={"preset": "medium", "x265-params": "bframes=0:log-level=none"},
    ),
    "prores": _Kind(
        encoder="prores_ks",
        containers=("mov", "matroska"),
        chroma=("422", "444"),
        bits=(10,),
        options={"vendor": "apl0"},
    ),
    "ffv1": _Kind(
        encoder="ffv1",
        containers=("matroska",),
        chroma=("420", "422", "444"),
        bits=(8, 10, 12, 16),
        segment="nut",
        any_size=True,
        options={"level": "3", "slicecrc": "1"},
    ),
}


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How a film is written.

    Args:
        codec: h264, hevc, prores or ffv1.
        container: mp4, mov or matroska.
        kind: of the planes that are coded.
        tags: what the film says of its colours.
        clock: ticks in a second.
        rate: frames in a second, about.
        aspect: width over height of a pixel.
        options: of the encoder.
    """

    codec: str
    container: str
    kind: PlaneFormat
    tags: Tags
    clock: int
    rate: Fraction
    aspect: Fraction = Fraction(1)
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def encoder(self) -> str:
        """FFmpeg's name of the encoder."""
        return _KINDS[self.codec].encoder

    @property
    def segment(self) -> str:
        """FFmpeg's name of the format that segments have."""
        return _KINDS[self.codec].segment


def choose_encoding(
    target: Path, info: ClipInfo, *, codec: Codec = "auto", crf: int | None = None
) -> Encoding:
    """Choose how to write a film: as deep, and with as much colour, as its source.

    Args:
        target: the file to write.
        info: the source.
        codec: auto is H.264, or HEVC where the source has more than 8 bits.
        crf: quality of H.264 and HEVC, 0 (best) to 51; None is the codec's default.

    Raises:
        UsageError: the container does not hold the codec, or there is no such quality.
        OutputError: this FFmpeg lacks the encoder.
    """
    container = CONTAINERS.get(target.suffix.lower())
    if container is None:
        raise UsageError(
            f"No film has the extension of {target.name!r}.",
            f"End the output's name in one of {', '.join(CONTAINERS)}, or name a folder for PNGs.",
        )
    name = codec if codec != "auto" else "hevc" if info.kind.bits > 8 else "h264"
    chosen = _KINDS[name]
    if container not in chosen.containers:
        fit = [end for end, kind in CONTAINERS.items() if kind in chosen.containers]
        raise UsageError(
            f"{name} does not go into {target.suffix}.", f"End the output's name in {fit[0]}."
        )
    _check_encoder(chosen.encoder)
    kind, tags = _planes_for(info, chosen, name)
    return Encoding(
        codec=name,
        container=container,
        kind=kind,
        tags=tags,
        clock=info.clock,
        rate=info.rate or Fraction(25),
        aspect=info.aspect,
        options={**chosen.options, **_quality(name, chosen, crf), **_profile(name, kind)},
    )


class SegmentWriter:
    """Encodes consecutive frames into a file of their own.

    Args:
        file: where to write; must be able to seek.
        encoding: how.
        first: the time that counts as 0 in the file [ticks].

    Raises:
        OutputError: the encoder refuses.
    """

    def __init__(self, file: BinaryIO, encoding: Encoding, first: int) -> None:
        self._encoding = encoding
        self._first = first
        self._container = av.open(
            file,
            "w",
            format=encoding.segment,
            options=clock_options(encoding.segment, encoding.clock),
        )
        stream = self._container.add_stream(
            encoding.encoder, rate=encoding.rate, options=dict(encoding.options)
        )
        assert isinstance(stream, VideoStream)
        self._stream = stream
        _configure(stream, encoding)

    def put(self, light: Tensor, time: int, duration: int) -> None:
        """Encode a frame.

        Args:
            light: linear light; (3, H, W) float32.
            time: when it is shown [ticks].
            duration: for how long [ticks].

        Raises:
            OutputError: the encoder refuses it.
        """
        frame = _frame(light, self._encoding)
        frame.pts = time - self._first
        frame.duration = duration
        frame.time_base = Fraction(1, self._encoding.clock)
        self._mux(frame)

    def close(self) -> None:
        """Finish the file."""
        self._mux(None)
        self._container.close()

    def _mux(self, frame: VideoFrame | None) -> None:
        try:
            self._container.mux(self._stream.encode(frame))
        except av.FFmpegError as error:
            raise OutputError(
                f"The encoder {self._encoding.encoder} refuses a frame: {error.strerror}.",
                "Choose another --codec, or a folder for PNGs as the output.",
            ) from error


def clock_options(container: str, clock: int) -> dict[str, str]:
    """Return the options under which a container keeps times to the tick, if it has such."""
    if container in {"mp4", "mov"}:
        return {"video_track_timescale": str(clock), "movie_timescale": str(clock)}
    return {}


def _configure(stream: VideoStream, encoding: Encoding) -> None:
    height, width = encoding.kind.size
    stream.width, stream.height = width, height
    stream.pix_fmt = pixel_format(encoding.kind)
    context = stream.codec_context
    stream.time_base = context.time_base = Fraction(1, encoding.clock)
    context.flags |= Flags.frame_duration
    context.sample_aspect_ratio = encoding.aspect
    tag(context, encoding.tags)
    if encoding.codec == "hevc":
        context.codec_tag = "hvc1"  # the one that Apple's players know


def tag(carrier: Any, tags: Tags) -> None:  # noqa: ANN401 a codec's context or a frame
    """Have a codec's context or a frame tell its colours."""
    carrier.colorspace, carrier.color_range = tags.matrix, tags.range
    carrier.color_trc, carrier.color_primaries = tags.transfer, tags.primaries


def _frame(light: Tensor, encoding: Encoding) -> VideoFrame:
    """Fill a frame of FFmpeg's with the codes of a picture."""
    height, width = encoding.kind.size
    frame = VideoFrame(width, height, pixel_format(encoding.kind))
    for plane, codes in zip(frame.planes, to_planes(light, encoding.kind), strict=True):
        rows, columns = codes.shape
        there = np.frombuffer(memoryview(plane), codes.dtype).reshape(plane.height, -1)
        there[:rows, :columns] = codes
    tag(frame, encoding.tags)
    return frame


def _check_encoder(name: str) -> None:
    try:
        av.codec.Codec(name, "w")
    except av.codec.codec.UnknownCodecError as error:
        raise OutputError(
            f"The FFmpeg that PyAV brings lacks the encoder {name}.",
            "Choose another --codec, or install PyAV from its wheel: pip install --force av.",
        ) from error


def _planes_for(info: ClipInfo, codec: _Kind, name: str) -> tuple[PlaneFormat, Tags]:
    """Choose planes that lose nothing of the source's, if the codec has such."""
    source, tags = info.kind, info.tags
    bits = next((bits for bits in codec.bits if bits >= source.bits), codec.bits[-1])
    rgb: Chroma = "444" if codec.crf is None else "420"  # few players know H.264 of 4:4:4
    wanted: Chroma = {"rgb": rgb, "gray": "420"}.get(source.chroma, source.chroma)
    if not codec.any_size and (source.size[0] % 2 or source.size[1] % 2):
        wanted = "444"  # halved colour needs even sides
    chroma = next((one for one in codec.chroma if one >= wanted), codec.chroma[-1])
    kind = source.with_bits(chroma, bits)
    if source.chroma == "rgb":  # films are coded as luma and colour differences
        tags = replace(tags, matrix=1, range=1)
        kind = replace(kind, full=False, luma=luma_weights(tags, source.size))
    if name == "prores" and kind.full:  # always of limited range
        tags, kind = replace(tags, range=1), replace(kind, full=False)
    elif kind.full:
        tags = replace(tags, range=FULL)
    return kind, tags


def _quality(name: str, codec: _Kind, crf: int | None) -> dict[str, str]:
    if codec.crf is None:
        if crf is not None:
            raise UsageError(f"{name} has no --crf.", "Leave --crf out, or choose h264 or hevc.")
        return {}
    if crf is not None and not _BEST_CRF <= crf <= _WORST_CRF:
        raise UsageError(f"There is no --crf {crf}.", "Give 0 (best, large) to 51.")
    return {"crf": str(codec.crf if crf is None else crf)}


def _profile(name: str, kind: PlaneFormat) -> dict[str, str]:
    if name != "prores":
        return {}
    return {"profile": "4444" if kind.chroma == "444" else "hq"}
