"""Large JPEG bursts, made quickly: shifted, turned and noisy pictures of a mosaic."""

import math
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
from bursts import sample_photo
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

SHAKE_PX = 20.0
ROTATION_DEG = 0.2
NOISE = 3.0  # codes
QUALITY = 95
STRIP = 512  # rows that get their noise at once: memory stays bounded


def make_jpegs(
    folder: Path, photos: Path | None, size: tuple[int, int], count: int, distinct: int, seed: int
) -> list[Path]:
    """Write a burst, or take the one that lies there already.

    Args:
        folder: where the frames go; another folder for every other burst.
        photos: folder of JPEG files to lay side by side; None takes scikit-image's astronaut.
        size: of the frames, (height, width).
        count: how many frames.
        distinct: how many of them differ; the others are links to those.
        seed: of shake and noise.
    """
    paths = [folder / f"frame-{number + 1:02}.jpg" for number in range(count)]
    if all(path.exists() for path in paths):
        return paths
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    margin = math.ceil(1.5 * SHAKE_PX + max(size) / 2 * math.sin(math.radians(ROTATION_DEG)))
    scene = _mosaic(photos, (size[0] + 2 * margin, size[1] + 2 * margin))
    cv2.setRNGSeed(seed)  # of `cv2.randn`
    for number, path in enumerate(paths):
        path.unlink(missing_ok=True)
        if number >= distinct:
            _link(paths[number % distinct], path)
            continue
        frame = _add_noise(_shake(scene, size, margin, random))
        sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        partial = path.with_name("partial.jpg")  # renamed when whole: a kept burst is trusted
        if not cv2.imwrite(str(partial), frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY, *sampling]):
            raise SystemExit(f"Cannot write {path}.")
        partial.replace(path)
    return paths


def _mosaic(photos: Path | None, size: tuple[int, int]) -> Picture:
    """Cover a picture with photographs, each mirrored another way; (H, W, 3) uint8, BGR."""
    scene = np.empty((*size, 3), np.uint8)
    pictures = _pictures(photos)
    side = min(min(picture.shape[:2]) for picture in pictures)
    number = 0
    for top in range(0, size[0], side):
        for left in range(0, size[1], side):
            picture = pictures[number % len(pictures)][:side, :side]
            turned = np.rot90(picture, number // len(pictures) % 4)
            part = scene[top : top + side, left : left + side]
            part[:] = turned[: part.shape[0], : part.shape[1]]
            number += 1
    return scene


def _pictures(photos: Path | None) -> list[Picture]:
    if photos is None:
        return [np.ascontiguousarray(sample_photo("astronaut")[..., ::-1])]
    paths = sorted(photos.glob("*.jpg"))[:64]
    found = [cv2.imread(str(path), cv2.IMREAD_COLOR) for path in paths]
    pictures = [np.asarray(picture, np.uint8) for picture in found if picture is not None]
    if not pictures:
        raise SystemExit(f"{photos} holds no JPEG file.")
    return pictures


def _shake(
    scene: Picture, size: tuple[int, int], margin: int, random: np.random.Generator
) -> Picture:
    """Look at the scene from a little elsewhere; (h, w, 3) uint8."""
    height, width = size
    shift = random.uniform(-SHAKE_PX, SHAKE_PX, 2)
    middle = (width - 1) / 2, (height - 1) / 2
    matrix = cv2.getRotationMatrix2D(middle, random.uniform(-ROTATION_DEG, ROTATION_DEG), 1.0)
    matrix = matrix + np.array([[0, 0, margin + shift[0]], [0, 0, margin + shift[1]]])
    frame = cv2.warpAffine(
        scene, matrix, (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    )
    return np.asarray(frame, np.uint8)


def _add_noise(frame: Picture) -> Picture:
    """Add white noise in place, strip by strip."""
    for top in range(0, frame.shape[0], STRIP):
        strip = frame[top : top + STRIP]
        noise = np.empty(strip.shape, np.int16)
        cv2.randn(noise, np.zeros(3), np.full(3, NOISE))
        strip[:] = cv2.add(strip, noise, dtype=cv2.CV_8U)
    return frame


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # not every file system has hard links
        shutil.copyfile(source, target)
