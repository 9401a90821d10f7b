"""Crops of real photographs at 100 %: `docs/gallery/*.jpg`, shown in `docs/gallery.md`.

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
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from burstfix.color import SRGB, decode, encode

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


@dataclass(frozen=True)
class PairExhibit:
    """One short and one long exposure.

    Args:
        name: of the picture of crops.
        short: the noisy frame, in the folder of pairs.
        long: the blurry one.
        corners: (x, y) of the top left of each crop, in the noisy frame.
    """

    name: str
    short: str
    long: str
    corners: tuple[tuple[int, int], ...]


PAIRS = (
    PairExhibit("pair-hall", "hall/short.png", "hall/long.png", ((215, 240), (20, 430))),
    PairExhibit("pair-door", "phone/noisy_5.jpg", "phone/blurred_5.jpg", ((0, 0),)),
    PairExhibit("pair-corridor", "phone/noisy_1.jpg", "phone/blurred_1.jpg", ((0, 80),)),
    PairExhibit("pair-indoors", "indoors/short_1.jpg", "indoors/long_1.jpg", ((1560, 880),)),
)
SINGLES = {  # (x, y) of the top left of each crop
    "summerhouse.jpg": (340, 290),
    "boat.jpg": (640, 330),
    "las_vegas_saturated.png": (300, 200),
    "lyndsey.png": (330, 260),
    "toy.png": (240, 240),
}
EXHIBITS = (
    Exhibit("still-life", None, ((560, 430), (430, 160))),
    Exhibit("tequila", "reference-results/out_fba.jpg", ((680, 380), (430, 1040))),
    Exhibit("parking-night", "reference-results/out_fba.jpg", ((2000, 1010),)),
    Exhibit("bracket", None, ((60, 740), (2240, 1020))),
)


def main() -> None:
    """Restore what is there by every backend and write pictures of crops."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "bursts", type=Path, nargs="?", help="folder that holds the bursts' folders"
    )
    parser.add_argument("--backends", nargs="+", default=["fba", "set"])
    parser.add_argument("--pairs", type=Path, help="folder that holds the pairs' folders")
    parser.add_argument("--pair-backends", nargs="+", default=["set"])
    parser.add_argument("--singles", type=Path, help="folder of shaken photographs")
    parser.add_argument("--single-backends", nargs="+", default=["set", "multiscale"])
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/gallery"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for exhibit in EXHIBITS if arguments.bursts else ():
        if not (arguments.bursts / exhibit.name).is_dir():
            print(f"{exhibit.name}: not there, left out")
            continue
        sheet = show(arguments.bursts / exhibit.name, exhibit, arguments.backends)
        write(arguments.output / f"{exhibit.name}.jpg", sheet)
    for pair in PAIRS if arguments.pairs else ():
        sheet = show_pair(arguments.pairs, pair, arguments.pair_backends)
        write(arguments.output / f"{pair.name}.jpg", sheet)
    if arguments.singles:
        sheet = show_singles(arguments.singles, arguments.single_backends)
        write(arguments.output / "single.jpg", sheet)


def write(path: Path, sheet: Picture) -> None:
    """Write a picture of crops, and tell of it."""
    if not cv2.imwrite(str(path), sheet, [cv2.IMWRITE_JPEG_QUALITY, 90]):
        raise SystemExit(f"Cannot write {path}.")
    print(path)


def show_pair(folder: Path, pair: PairExhibit, backends: Sequence[str]) -> Picture:
    """Lay out crops: one row a crop; noisy frame, lifted to the exposure; blurry; our backends."""
    short, long = folder / pair.short, folder / pair.long
    with tempfile.TemporaryDirectory() as scratch:
        pictures = [read(short), read(long)]
        for name in backends:
            output = Path(scratch) / f"{name}.png"
            command = ["pair", str(short), str(long), "-o", str(output), "--backend", name]
            report = run(command)
            pictures.append(read(output))
    gain = next(frame["gain"] for frame in report["frames"] if frame["kind"] == "noisy")
    pictures[0] = lift(pictures[0], gain)
    rows = [beside([cut(picture, corner) for picture in pictures]) for corner in pair.corners]
    return np.concatenate(rows, axis=0)


def show_singles(folder: Path, backends: Sequence[str]) -> Picture:
    """Lay out crops: one row a photograph; as it is, then by our backends."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, corner in SINGLES.items():
            pictures = [read(folder / name)]
            for backend in backends:
                output = Path(scratch) / f"{backend}.png"
                command = ["single", str(folder / name), "-o", str(output), "--backend", backend]
                run([*command, "--on-exists", "overwrite"])
                pictures.append(read(output))
            rows.append(beside([cut(picture, corner) for picture in pictures]))
    return np.concatenate(rows, axis=0)


def lift(picture: Picture, gain: float) -> Picture:
    """Multiply the light of an sRGB picture; (H, W, 3) to the same."""
    codes = torch.arange(256, dtype=torch.float64) / 255
    lifted = encode((decode(codes, SRGB) * gain).clamp(0, 1), SRGB)
    table = (lifted * 255).round().to(torch.uint8).numpy()
    return np.asarray(table[picture], np.uint8)


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
    """Restore a burst; return the picture's path and that of the reference frame."""
    report = run(["burst", str(folder), "-o", str(output), "--backend", backend])
    return output, Path(report["reference"])


def run(command: Sequence[str]) -> dict[str, Any]:
    """Run burstfix; return its report."""
    whole = [sys.executable, "-m", "burstfix", *command, "--json"]
    done = subprocess.run(whole, check=True, capture_output=True, text=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


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
