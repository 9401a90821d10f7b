"""What tuning to films by reblurring gains and costs: the comparisons of Chen et al. 2018.

Films of held-out photographs are tuned to without their truth; the samples with truth are made of
the photographs that training learns from. The tuned weights are thrown away.
"""

import argparse
import copy
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any

import cv2
import torch
from common import RESULTS, commit, machine, print_table, write_result
from torch import Tensor, nn
from video_quality import average_film

from burstfix import weights
from burstfix.backends.base import Network
from burstfix.io.photos import Photo, read_photos
from burstfix.restore.excerpts import Excerpts, take_excerpts
from burstfix.restore.window import restore_lights
from burstfix.synth.plan import Range
from burstfix.synth.render_video import render_video
from burstfix.train.data import held_out, to_light
from burstfix.train.evaluate_videos import film_figures
from burstfix.train.reblur import TuneSettings, Tuning, tune
from burstfix.train.supervision import make_supervision
from burstfix.train.validate import rank, to_codes

CPU = torch.device("cpu")
STREET = "street"
Figures = dict[str, float]
Row = dict[str, Any]


@dataclass(frozen=True)
class Clip:
    """A film with its truth: linear light, (3, h, w) each; and the files of its frames."""

    frames: list[Tensor]
    truths: list[Tensor]
    files: list[Path]


@dataclass(frozen=True)
class MadeFilms:
    """How photographs are filmed.

    Args:
        blur: least and largest extent of a frame's shake [px].
        exposure: share of the time that the shutter is open.
    """

    blur: Range
    exposure: float


@dataclass(frozen=True)
class Variant:
    """A way to tune.

    Args:
        changed: settings that are not the default ones.
        alone: whether each film is tuned to alone, instead of all at once.
        cycle_known: whether the exposure cycle is given.
    """

    changed: dict[str, Any] = field(default_factory=dict)
    alone: bool = False
    cycle_known: bool = True


# Networks have learned shakes of up to 20 px; segments of reblurring end at 16 px, two make 32.
FILMS = {
    "long shake": MadeFilms(blur=(22, 26), exposure=1.0),
    "short shake": MadeFilms(blur=(2, 6), exposure=0.5),
}
VARIANTS = {
    "conv": Variant(),
    "warp": Variant({"model": "warp"}),
    "conv, two frames": Variant({"two_frames": True}),
    "conv, alone": Variant(alone=True),
    "conv, cycle guessed": Variant(cycle_known=False),
    # What the steps on samples alone do, without the film.
    "warp, alpha 0": Variant({"model": "warp", "alpha": 0.0}),
    # Nearly without samples, which is what the paper calls degenerate.
    "warp, alpha 100": Variant({"model": "warp", "alpha": 100.0}),
}
PARTS = {
    "long shake": tuple(VARIANTS),
    "short shake": ("conv", "warp", "warp, alpha 0"),
    STREET: ("conv", "warp"),
}


def main() -> None:
    """Tune as asked; after each tuning write JSON, and at the end print all that it holds."""
    options = _arguments()
    for row in _measure(options):
        # Read anew each time: another run may have written meanwhile.
        rows = _measured_before(options)
        rows[row["network"], row["film"], row["variant"]] = row
        written = write_result("reblur", options, {"tunings": list(rows.values())})
        print(f"{row['network']}, {row['film']}, {row['variant']}: wrote {written}", flush=True)
    _print(list(_measured_before(options).values()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="What is not asked for is kept as it was measured before."
    )
    parser.add_argument("--photos", type=Path, required=True, help="folder that trainings had")
    parser.add_argument("--film", type=Path, help="folder of sharp frames in quick succession")
    parser.add_argument("--weights", type=Path, nargs="+", default=[Path("deblurgan-single")])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=["long shake", "short shake"])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--checks", type=int, default=2, help="comparisons while tuning")
    parser.add_argument("--triples", type=int, default=4, help="crops of three frames in a step")
    parser.add_argument("--crop", type=int, default=128, help="side of these crops [px]")
    parser.add_argument("--count", type=int, default=3, help="films of each kind")
    parser.add_argument("--frames", type=int, default=9, help="of each film")
    parser.add_argument("--side", type=int, default=256, help="of their frames [px]")
    parser.add_argument("--moments", type=int, default=13, help="frames of --film to average")
    parser.add_argument("--seed", type=int, default=1, help="of the steps' crops")
    parser.add_argument("--json", type=Path, help="else benchmarks/results/reblur.json")
    return parser.parse_args()


def _measured_before(options: argparse.Namespace) -> dict[tuple[str, str, str], Row]:
    path: Path = options.json or RESULTS / "reblur.json"
    rows = json.loads(path.read_text())["tunings"] if path.exists() else []
    return {(row["network"], row["film"], row["variant"]): row for row in rows}


def _measure(options: argparse.Namespace) -> Iterator[Row]:
    photos = read_photos(options.photos)
    kept = held_out([photo.name for photo in photos], 16)
    unseen = [photo for photo in photos if photo.name in kept]
    learned = [photo for photo in photos if photo.name not in kept]
    with tempfile.TemporaryDirectory() as folder:
        for part in options.parts:
            clips = _clips(part, unseen, options, Path(folder))
            blurred = [asdict(film_figures(clip.frames, clip.truths)) for clip in clips]
            for path in options.weights:
                network, card = weights.load(path)
                before = [_figures(network, clip) for clip in clips]
                for name in PARTS[part]:
                    if name not in options.variants:
                        continue
                    row = _tune_all(network, clips, before, learned, part, name, options)
                    yield {
                        "network": card.backend,
                        "weights_sha256": card.sha256,
                        "film": part,
                        "variant": name,
                        "input": blurred,
                        **row,
                        "commit": commit(),
                        "machine": machine(),
                    }


def _clips(
    part: str, photos: Sequence[Photo], options: argparse.Namespace, folder: Path
) -> list[Clip]:
    """Make the films of a part, and write their frames."""
    if part == STREET:
        if options.film is None:
            raise SystemExit("Give the street's folder with --film, or leave it out of --parts.")
        frames, truths = average_film(options.film, options.moments)
        return [_clip(frames, truths, 2 * options.side, folder / STREET)]
    films = []
    for number, photo in enumerate(rank(photos, options.count)[: options.count]):
        made = render_video(
            to_light(torch.from_numpy(photo.pixels)[None])[0],
            frames=options.frames,
            blur=FILMS[part].blur,
            exposure=FILMS[part].exposure,
            seed=number,
        )
        numbers = range(made.frames)
        films.append(([made.linear(n) for n in numbers], [made.truth(n) for n in numbers]))
    return [_clip(*film, options.side, folder / f"{part} {n}") for n, film in enumerate(films)]


def _clip(frames: list[Tensor], truths: list[Tensor], side: int, folder: Path) -> Clip:
    """Cut the middle out of frames, and write them as 8-bit pictures."""
    folder.mkdir()
    files, lights = [], []
    for number, frame in enumerate(frames):
        codes = (to_codes(_middle(frame, side)) * 255).round().byte().permute(1, 2, 0)
        files.append(folder / f"{number:04}.png")
        cv2.imwrite(str(files[-1]), codes.numpy()[..., ::-1])
        lights.append(to_light(codes[None])[0])
    return Clip(lights, [_middle(truth, side) for truth in truths], files)


def _middle(light: Tensor, side: int) -> Tensor:
    top, left = (max(0, length - side) // 2 for length in light.shape[-2:])
    return light[:, top : top + side, left : left + side]


def _figures(network: Network, clip: Clip) -> Figures:
    """Score a film restored by a network."""
    return asdict(film_figures(restore_lights(clip.frames, network, device=CPU), clip.truths))


def _tune_all(
    network: Network,
    clips: Sequence[Clip],
    before: Sequence[Figures],
    photos: Sequence[Photo],
    part: str,
    name: str,
    options: argparse.Namespace,
) -> Row:
    """Tune to films, together or one by one, and score each before and after."""
    variant = VARIANTS[name]
    exposure = FILMS[part].exposure if part in FILMS else 1.0
    settings = TuneSettings(
        iterations=options.iterations,
        triples=options.triples,
        check_every=max(1, options.iterations // options.checks),
        exposure_cycle=exposure / 2 if variant.cycle_known else None,
        seed=options.seed,
        **variant.changed,
    )
    groups = [[clip] for clip in clips] if variant.alone else [list(clips)]
    tunings: list[Row] = []
    last: list[Figures] = []
    for group in groups:
        files = [clip.files for clip in group]
        excerpts = take_excerpts(files, network.contract, crop=options.crop)
        tuning, final, seconds = _tune(network, excerpts, photos, settings)
        last += [_figures(final, clip) for clip in group]
        tunings.append(_told(tuning, seconds, excerpts))
    return {
        "settings": asdict(settings) | {"crop": options.crop},
        "frames": [len(clip.frames) for clip in clips],
        "before": list(before),
        "last": last,  # of the last step's weights, whether they are kept or not
        "tunings": tunings,
    }


def _tune(
    network: Network, excerpts: Excerpts, photos: Sequence[Photo], settings: TuneSettings
) -> tuple[Tuning, Network, float]:
    """Tune; return also the network of the last step, and CPU seconds of a step."""
    supervision = make_supervision(photos, network.contract, device=CPU, samples=settings.triples)
    final = copy.deepcopy(network)
    working: dict[str, nn.Module] = {}
    times: list[float] = []

    def watch(module: nn.Module, *_: object) -> None:
        working["copy"] = module

    def step(number: int, _: float) -> None:
        times.append(time.process_time())
        if number == settings.iterations:
            final.load_state_dict(working["copy"].state_dict())

    # `tune` gives the original back where tuning does not help; the copy that it works on has the
    # hook too, and shows what would have come of it.
    handle = network.register_forward_hook(watch)
    tuning = tune(
        network,
        excerpts.learned,
        excerpts.held_out,
        supervision,
        settings=settings,
        device=CPU,
        report=step,
    )
    handle.remove()
    return tuning, final, median(later - earlier for earlier, later in pairwise(times))


def _told(tuning: Tuning, seconds: float, excerpts: Excerpts) -> Row:
    """Return what the rule saw, and how it judged."""
    return {
        "kept": tuning.kept,
        "exposure_cycle": tuning.exposure_cycle,
        "cpu_s_a_step": round(seconds, 3),
        "crops": [len(excerpts.learned), len(excerpts.held_out)],
        "reblur_db": [tuning.before.reblur_db, tuning.after.reblur_db],
        "samples_db": [tuning.before.truth_db, tuning.after.truth_db],
    }


def _print(rows: Sequence[Row]) -> None:
    """Print a line for each tuning: gains against the truth, and what the rule saw."""
    lines = []
    for row in rows:
        tunings = row["tunings"]
        lines.append(
            [
                f"{row['network']}, {row['film']}, {row['variant']}",
                f"{fmean(film['psnr'] for film in row['input']):.2f}",
                *_gain(row, "psnr", 2),
                *_gain(row, "ssim", 4),
                *(f"{_change(tunings, key):+.3f}" for key in ("reblur_db", "samples_db")),
                f"{sum(each['kept'] for each in tunings)} of {len(tunings)}",
                f"{fmean(each['cpu_s_a_step'] for each in tunings):.2f}",
                str(row["settings"]["iterations"]),
            ]
        )
    header = [
        "tuning",
        "input [dB]",
        "PSNR [dB]",
        "tuned",
        "SSIM",
        "tuned",
        "reblurred",
        "samples",
        "kept",
    ]
    print_table([*header, "CPU s a step", "steps"], lines)


def _gain(row: Row, key: str, digits: int) -> tuple[str, str]:
    before, last = (fmean(film[key] for film in row[state]) for state in ("before", "last"))
    return f"{before:.{digits}f}", f"{last - before:+.{digits + 1}f}"


def _change(tunings: Sequence[Row], key: str) -> float:
    return fmean(each[key][1] - each[key][0] for each in tunings)


if __name__ == "__main__":
    main()
