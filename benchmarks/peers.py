"""Other people's tools beside the backends, on the same bursts: PSNR, and seconds of the process.

Every tool gets the same 8-bit PNG frames, the sharpest first, which those that cannot choose take
as the reference. A tool that is not installed is named and skipped.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from bursts import (
    BLURS,
    NOISES,
    Condition,
    Scores,
    conditions,
    frames_of,
    load_photos,
    make_burst,
    read_codes,
    score,
    to_codes,
    write_png,
)
from common import (
    BURSTFIX,
    ProcessError,
    backend_options,
    kept_rows,
    mean_and_spread,
    print_table,
    run,
    write_result,
)

from burstfix.align.sharpness import sharpness
from burstfix.io.store import reduced_luminance
from burstfix.synth.render import NOISE, RenderedBurst

OPENCV = Path(__file__).parent / "opencv_peer.py"
CODES_PER_LIGHT = 303  # slope of sRGB at middle grey: a noise of light in 8-bit codes


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a tool made of a burst.

    Args:
        picture: sRGB codes, 0 to 1; (3, H, W).
        reference: the frame whose geometry it has, by its place among the files.
        used: how many frames went into it.
        seconds: that its processes took.
    """

    picture: torch.Tensor
    reference: int
    used: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """One tool on one burst; without scores where it failed."""

    tool: str
    condition: Condition
    scores: Scores | None = None
    seconds: float | None = None
    used: int = 0
    why: str = ""


Tool = Callable[[Sequence[Path], Path, Condition], Outcome]


def main() -> None:
    """Run every tool on every burst, print one table, write JSON."""
    options = _arguments()
    tools = _tools(options)
    photos = load_photos(options.photos, options.count)
    rows: list[Row] = []
    for condition in conditions(list(photos), options.noise, options.blur, options.seed):
        burst = make_burst(photos[condition.photo], condition, options.frames)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            paths, numbers = _write_frames(burst, folder)
            for tool, use in tools.items():
                if sys.stderr.isatty():
                    print(f"{condition} {tool:<40}", end="\r", file=sys.stderr)
                rows.append(_measure(tool, use, paths, numbers, burst, condition))
    _print(rows, list(tools), options)
    kept = kept_rows("peers", options, "rows") if options.add else []
    path = write_result("peers", options, {"rows": kept + [asdict(row) for row in rows]})
    print(f"\nWrote {path}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="folder of NNNNa.jpg; else scikit-image's")
    parser.add_argument("--count", type=int, default=2, help="photographs")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--noise", nargs="+", choices=NOISES, default=list(NOISES))
    parser.add_argument("--blur", nargs="+", choices=("none", *BLURS), default=list(BLURS))
    parser.add_argument("--tools", nargs="+", help="only these")
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="more of ours")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--add", action="store_true", help="to the rows in the JSON file")
    parser.add_argument("--json", type=Path, help="else benchmarks/results/peers.json")
    return parser.parse_args()


def _tools(options: argparse.Namespace) -> dict[str, Tool]:
    """Return what is installed and wanted; tell what is missing."""
    tools: dict[str, Tool] = {
        f"burstfix {name}": _burstfix(choice)
        for name, choice in backend_options(options.weights).items()
    }
    tools["OpenCV ECC + mean"] = _opencv("mean", "--reduce", "1")
    tools["OpenCV ECC at 1/4 + mean"] = _opencv("mean", "--reduce", "4")
    tools["OpenCV ECC + nlmeans"] = _opencv("nlmeans", "--reduce", "1")
    missing = [name for name in ("align_image_stack", "enfuse") if not shutil.which(name)]
    if missing:
        print(f"Skipped hugin + enfuse: {', '.join(missing)} not installed.\n")
    else:
        tools["hugin + enfuse"] = _hugin
    if options.tools:
        unknown = set(options.tools) - set(tools)
        if unknown:
            raise SystemExit(f"No such tool: {', '.join(unknown)}. There are: {', '.join(tools)}.")
        tools = {name: tools[name] for name in options.tools}
    return tools


def _write_frames(burst: RenderedBurst, folder: Path) -> tuple[list[Path], list[int]]:
    """Write the frames, the sharpest first; return the files and which frame each is."""
    frames = frames_of(burst, "codes")
    sharp = [sharpness(reduced_luminance(frame.pixels, 1).numpy()) for frame in frames]
    numbers = sorted(range(len(frames)), key=lambda number: -sharp[number])
    paths = [folder / f"frame-{place + 1:02}.png" for place in range(len(numbers))]
    for path, number in zip(paths, numbers, strict=True):
        write_png(to_codes(frames[number].whole()), path)
    return paths, numbers


def _measure(
    tool: str,
    use: Tool,
    paths: Sequence[Path],
    numbers: Sequence[int],
    burst: RenderedBurst,
    condition: Condition,
) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        try:
            outcome = use(paths, Path(folder), condition)
        except ProcessError as error:
            return Row(tool=tool, condition=condition, why=str(error))
    truth = to_codes(burst.truth_for(numbers[outcome.reference]))
    if outcome.picture.shape != truth.shape:
        return Row(tool=tool, condition=condition, why=f"gave {tuple(outcome.picture.shape)}")
    return Row(
        tool=tool,
        condition=condition,
        scores=score(outcome.picture, truth),
        seconds=round(outcome.seconds, 3),
        used=outcome.used,
    )


def _burstfix(choice: Sequence[str]) -> Tool:
    def use(paths: Sequence[Path], folder: Path, condition: Condition) -> Outcome:
        del condition
        output = folder / "picture.png"
        done = run([*BURSTFIX, "burst", *paths, "-o", output, *choice, "--json", "--quiet"])
        report = json.loads(done.output)
        return Outcome(
            picture=read_codes(output),
            reference=paths.index(Path(report["reference"])),
            used=sum(frame["used"] for frame in report["frames"]),
            seconds=done.seconds,
        )

    return use


def _opencv(method: str, *choice: str) -> Tool:
    def use(paths: Sequence[Path], folder: Path, condition: Condition) -> Outcome:
        output = folder / "picture.png"
        # What a user would find by trial: as strong as the noise is.
        strength = str(NOISE[condition.noise] * CODES_PER_LIGHT)
        command: list[str | Path] = [sys.executable, OPENCV, method, *paths, "-o", output]
        done = run([*command, *choice, "--strength", strength])
        used = json.loads(done.output)["used"]
        picture = read_codes(output)
        return Outcome(picture=picture, reference=0, used=used, seconds=done.seconds)

    return use


def _hugin(paths: Sequence[Path], folder: Path, condition: Condition) -> Outcome:
    """Align to the first frame and fuse by exposure, contrast left out: noise has the most."""
    del condition
    output = folder / "picture.tif"
    aligning = run(["align_image_stack", "--align-to-first", "-a", folder / "aligned_", *paths])
    aligned = sorted(folder.glob("aligned_*.tif"))
    fusing = run(["enfuse", "--output", output, *aligned])
    return Outcome(
        picture=read_codes(output),
        reference=0,
        used=len(aligned),
        seconds=aligning.seconds + fusing.seconds,
    )


def _print(rows: Sequence[Row], tools: Sequence[str], options: argparse.Namespace) -> None:
    """Print PSNR by noise and blur, with a shift allowed, and the time; failures are counted."""
    lines = []
    for tool in tools:
        own = [row for row in rows if row.tool == tool]
        groups = [
            *([row for row in own if row.condition.noise == name] for name in options.noise),
            *([row for row in own if row.condition.blur == name] for name in options.blur),
            own,
        ]
        shifted = [row.scores.shifted_psnr for row in own if row.scores]
        seconds = [row.seconds for row in own if row.seconds is not None]
        used = [row.used for row in own if row.scores]
        lines.append(
            [
                tool,
                *(mean_and_spread([r.scores.psnr for r in group if r.scores]) for group in groups),
                mean_and_spread(shifted),
                f"{min(seconds):.1f} – {max(seconds):.1f}" if seconds else "-",
                f"{sum(used) / len(used):.1f}" if used else "-",
                str(sum(row.scores is None for row in own)),
            ]
        )
    noises = [f"noise {name}" for name in options.noise]
    blurs = [f"blur {name}" for name in options.blur]
    print("PSNR [dB], mean ± standard deviation over the bursts that a tool did not fail on\n")
    print_table(
        ["tool", *noises, *blurs, "all", "all, shifted", "seconds", "frames", "failed"], lines
    )


if __name__ == "__main__":
    main()
