"""`burstfix train burst` and `burstfix pack` through the real entry point."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from made import scene
from PIL import Image

from burstfix.weights import read_card

RECIPE = """
lengths = [1, 2]
bursts = 2
shards = 2
warm_up = 2
precision = "fp32"
validation_share = 4
validation_count = 1

[network]
frame_widths = [4, 4, 4, 4]
frame_blocks = [0, 1, 0, 0]
trunk_widths = [8, 8, 8, 8]
trunk_blocks = [1, 0, 0, 0]
trunk_up_blocks = [0, 0, 0]
heads = 1

[[stages]]
until = 1.0
crop = 32
frames = 4
"""


def burstfix(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "burstfix", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=110, env=os.environ, check=False
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(5):
        picture = np.round(scene(140, 150, seed=number) * 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{number:04}a.png")
    return folder


def test_training_from_a_pack_makes_weights_that_burst_takes(photos: Path, tmp_path: Path) -> None:
    pack, recipe = tmp_path / "photos.pack", tmp_path / "small.toml"
    packed = burstfix("pack", photos, "-o", pack)
    assert packed.returncode == 0, packed.stderr
    assert "5 photographs" in packed.stderr
    recipe.write_text(RECIPE)
    weights = tmp_path / "my.safetensors"
    trained = burstfix(
        *("train", "burst", "--data", pack, "-o", weights, "--recipe", recipe),
        *("--minutes", 0.1, "--device", "cpu"),
    )
    assert trained.returncode == 0, trained.stderr
    assert "Validation went from" in trained.stderr
    assert sorted(path.suffix for path in tmp_path.glob("my.*")) == [
        ".checkpoint",
        ".csv",
        ".safetensors",
        ".svg",
    ]
    frames = sorted(photos.glob("*.png"))[:1]
    output = tmp_path / "out.png"
    done = burstfix("burst", *frames, "-o", output, "--weights", weights, "-b", "set")
    assert done.returncode == 0, done.stderr
    assert output.exists()


def test_a_folder_without_photographs_is_an_input_error(tmp_path: Path) -> None:
    result = burstfix("train", "burst", "--data", tmp_path, "-o", tmp_path / "w.safetensors")
    assert result.returncode == 3, result.stderr
    assert "Traceback" not in result.stderr


def start_training(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "burstfix", "train", "burst", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ)


def test_ctrl_c_saves_and_says_how_to_go_on_and_nothing_is_trained_over(
    photos: Path, tmp_path: Path
) -> None:
    recipe, weights = tmp_path / "small.toml", tmp_path / "my.safetensors"
    recipe.write_text(RECIPE)
    options = ("--data", photos, "-o", weights, "--recipe", recipe, "--device", "cpu")
    running = start_training(*options, "--minutes", 5)
    assert running.stderr is not None
    while "step 1," not in (line := running.stderr.readline()):
        assert line, "it ended before its first step"
    running.send_signal(signal.SIGINT)
    _, rest = running.communicate(timeout=100)
    assert running.returncode == 130, rest
    assert f"--resume {tmp_path / 'my.checkpoint'}" in rest
    assert weights.exists()

    again = burstfix("train", "burst", *options, "--minutes", 5)
    assert again.returncode == 7
    assert "--resume" in again.stderr

    resumed = burstfix(
        "train", "burst", *options, "--minutes", 0.1, "--resume", tmp_path / "my.checkpoint"
    )
    assert resumed.returncode == 0, resumed.stderr


def test_nothing_that_is_there_is_written_over_and_folders_are_made(
    photos: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "small.toml"
    recipe.write_text(RECIPE)
    options = ("train", "burst", "--data", photos, "--recipe", recipe, "--device", "cpu")
    made = burstfix(*options, "-o", tmp_path / "new" / "one.safetensors", "--minutes", 0.1)
    assert made.returncode == 0, made.stderr
    (tmp_path / "my.csv").write_text("a,b,c,d\ne,f,g,h\n")
    for output, resumed, code in (
        ("my.safetensors", (), 7),
        ("my.csv", (), 2),
        ("new/one.safetensors", (), 7),
        ("my.safetensors", ("--resume", tmp_path / "new" / "one.checkpoint"), 7),
    ):
        done = burstfix(*options, "-o", tmp_path / output, "--minutes", 0.1, *resumed)
        assert done.returncode == code, done.stderr
        assert "fault" not in done.stderr
    assert (tmp_path / "my.csv").read_text().startswith("a,b,c,d")


# Checkpoints are due every minute; tests cannot wait so long.
OFTEN = """
from burstfix.train import log
log._SAVE_EVERY_S = 0.2
from burstfix.cli.app import main
main()
"""


def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint(
    photos: Path, tmp_path: Path
) -> None:
    recipe, weights = tmp_path / "small.toml", tmp_path / "my.safetensors"
    recipe.write_text(RECIPE)
    options = ("--data", photos, "-o", weights, "--recipe", recipe, "--device", "cpu")
    arguments = ("train", "burst", *options, "--minutes", 5, "--quiet")
    running = subprocess.Popen([sys.executable, "-c", OFTEN, *map(str, arguments)])
    checkpoint = tmp_path / "my.checkpoint"
    while not checkpoint.exists():
        assert running.poll() is None, "it ended before its first checkpoint"
        time.sleep(0.05)
    running.kill()
    running.wait()
    with (tmp_path / "my.csv").open("a", encoding="utf-8") as file:
        file.write("100000,9.0,0.1,nan\n100001,9.")  # killed between table and checkpoint

    resumed = burstfix("train", "burst", *options, "--minutes", 0.1, "--resume", checkpoint)
    assert resumed.returncode == 0, resumed.stderr
    assert weights.exists()
    with (tmp_path / "my.csv").open(encoding="utf-8") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    assert steps == list(range(1, len(steps) + 1))
    assert f"after {len(steps)} steps" in resumed.stderr


def test_training_begins_with_weights_that_fit_and_with_no_others(
    photos: Path, tmp_path: Path
) -> None:
    recipe, first = tmp_path / "small.toml", tmp_path / "first.safetensors"
    recipe.write_text(RECIPE)
    options = ("--data", photos, "--minutes", 0.1, "--device", "cpu")
    made = burstfix(
        "train", "burst", *options, "-o", first, "--recipe", recipe, "--credit", "the author"
    )
    assert made.returncode == 0, made.stderr
    second = tmp_path / "second.safetensors"
    done = burstfix("train", "burst", *options, "-o", second, "--recipe", recipe, "--from", first)
    assert done.returncode == 0, done.stderr
    assert "the author" in read_card(second).data  # who is credited stays credited
    recipe.write_text(RECIPE.replace("heads = 1", "heads = 2"))
    other = burstfix(
        "train", "burst", *options, "-o", tmp_path / "c", "--recipe", recipe, "--from", first
    )
    assert other.returncode == 5
    assert "first.safetensors" in other.stderr


@pytest.mark.parametrize(
    ("task", "lengths"), [("pair", "[2]"), ("single", "[1]"), ("video", "[3]")]
)
def test_other_tasks_learn_from_photographs_or_clips_and_weights_say_what_they_are_for(
    task: str, lengths: str, photos: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "small.toml"
    data = "[data]\nmoments = [3, 3]\n" if task == "video" else ""
    recipe.write_text(f'task = "{task}"\n' + RECIPE.replace("[1, 2]", lengths) + data)
    clips = tmp_path / "clips"
    for name in ("street", "park"):
        (clips / name).mkdir(parents=True)
        picture = np.round(scene(120, 150, seed=len(name)) * 255).astype(np.uint8)
        for number in range(9):
            view = np.ascontiguousarray(picture[:, number : number + 120])
            Image.fromarray(view).save(clips / name / f"{number}.png")
    for name, source in (("a", ("--data", photos)), ("b", ("--data", clips, "--clips"))):
        weights = tmp_path / f"{name}.safetensors"
        trained = burstfix(
            *("train", task, *source, "-o", weights, "--recipe", recipe),
            *("--minutes", 0.1, "--device", "cpu"),
        )
        assert trained.returncode == 0, trained.stderr
        assert "Validation went from" in trained.stderr
        assert read_card(weights).task == task


def test_a_recipe_of_another_task_is_refused(photos: Path, tmp_path: Path) -> None:
    done = burstfix(
        *("train", "pair", "--data", photos, "-o", tmp_path / "a.safetensors"),
        *("--recipe", "set-burst"),
    )
    assert done.returncode == 2
    assert "train burst" in done.stderr
