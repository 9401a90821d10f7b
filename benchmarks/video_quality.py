"""Quality of films: a high-speed film averaged and restored; and made clips with known truth."""

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import RESULTS, commit, print_table, write_result
from torch import Tensor

from burstfix import color, weights
from burstfix.backends.base import Network
from burstfix.io.decode import read_frame
from burstfix.io.photos import read_photos
from burstfix.restore.window import restore_lights
from burstfix.train.data import held_out
from burstfix.train.evaluate_singles import INPUT
from burstfix.train.evaluate_videos import VideoConditions, evaluate_videos, film_figures
from burstfix.train.validate import to_codes

CPU = torch.device("cpu")
Row = dict[str, Any]
ROUNDING_DB = 1e-3  # by which the same frames may differ: threads sum in another order


def main() -> None:
    """Restore films and clips, print one table with what was measured before, write JSON."""
    options = _arguments()
    networks, hashes = _networks(options)
    found = list(_measure(networks, options))
    rows = _measured_before(options)  # read late: another run may have written meanwhile
    for row in found:
        before = rows.get((row["film"], INPUT), row)["psnr"]
        if row["method"] == INPUT and abs(before - row["psnr"]) > ROUNDING_DB:
            # Of other frames, or more of them: what was measured on these does not compare.
            rows = {key: old for key, old in rows.items() if key[0] != row["film"]}
        measured = {"commit": commit(), "weights_sha256": hashes.get(row["method"], "")}
        rows[row["film"], row["method"]] = row | measured
    _print(list(rows.values()))
    print(f"\nWrote {write_result('video-quality', options, {'scores': list(rows.values())})}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="What is not asked for is kept as it was measured before."
    )
    parser.add_argument("--film", type=Path, help="folder of sharp frames in quick succession")
    parser.add_argument("--moments", type=int, nargs="+", default=[7, 9, 11, 13], help="to average")
    parser.add_argument("--frames", type=int, default=64, help="most frames to restore of each")
    parser.add_argument("--photos", type=Path, help="to film clips in; those held out are taken")
    parser.add_argument("--count", type=int, default=4, help="clips for each case and noise level")
    parser.add_argument("--crop", type=int, default=256, help="side of the clips [px]")
    parser.add_argument("--backend", nargs="*", default=["mean"], help="that need no weights")
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="of all others")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _networks(options: argparse.Namespace) -> tuple[dict[str, Network], dict[str, str]]:
    """Build what is to be scored, by the names to print; and the hashes of weights."""
    built = {name: weights.find_network(name, "video")[0] for name in options.backend}
    hashes = {}
    for path in options.weights:
        network, card = weights.load(path)
        name = card.backend if card.backend not in built else path.stem
        built[name], hashes[name] = network, card.sha256
    return built, hashes


def _measured_before(options: argparse.Namespace) -> dict[tuple[str, str], Row]:
    """Return the rows that the JSON file holds, by film and method."""
    path: Path = options.json or RESULTS / "video-quality.json"
    rows = json.loads(path.read_text())["scores"] if path.exists() else []
    return {(row["film"], row["method"]): row for row in rows}


def _measure(networks: Mapping[str, Network], options: argparse.Namespace) -> Iterator[Row]:
    if options.photos:
        yield from _score_clips(networks, options)
    for moments in options.moments if options.film else ():
        blurred, truths = average_film(options.film, moments, options.frames)
        name = f"{options.film.name}, {moments} frames"
        for method, network in {INPUT: None, **networks}.items():
            restored = restore_lights(blurred, network, device=CPU) if network else blurred
            figures = asdict(film_figures(restored, truths))
            yield {"film": name, "method": method, "films": 1, "frames": len(truths), **figures}


def average_film(folder: Path, moments: int, most: int = 64) -> tuple[list[Tensor], list[Tensor]]:
    """Average a film's frames; the middle ones are the truth.

    Args:
        folder: sharp frames in quick succession.
        moments: how many frames become one, an odd number; none is used twice or left out.
        most: frames to make.

    Returns:
        The blurred frames, of 8 bits, and the truths; linear light, (3, H, W) each.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png"))
    starts = range(0, len(files) - moments + 1, moments)[:most]
    blurred, truths = [], []
    for start in starts:
        sharp = [read_frame(path).whole() for path in files[start : start + moments]]
        blurred.append(_recorded(torch.stack(sharp).mean(dim=0)))
        truths.append(sharp[moments // 2])
    return blurred, truths


def _recorded(light: Tensor) -> Tensor:
    """Round to 8 bits, as a film's frames are; linear light in and out, (3, H, W)."""
    codes = (to_codes(light) * 255).round() / 255
    return color.decode(codes, color.SRGB)


def _score_clips(networks: Mapping[str, Network], options: argparse.Namespace) -> Iterator[Row]:
    """Score all frames of made clips, from photographs that training sets aside."""
    photos = read_photos(options.photos)
    kept = held_out([photo.name for photo in photos], 16)
    methods = {
        name: partial(restore_lights, network=network, device=CPU)
        for name, network in networks.items()
    }
    conditions = VideoConditions(count=options.count, crop=options.crop)
    chosen = [photo for photo in photos if photo.name in kept]
    for score in evaluate_videos(methods, chosen, conditions):
        yield {
            "film": f"{score.case}, {score.noise} noise",
            "method": score.method,
            "films": score.bursts,
            "frames": score.bursts * score.length,
            "psnr": score.psnr,
            "ssim": score.ssim,
            "shifted_psnr": score.shifted_psnr,
            "flicker": score.flicker,
        }


def _print(rows: list[Row]) -> None:
    """Print a line for each film: PSNR, SSIM and flicker of each method."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    found = {
        (row["film"], row["method"]): (f"{row['psnr']:.2f} {row['ssim']:.3f} {row['flicker']:5.2f}")
        for row in rows
    }
    lines = [
        [film, *(found.get((film, method), "-") for method in methods)]
        for film in dict.fromkeys(row["film"] for row in rows)
    ]
    print_table(["PSNR [dB], SSIM, flicker", *methods], lines)


if __name__ == "__main__":
    main()
