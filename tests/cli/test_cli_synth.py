"""`burstfix synth burst` and the way back: DNG files with a known truth, restored."""

import json
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
from burstfix.io.video import open_clip
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


def test_a_made_pair_of_raw_files_is_told_apart_by_its_metadata_and_restored(
    tmp_path: Path,
) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(np.round(scene(220, 260) * 255).astype(np.uint8)).save(photo)
    folder = tmp_path / "hall"
    made = burstfix("synth", "pair", photo, "-o", folder, "--noise", "high", "--blur", "mild")
    assert made.returncode == 0, made.stderr
    short, long = (read_frame(folder / name) for name in ("short.dng", "long.dng"))
    truth = read_frame(folder / "truth" / "short.png")
    assert short.size == long.size == truth.size
    assert short.whole().mean() < 0.2 * long.whole().mean()

    # Given the wrong way round: metadata decide.
    restored = tmp_path / "restored.png"
    done = burstfix("pair", folder / "long.dng", folder / "short.dng", "-o", restored)
    assert done.returncode == 0, done.stderr
    assert "noisy short.dng" in done.stderr
    inside = np.s_[:, 16:-16, 16:-16]
    shown = [
        encode(light, read_frame(restored).curve).clamp(0, 1)[inside]
        for light in (read_frame(restored).whole(), truth.whole(), 8 * short.whole())
    ]
    assert psnr(shown[0], shown[1]) > psnr(shown[2], shown[1]) + 3

    again = burstfix("synth", "pair", photo, "-o", folder)
    assert again.returncode == 7
    assert "short.dng" in again.stderr


def test_a_made_single_frame_comes_with_its_truth_and_how_it_was_shaken(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(np.round(scene(180, 200) * 255).astype(np.uint8)).save(photo)
    for kind in ("dng", "png"):
        folder = tmp_path / kind
        made = burstfix("synth", "single", photo, "-o", folder, "--kind", kind, "--seed", 2)
        assert made.returncode == 0, made.stderr
    record = json.loads((folder / "truth" / "shaken.json").read_text())
    assert 4 <= record["extent_px"] <= 9
    frames = [read_frame(tmp_path / kind / f"shaken.{kind}").whole() for kind in ("dng", "png")]
    truth = read_frame(folder / "truth" / "shaken.png").whole()
    assert list(frames[0].shape[1:]) == list(truth.shape[1:]) == record["size"]
    assert psnr(frames[1], truth) > 15
    assert psnr(frames[0], frames[1]) > 25
    for kind in ("png", "dng"):  # the other's truth would be written over
        again = burstfix("synth", "single", photo, "-o", folder, "--kind", kind)
        assert again.returncode == 7
        assert "shaken.png" in again.stderr


def test_a_made_film_comes_as_pictures_or_as_a_file_with_the_truth_of_each_frame(
    tmp_path: Path,
) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(np.round(scene(180, 200) * 255).astype(np.uint8)).save(photo)
    folders = {kind: tmp_path / kind for kind in ("png", "mov")}
    for kind, folder in folders.items():
        made = burstfix("synth", "video", photo, "-o", folder, "-f", 3, "--kind", kind)
        assert made.returncode == 0, made.stderr
    record = json.loads((folders["png"] / "truth" / "film.json").read_text())
    assert len(record["extents_px"]) == 3
    frames, truths = (
        [read_frame(folder / f"{number:04}.png").whole() for number in (1, 2, 3)]
        for folder in (folders["png"], folders["png"] / "truth")
    )
    with open_clip(folders["mov"] / "film.mov") as clip:
        filmed = [clip.light(picture) for picture in clip.pictures()]
        assert clip.info.rate == record["frames_per_s"] == 30
    for frame, light, truth in zip(frames, filmed, truths, strict=True):
        assert list(frame.shape[1:]) == record["size"]
        assert psnr(frame, light) > 30
        assert psnr(frame, truth) > 15
    again = burstfix("synth", "video", photo, "-o", folders["mov"])
    assert again.returncode == 7
    assert "film.mov" in again.stderr
