"""Quality of films: a high-speed film averaged and restored; and made clips with known truth."""

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from common import print_table, write_result
from torch import Tensor

from burstfix import color, metrics, weights
from burstfix.backends.base import Network
from burstfix.io.decode import read_frame
from burstfix.io.photos import read_photos
from burstfix.restore.window import alignment_for, restore_lights
from burstfix.train.data import held_out
from burstfix.train.evaluate import restore_each
from burstfix.train.evaluate_singles import INPUT
from burstfix.train.evaluate_videos import film_figures
from burstfix.train.fixed_videos import fixed_videos
from burstfix.train.validate import to_codes

CPU = torch.device("cpu")


def main() -> None:
    """Restore films and clips, print tables, write JSON."""
    options = _arguments()
    networks = _networks(options)
    rows: list[dict[str, Any]] = []
    for moments in options.moments if options.film else ():
        files = _files(options)[: moments * options.frames]
        sharp = [read_frame(path).whole() for path in files]
        rows += _score_film(f"{moments} frames", sharp, moments, networks)
    if options.photos:
        rows += _score_clips(options.photos, networks, options.count)
    _print(rows)
    print(f"\nWrote {write_result('video-quality', options, {'scores': rows})}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--film", type=Path, help="folder of sharp frames in quick succession")
    parser.add_argument("--moments", type=int, nargs="+", default=[7, 9, 11, 13], help="to average")
    parser.add_argument("--frames", type=int, default=64, help="most frames to restore of each")
    parser.add_argument("--photos", type=Path, help="to film clips in; those held out are taken")
    parser.add_argument("--count", type=int, default=4, help="clips for each case and noise level")
    parser.add_argument("--backend", nargs="*", default=["mean"], help="that need no weights")
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="of all others")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _networks(options: argparse.Namespace) -> dict[str, Network]:
    """Build what is to be scored, by the names to print."""
    built = {name: weights.find_network(name, "video")[0] for name in options.backend}
    for path in options.weights:
        network, card = weights.load(path)
        built[card.backend if card.backend not in built else path.stem] = network
    return built


def _files(options: argparse.Namespace) -> list[Path]:
    return sorted(path for path in options.film.iterdir() if path.suffix in (".jpg", ".png"))


def _score_film(
    name: str, sharp: list[Tensor], moments: int, networks: Mapping[str, Network]
) -> list[dict[str, Any]]:
    """Average a film's frames, restore all, and score against the middle ones.

    Args:
        name: of the rows.
        sharp: linear light; (3, H, W) each.
        moments: how many frames become one, an odd number; none is used twice or left out.
        networks: by name.
    """
    starts = range(0, len(sharp) - moments + 1, moments)
    blurred = [_recorded(torch.stack(sharp[at : at + moments]).mean(dim=0)) for at in starts]
    truths = [sharp[at + moments // 2] for at in starts]
    rows = []
    for method, network in {INPUT: None, **networks}.items():
        restored = restore_lights(blurred, network, device=CPU) if network else blurred
        figures = asdict(film_figures(restored, truths))
        rows.append({"film": name, "method": method, "frames": len(truths), **figures})
    return rows


def _recorded(light: Tensor) -> Tensor:
    """Round to 8 bits, as a film's frames are; linear light in and out, (3, H, W)."""
    codes = (to_codes(light) * 255).round() / 255
    return color.decode(codes, color.SRGB)


def _score_clips(source: Path, networks: Mapping[str, Network], count: int) -> list[dict[str, Any]]:
    """Score the middle frames of made clips, from photographs that training sets aside."""
    photos = read_photos(source)
    kept = held_out([photo.name for photo in photos], 16)
    chosen = [photo for photo in photos if photo.name in kept]
    rows: list[dict[str, Any]] = []
    for alignment in dict.fromkeys(alignment_for(n.contract) for n in networks.values()):
        clips = fixed_videos(chosen, device=CPU, alignment=alignment, count=count, crop=256)
        own = {k: n for k, n in networks.items() if alignment_for(n.contract) == alignment}
        for fixed in clips:
            truth = to_codes(fixed.burst.truth)
            found = {
                name: restore_each(n, fixed.first(n.contract.frames or 5).burst, CPU, "auto")
                for name, n in own.items()
            }
            for method, light in {INPUT: fixed.burst.frames[:, 0], **found}.items():
                figures = {
                    "frames": len(truth),
                    "psnr": float(metrics.psnr(to_codes(light), truth).mean()),
                    "ssim": float(metrics.ssim(to_codes(light), truth).mean()),
                }
                name = f"{fixed.case}, {fixed.noise} noise"
                rows.append({"film": name, "alignment": alignment, "method": method, **figures})
    return rows


def _print(rows: list[dict[str, Any]]) -> None:
    header = ["film", "method", "frames", "PSNR [dB]", "SSIM", "flicker"]
    lines = [
        [
            row["film"],
            row["method"],
            str(row["frames"]),
            f"{row['psnr']:.2f}",
            f"{row['ssim']:.4f}",
            f"{row['flicker']:.2f}" if "flicker" in row else "",
        ]
        for row in rows
    ]
    print_table(header, lines)


if __name__ == "__main__":
    main()
