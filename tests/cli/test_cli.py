"""The command line through its real entry point: results, messages, exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from made import MadeBurst, scene
from PIL import Image


def burstfix(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "burstfix", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"NO_COLOR": "1"} | environment,
        timeout=100,
        check=False,
    )


def psnr(picture: np.ndarray, truth: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((picture - truth) ** 2)))


def read(path: Path) -> np.ndarray:
    import cv2

    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1]


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['burstfix', '--help']\n"
        "from burstfix.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'cv2', 'numpy', 'rawpy', 'PIL'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"
    assert "burst" in result.stdout


def test_help_of_burst_shows_examples() -> None:
    result = burstfix("burst", "--help")
    assert result.returncode == 0
    assert "burstfix burst IMG_*.dng -o night.png" in result.stdout


@pytest.mark.parametrize("backend", ["mean", "fba", "set", "aittala", "wieschollek"])
def test_burst_is_cleaner_than_its_frames_and_keeps_the_reference_geometry(
    made_burst: MadeBurst, tmp_path: Path, backend: str
) -> None:
    output = tmp_path / "out.png"
    result = burstfix(
        "burst", *made_burst.paths, "-o", output, "--reference", "first", "--backend", backend
    )
    assert result.returncode == 0, result.stderr
    assert "5 of 5 frames" in result.stderr
    assert result.stdout == ""
    picture = read(output)
    assert picture.dtype == np.uint16
    inside = np.s_[10:-10, 10:-10]
    frame = read(made_burst.paths[0])[inside] / 255
    fused, truth = picture[inside] / 65535, made_burst.truth[inside]
    # dB; averaging five frames can give 7
    gain = {"mean": 5, "fba": 2, "set": 4.5, "aittala": 3, "wieschollek": 3}[backend]
    assert psnr(fused, truth) > psnr(frame, truth) + gain


def test_verbose_tells_how_wieschollek_serves_other_numbers_than_14(
    made_burst: MadeBurst, tmp_path: Path
) -> None:
    output = tmp_path / "out.png"
    result = burstfix("burst", *made_burst.paths, "-o", output, "-v", "--backend", "wieschollek")
    assert result.returncode == 0, result.stderr
    assert "5 frames are repeated to make 14." in result.stderr


def test_json_tells_the_whole_story(made_burst: MadeBurst, tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    result = burstfix("burst", *made_burst.paths, "-o", output, "--json", "-q", "-r", "2")
    report = json.loads(result.stdout)
    assert result.stderr == ""
    assert report["status"] == "written"
    assert report["output"] == str(output)
    assert report["reference"] == str(made_burst.paths[1])
    assert set(report["timings_s"]) == {"decode", "align", "fuse", "write"}
    assert [frame["path"] for frame in report["frames"]] == [str(p) for p in made_burst.paths]
    assert sum(frame["weight"] for frame in report["frames"]) == pytest.approx(1, abs=1e-4)
    assert all(frame["correlation"] > 0.5 for frame in report["frames"])
    assert report["peak_memory_bytes"] > 50e6


def test_order_of_the_files_changes_no_bit(made_burst: MadeBurst, tmp_path: Path) -> None:
    first, second = tmp_path / "1.png", tmp_path / "2.png"
    burstfix("burst", *made_burst.paths, "-o", first, "--strip")
    burstfix("burst", *made_burst.paths[::-1], "-o", second, "--strip")
    assert first.read_bytes() == second.read_bytes()


def test_dry_run_writes_nothing(made_burst: MadeBurst, tmp_path: Path) -> None:
    output = tmp_path / "new" / "out.png"
    result = burstfix("burst", *made_burst.paths, "-o", output, "--dry-run")
    assert result.returncode == 0, result.stderr
    assert str(output) in result.stderr
    assert not output.parent.exists()


def test_foreign_frame_is_left_out_and_named(made_burst: MadeBurst, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.png"
    picture = scene(160, 200, seed=9)
    Image.fromarray(np.round(picture * 255).astype(np.uint8)).save(foreign)
    result = burstfix("burst", *made_burst.paths, foreign, "-o", tmp_path / "out.png", "-r", "1")
    assert result.returncode == 0, result.stderr
    assert "foreign.png" in result.stderr
    assert "5 of 6 frames" in result.stderr


def test_each_folder_is_a_burst(made_burst: MadeBurst, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "in" / name).mkdir(parents=True)
        for path in made_burst.paths[:2]:
            (tmp_path / "in" / name / path.name).write_bytes(path.read_bytes())
    (tmp_path / "in" / "c").mkdir()
    (tmp_path / "in" / "c" / "broken.png").write_bytes(b"no picture")
    result = burstfix("burst", tmp_path / "in" / "*/", "-o", tmp_path / "out")
    assert result.returncode == 1
    assert "broken.png" in result.stderr
    assert "1 of 3 bursts failed" in result.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize("asked", [("--linear",), ("--bit-depth", "32")])
def test_into_a_folder_floats_go_as_tiff(
    made_burst: MadeBurst, tmp_path: Path, asked: tuple[str, ...]
) -> None:
    folder = made_burst.paths[0].parent
    result = burstfix("burst", folder, "-b", "mean", "-o", tmp_path / "out", "--dry-run", *asked)
    assert result.returncode == 0, result.stderr
    assert f"{tmp_path / 'out' / folder.name}.tif: from 5 frames" in result.stderr


def test_a_second_run_takes_no_result_of_the_first_for_a_frame(
    made_burst: MadeBurst, tmp_path: Path
) -> None:
    for path in made_burst.paths[:2]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for backend in ("mean", "fba"):
        result = burstfix("burst", tmp_path, "-b", backend, "-o", tmp_path / f"{backend}.tif")
        assert result.returncode == 0, result.stderr
        assert "2 of 2 frames fused" in result.stderr


def test_the_bursts_of_one_folder_are_shown_before_work(tmp_path: Path) -> None:
    card = tmp_path / "card"
    card.mkdir()
    for number, second in enumerate((1, 2, 30, 31, 59)):
        exif = Image.Exif()
        exif.get_ifd(34665)[36867] = f"2024:05:01 12:00:{second:02}"
        Image.new("RGB", (32, 24)).save(card / f"{number}.jpg", exif=exif)
    result = burstfix("burst", card, "--split", "-o", tmp_path / "out", "--dry-run", "-b", "mean")
    assert result.returncode == 0
    assert f"{tmp_path / 'out' / '0.png'}: from 2 frames" in result.stderr
    assert f"{tmp_path / 'out' / '2.png'}: from 2 frames" in result.stderr
    assert "4.jpg" in result.stderr
    assert not (tmp_path / "out").exists()


def test_existing_picture_is_refused_skipped_renamed_or_overwritten(
    made_burst: MadeBurst, tmp_path: Path
) -> None:
    output = tmp_path / "out.png"
    output.write_bytes(b"old")
    command = ("burst", *made_burst.paths[:2], "-o", output, "--on-exists")
    assert burstfix(*command, "fail").returncode == 7
    assert burstfix(*command, "skip").returncode == 0
    assert output.read_bytes() == b"old"
    assert burstfix(*command, "rename").returncode == 0
    assert output.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2
    assert burstfix(*command, "overwrite").returncode == 0
    assert output.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["--backend", "mena"], 2, "mean"),
        (["--backend", "fba", "--set", "q=3"], 2, "no setting q"),
        (["--backend", "fba", "--set", "p"], 2, "--set p"),
        (["--reference", "17"], 2, "--reference"),
        (["--reference", "best"], 2, "--reference"),
        (["--bit-depth", "12"], 2, "bit"),
        (["--memory", "lots"], 2, "memory"),
        (["--weights", "{frame}"], 5, "frame 0.png"),
        (["--device", "cuda:7"], 6, "--device"),
        (["--device", "toaster"], 2, "toaster"),
        (["no-such.png"], 3, "no-such.png"),
        (["-o", "out.gif"], 2, ".gif"),
        (["-o", "{frame}", "--on-exists", "overwrite"], 7, "frame 0.png"),
    ],
)
def test_what_a_user_gets_wrong_has_its_exit_code_and_a_message(
    made_burst: MadeBurst, tmp_path: Path, arguments: list[str], exit_code: int, words: str
) -> None:
    filled = [argument.replace("{frame}", str(made_burst.paths[0])) for argument in arguments]
    before = made_burst.paths[0].read_bytes()
    result = burstfix("burst", *made_burst.paths, "-o", tmp_path / "out.png", *filled)
    assert result.returncode == exit_code, result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out.png").exists()
    assert made_burst.paths[0].read_bytes() == before


def test_frames_of_nothing_in_common_are_an_alignment_error(tmp_path: Path) -> None:
    paths = []
    for seed in range(3):
        path = tmp_path / f"{seed}.png"
        Image.fromarray(np.round(scene(160, 200, seed) * 255).astype(np.uint8)).save(path)
        paths.append(path)
    result = burstfix("burst", *paths, "-o", tmp_path / "out.png")
    assert result.returncode == 4, result.stderr


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = burstfix("burst", "nothing.png", "-o", tmp_path / "out.png", "--debug")
    assert result.returncode == 3
    assert "Traceback" in result.stderr


def test_backends_lists_tasks_and_speaks_json() -> None:
    result = burstfix("backends", "--json")
    entries = [json.loads(line) for line in result.stdout.splitlines()]
    assert {"mean", "fba"} <= {entry["name"] for entry in entries}
    assert all(entry["tasks"] for entry in entries)


def test_shell_completion_names_the_commands() -> None:
    result = burstfix(_BURSTFIX_COMPLETE="complete_bash", COMP_WORDS="burstfix b", COMP_CWORD="1")
    assert "burst" in result.stdout.split()


def start(frames: list[Path], output: Path) -> "subprocess.Popen[bytes]":
    command = ["-m", "burstfix", "burst", *map(str, frames), "-o", str(output)]
    return subprocess.Popen(
        [sys.executable, *command, "--on-exists", "overwrite"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # Where the tests run in the background, the shell has them ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_interrupt_ends_with_130_and_leaves_nothing(tmp_path: Path) -> None:
    large = np.tile(np.round(scene(200, 250) * 255).astype(np.uint8), (12, 12, 1))
    frames = [tmp_path / f"{number}.jpg" for number in range(4)]
    for path in frames:
        Image.fromarray(large).save(path)
    child = start(frames, tmp_path / "out.png")  # takes ten seconds and more
    time.sleep(3.0)
    child.send_signal(signal.SIGINT)
    _, messages = child.communicate(timeout=60)
    assert child.returncode == 130, messages
    assert sorted(tmp_path.iterdir()) == frames


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.slow
def test_killed_at_any_moment_leaves_the_old_picture(made_burst: MadeBurst, tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    output.write_bytes(b"old")
    begin = time.monotonic()
    timing = start(made_burst.paths, tmp_path / "timing.png")
    timing.communicate(timeout=60)
    assert timing.returncode == 0
    whole_s = time.monotonic() - begin
    for moment in np.linspace(0.5, 1.02, 6):
        child = start(made_burst.paths, output)
        time.sleep(whole_s * moment)
        child.kill()
        child.communicate()
        content = output.read_bytes()
        if content != b"old":
            with Image.open(output) as picture:
                picture.load()  # complete, or this raises
