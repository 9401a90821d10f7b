"""Made-up scenes with a known answer, for tests of whole commands."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


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
