"""Photographs of one card become pairs."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from burstfix.restore.grouping import split_pairs
from burstfix.restore.inputs import BurstFiles

NOON = datetime(2024, 5, 1, 12)


def split(folder: Path, photographs: list[tuple[float, float]]) -> list[list[str]]:
    """Write photographs (seconds after noon, exposure time), and part them."""
    paths = []
    for number, (at_s, time_s) in enumerate(photographs):
        exif = Image.Exif()
        inner = exif.get_ifd(34665)
        inner[33434] = time_s
        inner[36867] = (NOON + timedelta(seconds=at_s)).strftime("%Y:%m:%d %H:%M:%S")
        paths.append(folder / f"{number}.jpg")
        Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(paths[-1], exif=exif)
    groups = split_pairs(BurstFiles(files=tuple(paths)))
    return [[path.stem for path in pair.files] for pair in groups.bursts]


def test_short_and_long_in_turn_are_pairs(tmp_path: Path) -> None:
    photographs = [(0, 0.01), (5, 0.5), (10, 0.01), (15, 0.4), (20, 0.02), (25, 0.5)]
    assert split(tmp_path, photographs) == [["0", "1"], ["2", "3"], ["4", "5"]]


def test_several_short_then_several_long_are_one_pair(tmp_path: Path) -> None:
    assert split(tmp_path, [(0, 0.01), (1, 0.01), (2, 0.5), (4, 0.5)]) == [["0", "1", "2", "3"]]


def test_a_pause_parts_pairs_and_a_third_run_stays_with_the_others(tmp_path: Path) -> None:
    photographs = [(0, 0.01), (3, 0.5), (6, 0.01), (600, 0.5), (603, 0.01)]
    assert split(tmp_path, photographs) == [["0", "1", "2"], ["3", "4"]]
