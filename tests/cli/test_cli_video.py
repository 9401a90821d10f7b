"""`burstfix video` through the real entry point."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from made_film import MadeFilm, cut_off, frames_of, planes_of

from burstfix.cli.app import main

COMMAND = [sys.executable, "-m", "burstfix", "video"]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small film with sound."""
    made = MadeFilm(frames=40, size=(64, 96), sound=True)
    return made.write(tmp_path_factory.mktemp("film") / "film.mp4")


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator["Entry"]:
    handler = signal.getsignal(signal.SIGTERM)
    yield Entry(monkeypatch, capsys)
    signal.signal(signal.SIGTERM, handler)


class Entry:
    """Runs the command in this process, from `main` on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch = monkeypatch
        self.capsys = capsys

    def run(self, *arguments: object) -> tuple[int, str, str]:
        """Return the exit code, stdout and stderr."""
        self.monkeypatch.setattr(sys, "argv", ["burstfix", "video", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        told = self.capsys.readouterr()
        code = stopped.value.code
        return (code if isinstance(code, int) else 0), told.out, told.err


def test_a_killed_run_goes_on_with_resume_and_leaves_the_same_frames(
    film: Path, tmp_path: Path, entry: Entry
) -> None:
    arguments = [str(film), "--backend", "mean", "--segment", "4"]
    whole, output = tmp_path / "whole.mp4", tmp_path / "out.mp4"
    assert entry.run(*arguments, "-o", whole)[0] == 0
    process = subprocess.Popen(
        [*COMMAND, *arguments, "-o", str(output)], stderr=subprocess.PIPE, env=os.environ
    )
    until = time.monotonic() + 60
    while time.monotonic() < until and not list(tmp_path.glob("out.mp4.*/*.part")):
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not output.exists()
    code, out, err = entry.run(*arguments, "-o", output, "--resume", "--json")
    assert code == 0, err
    report = json.loads(out)
    assert report["resumed"] > 0
    assert report["frames"] == 40
    for one, other in zip(planes_of(output), planes_of(whole), strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "whole.mp4"]


def test_ctrl_c_leaves_no_half_film_and_says_how_to_go_on(film: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    command = [*COMMAND, str(film), "-b", "mean", "--segment", "4", "-o", str(output)]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        # Where tests run in the background, children inherit an interrupt that is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    until = time.monotonic() + 60
    while time.monotonic() < until and not list(tmp_path.glob("out.mp4.*/*.part")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "--resume goes on" in told
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4.burstfix-parts"]


def test_a_film_that_breaks_off_is_written_with_a_warning_and_exit_code_1(
    tmp_path: Path, entry: Entry
) -> None:
    source = MadeFilm(frames=30).write(tmp_path / "film.mp4", {"movflags": "faststart"})
    cut_off(source, 0.6)
    code, out, err = entry.run(source, "-o", tmp_path / "out.mp4", "-b", "mean", "--json")
    assert code == 1
    assert "breaks off" in err
    assert json.loads(out)["broken"]
    assert 3 < len(frames_of(tmp_path / "out.mp4")) < 28


def test_errors_are_told_with_their_exit_codes(film: Path, tmp_path: Path, entry: Entry) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no film")
    sound = MadeFilm().write_sound(tmp_path / "sound.mp4")
    out = ("-o", tmp_path / "out.mp4", "-b", "mean")
    for arguments, code, words in (
        ((tmp_path / "none.mp4", *out), 3, "does not exist"),
        ((text, *out), 3, "no film that can be read"),
        ((sound, *out), 3, "no moving picture"),
        ((film, film, *out), 2, "given 2 times"),
        ((film, *out, "--codec", "prores"), 2, "prores does not go into .mp4"),
        ((film, "-o", tmp_path / "out.gif", "-b", "mean"), 2, "No film has the extension"),
        ((film, *out, "--start", 2, "--end", 1), 2, "Nothing lies between"),
        ((film, *out, "--fps", "fast"), 2, "--fps fast"),
        ((film, "-o", tmp_path / "out.mp4", "-b", "fba"), 2, "fba is not for video"),
        ((film, *out, "--start", 99), 3, "No frame of"),
    ):
        exit_code, _, err = entry.run(*arguments)
        assert (exit_code, words in err) == (code, True), (arguments, exit_code, err)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.mp4", "sound.mp4"]


def test_what_would_be_ignored_is_refused(film: Path, tmp_path: Path, entry: Entry) -> None:
    frames = tmp_path / "frames"
    assert entry.run(film, "-o", frames, "-b", "mean", "--end", 0.1, "--bit-depth", 8)[0] == 0
    to_film, to_folder = tmp_path / "out.mp4", tmp_path / "out"
    for source, output, option, value, use in (
        (film, to_film, "--exposure-cycle", 0.3, "--tune"),
        (film, to_film, "--tune-iterations", 200, "--tune"),
        (film, to_film, "--bit-depth", 16, "PNG files"),
        (film, to_folder, "--codec", "ffv1", "films"),
        (film, to_folder, "--crf", 20, "films"),
        (film, to_film, "--fps", 24, "single frames"),
    ):
        code, _, err = entry.run(source, "-o", output, "-b", "mean", option, value)
        assert (code, f"{option} is for {use}" in err) == (2, True), err
    options = ("--fps", 24, "--codec", "ffv1")
    assert entry.run(frames, "-o", tmp_path / "out.mkv", "-b", "mean", *options)[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames", "out.mkv"]


def test_a_dry_run_tells_what_would_be_done_and_writes_nothing(
    film: Path, tmp_path: Path, entry: Entry
) -> None:
    code, out, err = entry.run(film, "-o", tmp_path / "out.mp4", "-b", "mean", "-n", "--json")
    assert code == 0
    assert json.loads(out)["status"] == "planned"
    assert "about 40 frames" in err
    assert not list(tmp_path.iterdir())
