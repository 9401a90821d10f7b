from collections.abc import Callable

import numpy as np
import pytest

from burstfix.io.photos import Photo
from burstfix.train.config import Recipe, Stage

SMALL_NETWORK = {
    "frame_widths": (4, 4, 4, 4),
    "frame_blocks": (0, 1, 0, 0),
    "trunk_widths": (8, 8, 8, 8),
    "trunk_blocks": (1, 0, 0, 0),
    "trunk_up_blocks": (0, 0, 0),
    "heads": 1,
}


def random_photos(count: int) -> list[Photo]:
    """Make photographs: sharp shapes of random colours."""
    rng = np.random.default_rng(0)
    photos = []
    for number in range(count):
        pixels = np.full((128, 128, 3), 90, np.uint8)
        for _ in range(30):
            top, left = rng.integers(0, 110, 2)
            height, width = rng.integers(4, 40, 2)
            pixels[top : top + height, left : left + width] = rng.integers(0, 255, 3)
        photos.append(Photo(f"{number:04d}a", pixels, 5.0))
    return photos


@pytest.fixture
def make_photos() -> Callable[[int], list[Photo]]:
    """Return a maker of photographs."""
    return random_photos


@pytest.fixture(scope="session")
def shared_photos() -> list[Photo]:
    """Return a few photographs."""
    return random_photos(4)


def small_recipe() -> Recipe:
    """Return a recipe whose steps take milliseconds."""
    return Recipe(
        network=SMALL_NETWORK,
        lengths=(1, 2, 3),
        bursts=2,
        shards=2,
        stages=(Stage(crop=32, frames=4),),
        warm_up=2,
        precision="fp32",
        validation_share=4,
        validation_count=1,
        validate_every_s=1e6,
    )


@pytest.fixture
def recipe() -> Recipe:
    """Return a small recipe."""
    return small_recipe()
