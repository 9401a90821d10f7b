"""`burstfix evaluate` through the real entry point."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from made import scene
from PIL import Image

from burstfix import weights
from burstfix.backends.set import Config, SetNetwork

SMALL = Config(
    frame_widths=(4, 4, 4, 4),
    frame_blocks=(0, 1, 0, 0),
    trunk_widths=(8, 8, 8, 8),
    trunk_blocks=(1, 0, 0, 0),
    trunk_up_blocks=(0, 0, 0),
    heads=1,
)
QUICK = ("--count", 1, "--crop", 48, "--device", "cpu")


def burstfix(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "burstfix", "evaluate", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=110, env=os.environ, check=False
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(18):
        picture = np.round(scene(112, 120, seed=number) * 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{number:04}a.png")
    return folder


@pytest.fixture(scope="module")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from dataclasses import asdict

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    recipe = {"validation_share": 3, "stages": [{"until": 1.0, "crop": 32, "frames": 4}]}
    weights.save(
        SetNetwork(SMALL), weights.Card(backend="set", config=asdict(SMALL), recipe=recipe), path
    )
    return path


def test_weights_are_scored_beside_the_formulas_on_what_their_training_set_aside(
    photos: Path, small_weights: Path, tmp_path: Path
) -> None:
    target = tmp_path / "scores.json"
    done = burstfix(
        *("--data", photos, "--weights", small_weights, "--json", target, "--frames", "1,3,2"),
        *("--noise", "low,high", "--blur", "easy", "--case", "plain,ruined", *QUICK),
    )
    assert done.returncode == 0, done.stderr
    assert "6 of 18 photographs" in done.stderr  # every third
    for text in ("mine", "fba", "best frame", "reference", "one frame of each burst is ruined"):
        assert text in done.stdout
    found = json.loads(target.read_text())
    assert found["photographs"] == [f"{number:04}a" for number in range(0, 18, 3)]
    assert found["weights"]["mine"]["backend"] == "set"
    kinds = {(s["case"], s["length"], s["drawn"]) for s in found["scores"]}
    assert kinds == {("plain", 1, 3), ("plain", 2, 3), ("plain", 3, 3), ("ruined", 3, 3)}
    assert len(found["scores"]) == 4 * 2 * 5  # kinds, noises, methods
    assert set(found["falls_db"]) == {"mine", "mean", "fba", "best frame", "reference"}


def test_json_alone_goes_to_stdout_and_all_photographs_count_when_asked(
    photos: Path,
) -> None:
    done = burstfix(
        *("--data", photos, "--all", "--backend", "mean", "--json", "-", "--noise", "low"),
        *("--blur", "hard", "--frames", 2, *QUICK),
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["photographs"]) == 18


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--backend", "mena"), 2, "Did you mean mean"),
        (("--frames", "0"), 2, "--frames 0"),
        (("--frames", "two"), 2, "--frames two"),
        (("--noise", "loud"), 2, "low,medium,high"),
        (("--case", "ruined", "--frames", "2"), 2, "--frames 3"),
        (("--crop", "100"), 2, "--crop 100"),
        (("--crop", "256"), 3, "320 pixels"),
        (("--weights", "absent.safetensors"), 5, "absent.safetensors"),
        (("--weights", "set-pair", "--weights", "set-pair", "--task", "pair"), 2, "two rows"),
        (("--json", "/dev/null/x.json", "--backend", "mean", *QUICK), 7, "x.json"),
    ],
)
def test_what_cannot_be_done_is_said_before_work_begins(
    photos: Path, arguments: tuple[object, ...], code: int, text: str
) -> None:
    done = burstfix("--data", photos, *arguments)
    assert done.returncode == code, done.stderr
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_pairs_are_scored_beside_their_frames_and_each_frame_alone(
    photos: Path, small_weights: Path, tmp_path: Path
) -> None:
    target = tmp_path / "scores.json"
    done = burstfix(
        *("--task", "pair", "--data", photos, "--weights", small_weights, *QUICK),
        *("--noise", "high", "--blur", "mild,severe", "--case", "plain,stranger"),
        *("--json", target),
    )
    assert done.returncode == 0, done.stderr
    rows = ("noisy frame", "blurry frame", "better one alone", "mine")
    assert all(f"│ {row}" in done.stdout for row in rows)
    assert "another scene" in done.stdout
    found = json.loads(target.read_text())
    assert {score["method"] for score in found["scores"]} == set(rows)
    assert len(found["scores"]) == 2 * 2 * len(rows)
    assert set(found["below_better_input"]) == {"better one alone", "mine"}


def test_names_of_other_tasks_are_refused_for_pairs(photos: Path, small_weights: Path) -> None:
    done = burstfix(
        *("--task", "pair", "--data", photos, "--weights", small_weights, "--blur", "hard")
    )
    assert done.returncode == 2
    assert "mild,medium,severe" in done.stderr


def test_single_frames_are_scored_beside_an_unsharp_mask_and_harm_to_clean_ones_is_told(
    photos: Path, small_weights: Path, tmp_path: Path
) -> None:
    target = tmp_path / "scores.json"
    done = burstfix(
        *("--task", "single", "--data", photos, "--weights", small_weights, *QUICK),
        *("--case", "small shake,clean", "--noise", "none,low", "--json", target, "--verbose"),
    )
    assert done.returncode == 0, done.stderr
    rows = ("input", "unsharp mask", "mine")
    assert all(f"│ {row}" in done.stdout for row in rows)
    assert "6 clean photographs: mine changes them by" in done.stdout
    found = json.loads(target.read_text())
    assert {(s["method"], s["case"], s["noise"]) for s in found["scores"]} == {
        (row, *kind) for row in rows for kind in (("small shake", "low"), ("clean", "none"))
    }
    assert {harm["method"] for harm in found["harm"]} == {"unsharp mask", "mine"}
    assert set(found["below_input"]) == {"unsharp mask", "mine"}


def test_films_are_scored_beside_the_mean_and_their_flicker_is_told(
    photos: Path, small_weights: Path, tmp_path: Path
) -> None:
    target = tmp_path / "scores.json"
    asked = ("--task", "video", "--data", photos, "--weights", small_weights)
    done = burstfix(
        *(*asked, "--count", 1, "--crop", 32, "--device", "cpu"),
        *("--case", "small shake,moving", "--noise", "low", "--json", target, "--verbose"),
    )
    assert done.returncode == 0, done.stderr
    rows = ("input", "mean", "mine")
    assert all(f"│ {row}" in done.stdout for row in rows)
    assert "2 films of 7 frames" in done.stdout
    assert "flicker" in done.stdout
    scores = json.loads(target.read_text())["scores"]
    assert {(s["method"], s["case"]) for s in scores} == {
        (row, case) for row in rows for case in ("small shake", "moving")
    }
    assert all(score["flicker"] > 0 for score in scores)
    refused = burstfix(*asked, "--blur", "hard")
    assert refused.returncode == 2
    assert "large shake" in refused.stderr


def test_options_that_say_nothing_of_single_frames_are_refused(
    photos: Path, small_weights: Path
) -> None:
    asked = ("--task", "single", "--data", photos, "--weights", small_weights)
    for options, mend in (
        (("--blur", "hard"), "small shake"),
        (("--case", "clean", "--noise", "high"), "--noise none"),
    ):
        done = burstfix(*asked, *options)
        assert done.returncode == 2
        assert mend in done.stderr
