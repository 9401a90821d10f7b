"""`burstfix synth sheet` through the real entry point."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from made import scene
from PIL import Image


def burstfix(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "burstfix", "synth", "sheet", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=110, env=os.environ, check=False
    )


def test_a_sheet_shows_the_same_bursts_for_the_same_seed_and_replaces_nothing(
    tmp_path: Path,
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(2):
        picture = np.round(scene(112, 120, seed=number) * 255).astype(np.uint8)
        Image.fromarray(picture).save(photos / f"{number}.png")
    sheets = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    for seed, sheet in zip((1, 1, 2), sheets, strict=True):
        done = burstfix(
            *("--data", photos, "-o", sheet, "--count", 3, "--frames", 2, "--crop", 48),
            *("--seed", seed),
        )
        assert done.returncode == 0, done.stderr
    pictures = [np.asarray(Image.open(sheet)) for sheet in sheets]
    assert pictures[0].shape == (3 * 52, 3 * 52, 3)  # truth and two frames, 4 px between
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])
    again = burstfix("--data", photos, "-o", sheets[0])
    assert again.returncode == 7
    assert "exists" in again.stderr
    small = burstfix("--data", photos, "-o", tmp_path / "d.png", "--crop", 128)
    assert small.returncode == 3
    assert "192 pixels" in small.stderr
    even = burstfix(
        "--data", photos, "-o", tmp_path / "d.png", "--recipe", "set-pair", "-f", 1, "--crop", 32
    )
    assert even.returncode == 2
    assert "no samples of 1 frames" in even.stderr
