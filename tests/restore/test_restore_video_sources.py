"""Films from sources that are out of the ordinary: their times, tags and colours come through."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from made_film import MadeFilm, frames_of, planes_of, tags_of, times_of
from PIL import Image

from burstfix import VideoOptions, read_frame, restore_video
from burstfix.color import SRGB, encode
from burstfix.frame import Curve, Metadata
from burstfix.io import icc
from burstfix.io.dng import Sensor, write_dng

MEAN = VideoOptions(backend="mean", crf=4)
FFV1 = VideoOptions(backend="mean", codec="ffv1")
DISPLAY_P3 = np.array(  # XYZ under D50 from its RGB
    [[0.51512, 0.29198, 0.1571], [0.2412, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]
)


def remuxed(source: Path, target: Path, *, start: int = 0, timecode: str = "") -> Path:
    """Copy a film's packets into another container, from another time on [s]."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        if timecode:
            new.streams.video[0].metadata["timecode"] = timecode
            new.streams.video[0].codec_context.framerate = Fraction(30000, 1001)
        for packet in old.demux():
            if packet.dts is None:
                continue
            packet.pts += round(start / packet.time_base)
            packet.dts += round(start / packet.time_base)
            packet.stream = streams[packet.stream.index]
            new.mux(packet)
    return target


def test_a_time_code_is_kept(tmp_path: Path) -> None:
    plain = MadeFilm(frames=4).write(tmp_path / "plain.mov")
    source = remuxed(plain, tmp_path / "coded.mov", timecode="01:00:00:00")
    restore_video(source, tmp_path / "out.mp4", MEAN)
    with av.open(str(tmp_path / "out.mp4")) as film:
        assert film.streams.video[0].metadata["timecode"] == "01:00:00:00"
    assert len(frames_of(tmp_path / "out.mp4")) == 4


def test_a_broadcast_begins_at_0_with_its_sound(tmp_path: Path) -> None:
    plain = MadeFilm(frames=8, sound=True).write(tmp_path / "plain.mp4")
    source = remuxed(plain, tmp_path / "cast.ts", start=4000)
    restore_video(source, tmp_path / "out.mp4", MEAN)
    times = times_of(tmp_path / "out.mp4")
    assert len(times) == 8
    assert 0 <= times[0] < Fraction(1, 10)
    with av.open(str(tmp_path / "out.mp4")) as film:
        assert film.duration is not None
        assert film.duration / av.time_base < 1
        assert abs(float(film.streams.audio[0].start_time * film.streams.audio[0].time_base)) < 0.1


def test_where_times_begin_again_the_film_breaks_off(tmp_path: Path) -> None:
    parts = [
        remuxed(MadeFilm(frames=60, sound=True).write(tmp_path / f"{n}.mp4"), tmp_path / f"{n}.ts")
        for n in range(2)
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    report = restore_video(joined, tmp_path / "out.mp4", MEAN)
    assert report.broken
    assert report.frames == 60
    assert any("begin again" in warning for warning in report.warnings)
    assert len(frames_of(tmp_path / "out.mp4")) == 60


def test_colours_and_aspect_are_told_of_every_codec(tmp_path: Path) -> None:
    tags = (9, 1, 16, 9)
    source = MadeFilm(frames=3, tags=tags).write(tmp_path / "wide.mp4")
    restore_video(source, tmp_path / "out.mkv", FFV1)
    assert tags_of(tmp_path / "out.mkv") == tags
    squeezed = MadeFilm(frames=3, aspect=Fraction(4, 3)).write(tmp_path / "squeezed.mp4")
    prores = VideoOptions(backend="mean", codec="prores")
    restore_video(squeezed, tmp_path / "out.mov", prores)
    with av.open(str(tmp_path / "out.mov")) as film:
        assert film.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


def test_pictures_with_a_wide_gamut_become_films_of_srgb_and_stay_so_as_pictures(
    tmp_path: Path,
) -> None:
    profile = icc.of_curve(SRGB, DISPLAY_P3)
    pixels = np.full((48, 64, 3), (200, 60, 40), np.uint8)
    for number in range(3):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png", icc_profile=profile)
    files = sorted(tmp_path.glob("*.png"))
    restore_video(files, tmp_path / "out.mp4", MEAN)
    luma, blue, red = (plane.mean() for plane in planes_of(tmp_path / "out.mp4")[0])
    shown = np.array([217, 42, 23]) @ (0.2126, 0.7152, 0.0722)  # of P3's (200, 60, 40) in sRGB
    assert luma == pytest.approx(16 + 219 / 255 * shown, abs=2)
    assert blue == pytest.approx(128 + 224 / 255 * (23 - shown) / 1.8556, abs=2)
    assert red == pytest.approx(128 + 224 / 255 * (217 - shown) / 1.5748, abs=2)
    restore_video(files, tmp_path / "frames", MEAN)
    with Image.open(tmp_path / "frames" / "0.png") as picture:
        assert picture.info["icc_profile"] == profile
    again = cv2.imread(str(tmp_path / "frames" / "0.png"), cv2.IMREAD_UNCHANGED)
    assert again.reshape(-1, 3).mean(axis=0)[::-1] / 257 == pytest.approx([200, 60, 40], abs=1)


def test_raw_frames_of_a_film_share_the_first_ones_white_balance_and_look(tmp_path: Path) -> None:
    for number, neutral in enumerate([(0.5, 1.0, 0.7), (0.8, 1.0, 0.4)]):
        sensor = Sensor(
            black_level=512, white_level=16383, as_shot_neutral=neutral, color_matrix=np.eye(3)
        )
        write_dng(
            tmp_path / f"{number}.dng",
            np.full((64, 96), 4000, np.uint16),
            sensor=sensor,
            metadata=Metadata(),
        )
    files = sorted(tmp_path.glob("*.dng"))
    restore_video(files, tmp_path / "frames", MEAN)
    pictures = [
        cv2.imread(str(tmp_path / "frames" / f"{n}.png"), cv2.IMREAD_UNCHANGED) for n in (0, 1)
    ]
    assert np.abs(pictures[0].astype(float) - pictures[1]).max() < 300  # of 65535
    restore_video(files, tmp_path / "out.mp4", MEAN)
    with av.open(str(tmp_path / "out.mp4")) as film:
        luma = next(film.decode(video=0)).reformat(format="yuv420p").to_ndarray()[:64].mean()
    bgr = pictures[0].reshape(-1, 3).mean(axis=0) / 65535
    assert luma == pytest.approx(16 + 219 * (bgr @ (0.0722, 0.7152, 0.2126)), abs=3)


def test_a_curve_whose_knee_rounding_puts_below_0_is_coded(tmp_path: Path) -> None:
    curve = Curve(
        g=2.2, a=1.2561187744140625, b=-0.09521484375, d=0.09521484375 / 1.2561187744140625
    )
    profile = icc.of_curve(curve, None)
    path = tmp_path / "odd.png"
    Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(path, icc_profile=profile)
    frame = read_frame(path)
    assert encode(frame.whole(), frame.curve).mean() == pytest.approx(90 / 255, abs=1e-3)
