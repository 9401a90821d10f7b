"""A film is restored frame by frame, and all else of it stays."""

import json
import weakref
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_film import MadeFilm, cut_off, frames_of, packets_of, planes_of, times_of
from PIL import Image

from burstfix import VideoOptions, restore_video, weights
from burstfix.backends import deblurgan, find
from burstfix.backends import set as set_backend
from burstfix.errors import DeviceError, InputError, OutputError, UsageError, WeightsError
from burstfix.restore import window
from burstfix.restore.report import Reporter
from burstfix.restore.video import plan_video

SMALL = {  # a network of `set`'s kind that is quick
    "frame_widths": (4, 4, 4, 4),
    "frame_blocks": (0, 1, 0, 0),
    "trunk_widths": (8, 8, 8, 8),
    "trunk_blocks": (1, 0, 0, 0),
    "trunk_up_blocks": (0, 0, 0),
    "heads": 1,
}
MEAN = VideoOptions(backend="mean", segment=4, crf=8)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> tuple[MadeFilm, Path]:
    """A noisy film that moves, with sound, its frames shown for varying times."""
    film = MadeFilm(frames=14, size=(72, 96), noise=0.08, sound=True, varying=True, rotation=90)
    return film, film.write(tmp_path_factory.mktemp("noisy") / "film.mp4")


def options(**changed: object) -> VideoOptions:
    return VideoOptions(**{**vars(MEAN), **changed})


def error(frame: np.ndarray, truth: np.ndarray) -> float:
    luma = 16 + 219 * (truth @ (0.2126, 0.7152, 0.0722))
    inner = (slice(8, -8), slice(8, -8))
    return float(np.sqrt(np.square(frame.astype(float) - luma)[inner].mean()))


def test_too_little_memory_for_the_frames_is_told(
    noisy: tuple[MadeFilm, Path], tmp_path: Path
) -> None:
    for act in (restore_video, plan_video):
        with pytest.raises(DeviceError, match="do not suffice for frames of 72 x 96"):
            act(noisy[1], tmp_path / "out.mp4", options(memory=1 << 29))
    assert not list(tmp_path.iterdir())


def test_memory_is_trimmed_every_few_frames(
    noisy: tuple[MadeFilm, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trims: list[None] = []
    monkeypatch.setattr("burstfix.restore.video._TRIM_FRAMES", 4)
    monkeypatch.setattr("burstfix.device.trim_memory", lambda: trims.append(None))
    assert restore_video(noisy[1], tmp_path / "out.mp4", MEAN).frames == 14
    assert len(trims) == 3


def test_noise_falls_and_times_and_sound_stay(noisy: tuple[MadeFilm, Path], tmp_path: Path) -> None:
    film, source = noisy
    report = restore_video(source, tmp_path / "out.mp4", MEAN)
    assert (report.frames, report.broken, report.codec) == (14, False, "h264")
    assert report.copied == ["audio (aac)"]
    assert (report.precision, report.settings) == ("fp32", {})
    assert report.neighbours is not None
    assert report.neighbours > 3
    output = tmp_path / "out.mp4"
    assert times_of(output) == times_of(source)
    assert packets_of(output, "audio") == packets_of(source, "audio")
    for number, (before, after) in enumerate(
        zip(frames_of(source), frames_of(output), strict=True)
    ):
        truth = film.picture(number)
        assert error(after, truth) < 0.75 * error(before, truth)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


class Killer(Reporter):
    """Stops the run, as Ctrl-C does, when a frame is finished."""

    def __init__(self, after: int) -> None:
        self.left = after

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [0, 6, 9])
def test_a_run_that_was_stopped_and_resumed_gives_the_frames_of_an_unbroken_one(
    noisy: tuple[MadeFilm, Path], tmp_path: Path, after: int
) -> None:
    _, source = noisy
    restore_video(source, tmp_path / "whole.mp4", MEAN)
    output = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        restore_video(source, output, MEAN, Killer(after))
    assert not output.exists()
    finished = after // 4 * 4
    assert (tmp_path / "out.mp4.burstfix-parts").exists() == (finished > 0)
    if finished:
        with pytest.raises(OutputError, match="finished parts") as told:
            restore_video(source, output, MEAN)
        assert "--resume" in told.value.mend
        with pytest.raises(UsageError, match="--crf"):
            restore_video(source, output, options(resume=True, crf=20))
    report = restore_video(source, output, options(resume=True))
    assert (report.resumed, report.frames) == (finished, 14)
    assert times_of(output) == times_of(tmp_path / "whole.mp4")
    for one, other in zip(planes_of(output), planes_of(tmp_path / "whole.mp4"), strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "whole.mp4"]


def test_frames_do_not_mix_across_a_cut(tmp_path: Path) -> None:
    film = MadeFilm(frames=8, size=(72, 96), cut=4, step=(0, 0))
    source = film.write(tmp_path / "film.mp4")
    report = restore_video(source, tmp_path / "out.mp4", MEAN)
    assert report.cuts_s == [pytest.approx(4 * 1001 / 30000, abs=1e-3)]
    for number, frame in enumerate(frames_of(tmp_path / "out.mp4")):
        assert error(frame, film.picture(number)) < 3


def test_a_part_of_a_film_begins_at_0_and_has_the_frames_of_the_whole(
    noisy: tuple[MadeFilm, Path], tmp_path: Path
) -> None:
    film, source = noisy
    ffv1 = options(codec="ffv1", crf=None)
    restore_video(source, tmp_path / "whole.mkv", ffv1)
    start, end = film.times[5] / 30000, film.times[9] / 30000
    part = options(codec="ffv1", crf=None, start_s=start - 0.001, end_s=end - 0.001)
    report = restore_video(source, tmp_path / "part.mkv", part)
    assert report.frames == 4
    whole = frames_of(tmp_path / "whole.mkv")[5:9]
    for one, other in zip(frames_of(tmp_path / "part.mkv"), whole, strict=True):
        np.testing.assert_array_equal(one, other)
    assert times_of(tmp_path / "part.mkv")[0] == 0
    sound = packets_of(source, "audio")
    kept = packets_of(tmp_path / "part.mkv", "audio")
    assert [data for data, _ in kept] == [
        data for data, time in sound if start <= time < end - 0.001
    ]


def test_a_film_that_breaks_off_is_restored_up_to_there(tmp_path: Path) -> None:
    source = MadeFilm(frames=30, sound=True).write(tmp_path / "f.mp4", {"movflags": "faststart"})
    cut_off(source, 0.6)
    report = restore_video(source, tmp_path / "out.mp4", MEAN)
    assert report.broken
    assert any("breaks off" in warning for warning in report.warnings)
    assert 3 < report.frames < 28
    assert len(frames_of(tmp_path / "out.mp4")) == report.frames


def test_a_folder_of_png_is_written_upright_and_read_again(
    noisy: tuple[MadeFilm, Path], tmp_path: Path
) -> None:
    film, source = noisy
    folder = tmp_path / "frames"
    with pytest.raises(KeyboardInterrupt):
        restore_video(source, folder, MEAN, Killer(5))
    assert not folder.exists()
    report = restore_video(source, folder, options(resume=True))
    assert (report.codec, report.frames) == ("png", 14)
    assert report.resumed >= 4
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == [f"{number:06}.png" for number in range(1, 15)]
    with Image.open(files[3]) as picture:
        upright = np.asarray(picture.convert("RGB")) / 255
    turned = np.rot90(film.picture(3))  # counter-clockwise, as players do
    assert upright.shape == turned.shape
    assert np.sqrt(np.square(upright - turned)[8:-8, 8:-8].mean()) < 0.06
    again = restore_video(files, tmp_path / "film.mp4", options(rate=Fraction(24000, 1001)))
    assert (again.frames, again.size) == (14, turned.shape[:2])
    assert times_of(tmp_path / "film.mp4")[2] == Fraction(2 * 1001, 24000)


def test_an_empty_range_and_missing_weights_are_told(
    noisy: tuple[MadeFilm, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, source = noisy
    with pytest.raises(InputError, match="No frame of"):
        restore_video(source, tmp_path / "out.mp4", options(start_s=100, end_s=None))
    with pytest.raises(UsageError, match="Nothing lies between"):
        options(start_s=3, end_s=2)
    monkeypatch.setattr("burstfix.weights.shipped_weights", list)
    with pytest.raises(WeightsError, match="set for video"):
        restore_video(source, tmp_path / "out.mp4")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "config", "neighbours", "alignment"),
    [
        ("set", set_backend.Config(**SMALL), 10 / 4, "flow"),
        ("deblurgan", deblurgan.Config(width=4, blocks=1), 0, "none"),
    ],
)
def test_networks_with_weights_restore_each_frame_with_the_neighbours_they_take(
    tmp_path: Path, name: str, config: object, neighbours: float, alignment: str
) -> None:
    source = MadeFilm(frames=4, size=(64, 96), step=(0, 1)).write(tmp_path / "film.mp4")
    torch.manual_seed(0)
    network = find(name).build(config)
    file = tmp_path / "own.safetensors"
    weights.save(network, weights.Card(backend=name, task="video", config=asdict(config)), file)
    own = VideoOptions(backend=name, weights=file, precision="fp32")
    report = restore_video(source, tmp_path / "out.mp4", own)
    assert (report.backend, report.frames, report.neighbours) == (name, 4, neighbours)
    assert report.alignment == alignment
    assert report.weights_sha256
    assert len(frames_of(tmp_path / "out.mp4")) == 4


def test_outputs_are_not_replaced_unless_asked(
    noisy: tuple[MadeFilm, Path], tmp_path: Path
) -> None:
    _, source = noisy
    output = tmp_path / "out.mp4"
    output.write_text("old")
    with pytest.raises(OutputError, match="exists already"):
        restore_video(source, output, MEAN)
    assert restore_video(source, output, options(on_exists="skip")).status == "skipped"
    assert output.read_text() == "old"
    with pytest.raises(OutputError, match="inputs are never replaced"):
        restore_video(source, source, options(on_exists="overwrite"))


def test_folders_are_skipped_renamed_or_overwritten_as_asked(
    noisy: tuple[MadeFilm, Path], tmp_path: Path
) -> None:
    _, source = noisy
    short = options(end_s=0.2)
    folder = tmp_path / "clip.frames"  # an empty folder is one, whatever its name
    folder.mkdir()
    assert plan_video(source, folder, short).status == "planned"
    assert folder.is_dir()
    made = restore_video(source, folder, short)
    names = [f"{number:06}.png" for number in range(1, made.frames + 1)]
    assert sorted(path.name for path in folder.iterdir()) == names
    (folder / "note.png").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        restore_video(source, folder, short)
    assert restore_video(source, folder, options(on_exists="skip")).status == "skipped"
    renamed = restore_video(source, folder, options(end_s=0.2, on_exists="rename"))
    assert renamed.output == str(tmp_path / "clip-1.frames")
    assert len(list(Path(renamed.output).iterdir())) == made.frames
    restore_video(source, folder, options(end_s=0.2, on_exists="overwrite"))
    assert sorted(path.name for path in folder.iterdir()) == [*names, "note.png"]
    assert not list(tmp_path.glob("*.burstfix-parts"))


def test_a_link_to_an_empty_folder_is_filled(noisy: tuple[MadeFilm, Path], tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    report = restore_video(noisy[1], tmp_path / "link", options(end_s=0.2))
    assert len(list((tmp_path / "there").iterdir())) == report.frames
    assert (tmp_path / "link").is_symlink()


def test_a_plan_writes_nothing(noisy: tuple[MadeFilm, Path], tmp_path: Path) -> None:
    _, source = noisy
    report = plan_video(source, tmp_path / "out.mp4", MEAN)
    assert (report.status, report.codec, report.frames) == ("planned", "h264", 14)
    assert json.dumps(report.as_json())
    assert not list(tmp_path.iterdir())


def test_memory_does_not_grow_with_the_film(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = MadeFilm(frames=60, size=(32, 48), step=(0, 1)).write(tmp_path / "film.mp4")
    alive: set[int] = set()
    counts: list[int] = []

    class Counted(window.Shot):  # not by `gc`, which shows other threads' half-made objects
        def __init__(self, *parts: Any) -> None:  # noqa: ANN401
            super().__init__(*parts)
            alive.add(self.number)
            weakref.finalize(self, alive.discard, self.number)

    class Watcher(Reporter):
        def step(self) -> None:
            counts.append(len(alive))

    monkeypatch.setattr(window, "Shot", Counted)
    restore_video(source, tmp_path / "out.mp4", options(segment=20), Watcher())
    assert len(counts) >= 60
    assert 0 < max(counts) <= 7
