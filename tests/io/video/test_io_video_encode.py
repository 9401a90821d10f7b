"""Films are written with all that came with them."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from made_film import CLOCK, MadeFilm, packets_of, planes_of, tags_of, times_of

from burstfix.errors import OutputError, UsageError
from burstfix.io.video import Codec, choose_encoding, open_clip
from burstfix.io.video.encode import SegmentWriter
from burstfix.io.video.join import Extras, Segment, check_extras, join


def copy(
    source: Path, target: Path, *, codec: Codec = "auto", segment: int = 4, crf: int | None = None
) -> Path:
    """Write a film anew, nothing restored, in segments."""
    with open_clip(source) as clip:
        encoding = choose_encoding(target, clip.info, codec=codec, crf=crf)
        pictures = list(clip.pictures())
        segments = []
        for first in range(0, len(pictures), segment):
            part = pictures[first : first + segment]
            path = target.with_name(f"{first}.part")
            with path.open("wb") as file:
                writer = SegmentWriter(file, encoding, part[0].time)
                for picture in part:
                    writer.put(clip.light(picture), picture.time, picture.duration)
                writer.close()
            segments.append(Segment(path, part[0].time, part[-1].time, len(part)))
        extras = Extras(source=source)
        check_extras(extras, encoding, target)
        with target.open("wb") as file:
            join(file, segments, encoding, clip.info, extras)
    return target


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film with sound, turned, its frames shown for varying times."""
    film = MadeFilm(sound=True, rotation=90, varying=True)
    return film.write(tmp_path_factory.mktemp("film") / "film.mp4")


@pytest.mark.parametrize(
    ("name", "codec"), [("out.mp4", "auto"), ("out.mov", "hevc"), ("out.mov", "prores")]
)
def test_times_sound_rotation_tags_and_title_are_kept(
    film: Path, tmp_path: Path, name: str, codec: Codec
) -> None:
    target = copy(film, tmp_path / name, codec=codec)
    assert times_of(target) == times_of(film)
    assert packets_of(target, "audio") == packets_of(film, "audio")
    assert tags_of(target) == tags_of(film)
    with av.open(str(film)) as before, av.open(str(target)) as after:
        assert next(after.decode(video=0)).rotation == 90
        assert after.duration == before.duration
        assert after.metadata["title"] == "a title"
        assert after.streams.audio[0].language == "fra"
    lengths = []
    for path in (film, target):
        with open_clip(path) as clip:
            lengths.append([picture.duration for picture in clip.pictures()])
    assert lengths[0] == lengths[1]


def test_matroska_keeps_times_to_its_millisecond(film: Path, tmp_path: Path) -> None:
    target = copy(film, tmp_path / "out.mkv")
    sound = [data for data, _ in packets_of(film, "audio")]
    assert [data for data, _ in packets_of(target, "audio")] == sound
    shift = times_of(target)[0]  # sound that begins before 0 moves all: there are no such times
    for before, after in zip(times_of(film), times_of(target), strict=True):
        assert abs(before + shift - after) <= Fraction(1, 1000)


def test_ffv1_gives_every_code_back(tmp_path: Path) -> None:
    source = MadeFilm(frames=5, noise=0.1).write(tmp_path / "film.mp4")
    target = copy(source, tmp_path / "out.mkv", codec="ffv1", segment=2)
    for before, after in zip(planes_of(source), planes_of(target), strict=True):
        for one, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(one, other)


def test_frames_are_those_of_the_segments_whatever_their_length(tmp_path: Path) -> None:
    source = MadeFilm(frames=7).write(tmp_path / "film.mp4")
    errors = []
    for segment in (2, 7):
        target = copy(source, tmp_path / f"{segment}.mp4", segment=segment, crf=4)
        pairs = zip(planes_of(source), planes_of(target), strict=True)
        errors.append(max(np.abs(a[0].astype(int) - b[0]).mean() for a, b in pairs))
    assert max(errors) < 1


def test_ten_bits_stay_ten_bits_and_become_hevc_that_apple_plays(tmp_path: Path) -> None:
    source = MadeFilm(frames=2, codec="libx265", pixels="yuv420p10le", tags=(9, 1, 16, 9))
    target = copy(source.write(tmp_path / "film.mkv"), tmp_path / "out.mp4")
    assert tags_of(target) == (9, 1, 16, 9)
    with av.open(str(target)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("hevc", "yuv420p10le")
        assert context.codec_tag == "hvc1"


def test_odd_sides_are_kept(tmp_path: Path) -> None:
    source = MadeFilm(frames=2, size=(47, 63), codec="ffv1", pixels="yuv420p")
    target = copy(source.write(tmp_path / "film.mkv"), tmp_path / "out.mp4")
    assert planes_of(target)[0][0].shape == (47, 63)


def test_what_a_container_does_not_hold_is_refused_before_any_work(
    film: Path, tmp_path: Path
) -> None:
    with open_clip(film) as clip:
        with pytest.raises(UsageError, match=r"prores does not go into \.mp4"):
            choose_encoding(tmp_path / "out.mp4", clip.info, codec="prores")
        with pytest.raises(UsageError, match="No film has the extension"):
            choose_encoding(tmp_path / "out.webm", clip.info)
        with pytest.raises(UsageError, match="no --crf 60"):
            choose_encoding(tmp_path / "out.mp4", clip.info, crf=60)
        with pytest.raises(UsageError, match="ffv1 has no --crf"):
            choose_encoding(tmp_path / "out.mkv", clip.info, codec="ffv1", crf=3)


def test_subtitles_that_the_container_does_not_hold_are_told_with_a_way_out(
    tmp_path: Path,
) -> None:
    source = MadeFilm(frames=2).write(tmp_path / "film.mkv", subtitle="hello")
    with open_clip(source) as clip:
        encoding = choose_encoding(tmp_path / "out.mp4", clip.info)
        with pytest.raises(OutputError, match=r"cannot hold the film's subtitle") as told:
            check_extras(Extras(source=source), encoding, tmp_path / "out.mp4")
    assert ".mkv" in told.value.mend
    assert "--no-subtitles" in told.value.mend
    target = copy(source, tmp_path / "out.mkv")
    assert packets_of(target, "subtitle") == packets_of(source, "subtitle")


def test_a_cover_is_told_to_be_left_out(film: Path, tmp_path: Path) -> None:
    source = tmp_path / "two.mkv"
    with av.open(str(film)) as one, av.open(str(source), "w") as both:
        picture = one.streams.video[0]
        streams = [both.add_stream_from_template(picture) for _ in range(2)]
        for packet in one.demux(picture):
            if packet.size:
                for stream in streams:
                    packet.stream = stream
                    both.mux(packet)
    with open_clip(source) as clip:
        encoding = choose_encoding(tmp_path / "out.mp4", clip.info)
        copied = check_extras(Extras(source=source), encoding, tmp_path / "out.mp4")
    assert copied.left_out == ("video (h264)",)


def test_an_encoder_that_is_missing_is_named(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str, _: str) -> None:
        raise av.codec.codec.UnknownCodecError(name)

    monkeypatch.setattr(av.codec, "Codec", missing)
    with open_clip(film) as clip, pytest.raises(OutputError, match="lacks the encoder libx264"):
        choose_encoding(tmp_path / "out.mp4", clip.info)


def test_ticks_of_the_source_are_ticks_of_the_target(film: Path, tmp_path: Path) -> None:
    with open_clip(copy(film, tmp_path / "out.mp4")) as clip:
        assert clip.info.clock == CLOCK
