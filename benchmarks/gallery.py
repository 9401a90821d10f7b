"""Crops of real bursts at 100 %, side by side: `docs/gallery/*.jpg`, shown in `docs/gallery.md`.

Every picture is made by the command that stands in `docs/gallery.md`; this script runs those
commands and cuts the crops. Look at them after every change of weights.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
GAP = 6  # px between the crops
CROP = (240, 320)  # height, width


@dataclass(frozen=True)
class Exhibit:
    """One burst.

    Args:
        name: its folder.
        published: a result of others in the folder, to show beside ours.
        corners: (x, y) of the top left of each crop, in the reference frame.
    """

    name: str
    published: str | None
    corners: tuple[tuple[int, int], ...]


EXHIBITS = (
    Exhibit("still-life", None, ((560, 430), (430, 160))),
    Exhibit("tequila", "reference-results/out_fba.jpg", ((680, 380), (430, 1040))),
    Exhibit("parking-night", "reference-results/out_fba.jpg", ((2000, 1010),)),
    Exhibit("bracket", None, ((60, 740), (2240, 1020))),
)


def main() -> None:
    """Restore every burst by every backend and write one picture of crops each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bursts", type=Path, help="folder that holds the bursts' folders")
    parser.add_argument("--backends", nargs="+", default=["fba", "set"])
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/gallery"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for exhibit in EXHIBITS:
        if not (arguments.bursts / exhibit.name).is_dir():
            print(f"{exhibit.name}: not there, left out")
            continue
        sheet = show(arguments.bursts / exhibit.name, exhibit, arguments.backends)
        path = arguments.output / f"{exhibit.name}.jpg"
        if not cv2.imwrite(str(path), sheet, [cv2.IMWRITE_JPEG_QUALITY, 90]):
            raise SystemExit(f"Cannot write {path}.")
        print(path)


def show(folder: Path, exhibit: Exhibit, backends: Sequence[str]) -> Picture:
    """Lay out crops: one row a crop; reference frame, our backends, what others published."""
    with tempfile.TemporaryDirectory() as scratch:
        outputs = [restore(folder, name, Path(scratch) / f"{name}.png") for name in backends]
        pictures = [read(outputs[0][1])] + [read(output) for output, _ in outputs]
    if exhibit.published:
        pictures.append(read(folder / exhibit.published))
    rows = [beside([cut(picture, corner) for picture in pictures]) for corner in exhibit.corners]
    return np.concatenate(rows, axis=0)


def restore(folder: Path, backend: str, output: Path) -> tuple[Path, Path]:
    """Run the command; return the picture's path and that of the reference frame."""
    command = [sys.executable, "-m", "burstfix", "burst", str(folder), "-o", str(output)]
    command += ["--backend", backend, "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    report = json.loads(done.stdout)
    return output, Path(report["reference"])


def read(path: Path) -> Picture:
    """Read a picture as 8-bit BGR; (H, W, 3)."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise SystemExit(f"Cannot read {path}.")
    return picture.astype(np.uint8)


def cut(picture: Picture, corner: tuple[int, int]) -> Picture:
    """Cut one crop; what lies beyond the picture is white."""
    (height, width), (x, y) = CROP, corner
    crop = np.full((height, width, 3), 255, np.uint8)
    found = picture[y : y + height, x : x + width]
    crop[: found.shape[0], : found.shape[1]] = found
    return crop


def beside(crops: Sequence[Picture]) -> Picture:
    """Put crops in a row, with white between and below."""
    framed = [
        cv2.copyMakeBorder(c, 0, GAP, 0, GAP, cv2.BORDER_CONSTANT, value=(255, 255, 255))
        for c in crops
    ]
    return np.concatenate(framed, axis=1).astype(np.uint8)


if __name__ == "__main__":
    main()
