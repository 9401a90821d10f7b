"""The papers' burst systems beside `set`, in one table: quality, size, work, training, time."""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from common import measured_backends, print_table, write_result
from costs import kilo_multiplications

from burstfix import weights
from burstfix.backends import BACKENDS

ORDER = ("reference", "best frame", "mean", "fba", "wieschollek", "aittala", "set")
PAPERS = ("aittala", "wieschollek")
LEVELS = ("low", "medium", "high")
NO_FRAME_SHARP = "hard"  # blur of the fixed bursts of which every frame is shaken by 9 px or more
FRAMES = 8  # of the figures beside quality
LARGE_PIXELS = 12e6

Score = Mapping[str, Any]  # one entry of `scores` in what `burstfix evaluate --json` writes


def main() -> None:
    """Put together what was measured, print tables, write JSON."""
    options = _arguments()
    scores = _merged(options.scores, "scores", "method")
    methods = sorted({s["method"] for s in scores}, key=_place)
    lengths = sorted({s["length"] for s in scores})
    facts = _facts(options.weights)
    seconds = dict(options.extrapolated) | _seconds(options.speed)
    rows = {
        method: {
            "psnr": _by_level(scores, method, lengths, "psnr"),
            "ssim": _by_level(scores, method, lengths, "ssim"),
            "no_frame_sharp": _no_frame_sharp(scores, method, lengths),
            **facts.get(method, {}),
            **seconds.get(method, {}),
        }
        for method in methods
    }
    _print(rows, lengths)
    claims = _claims(rows, lengths)
    print("\n" + "\n".join(f"{text}: {'yes' if holds else 'no'}" for text, holds in claims.items()))
    values = {"bursts_of_a_kind": scores[0]["bursts"], "methods": rows, "claims": claims}
    print(f"\nWrote {write_result('papers', options, values)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--scores",
        type=Path,
        nargs="+",
        required=True,
        help="written by burstfix evaluate --json; where files tell of one method, the last counts",
    )
    parser.add_argument("--speed", type=Path, nargs="*", default=[], help="written by speed.py")
    parser.add_argument(
        "--extrapolated",
        type=_extrapolation,
        nargs="*",
        default=[],
        metavar="METHOD=SECONDS",
        help="for 12 MP x 8, of methods that --speed does not tell of",
    )
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="more that was scored")
    parser.add_argument("--json", type=Path, help="else benchmarks/results/papers.json")
    return parser.parse_args()


def _extrapolation(text: str) -> tuple[str, dict[str, Any]]:
    method, _, seconds = text.partition("=")
    return method, {"seconds_12mp_8": float(seconds), "extrapolated": True}


def _merged(files: Iterable[Path], field: str, key: str) -> list[Score]:
    """Read entries of several files; those of a later file replace an earlier's of their key."""
    found: dict[str, list[Score]] = {}
    for file in files:
        own: dict[str, list[Score]] = {}
        for entry in json.loads(file.read_text())[field]:
            own.setdefault(entry[key], []).append(entry)
        found |= own
    return [entry for entries in found.values() for entry in entries]


def _place(method: str) -> tuple[int, str]:
    return (ORDER.index(method) if method in ORDER else len(ORDER)), method


def _by_level(
    scores: Sequence[Score], method: str, lengths: Sequence[int], what: str
) -> dict[str, list[float]]:
    """Average over blurs; a list by length for each noise level."""
    return {
        level: [
            round(
                fmean(
                    s[what]
                    for s in scores
                    if (s["method"], s["noise"], s["length"]) == (method, level, length)
                ),
                3,
            )
            for length in lengths
        ]
        for level in LEVELS
    }


def _no_frame_sharp(
    scores: Sequence[Score], method: str, lengths: Sequence[int]
) -> dict[str, list[float]]:
    """Take the bursts without a sharp frame alone; as `_by_level`."""
    hard = [s for s in scores if s["blur"] == NO_FRAME_SHARP]
    return _by_level(hard, method, lengths, "psnr")


def _facts(extra: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Tell each network's parameters, multiplications, and how long it was trained."""
    files = {name: weights.default_weights(name, "burst") for name in BACKENDS}
    files |= {path.stem: path for path in extra}
    facts: dict[str, dict[str, Any]] = {}
    for name, network in measured_backends(extra).items():
        file = files[name]
        card = weights.read_card(file) if file else None
        facts[name] = {
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            f"kmac_{FRAMES}_frames": round(kilo_multiplications(network, FRAMES), 1),
            "minutes": card.minutes if card else 0.0,
            "trained_on": card.device if card else "",
            "sha256": card.sha256 if card else "",
        }
    return facts


def _seconds(files: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Read the least seconds of whole processes; those of smaller pictures are scaled to 12 MP."""
    found: dict[str, dict[str, Any]] = {}
    for file in files:
        document = json.loads(file.read_text())
        height, width = document["size"]
        factor = LARGE_PIXELS / (height * width)
        for name, timing in document["processes"].items():
            if document["arguments"]["frames"] == FRAMES:
                found[name] = {
                    "seconds_12mp_8": round(factor * min(timing["seconds"]), 1),
                    "extrapolated": abs(factor - 1) > 0.01,
                }
    return found


def _claims(rows: Mapping[str, Mapping[str, Any]], lengths: Sequence[int]) -> dict[str, bool]:
    """Compare the papers' systems with the formulas, at every level and length."""
    claims: dict[str, bool] = {}
    for paper in (name for name in PAPERS if name in rows):
        for length_at, length in enumerate(lengths):
            for text, kind, formula in (
                ("at every noise level", "psnr", "mean"),
                ("where no frame is sharp, at every noise level", "no_frame_sharp", "fba"),
            ):
                claims[f"{paper} above {formula} {text}, {length} frames"] = all(
                    rows[paper][kind][level][length_at] > rows[formula][kind][level][length_at]
                    for level in LEVELS
                )
    return claims


def _print(rows: Mapping[str, Mapping[str, Any]], lengths: Sequence[int]) -> None:
    """Print one table of everything, and one of the bursts without a sharp frame."""
    given = " ".join(map(str, lengths))
    print_table(
        [
            f"PSNR [dB] after {given} frames",
            *LEVELS,
            "parameters",
            f"kMAC/px/frame, {FRAMES} frames",
            "trained, min",
            f"12 MP x {FRAMES}, s",
        ],
        [
            [
                name,
                *(" ".join(f"{value:.1f}" for value in row["psnr"][level]) for level in LEVELS),
                f"{row['parameters'] / 1e6:.2f} M" if row.get("parameters") else "-",
                f"{row[f'kmac_{FRAMES}_frames']:.0f}" if row.get("parameters") else "-",
                f"{row['minutes']:.0f}" if row.get("minutes") else "-",
                _shown_seconds(row),
            ]
            for name, row in rows.items()
        ],
    )
    print()
    print_table(
        [f"no frame sharp, after {given} frames", *LEVELS],
        [
            [
                name,
                *(
                    " ".join(f"{value:.1f}" for value in row["no_frame_sharp"][level])
                    for level in LEVELS
                ),
            ]
            for name, row in rows.items()
        ],
    )


def _shown_seconds(row: Mapping[str, Any]) -> str:
    if "seconds_12mp_8" not in row:
        return "-"
    return f"{'~' if row['extrapolated'] else ''}{row['seconds_12mp_8']:.0f}"


if __name__ == "__main__":
    main()
