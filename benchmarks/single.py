"""One frame restored by each system: quality, harm to clean photographs, real blur, seconds."""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from common import BURSTFIX, RESULTS, commit, machine, print_table, run, write_result
from costs import kilo_multiplications
from skimage.restoration import richardson_lucy, unsupervised_wiener
from torch import Tensor

from burstfix import Options, weights
from burstfix.backends import BACKENDS
from burstfix.backends.base import Network
from burstfix.io.photos import decode_photo, read_photos
from burstfix.restore.single import Singles
from burstfix.synth.burst import SyntheticBurst
from burstfix.synth.render_single import render_single
from burstfix.train.config import read_recipe
from burstfix.train.data import least_side, split_photos, to_light
from burstfix.train.evaluate import Score, restore_each, score_of, table
from burstfix.train.evaluate_singles import (
    INPUT,
    UNSHARP,
    SingleConditions,
    evaluate_singles,
    made_frames,
    measure_harm,
    unsharp_mask,
)
from burstfix.train.validate import psnr, to_codes

CPU = torch.device("cpu")
EVEN = ("small shake", "large shake", "defocus")  # one point spread function blurs all of a frame
WIENER, LUCY = "Wiener, true PSF", "Richardson-Lucy, true PSF"
ROUNDS = 30  # of Richardson-Lucy: scikit-image's own choice
LEAST_LIGHT = 1e-4
BORDER = 48  # px mirrored around a frame, so that filters meet no edge
AVERAGED = (7, 9, 11, 13)  # frames of the clip
QUALITIES = (90, 98)  # of the JPEGs, least and largest, whose harm is measured
# Validation photographs that no eye calls sharp at 100 %: of 0066b but a strip is in focus, 0274a
# was itself shaken. To restore them is no harm, whatever it changes.
NOT_SHARP = ("0066b", "0274a")
HARM_KINDS = {"as usual": False, "even sharp ones restored": True}
PARTS = ("quality", "clip", "harm", "shaken", "speed")
SHAKEN = {"2 to 4 px": (2.0, 4.0), "4 to 9 px": (4.0, 9.0), "14 to 25 px": (14.0, 25.0)}
SHAKEN_COUNT = 24  # photographs
SHAKEN_NOISE = 0.003  # deviation at middle grey: of good light
SIZES = {"1280x720": (720, 1280), "12 MP": (3000, 4000)}


def main() -> None:
    """Measure what is asked for, print tables of it and of what was measured before, write JSON."""
    options = _arguments()
    networks = _networks(options.weights)
    parts: dict[str, Callable[[], Any]] = {
        "quality": lambda: _quality(networks, options),
        "clip": lambda: _clip(networks, options),
        "harm": lambda: _harm(options),
        "shaken": lambda: _shaken(options),
        "speed": lambda: _speed(options),
    }
    found = _measured_before(options)
    for name in options.parts:
        found[name] = {"commit": commit(), "machine": machine(), **parts[name]()}
    found["costs"] = {
        name: {
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "kmac_per_pixel": round(kilo_multiplications(network, 1), 1),
        }
        for name, network in networks.items()
    }
    _print(found)
    print(f"\nWrote {write_result('single', options, found)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="folder that trainings had")
    parser.add_argument("--clip", type=Path, help="folder of consecutive sharp frames")
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="more to measure")
    parser.add_argument("--count", type=int, default=4, help="frames for each case and noise")
    parser.add_argument("--crop", type=int, default=256, help="side of the frames [px]")
    parser.add_argument("--places", type=int, default=4, help="of the clip that are averaged")
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=PARTS,
        default=PARTS,
        help="the others are kept as they were measured before",
    )
    parser.add_argument("--json", type=Path, help="else benchmarks/results/single.json")
    return parser.parse_args()


def _measured_before(options: argparse.Namespace) -> dict[str, Any]:
    path: Path = options.json or RESULTS / "single.json"
    document = json.loads(path.read_text()) if path.exists() else {}
    return {name: document[name] for name in PARTS if name in document}


def _networks(extra: Sequence[Path]) -> dict[str, Network]:
    """Load what restores single frames: shipped weights by their backend, others by their name."""
    files = {name: weights.default_weights(name, "single") for name in BACKENDS}
    files |= {path.stem: path for path in extra}
    return {name: weights.load(path)[0] for name, path in files.items() if path}


def _quality(networks: Mapping[str, Network], options: argparse.Namespace) -> dict[str, Any]:
    """Score every method on the fixed frames, and on clean photographs."""
    recipe = read_recipe("set-single")
    split = split_photos(read_photos(options.photos), recipe.validation_share, least_side(recipe))
    conditions = SingleConditions(count=options.count, crop=options.crop)
    scores = evaluate_singles(networks, split.validation, conditions, device=CPU)
    even = replace(conditions, cases=EVEN)
    for fixed in made_frames(split.validation, even):
        for method, restore in ((WIENER, _wiener), (LUCY, _lucy)):
            scores.append(score_of(method, fixed, 1, _each(restore, fixed.burst)))
    harm = measure_harm(networks, split.validation, crop=options.crop, device=CPU)
    return {
        "photographs": len(split.validation),
        "scores": [asdict(score) for score in scores],
        "harm": [asdict(each) for each in harm],
    }


def _each(
    restore: Callable[[np.ndarray, np.ndarray], np.ndarray], frames: SyntheticBurst
) -> Tensor:
    """Restore frames colour by colour, each with its true point spread function."""
    restored = torch.empty_like(frames.truth)
    for n, (frame, psf) in enumerate(zip(frames.frames[:, 0], frames.psfs[:, 0], strict=True)):
        for colour, plane in enumerate(frame.clamp(0, 1).numpy()):
            mirrored = np.pad(plane, BORDER, mode="reflect")
            sharp = restore(mirrored, psf.numpy())[BORDER:-BORDER, BORDER:-BORDER]
            restored[n, colour] = torch.from_numpy(sharp.astype(np.float32))
    return restored


def _wiener(plane: np.ndarray, psf: np.ndarray) -> np.ndarray:
    found: np.ndarray = unsupervised_wiener(plane, psf, clip=False, rng=0)[0]  # type: ignore[no-untyped-call]
    return found


def _lucy(plane: np.ndarray, psf: np.ndarray) -> np.ndarray:
    # What is black all over would be divided by next to nothing.
    found: np.ndarray = richardson_lucy(  # type: ignore[no-untyped-call]
        np.maximum(plane, LEAST_LIGHT), psf, num_iter=ROUNDS, filter_epsilon=LEAST_LIGHT
    )
    return found


def _clip(networks: Mapping[str, Network], options: argparse.Namespace) -> dict[str, Any]:
    """Score every method on averaged stretches of a real clip, against their middle frames."""
    if options.clip is None:
        raise SystemExit("Give the clip's folder with --clip, or leave it out of --parts.")
    files = sorted(path for path in options.clip.iterdir() if path.suffix == ".jpg")
    found: dict[str, dict[str, list[float]]] = {}
    for count in AVERAGED:
        for light, truth in _stretches(files, count, options.places):
            for method, picture in _restored(light, networks):
                rows = found.setdefault(method, {}).setdefault(str(count), [])
                rows.append(round(float(psnr(picture, truth)), 3))
    return {"clip": options.clip.name, "psnr": found}


def _stretches(files: Sequence[Path], count: int, places: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Average stretches of frames, evenly spaced; linear light, 8 bits, and the middle frame."""
    for first in np.linspace(0, len(files) - count, places).astype(int):
        part = files[first : first + count]
        codes = [decode_photo(path.stem, path.read_bytes()).pixels for path in part]
        light = to_light(torch.from_numpy(np.stack(codes)))
        rounded = (to_codes(light.mean(dim=0, keepdim=True)) * 255).round().byte()
        yield to_light(rounded.permute(0, 2, 3, 1)), light[count // 2, None]


def _restored(light: Tensor, networks: Mapping[str, Network]) -> Iterator[tuple[str, Tensor]]:
    """Yield each method and what it makes of one picture (1, 3, H, W)."""
    yield INPUT, light
    yield UNSHARP, unsharp_mask(light)
    alone = _as_burst(light)
    for name, network in networks.items():
        yield name, restore_each(network, alone, CPU, "auto")


def _as_burst(light: Tensor) -> SyntheticBurst:
    """Take a picture (1, 3, H, W) of which nothing is known for a burst of one frame."""
    nothing = torch.zeros(1, 1, 1, 1)
    descriptor = torch.tensor([[[1.0, 0.0, torch.nan, torch.nan]]])
    seen = torch.ones_like(light[:, None, :1])
    return SyntheticBurst(
        frames=light[:, None],
        truth=light,
        seen=seen,
        descriptor=descriptor,
        psfs=nothing,
        source_from_reference=torch.eye(3)[None, None],
    )


def _harm(options: argparse.Namespace) -> dict[str, Any]:
    """Restore JPEGs of whole sharp photographs as `burstfix single` does; what do they lose?"""
    recipe = read_recipe("set-single")
    split = split_photos(read_photos(options.photos), recipe.validation_share, least_side(recipe))
    drawn = np.random.default_rng(1).integers(QUALITIES[0], QUALITIES[1] + 1, len(split.validation))
    with tempfile.TemporaryDirectory() as folder:
        work = []
        for photo, quality in zip(split.validation, drawn, strict=True):
            source = Path(folder, f"{Path(photo.name).stem}.jpg")
            coding = [cv2.IMWRITE_JPEG_QUALITY, int(quality)]
            cv2.imwrite(str(source), photo.pixels[..., ::-1], coding)
            work.append((source, source.with_suffix(".png")))
        names = [source.stem for source, _ in work]
        return {"names": names} | {
            kind: {
                "warranted": _restore_all(work, even_sharp=even_sharp),
                "change_db": [
                    round(_loss(photo.pixels[..., ::-1], *names), 3)
                    for photo, names in zip(split.validation, work, strict=True)
                ],
            }
            for kind, even_sharp in HARM_KINDS.items()
        }


def _shaken(options: argparse.Namespace) -> dict[str, Any]:
    """Restore JPEGs of shaken photographs as `burstfix single` does; what do they gain?"""
    recipe = read_recipe("set-single")
    split = split_photos(read_photos(options.photos), recipe.validation_share, least_side(recipe))
    photos = split.validation[:: max(1, len(split.validation) // SHAKEN_COUNT)][:SHAKEN_COUNT]
    random = np.random.default_rng(2)
    found: dict[str, Any] = {kind: {} for kind in HARM_KINDS}
    with tempfile.TemporaryDirectory() as folder:
        for extent, blur in SHAKEN.items():
            truths, work = [], []
            for number, photo in enumerate(photos):
                light = to_light(torch.from_numpy(photo.pixels.copy())[None])[0]
                made = render_single(light, noise=SHAKEN_NOISE, blur=blur, seed=number)
                truths.append(_bgr(made.truth()))
                source = Path(folder, f"{extent}-{number}.jpg")
                quality = int(random.integers(QUALITIES[0], QUALITIES[1] + 1))
                cv2.imwrite(str(source), _bgr(made.linear()), [cv2.IMWRITE_JPEG_QUALITY, quality])
                work.append((source, source.with_suffix(".png")))
            for kind, even_sharp in HARM_KINDS.items():
                warranted = _restore_all(work, even_sharp=even_sharp)
                gains = [
                    round(_loss(truth, *names), 3)
                    for truth, names in zip(truths, work, strict=True)
                ]
                found[kind][extent] = {"warranted": warranted, "change_db": gains}
    return found


def _bgr(light: Tensor) -> np.ndarray:
    """Code a picture (3, H, W) in 8 bits, as OpenCV writes it."""
    codes = (to_codes(light[None].clamp(0, 1))[0] * 255).round().byte()
    return codes.permute(1, 2, 0).flip(-1).contiguous().numpy()


def _restore_all(work: Sequence[tuple[Path, Path]], *, even_sharp: bool) -> list[float]:
    """Restore photographs; return how much of it each was found to call for."""
    options = Options(bit_depth=8, even_sharp=even_sharp, on_exists="overwrite")
    with Singles(work, options) as singles:
        return [singles.restore(*names).warranted for names in work]


def _loss(truth: np.ndarray, given: Path, restored: Path) -> float:
    """Return how much nearer to the truth the restored file is than the given one [dB]."""
    errors = [
        float(np.square(np.asarray(cv2.imread(str(path)), float) - truth).mean())
        for path in (restored, given)
    ]
    return 10 * float(np.log10(max(errors[1], 1e-9) / max(errors[0], 1e-9)))


def _speed(options: argparse.Namespace) -> dict[str, Any]:
    """Time `burstfix single`, the whole process, from JPEG to PNG."""
    names = [name for name in BACKENDS if weights.default_weights(name, "single")]
    commands = {name: ["--backend", name] for name in names}
    commands |= {path.stem: ["--weights", str(path)] for path in options.weights}
    file = max(options.photos.glob("*.jpg"), key=lambda path: path.stat().st_size)
    photo = decode_photo(file.stem, file.read_bytes()).pixels[..., ::-1]
    seconds: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size, (height, width) in SIZES.items():
            source = Path(folder, f"{height}.jpg")
            cv2.imwrite(str(source), cv2.resize(photo, (width, height)))
            for name, choice in commands.items():
                target = Path(folder, f"{name}-{height}.png")
                # Else a photograph found sharp would be copied, which takes no time.
                done = run([*BURSTFIX, "single", source, "-o", target, "--even-sharp", *choice])
                seconds.setdefault(name, {})[size] = round(done.seconds, 1)
    return {"seconds": seconds}


def _print(found: Mapping[str, Any]) -> None:
    """Print what was measured, now or before."""
    if "quality" in found:
        _print_quality(found)
    if "harm" in found:
        for kind in HARM_KINDS:
            _print_harm(kind, found["harm"]["names"], found["harm"][kind])
    if "shaken" in found:
        _print_shaken(found["shaken"])
    if "clip" in found:
        rows = found["clip"]["psnr"]
        print()
        print_table(
            [f"PSNR [dB], {found['clip']['clip']} averaged", *(f"{n} frames" for n in AVERAGED)],
            [
                [method, *(f"{np.mean(row[str(n)]):.2f}" for n in AVERAGED)]
                for method, row in rows.items()
            ],
        )


def _print_harm(kind: str, names: Sequence[str], found: Mapping[str, Sequence[float]]) -> None:
    sharp = np.array([name not in NOT_SHARP for name in names])
    for what, counted in {
        "all": np.ones_like(sharp),
        "but those that are not sharp": sharp,
    }.items():
        changes, shares = (np.array(found[key])[counted] for key in ("change_db", "warranted"))
        print(
            f"\nJPEGs of {len(changes)} validation photographs ({what}), whole, {kind}: "
            f"{(shares == 0).sum()} left alone; {(changes >= -0.1).sum()} lose 0.1 dB at most; "
            f"median {np.median(changes):+.2f}, mean {changes.mean():+.2f}, "
            f"worst {changes.min():+.1f} dB"
        )


def _print_shaken(found: Mapping[str, Any]) -> None:
    rows = []
    for kind in HARM_KINDS:
        cells = []
        for extent in SHAKEN:
            changes, shares = (found[kind][extent][key] for key in ("change_db", "warranted"))
            alone = shares.count(0)
            cells.append(f"{np.mean(changes):+.2f}, {min(changes):+.1f}, {alone} of {len(shares)}")
        rows.append([kind, *cells])
    print()
    print_table(["Shaken JPEGs: mean, worst [dB], left alone", *SHAKEN], rows)


def _print_quality(found: Mapping[str, Any]) -> None:
    scores = [Score(**score) for score in found["quality"]["scores"]]
    cases = list(dict.fromkeys(score.case for score in scores))
    by_case, ssim = table(scores, "case"), table(scores, "length", "ssim")
    harm = {each["method"]: each for each in found["quality"]["harm"]}
    seconds = found.get("speed", {}).get("seconds", {})
    lines = []
    for method in dict.fromkeys(score.method for score in scores):
        cost, own = found["costs"].get(method), harm.get(method)
        partly = set(cases) - set(by_case[method])
        lines.append(
            [
                method,
                *(f"{by_case[method][c]:.2f}" if c in by_case[method] else "-" for c in cases),
                "-" if partly else f"{ssim[method]['1']:.3f}",
                f"{own['mean_change']:+.2f}, {own['worst_change']:+.2f}" if own else "-",
                f"{cost['parameters'] / 1e6:.2f} M" if cost else "-",
                f"{cost['kmac_per_pixel']:.0f}" if cost else "-",
                *(f"{seconds[method][s]:.1f}" if method in seconds else "-" for s in SIZES),
            ]
        )
    header = [
        "PSNR [dB]",
        *cases,
        "SSIM",
        "clean photographs: mean, worst",
        "parameters",
        "kMAC/px",
    ]
    print_table([*header, *(f"{size}, s" for size in SIZES)], lines)


if __name__ == "__main__":
    main()
