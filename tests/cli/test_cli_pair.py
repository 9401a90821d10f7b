"""`burstfix pair` through the real entry point."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from made import MadePair, make_pair
from PIL import Image

TIMES_S = (1 / 60, 0.4)


def burstfix(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "burstfix", "pair", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"NO_COLOR": "1"},
        timeout=100,
        check=False,
    )


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> MadePair:
    """A pair whose files tell their exposure times."""
    return make_pair(tmp_path_factory.mktemp("timed"), times_s=TIMES_S)


@pytest.fixture(scope="module")
def untold(tmp_path_factory: pytest.TempPathFactory) -> MadePair:
    """A pair whose files tell nothing."""
    return make_pair(tmp_path_factory.mktemp("untold"))


def test_exposure_times_tell_which_is_which_and_the_closing_line_says_so(
    timed: MadePair, tmp_path: Path
) -> None:
    output = tmp_path / "out.tif"
    done = burstfix(timed.long, timed.short, "-o", output, "--json", "-v")
    assert done.returncode == 0, done.stderr
    assert "noisy short.jpg and blurry long.jpg (told by exposure time) fused by set" in done.stderr
    report = json.loads(done.stdout)
    assert report["told_by"] == "exposure time"
    assert report["reference"] == str(timed.short)
    assert [frame["kind"] for frame in report["frames"]] == ["blurry", "noisy"]
    assert report["frames"][1]["gain"] == pytest.approx(1 / 0.15, rel=0.06)
    assert len(report["colour"]) == 3
    with Image.open(output) as picture:
        assert picture.size == (200, 160)


def test_pixels_tell_where_the_files_do_not_and_what_is_typed_outranks_them(
    untold: MadePair, tmp_path: Path
) -> None:
    found = burstfix(*untold.paths, "-o", tmp_path / "found.png")
    assert found.returncode == 0, found.stderr
    assert "noisy short.png and blurry long.png (told by noise)" in found.stderr
    typed = ("--noisy", untold.long, "--blurry", untold.short, "-o", tmp_path / "typed.png")
    done = burstfix(*typed)
    assert done.returncode == 0, done.stderr
    assert "noisy long.png and blurry short.png (told by options)" in done.stderr


@pytest.mark.parametrize("frames", ["{folder}", "{folder}/*.png", "{folder}/../{name}/long.png"])
def test_a_file_whose_kind_is_said_may_lie_in_what_is_named(
    untold: MadePair, tmp_path: Path, frames: str
) -> None:
    folder = untold.long.parent
    named = frames.format(folder=folder, name=folder.name)
    short = os.path.relpath(untold.short)
    done = burstfix(named, "--noisy", short, "-o", tmp_path / "out.png", "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    told = {Path(frame["path"]).stem: frame["kind"] for frame in json.loads(done.stdout)["frames"]}
    assert told == {"short": "noisy", "long": "blurry"}


def test_each_folder_is_a_pair_and_one_that_fails_stops_no_other(
    timed: MadePair, untold: MadePair, tmp_path: Path
) -> None:
    for name, files in (("a", untold.paths), ("b", [untold.short]), ("c", timed.paths)):
        (tmp_path / "in" / name).mkdir(parents=True)
        for path in files:
            (tmp_path / "in" / name / path.name).write_bytes(path.read_bytes())
    plan = burstfix(tmp_path / "in" / "*/", "-o", tmp_path / "out", "--dry-run")
    assert plan.returncode == 1, plan.stderr
    assert "A pair needs two frames" in plan.stderr
    assert not (tmp_path / "out").exists()
    assert f"blurry  {tmp_path / 'in' / 'c' / 'long.jpg'}" in plan.stderr
    assert "told apart by pixels" in plan.stderr
    done = burstfix(tmp_path / "in" / "*/", "-o", tmp_path / "out")
    assert done.returncode == 1, done.stderr
    assert "1 of 3 pairs failed" in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]


def test_the_pairs_of_one_folder_are_shown_before_work(tmp_path: Path) -> None:
    card = tmp_path / "card"
    card.mkdir()
    for number, (second, time_s) in enumerate([(0, 0.01), (4, 0.5), (9, 0.01), (14, 0.5)]):
        exif = Image.Exif()
        exif.get_ifd(34665)[36867] = f"2024:05:01 12:00:{second:02}"
        exif.get_ifd(34665)[33434] = time_s
        Image.new("RGB", (32, 24)).save(card / f"{number}.jpg", exif=exif)
    done = burstfix(card, "--split", "-o", tmp_path / "out", "--dry-run", "--json")
    plans = [json.loads(line) for line in done.stdout.splitlines()]
    assert [[frame["kind"] for frame in plan["frames"]] for plan in plans] == [
        ["noisy", "blurry"],
        ["noisy", "blurry"],
    ]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["{short}", "{again}"], 3, "no pair"),
        (["{short}"], 3, "two frames"),
        (["{short}", "{foreign}"], 4, "do not show one scene"),
        (["{short}", "{long}", "--backend", "mean"], 2, "mean is not for pair"),
        (["{short}", "{long}", "--backend", "aittala"], 2, "aittala is not for pair"),
        (["--noisy", "{short}", "--blurry", "{short}"], 2, "2 times"),
        (["{short}", "{long}", "--noisy", "no-such.png"], 3, "no-such.png"),
        ([], 2, ""),
        (["{short}", "{turned}"], 3, "turned by 90 degrees"),
    ],
)
def test_what_is_no_pair_has_its_exit_code_and_a_message(
    untold: MadePair, tmp_path: Path, arguments: list[str], exit_code: int, words: str
) -> None:
    files = {"short": untold.short, "long": untold.long, "again": tmp_path / "again.png"}
    files["again"].write_bytes(untold.short.read_bytes())
    files["turned"] = tmp_path / "turned.png"
    Image.open(untold.long).transpose(Image.Transpose.ROTATE_90).save(files["turned"])
    files["foreign"] = make_pair(tmp_path / "foreign", seed=7).long
    filled = [argument.format(**files) for argument in arguments]
    done = burstfix(*filled, "-o", tmp_path / "out.png")
    assert done.returncode == exit_code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.png").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_killed_at_work_it_leaves_nothing(tmp_path: Path) -> None:
    pair = make_pair(tmp_path / "small")
    paths = []
    for path in pair.paths:
        with Image.open(path) as small:
            large = np.tile(np.asarray(small), (12, 12, 1))
        paths.append(tmp_path / path.name)
        Image.fromarray(large).save(paths[-1])
    command = [sys.executable, "-m", "burstfix", "pair", *map(str, paths)]
    child = subprocess.Popen(
        [*command, "-o", str(tmp_path / "out.png")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(4.0)  # it takes ten seconds and more
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=60)
    assert child.returncode == 143
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.png", "short.png", "small"]
