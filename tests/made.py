"""Made-up scenes with a known answer, for tests of whole commands."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from burstfix.backends import find
from burstfix.weights import Card, save


@dataclass(frozen=True)
class MadeBurst:
    """Noisy, shifted views of one scene, and the scene as the first frame should show it."""

    paths: list[Path]
    truth: np.ndarray  # (H, W, 3) display-coded, 0 to 1


def scene(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return blobs and edges of many sizes; (height, width, 3) in 0 to 1."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    picture = np.full((height, width, 3), 0.35)
    for _ in range(160):
        centre_y, centre_x = random.uniform(0, height), random.uniform(0, width)
        radius = random.uniform(2, 18)
        soft = 1 / (1 + np.exp(np.hypot(y - centre_y, x - centre_x) - radius))
        colour = random.uniform(0.1, 0.85, 3)
        picture += soft[..., None] * (colour - picture)
    return picture


@dataclass(frozen=True)
class MadePair:
    """A short, dark and noisy, and a long, shaken exposure of one scene."""

    short: Path
    long: Path
    truth: np.ndarray  # (H, W, 3) display-coded, 0 to 1: the scene as the short one lies to it

    @property
    def paths(self) -> list[Path]:
        return [self.short, self.long]


def to_light(codes: np.ndarray) -> np.ndarray:
    return np.where(codes > 0.04045, ((codes + 0.055) / 1.055) ** 2.4, codes / 12.92)


def to_codes(light: np.ndarray) -> np.ndarray:
    light = np.clip(light, 0, 1)
    return np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, light * 12.92)


def make_pair(
    folder: Path,
    *,
    ratio: float = 0.15,
    noise: float = 0.006,
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0),
    times_s: tuple[float, float] | None = None,
    seed: int = 0,
) -> MadePair:
    """Write a pair of 160 x 200 pixels.

    Args:
        folder: where `short` and `long` go; JPEG with EXIF where times are given, else PNG.
        ratio: exposure of the short frame over the long one's.
        noise: standard deviation of the short frame's noise, in its linear light.
        tint: what the short frame's colours are off by.
        times_s: what the files say of the exposure times, short and long.
        seed: of scene and noise.
    """
    random = np.random.default_rng(seed)
    whole = to_light(scene(220, 280, seed))
    truth = whole[30:190, 40:240]
    path = [(round(3 * np.sin(t)), t) for t in range(-7, 8)]  # (down, right) [px], centred
    shaken = np.mean([whole[34 + y : 194 + y, 37 + x : 237 + x] for y, x in path], axis=0)
    dark = truth * ratio * np.array(tint) + random.normal(0, noise, truth.shape)
    long_light = shaken + random.normal(0, 0.002, shaken.shape)
    ending = "png" if times_s is None else "jpg"
    files = [folder / f"short.{ending}", folder / f"long.{ending}"]
    folder.mkdir(parents=True, exist_ok=True)
    for number, (file, light) in enumerate(zip(files, (dark, long_light), strict=True)):
        picture = Image.fromarray(np.round(to_codes(light) * 255).astype(np.uint8))
        if times_s is None:
            picture.save(file)
        else:
            exif = Image.Exif()
            exif.get_ifd(34665)[33434] = times_s[number]
            picture.save(file, exif=exif, quality=98, subsampling=0)
    return MadePair(*files, to_codes(truth))


SMALL_SET = {
    "frame_widths": (4, 4, 4, 4),
    "frame_blocks": (0, 1, 0, 0),
    "trunk_widths": (8, 8, 8, 8),
    "trunk_blocks": (1, 0, 0, 0),
    "trunk_up_blocks": (0, 0, 0),
    "heads": 1,
}


def small_weights(path: Path, task: str = "single") -> Path:
    """Write weights of a small `set` that changes pictures a little, and return their path."""
    backend = find("set")
    torch.manual_seed(0)
    network = backend.build(backend.config(**SMALL_SET))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    save(network, Card(backend="set", task=task, config=SMALL_SET), path)
    return path
