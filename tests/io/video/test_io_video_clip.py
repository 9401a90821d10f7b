"""Films are read with their times and tags, and up to where they break off."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from made_film import CLOCK, MadeFilm, cut_off, planes_of
from PIL import Image

from burstfix.errors import InputError
from burstfix.io.video import BrokenClip, open_clip
from burstfix.io.video.clip import Picture


def read(path: Path, start: int | None = None) -> list[Picture]:
    with open_clip(path) as clip:
        return list(clip.pictures(start))


def test_times_tags_and_rotation_are_read(tmp_path: Path) -> None:
    film = MadeFilm(varying=True, rotation=90, tags=(9, 2, 16, 9))
    path = film.write(tmp_path / "film.mp4")
    with open_clip(path) as clip:
        info = clip.info
        assert [picture.time for picture in clip.pictures()] == film.times
    assert (info.size, info.clock, info.degrees) == ((48, 64), CLOCK, 90)
    tags = info.tags
    assert (tags.matrix, tags.range, tags.transfer, tags.primaries) == (9, 2, 16, 9)
    assert info.kind.full
    assert len(info.turn) == 9


def test_codes_are_those_that_ffmpeg_decodes(tmp_path: Path) -> None:
    path = MadeFilm(frames=3).write(tmp_path / "film.mp4")
    for picture, planes in zip(read(path), planes_of(path), strict=True):
        for ours, theirs in zip(picture.planes, planes, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_reading_from_a_time_on_gives_the_frames_from_there(tmp_path: Path, name: str) -> None:
    path = MadeFilm(frames=12, varying=True).write(tmp_path / name)
    whole = read(path)
    later = read(path, start=whole[7].time)
    assert [picture.time for picture in later] == [picture.time for picture in whole[7:]]
    np.testing.assert_array_equal(later[0].planes[0], whole[7].planes[0])


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_a_film_that_was_cut_short_gives_its_frames_and_then_says_so(
    tmp_path: Path, name: str
) -> None:
    film = MadeFilm(frames=40)
    path = film.write(tmp_path / name, {"movflags": "faststart"} if name.endswith("4") else {})
    cut_off(path, 0.6)
    times = []
    with open_clip(path) as clip, pytest.raises(BrokenClip, match="breaks off after"):
        for picture in clip.pictures():
            times.append(Fraction(picture.time, clip.info.clock))
    assert 5 < len(times) < 35
    assert [round(float(time), 2) for time in times] == [
        round(tick / CLOCK, 2) for tick in film.times[: len(times)]
    ]


def test_deep_packed_and_rgb_planes_are_read(tmp_path: Path) -> None:
    ten = MadeFilm(frames=2, codec="libx265", pixels="yuv422p10le").write(tmp_path / "ten.mkv")
    with open_clip(ten) as clip:
        assert (clip.info.kind.chroma, clip.info.kind.bits) == ("422", 10)
        assert max(int(p.planes[0].max()) for p in clip.pictures()) > 255
    packed = MadeFilm(frames=2, codec="ffv1", pixels="bgr0").write(tmp_path / "packed.mkv")
    with open_clip(packed) as clip:
        assert clip.info.kind.chroma == "rgb"
        first = clip.light(next(clip.pictures()))
    assert first.shape == (3, 48, 64)


def test_what_is_no_film_is_refused_with_a_reason(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no film")
    with pytest.raises(InputError, match="no film that can be read"), open_clip(text):
        pass
    picture = tmp_path / "still.mp4"
    Image.new("RGB", (32, 32)).save(picture, "PNG")
    with pytest.raises(InputError, match="no moving picture"), open_clip(picture):
        pass
    with pytest.raises(InputError, match="does not exist"), open_clip(tmp_path / "none.mp4"):
        pass


def test_sound_alone_is_no_film(tmp_path: Path) -> None:
    path = MadeFilm(frames=0, sound=True).write_sound(tmp_path / "sound.mp4")
    with pytest.raises(InputError, match="no moving picture, but audio"), open_clip(path):
        pass
