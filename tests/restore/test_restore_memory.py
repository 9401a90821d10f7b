"""What memory does not suffice for is done elsewhere, left out, or said with its exit code.

The device without memory is torch's `meta`, which every machine has.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from made import MadeBurst
from made_film import MadeFilm

from burstfix import Options, device, restore_burst, restore_video, tiling
from burstfix.color import SRGB
from burstfix.errors import DeviceError
from burstfix.io.write import Canvas, Format
from burstfix.restore.report import Reporter
from burstfix.restore.video_options import VideoOptions
from burstfix.tiling import runner

FULL = torch.device("meta")


class Notes(Reporter):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


@contextmanager
def _nowhere(*_: object) -> Iterator[None]:
    raise torch.OutOfMemoryError("CUDA out of memory")
    yield


@pytest.fixture
def full_device(monkeypatch: pytest.MonkeyPatch) -> None:
    computing = runner.computing
    monkeypatch.setattr(device, "choose", lambda _: FULL)
    monkeypatch.setattr(
        runner,
        "computing",
        lambda where, dtype: _nowhere() if where == FULL else computing(where, dtype),
    )


@pytest.mark.usefixtures("full_device")
def test_where_the_device_was_chosen_for_the_user_the_cpu_takes_over(
    made_burst: MadeBurst, tmp_path: Path
) -> None:
    report = restore_burst(made_burst.paths, tmp_path / "out.png", Options(backend="mean"))
    assert (report.status, report.device, report.precision) == ("written", "cpu", "fp32")
    assert ["from here on the CPU" in warning for warning in report.warnings] == [True]


@pytest.mark.usefixtures("full_device")
def test_where_the_user_chose_it_a_full_device_is_an_error(
    made_burst: MadeBurst, tmp_path: Path
) -> None:
    options = Options(backend="mean", device="cuda")
    with pytest.raises(DeviceError, match="does not suffice"):
        restore_burst(made_burst.paths, tmp_path / "out.png", options)
    assert not (tmp_path / "out.png").exists()


@pytest.mark.usefixtures("full_device")
def test_a_film_goes_on_by_the_cpu_and_tells_it_once(tmp_path: Path) -> None:
    film = MadeFilm(frames=4, size=(64, 96)).write(tmp_path / "film.mp4")
    report = restore_video(film, tmp_path / "out.mp4", VideoOptions(backend="mean"))
    assert (report.frames, report.device, report.precision) == (4, "cpu", "fp32")
    assert len([warning for warning in report.warnings if "from here on" in warning]) == 1


def test_a_picture_is_written_where_memory_lacks_for_the_shares_alone(
    made_burst: MadeBurst, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiling, "computing", _nowhere)
    reporter = Notes()
    options = Options(backend="mean")
    report = restore_burst(made_burst.paths, tmp_path / "out.png", options, reporter)
    assert (tmp_path / "out.png").exists()
    assert report.used == len(made_burst.paths)
    assert [frame.weight for frame in report.frames] == [None] * len(made_burst.paths)
    assert any("shares" in note for note in reporter.notes)


def test_a_picture_beyond_all_memory_is_a_device_error() -> None:
    with pytest.raises(DeviceError, match="10000000 x 10000000"):
        Canvas((10**7, 10**7), Format(container="png", bit_depth=16), SRGB)
