"""Alignment of 12-megapixel frames beside OpenCV's: error in pixels, and seconds a frame.

Frames see a mosaic of photographs through known homographies: turns to 3 degrees, shifts to 100
pixels, the perspective of a hand's rotation. Blurred by random shakes of 3 to 30 pixels, whose
centroids define where a frame truly lies; noisy in linear light, clipped, coded in 8 bits.
Only burstfix and the matching of features find their start themselves: OpenCV's ECC, which would
never find one, begins where burstfix's coarse search ends.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from bursts import load_photos
from common import kept_rows, mean_and_spread, print_table, run, write_result
from features_peer import match
from numpy.typing import NDArray

from burstfix.align.geometry import Matrix, corner_error, to_full
from burstfix.align.homography import align_burst, closer_reduction, reduction_for, shrink
from burstfix.align.sampling import project, sample
from burstfix.align.start import LONGEST, coarse
from burstfix.color import LUMA, SRGB, encode
from burstfix.frame import Box
from burstfix.io.store import StoredCodes
from burstfix.synth.psf import random_walk_psfs

Codes = NDArray[np.uint8]
Light = NDArray[np.float32]
Align = Callable[[Codes, Codes, Matrix], tuple[Matrix, float]]  # and seconds

SIZE = (3072, 4096)
MARGIN = 256  # pixels of the scene beyond the picture on each side
TILE = 896  # side of a photograph in the mosaic
DENSITY = 2  # canvas pixels along the side of a frame's: interpolating then bends no edge
LENS = 1.0  # Gaussian that the scene is seen through, in canvas pixels
FOCAL_LENGTH = 3500.0  # pixels
NOISES = (0.01, 0.03, 0.1)
BLURS = ("none", "mixed")
SHAKE = (3.0, 30.0)  # pixels
QUARTER = 4
FAR = 3.0  # pixels off from where a frame would spoil a burst


@dataclass(frozen=True)
class Scene:
    """A scene and how the frames of a burst see it, the reference first.

    Args:
        canvas: linear luminance; DENSITY times (H + 2 MARGIN, W + 2 MARGIN).
        views: scene_from_frame of each frame.
        psfs: how each frame was shaken; (s, s).
    """

    canvas: Light
    views: list[Matrix]
    psfs: list[Light]

    def truth(self, frame: int) -> Matrix:
        """Return frame_from_reference."""
        return np.asarray(np.linalg.inv(self.views[frame]) @ self.views[0])

    def views_of_light(self, blur: str) -> list[Light]:
        """Return what the frames see, without noise: linear light; (H, W) each."""
        seen = []
        canvas = torch.from_numpy(self.canvas)[None]
        middle = (DENSITY - 1) / 2
        dense = np.array([[DENSITY, 0, middle], [0, DENSITY, middle], [0, 0, 1.0]])
        for view, psf in zip(self.views, self.psfs, strict=True):
            # OpenCV's warp rounds positions to 1/32 pixel: that moved corners by 0.005 pixel.
            light = sample(canvas, *project(dense @ view, Box.whole(SIZE)))[0].numpy()
            if blur == "mixed":
                light = cv2.filter2D(light, -1, psf[::-1, ::-1], borderType=cv2.BORDER_REFLECT_101)
            seen.append(np.asarray(light, dtype=np.float32))
        return seen


def main() -> None:
    """Align, print a table by blur and noise, write JSON."""
    options = _options()
    photos = load_photos(options.photos, 200)
    found: dict[tuple[str, float], list[dict[str, Any]]] = {
        (blur, noise): [] for blur in options.blur for noise in options.noise
    }
    for seed in range(0 if options.only_slow else options.scenes):
        scene = make_scene(photos, options.frames, seed)
        for blur in options.blur:
            views = scene.views_of_light(blur)
            for noise in options.noise:
                found[blur, noise] += _measure(scene, _takes(views, noise), _methods(options))
    slow = {f"ECC at full resolution, OpenCV {cv2.__version__}": timed(ecc_full)}
    for blur, noise in () if options.skip_slow else found:
        scene = make_scene(photos, 1, 0)
        codes = _takes(scene.views_of_light(blur), noise)
        found[blur, noise] += list(_measure(scene, codes, slow))[1:]
    for (blur, noise), rows in found.items():
        _print(blur, noise, rows)
    results = [
        {"blur": blur, "noise": noise, **row}
        for (blur, noise), rows in found.items()
        for row in rows
    ]
    if options.add:
        results = kept_rows("alignment", options, "frames") + results
    print(f"JSON: {write_result('alignment', options, {'frames': results})}")


def _takes(views: list[Light], noise: float) -> list[Codes]:
    """Take the frames, noisy, clipped and sRGB-coded; (H, W) uint8 each."""
    taken = []
    for number, light in enumerate(views):
        random = np.random.default_rng(number)
        noisy = light + noise * random.standard_normal(SIZE, dtype=np.float32)
        coded = encode(torch.from_numpy(noisy).clamp_(0, 1), SRGB)
        taken.append((coded * 255).round_().to(torch.uint8).numpy())
    return taken


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="folder; else scikit-image's samples")
    parser.add_argument("--frames", type=int, default=4, help="frames beside the reference")
    parser.add_argument("--scenes", type=int, default=2)
    parser.add_argument(
        "--akaze-python", type=Path, help="a Python with OpenCV 4 and numpy; OpenCV 5 has no AKAZE"
    )
    parser.add_argument("--skip-slow", action="store_true", help="no ECC at full resolution")
    parser.add_argument("--only-slow", action="store_true", help="nothing else but that")
    parser.add_argument("--blur", nargs="+", choices=BLURS, default=BLURS)
    parser.add_argument("--noise", nargs="+", type=float, choices=NOISES, default=NOISES)
    parser.add_argument("--add", action="store_true", help="to the figures in the JSON file")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    return parser.parse_args()


def _methods(options: argparse.Namespace) -> dict[str, Align]:
    """Return the quick methods beside ours, by name."""
    here = f"OpenCV {cv2.__version__}"
    methods = {
        f"SIFT 1/4 + MAGSAC, {here}": timed(sift),
        f"ECC multi-scale, {here}": timed(ecc_multi_scale),
    }
    if options.akaze_python:
        version = run([options.akaze_python, "-c", "import cv2; print(cv2.__version__)"]).output
        name = f"AKAZE 1/4 + MAGSAC, OpenCV {version.strip()}"
        methods[name] = lambda one, other, _: akaze(options.akaze_python, one, other)
    return methods


def make_scene(photos: dict[str, torch.Tensor], frames: int, seed: int) -> Scene:
    """Lay photographs side by side, and draw how a hand holds the camera."""
    random = np.random.default_rng(seed)
    height, width = (side + 2 * MARGIN for side in SIZE)
    rows, columns = -(-height // TILE), -(-width // TILE)
    names = sorted(photos)
    order = random.permutation(np.resize(np.arange(len(names)), rows * columns))
    tiles = [_tile(photos[names[number]], random) for number in order]
    mosaic = np.block([tiles[row * columns : (row + 1) * columns] for row in range(rows)])
    generator = torch.Generator().manual_seed(seed)
    extents = torch.empty(frames + 1).uniform_(*SHAKE, generator=generator)
    psfs = random_walk_psfs(extents, generator=generator, size=65)
    views = [_view(random, 0.02 if number == 0 else 1.0) for number in range(frames + 1)]
    canvas = mosaic[: height * DENSITY, : width * DENSITY]
    canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), LENS), dtype=np.float32)
    return Scene(canvas, views, [psf.numpy() for psf in psfs])


def _tile(photo: torch.Tensor, random: np.random.Generator) -> Light:
    """Return a square of a photograph's luminance, turned and mirrored at random."""
    light = np.tensordot(np.array(LUMA, np.float32), photo.numpy(), axes=1)
    side = min(light.shape)
    square = np.rot90(light[:side, :side], int(random.integers(4)))
    square = square[:, :: random.choice((-1, 1))]
    size = (TILE * DENSITY, TILE * DENSITY)
    return np.asarray(cv2.resize(square, size, interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _view(random: np.random.Generator, strength: float) -> Matrix:
    """Rotate the camera as a hand does, with a little that no rotation explains."""
    height, width = SIZE
    right, down = random.uniform(-100, 100, 2) / FOCAL_LENGTH * strength
    roll = np.radians(random.uniform(-3, 3)) * strength
    lens = np.array([[FOCAL_LENGTH, 0, width / 2], [0, FOCAL_LENGTH, height / 2], [0, 0, 1]])
    rotation = cv2.Rodrigues(np.array([right, down, roll]))[0]
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    moved = (corners + random.uniform(-2, 2, (4, 2)) * strength).astype(np.float32)
    place = np.array([[1, 0, MARGIN], [0, 1, MARGIN], [0, 0, 1.0]])
    camera = lens @ rotation @ np.linalg.inv(lens)
    return np.asarray(place @ camera @ cv2.getPerspectiveTransform(corners, moved))


def _measure(
    scene: Scene, codes: list[Codes], methods: dict[str, Align]
) -> Iterator[dict[str, Any]]:
    """Align every frame by every method: ours as one burst, the others frame by frame."""
    stored = [StoredCodes(np.repeat(code[..., None], 3, axis=2), SRGB) for code in codes]
    factor = reduction_for(SIZE)
    start = time.perf_counter()
    luminances = [pixels.reduced_luminance(factor).numpy() for pixels in stored]
    reduced = time.perf_counter()
    found = align_burst(
        luminances,
        0,
        factor=factor,
        size=SIZE,
        closer=lambda number: stored[number].reduced_luminance(closer_reduction(factor)).numpy(),
    )
    end = time.perf_counter()
    seconds = (end - reduced) / (len(codes) - 1) + (reduced - start) / len(codes)
    for number, alignment in enumerate(found[1:], start=1):
        matrix = alignment.source_from_reference if alignment.ok else None
        yield _row("burstfix", seconds, matrix, scene.truth(number))
    by = 2 ** int(np.ceil(np.log2(max(luminances[0].shape) / LONGEST)))
    small = [shrink(luminance, by) for luminance in luminances]
    for name, align in methods.items():
        for number in range(1, len(codes)):
            begin = to_full(coarse(small[0], small[number])[0], factor * by)
            try:
                matrix, seconds = align(codes[0], codes[number], begin)
                yield _row(name, seconds, matrix, scene.truth(number))
            except cv2.error:  # not converged, or too few matches
                yield _row(name, None, None, scene.truth(number))


def _row(name: str, seconds: float | None, matrix: Matrix | None, truth: Matrix) -> dict[str, Any]:
    error = None if matrix is None else corner_error(matrix, truth, SIZE)
    return {"method": name, "seconds": seconds, "error_px": error}


def ecc_full(reference: Codes, frame: Codes, begin: Matrix) -> Matrix:
    """Run OpenCV's ECC at full resolution."""
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-4)
    everywhere = np.full(reference.shape, 255, np.uint8)
    _, matrix = cv2.findTransformECC(
        reference, frame, begin.astype(np.float32), cv2.MOTION_HOMOGRAPHY, criteria, everywhere, 5
    )
    return np.asarray(matrix, dtype=np.float64)


def ecc_multi_scale(reference: Codes, frame: Codes, begin: Matrix) -> Matrix:
    """Run OpenCV's multi-scale ECC with its own defaults."""
    parameters = cv2.ECCParameters()
    parameters.motionType = cv2.MOTION_HOMOGRAPHY
    _, matrix = cv2.findTransformECCMultiScale(
        reference, frame, begin.astype(np.float32), parameters
    )
    return np.asarray(matrix, dtype=np.float64)


def sift(reference: Codes, frame: Codes, begin: Matrix) -> Matrix:
    """Match SIFT features at quarter resolution."""
    del begin
    return to_full(match(reference, frame, "SIFT", QUARTER), QUARTER)


def akaze(python: Path, reference: Codes, frame: Codes) -> tuple[Matrix, float]:
    """Match AKAZE features at quarter resolution, in another Python, which takes the time."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("reference.npy", "frame.npy")]
        for path, codes in zip(paths, (reference, frame), strict=True):
            np.save(path, codes)
        done = json.loads(
            run([python, Path(__file__).with_name("features_peer.py"), *paths]).output
        )
    if done["matrix"] is None:
        raise cv2.error("too few matches")
    return to_full(np.array(done["matrix"]), QUARTER), done["seconds"]


def timed(align: Callable[[Codes, Codes, Matrix], Matrix]) -> Align:
    """Take the time of a method that runs here."""

    def measured(reference: Codes, frame: Codes, begin: Matrix) -> tuple[Matrix, float]:
        start = time.perf_counter()
        matrix = align(reference, frame, begin)
        return matrix, time.perf_counter() - start

    return measured


def _print(blur: str, noise: float, rows: list[dict[str, Any]]) -> None:
    print(f"\nBlur {blur}, noise {noise}")
    table = []
    for name in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == name]
        errors = [row["error_px"] for row in mine if row["error_px"] is not None]
        table.append(
            (
                name,
                mean_and_spread(errors, 3),
                f"{max(errors):.2f}" if errors else "-",
                str(sum(error > FAR for error in errors)),
                str(len(mine) - len(errors)),
                mean_and_spread([row["seconds"] for row in mine if row["seconds"]], 2),
                str(len(mine)),
            )
        )
    header = ("method", "error px", "worst", "off by > 3 px", "failed", "s a frame", "frames")
    print_table(header, table)


if __name__ == "__main__":
    main()
