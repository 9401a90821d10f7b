"""Made-up films with a known answer: times, sound, rotation and tags that tests look for again."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags
from made import scene

CLOCK = 30000
BT709 = (1, 1, 1, 1)  # matrix, range, transfer, primaries


@dataclass(frozen=True)
class MadeFilm:
    """How a film is made.

    Args:
        frames: how many.
        size: (height, width).
        rotation: of the display matrix [degrees].
        sound: whether there is any.
        varying: whether frames are shown for 1, 2 and 3 times 1/30 s in turn.
        codec: of the picture.
        pixels: FFmpeg's name of the planes.
        tags: matrix, range, transfer, primaries.
        cut: the frame from which on another scene is shown.
        step: how far the scene moves a frame, (down, right) [px].
        noise: standard deviation of codes, 0 to 1.
        aspect: width over height of a pixel.
    """

    frames: int = 10
    size: tuple[int, int] = (48, 64)
    rotation: int = 0
    sound: bool = False
    varying: bool = False
    codec: str = "libx264"
    pixels: str = "yuv420p"
    tags: tuple[int, int, int, int] = BT709
    cut: int | None = None
    step: tuple[int, int] = (1, 2)
    noise: float = 0.0
    aspect: Fraction = Fraction(1)

    @property
    def times(self) -> list[int]:
        """When frames are shown [ticks]."""
        lengths = [1001 * (1 + number % 3 if self.varying else 1) for number in range(self.frames)]
        return [sum(lengths[:number]) for number in range(self.frames)]

    def picture(self, number: int) -> np.ndarray:
        """Return a frame, without its noise; (height, width, 3) display codes, 0 to 1."""
        scenes = 1 if self.cut is not None and number >= self.cut else 0
        height, width = self.size
        room = [abs(step) * self.frames for step in self.step]
        whole = _scene(height + room[0], width + room[1], scenes)
        down, right = (
            step * number if step > 0 else -step * (self.frames - number) for step in self.step
        )
        return whole[down : down + height, right : right + width]

    def write(self, path: Path, options: dict[str, str] | None = None, subtitle: str = "") -> Path:
        """Make the file; options are the container's, the subtitle is shown from 0 s on."""
        clock = {"video_track_timescale": str(CLOCK), "movie_timescale": str(CLOCK)}
        quicktime = path.suffix in {".mp4", ".mov"}
        with av.open(
            str(path), "w", options=(clock if quicktime else {}) | (options or {})
        ) as container:
            container.metadata["title"] = "a title"
            stream = self._stream(container)
            sound = container.add_stream("aac", rate=48000, layout="mono") if self.sound else None
            if sound:
                sound.metadata["language"] = "fra"
            words = container.add_mux_stream("subrip") if subtitle else None
            random = np.random.default_rng(0)
            for number, time in enumerate(self.times):
                frame = _frame(self.picture(number), self, random)
                frame.pts, frame.time_base = time, Fraction(1, CLOCK)
                frame.duration = ([*self.times, self.times[-1] + 1001])[number + 1] - time
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
            if words:
                packet = av.Packet(subtitle.encode())
                packet.pts = packet.dts = 0
                packet.duration, packet.time_base = 1000, Fraction(1, 1000)
                packet.stream = words
                container.mux(packet)
            if sound:
                _write_sound(container, sound, self.times[-1] + 1001)
        return path

    def write_sound(self, path: Path) -> Path:
        """Make a file of sound alone."""
        with av.open(str(path), "w") as container:
            _write_sound(container, container.add_stream("aac", rate=48000, layout="mono"), CLOCK)
        return path

    def _stream(self, container: av.container.OutputContainer) -> av.VideoStream:
        rate = Fraction(30000, 1001)
        stream = container.add_stream(self.codec, rate=rate, options=_OPTIONS.get(self.codec, {}))
        stream.height, stream.width = self.size
        stream.pix_fmt = self.pixels
        stream.time_base = stream.codec_context.time_base = Fraction(1, CLOCK)
        stream.codec_context.sample_aspect_ratio = self.aspect
        stream.codec_context.flags |= Flags.frame_duration
        _tag(stream.codec_context, self.tags)
        if self.rotation:
            stream.set_display_rotation(self.rotation)
        return stream


_OPTIONS = {
    "libx264": {"crf": "8", "preset": "ultrafast"},
    "libx265": {"crf": "8", "preset": "ultrafast", "x265-params": "bframes=0:log-level=none"},
}


_scene = lru_cache(scene)  # frames are views of one


def packets_of(path: Path, kind: str) -> list[tuple[bytes, Fraction]]:
    """Return the packets of a stream with their times [s]."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return [
            (bytes(packet), packet.pts * packet.time_base)
            for packet in container.demux(stream)
            if packet.size
        ]


def frames_of(path: Path) -> list[np.ndarray]:
    """Return the luma codes of all frames; (height, width) each."""
    return [frame[0] for frame in planes_of(path)]


def planes_of(path: Path) -> list[list[np.ndarray]]:
    """Return the codes of all planes of all frames."""
    with av.open(str(path)) as container:
        return [
            [
                np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width].copy()
                for plane in frame.planes
            ]
            for frame in container.decode(video=0)
        ]


def times_of(path: Path) -> list[Fraction]:
    """Return when frames are shown [s]."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def tags_of(path: Path) -> tuple[int, int, int, int]:
    """Return matrix, range, transfer and primaries, as the stream tells them."""
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        return (
            int(context.colorspace),
            int(context.color_range),
            int(context.color_trc),
            int(context.color_primaries),
        )


def cut_off(path: Path, share: float) -> Path:
    """Shorten a file to a share of its bytes, in place."""
    content = path.read_bytes()
    path.write_bytes(content[: round(len(content) * share)])
    return path


def _tag(carrier: object, tags: Sequence[int]) -> None:
    names = ("colorspace", "color_range", "color_trc", "color_primaries")
    for name, tag in zip(names, tags, strict=True):
        setattr(carrier, name, tag)


def _frame(picture: np.ndarray, film: MadeFilm, random: np.random.Generator) -> av.VideoFrame:
    noisy = picture + random.normal(0, film.noise, picture.shape) if film.noise else picture
    codes = np.round(np.clip(noisy, 0, 1) * 255).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(codes, format="rgb24")
    frame = frame.reformat(format=film.pixels, dst_colorspace="ITU709")
    _tag(frame, film.tags)
    return frame


def _write_sound(container: av.container.OutputContainer, stream: av.AudioStream, end: int) -> None:
    random = np.random.default_rng(1)
    for start in range(0, 48000 * end // CLOCK, 1024):
        samples = random.normal(0, 0.1, (1, 1024)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
