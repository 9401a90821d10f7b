"""`burstfix synth burst` and the way back: DNG files with a known truth, restored."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import rawpy
from made import scene
from PIL import Image

from burstfix.color import encode
from burstfix.io.decode import read_frame
from burstfix.metrics import psnr


def burstfix(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "burstfix", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=100, env=os.environ, check=False
    )


def test_a_made_burst_of_raw_files_is_restored_towards_its_truth(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(np.round(scene(300, 340) * 255).astype(np.uint8)).save(photo)
    folder = tmp_path / "shaken"
    made = burstfix(
        *("synth", "burst", photo, "-o", folder, "--frames", 4, "--noise", "high"),
        *("--blur", "easy", "--shake", 6, "--seed", 3),
    )
    assert made.returncode == 0, made.stderr
    frames = sorted(folder.glob("*.dng"))
    assert len(frames) == 4
    with rawpy.imread(str(frames[0])) as raw:
        assert raw.raw_pattern.shape == (2, 2)

    restored = tmp_path / "restored.png"
    done = burstfix("burst", folder, "-o", restored, "--reference", "first", "--backend", "mean")
    assert done.returncode == 0, done.stderr
    inside = np.s_[:, 16:-16, 16:-16]
    truth = read_frame(folder / "truth" / "frame-01.png").whole()
    picture, first = read_frame(restored).whole(), read_frame(frames[0])
    # The picture and the truth are rendered alike: compare what the eye sees.
    shown = [encode(light, read_frame(restored).curve)[inside] for light in (picture, truth)]
    noisy = encode(first.whole(), first.curve).clamp(0, 1)[inside]
    assert psnr(shown[0], shown[1]) > psnr(noisy, shown[1]) + 3

    again = burstfix("synth", "burst", photo, "-o", folder)
    assert again.returncode == 7
    assert "frame-01.dng" in again.stderr
