"""`burstfix single` through the real entry point."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import pytest
from made import scene, small_weights
from PIL import Image, ImageCms

from burstfix.cli.app import main
from burstfix.io.write import Canvas, save

BAD = ("cut.jpg", "day/text.png")
GOOD = (*(f"{number}.jpg" for number in range(6)), "日没/été.png", "day/ä 1.tif", "day/x/last.webp")


@dataclass(frozen=True)
class Album:
    """Photographs in a tree, bad ones among them, and weights to restore them with."""

    folder: Path
    weights: Path

    @property
    def named(self) -> tuple[object, ...]:
        return ("single", self.folder, "--weights", self.weights)


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def burstfix(*arguments: object) -> Done:
    """Run the entry point in this process: a start of Python and torch costs more than the work.

    How memory is taken is left alone: it would hold for the tests that follow too.
    """
    out, err = io.StringIO(), io.StringIO()
    handler, argv = signal.getsignal(signal.SIGTERM), sys.argv
    sys.argv = ["burstfix", *map(str, arguments)]
    try:
        with (
            patch("burstfix.cli.single.tune"),
            redirect_stdout(out),
            redirect_stderr(err),
            pytest.raises(SystemExit) as ending,
        ):
            main()
    finally:
        sys.argv = argv
        signal.signal(signal.SIGTERM, handler)
    return Done(int(ending.value.code or 0), out.getvalue(), err.getvalue())


def start(*arguments: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "burstfix", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Where the tests run in the background, the shell has them ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Album:
    root = tmp_path_factory.mktemp("album")
    folder = root / "photographs"
    for number, name in enumerate(GOOD):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(np.round(scene(90, 120, number) * 255).astype(np.uint8))
        picture.save(folder / name)
    (folder / BAD[0]).write_bytes((folder / GOOD[0]).read_bytes()[:1200])
    (folder / BAD[1]).write_text("no picture")
    (folder / "notes.txt").write_text("left alone")
    return Album(folder, small_weights(root / "single.safetensors"))


@pytest.fixture(scope="module")
def whole(album: Album, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an undisturbed run writes."""
    output = tmp_path_factory.mktemp("whole") / "out"
    burstfix(*album.named, "-o", output)
    return contents(output)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_bad_files_stop_no_other_and_a_rerun_does_what_is_left(
    album: Album, tmp_path: Path
) -> None:
    before, output = contents(album.folder), tmp_path / "out"
    done = burstfix(*album.named, "-o", output, "--json")
    assert done.returncode == 1, done.stderr
    assert f"11 photographs: {len(GOOD)} written." in done.stderr
    told = done.stderr.split("2 of 11 photographs failed:")[1]
    assert all(name in told for name in BAD)
    made = contents(output)
    assert set(made) == {str(Path(name).with_suffix(".png")) for name in GOOD}
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["status"] for line in lines].count("written") == len(GOOD)
    failed = [line for line in lines if line["status"] == "failed"]
    assert [line["frames"][0]["path"] for line in failed] == [str(album.folder / b) for b in BAD]
    assert [line["exit_code"] for line in failed] == [3, 3]

    (output / "3.png").unlink()
    stamps = {path: path.stat().st_mtime_ns for path in output.rglob("*.png")}
    again = burstfix(*album.named, "-o", output)
    assert again.returncode == 1
    assert f"{len(GOOD) - 1} skipped, 1 written." in again.stderr
    assert contents(output) == made
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    assert contents(album.folder) == before


@pytest.fixture
def faulty() -> Iterator[None]:
    """One photograph meets a fault of burstfix's, and one finds no memory, as they are written."""

    def faulty_save(canvas: Canvas, path: Path, **options: Any) -> list[str]:  # noqa: ANN401
        if path.name == "2.png":
            raise ZeroDivisionError("division by zero")
        if path.name == "3.png":
            raise MemoryError
        return save(canvas, path, **options)

    with patch("burstfix.restore.writing.save", faulty_save):
        yield


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_a_fault_stops_no_other_photograph_and_debug_only_shows_it(
    album: Album, whole: dict[str, bytes], tmp_path: Path, debug: tuple[str, ...]
) -> None:
    output = tmp_path / "out"
    done = burstfix(*album.named, "-o", output, "--json", *debug)
    assert done.returncode == 1
    assert contents(output) == {
        name: content for name, content in whole.items() if name not in {"2.png", "3.png"}
    }
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    failed = [line for line in lines if line["status"] == "failed"]
    assert [line["exit_code"] for line in failed] == [1, 6, 3, 3]
    assert "fault: ZeroDivisionError" in failed[0]["error"]
    assert "fault: ZeroDivisionError: division by zero" in done.stderr
    assert "4 of 11 photographs failed:" in done.stderr
    assert done.stderr.count("Traceback") >= 4 if debug else "Traceback" not in done.stderr


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize(("name", "exit_code"), [("2.jpg", 1), ("3.jpg", 6), (BAD[0], 3)])
def test_a_lone_photograph_that_fails_has_its_line_of_json_and_its_exit_code(
    album: Album, tmp_path: Path, name: str, exit_code: int
) -> None:
    output = tmp_path / Path(name).with_suffix(".png").name
    done = burstfix(
        "single", album.folder / name, "-w", album.weights, "-o", output, "--json", "-q"
    )
    assert done.returncode == exit_code
    line = json.loads(done.stdout)
    assert (line["status"], line["exit_code"]) == ("failed", exit_code)
    assert line["error"] in done.stderr
    assert line["mend"] in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("blow", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_stopped_in_the_middle_and_run_again_it_ends_in_the_same_files(
    album: Album, whole: dict[str, bytes], tmp_path: Path, blow: signal.Signals, code: int
) -> None:
    output = tmp_path / "out"
    child = start(*album.named, "-o", output)
    deadline = time.monotonic() + 60
    while not (output / "1.png").exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    child.send_signal(blow)
    child.communicate(timeout=60)
    assert child.returncode == code
    stopped = contents(output)
    assert 0 < len(stopped) < len(GOOD)
    assert all(whole[name] == content for name, content in stopped.items())
    burstfix(*album.named, "-o", output)
    assert contents(output) == whole


def test_dry_run_names_every_output_and_writes_nothing(album: Album, tmp_path: Path) -> None:
    done = burstfix(*album.named, "-o", tmp_path / "out", "--dry-run", "--format", "keep")
    assert done.returncode == 1, done.stderr  # a file that is no photograph shows without decoding
    assert f"{tmp_path / 'out' / '0.jpg'}: from {album.folder / '0.jpg'} (120 x 90)" in done.stderr
    assert "text.png is no photograph" in done.stderr
    assert not (tmp_path / "out").exists()


def test_collisions_and_inputs_as_outputs_are_refused_before_work(
    album: Album, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.jpg", "a.png"):
        (folder / name).write_bytes((album.folder / "0.jpg").read_bytes())
    before = contents(folder)
    clash = burstfix("single", folder, "-o", tmp_path / "out", "-w", album.weights)
    assert (clash.returncode, "both be written" in clash.stderr) == (2, True)
    over = ("-w", album.weights, "--on-exists", "overwrite")
    kept = burstfix("single", folder, "-o", folder, "-f", "keep", *over)
    assert (kept.returncode, "never replaced" in kept.stderr) == (7, True)
    assert contents(folder) == before
    assert not (tmp_path / "out").exists()


def test_strength_0_gives_every_pixel_back(album: Album, tmp_path: Path) -> None:
    output = tmp_path / "out"
    burstfix(*album.named, "-o", output, "--strength", "0", "--bit-depth", "8")
    for name in (GOOD[0], GOOD[6], GOOD[7]):
        made = cv2.imread(str(output / Path(name).with_suffix(".png")))
        assert np.array_equal(made, cv2.imread(str(album.folder / name)))


def test_orientation_profile_and_exif_are_kept(album: Album, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274], exif[315] = 6, "A. Photographer"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source = tmp_path / "turned.jpg"
    picture = Image.fromarray(np.round(scene(64, 100) * 255).astype(np.uint8))
    picture.save(source, exif=exif, icc_profile=profile)
    done = burstfix("single", source, "-o", tmp_path / "out.jpg", "-w", album.weights)
    assert done.returncode == 0, done.stderr
    assert "restored by set" in done.stderr
    with Image.open(tmp_path / "out.jpg") as made:
        assert made.size == (64, 100)  # upright
        assert made.getexif()[274] == 1
        assert made.getexif()[315] == "A. Photographer"
        assert made.info["icc_profile"] == profile


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["{cut}", "-o", "{out}.png"], 3, "ends early"),
        (["{good}", "-o", "{good}", "--on-exists", "overwrite"], 7, "never replaced"),
        (["{good}", "-o", "{weights}"], 2, "extension"),
        (["{good}", "{cut}", "-o", "{out}.png"], 2, "one file"),
        (["{good}", "-o", "{out}.png", "--strength", "2"], 2, "strength"),
        (["{good}", "-o", "{out}.png", "--backend", "fba"], 2, "not for single"),
        (["{good}", "-o", "{out}", "-f", "jpg", "--bit-depth", "16"], 2, "16 bits"),
        (["no-such/", "-o", "{out}"], 3, "no-such"),
    ],
)
def test_what_a_user_gets_wrong_has_its_exit_code_and_a_message(
    album: Album, tmp_path: Path, arguments: list[str], exit_code: int, words: str
) -> None:
    names = {
        "cut": album.folder / BAD[0],
        "good": album.folder / GOOD[0],
        "weights": album.weights,
        "out": tmp_path / "out",
    }
    filled = [argument.format(**names) for argument in arguments]
    extra = [] if "--backend" in filled else ["--weights", album.weights]
    before = contents(album.folder)
    done = burstfix("single", *filled, *extra)
    assert done.returncode == exit_code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
    assert contents(album.folder) == before


def test_one_file_that_exists_is_refused_and_a_folder_of_one_is_skipped(
    album: Album, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "0.jpg").write_bytes((album.folder / "0.jpg").read_bytes())
    (tmp_path / "0.png").write_bytes(b"old")
    shared = ("-o", tmp_path, "--weights", album.weights)
    assert burstfix("single", folder / "0.jpg", *shared).returncode == 7
    assert burstfix("single", folder, *shared).returncode == 0
    assert (tmp_path / "0.png").read_bytes() == b"old"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
def test_a_name_that_is_no_text_is_restored_and_told(album: Album, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    name = os.fsdecode(b"\xff\xfe.jpg")
    (folder / name).write_bytes((album.folder / "0.jpg").read_bytes())
    (folder / os.fsdecode(b"\xff-cut.jpg")).write_bytes(b"\xff\xd8")
    done = burstfix("single", folder, "-o", tmp_path / "out", "-w", album.weights, "--json")
    assert done.returncode == 1, done.stderr
    assert (tmp_path / "out" / os.fsdecode(b"\xff\xfe.png")).exists()
    assert json.loads(done.stdout.splitlines()[1])["frames"][0]["path"] == str(folder / name)


def test_help_shows_examples() -> None:
    done = burstfix("single", "--help")
    assert done.returncode == 0
    assert "burstfix single holiday/ -o restored/" in done.stdout
