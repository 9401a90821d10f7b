"""`burstfix single` over a tree of photographs: bad ones, a kill in the middle, a second run."""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch
from common import BURSTFIX, Run, print_table, run, write_result
from PIL import Image

from burstfix import weights
from burstfix.backends import find

FOLDERS = ("", "Urlaub/Tag 1", "Urlaub/Tag 2", "日没", "été", "Ночь/мост", "a/b/c/d")
ENDINGS = ("jpg", "jpg", "png", "webp", "tif", "JPG")
SMALL = {  # a network that is quick and not trained: what is tested is everything around it
    "frame_widths": (4, 4, 4, 4),
    "frame_blocks": (0, 1, 0, 0),
    "trunk_widths": (8, 8, 8, 8),
    "trunk_blocks": (1, 0, 0, 0),
    "trunk_up_blocks": (0, 0, 0),
    "heads": 1,
}


def main() -> None:
    """Make the tree, run, kill, run again, compare; print a verdict and write JSON."""
    options = _arguments()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "photographs"
        good, bad = make_tree(folder, options.count, (options.height, options.width))
        command = [*BURSTFIX, "single", folder, *_method(options, Path(place)), "-o"]
        before = contents(folder)
        whole = run([*command, Path(place) / "whole"], expected_code=1 if bad else 0)
        checks = check_run(whole, Path(place) / "whole", good, bad)
        if not options.no_kill:
            checks |= check_kill(command, Path(place), options.count // 2, code=1 if bad else 0)
        checks["no input was changed"] = contents(folder) == before
    print_table(["check", ""], [[name, "yes" if ok else "NO"] for name, ok in checks.items()])
    peak = f"{whole.peak_bytes / 1e9:.2f} GB" if whole.peak_bytes else "unknown"
    passed = all(checks.values())
    print(
        f"\n{len(good)} good and {len(bad)} bad photographs of {options.width} x {options.height}: "
        f"{whole.seconds:.1f} s ({whole.cpu_seconds:.1f} CPU seconds), {peak} at most."
    )
    print("Verdict: " + ("passed." if passed else "FAILED."))
    figures = {"seconds": whole.seconds, "cpu_s": whole.cpu_seconds, "peak_bytes": whole.peak_bytes}
    print(f"Wrote {write_result('batch', options, {'checks': checks, **figures})}")
    sys.exit(not passed)


def make_tree(folder: Path, count: int, size: tuple[int, int]) -> tuple[list[Path], list[Path]]:
    """Write photographs of (height, width) in several formats, and five bad ones among them.

    Returns:
        The good and the bad ones; of fewer than 20 none is bad.
    """
    broken = set(range(3, count, count // 5)) if count >= 20 else set()
    good: list[Path] = []
    bad: list[Path] = []
    random = np.random.default_rng(0)
    for number in range(count):
        ending = ENDINGS[number % len(ENDINGS)]
        path = folder / FOLDERS[number % len(FOLDERS)] / f"IMG_{number:04}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[274] = number % 8 + 1  # orientation
        _draw(random, size).save(path, exif=exif)
        if number in broken:
            _break(path, len(bad))
        (bad if number in broken else good).append(path)
    return good, bad


def _draw(random: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Draw soft shapes with noise; (H, W, 3) uint8."""
    height, width = size
    coarse = random.uniform(0, 255, (height // 20 + 2, width // 20 + 2, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    noisy = smooth + random.normal(0, 6, smooth.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def _break(path: Path, kind: int) -> None:
    """Spoil a file: cut it, empty it, write text, overwrite its middle, or leave only its head."""
    data = path.read_bytes()
    half = len(data) // 2
    spoilt = (data[:half], b"", b"no picture", data[:half] + bytes(half), data[:40])
    path.write_bytes(spoilt[kind % len(spoilt)])


def check_run(
    done: Run, output: Path, good: Sequence[Path], bad: Sequence[Path]
) -> dict[str, bool]:
    """Check outputs and summary of an undisturbed run."""
    made = contents(output)
    root = output.parent / "photographs"
    wanted = {str(path.relative_to(root).with_suffix(".png")) for path in good}
    summary = done.messages.rpartition(" photographs failed:")[2]
    return {
        "every good photograph has its picture, and no other has": set(made) == wanted,
        "every picture decodes": all(_decodes(output / name) for name in made),
        "the summary names the bad ones, and only them": summary.count("IMG_") == len(bad)
        and all(path.name in summary for path in bad),
    }


def check_kill(
    command: Sequence[str | Path], place: Path, after: int, code: int
) -> dict[str, bool]:
    """Kill a run when so many pictures are written, run again, and compare."""
    output, whole = place / "killed", contents(place / "whole")
    child = subprocess.Popen(
        [str(part) for part in [*command, output]],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while child.poll() is None and sum(1 for _ in output.rglob("*.png")) < after:
            time.sleep(0.01)
    finally:
        child.kill()
        child.wait()
    left = contents(output)
    stamps = {name: (output / name).stat().st_mtime_ns for name in left}
    run([*command, output], expected_code=code)
    return {
        f"killed with {len(left)} pictures written": child.returncode == -signal.SIGKILL
        and after <= len(left) < len(whole),
        "what the killed run left is whole": all(whole.get(n) == data for n, data in left.items()),
        "the rerun ends in the same files, to the byte": contents(output) == whole,
        "the rerun did nothing twice": all(
            (output / name).stat().st_mtime_ns == stamp for name, stamp in stamps.items()
        ),
    }


def contents(folder: Path) -> dict[str, bytes]:
    """Read all files of a tree, hidden ones too, by their path in it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _decodes(path: Path) -> bool:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED) is not None


def _method(options: argparse.Namespace, place: Path) -> list[str | Path]:
    """Return what chooses the network: what was asked for, else a small one made here."""
    path: Path = options.weights or place / "small.safetensors"
    if not options.weights:
        backend = find("set")
        config = backend.config(**SMALL)
        torch.manual_seed(0)
        card = weights.Card(backend="set", task="single", config=asdict(config))
        weights.save(backend.build(config), card, path)
    return ["--weights", path, *(["--memory", options.memory] if options.memory else [])]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="photographs; from 20 on, 5 are bad")
    parser.add_argument("--width", type=int, default=320, help="px")
    parser.add_argument("--height", type=int, default=240, help="px")
    parser.add_argument("--weights", type=Path, help="for single; else a small random network")
    parser.add_argument("--memory", help="as burstfix takes it")
    parser.add_argument("--no-kill", action="store_true", help="one undisturbed run only")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
