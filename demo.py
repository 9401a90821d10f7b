"""The demo: shake a photograph into a burst of DNG files, restore it as a user would, compare."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import torch
from PIL import Image

from burstfix.color import SRGB, encode
from burstfix.io.decode import read_frame
from burstfix.metrics import psnr

DEMO = Path(__file__).parent / "demo"
CROP = 192  # px, shown at 300 %


def main() -> None:
    """Make the burst, restore it, and print how much closer to the truth it came."""
    DEMO.mkdir(exist_ok=True)
    for old in [*DEMO.glob("*.dng"), *DEMO.glob("truth/*")]:
        old.unlink()
    photo = DEMO / "photograph.png"
    Image.fromarray(skimage.data.astronaut()).save(photo)  # NASA, public domain
    burstfix("synth", "burst", photo, "-o", DEMO, "--noise", "high", "--blur", "easy")
    frames = sorted(DEMO.glob("*.dng"))
    scores = {path: score(display(path), truth_of(path.stem)) for path in frames}
    best = max(scores, key=lambda path: scores[path])
    print(f"best frame  {scores[best]:5.2f} dB  {best.name}")
    formula = restore(frames, DEMO / "restored-fba.png", "--backend", "fba")
    learned = restore(frames, DEMO / "restored.png")
    for report, name in ((formula, "restored-fba.png"), (learned, "restored.png")):
        reached = score(display(DEMO / name), truth_of(Path(report["reference"]).stem))
        print(
            f"{report['backend']:<11} {reached:5.2f} dB  {name}: {reached - scores[best]:+.2f} dB"
        )

    reference = Path(learned["reference"])
    shown = [reference, DEMO / "restored.png", truth_of(reference.stem)]
    before_and_after([display(path) for path in shown]).save(DEMO / "before-after.png")
    print("Look at demo/before-after.png: reference frame, restored, truth.")


def restore(frames: list[Path], output: Path, *options: str) -> dict[str, Any]:
    """Restore the burst by the command; returns its report."""
    told = burstfix("burst", *frames, "-o", output, "--on-exists", "overwrite", "--json", *options)
    report: dict[str, Any] = json.loads(told)
    return report


def truth_of(frame: str) -> Path:
    """Return where the truth of a frame lies."""
    return DEMO / "truth" / f"{frame}.png"


def burstfix(*arguments: object) -> str:
    """Run the installed command, show it, and return what it prints."""
    command = [str(argument) for argument in arguments]
    print("burstfix", *command[:5], "..." if len(command) > 5 else "")
    executable = [sys.executable, "-m", "burstfix", *command]
    return subprocess.run(executable, check=True, stdout=subprocess.PIPE, text=True).stdout


def display(path: Path) -> torch.Tensor:
    """Read a picture as the eye sees it: display-coded, 0 to 1; (3, H, W)."""
    frame = read_frame(path)
    return encode(frame.whole(), frame.curve if frame.raw else SRGB).clamp(0, 1)


def score(picture: torch.Tensor, truth: Path) -> float:
    """PSNR against a truth, display-coded, without the border that some frames do not see [dB]."""
    inside = np.s_[:, 24:-24, 24:-24]
    return float(psnr(picture[inside], display(truth)[inside]))


def before_and_after(pictures: list[torch.Tensor]) -> Image.Image:
    """Lay the centres of pictures side by side, enlarged without smoothing."""
    sheet = []
    for picture in pictures:
        top, left = ((side - CROP) // 2 for side in picture.shape[1:])
        crop = picture[:, top : top + CROP, left : left + CROP].permute(1, 2, 0)
        sheet.append((crop * 255).round().byte().numpy())
    image = Image.fromarray(np.concatenate(sheet, axis=1))
    return image.resize((3 * image.width, 3 * image.height), Image.Resampling.NEAREST)


if __name__ == "__main__":
    main()
