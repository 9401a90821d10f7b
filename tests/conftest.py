"""A made-up burst with a known answer, and where the real test data lie."""

import os
from pathlib import Path

import numpy as np
import pytest
from made import MadeBurst, scene
from PIL import Image

SHIFTS = [(0, 0), (3, -5), (-4, 2), (6, 6), (-2, -7)]  # (down, right) of each frame, px


@pytest.fixture(scope="session")
def made_burst(tmp_path_factory: pytest.TempPathFactory) -> MadeBurst:
    """Five PNG frames, noisy, shifted by whole pixels."""
    folder = tmp_path_factory.mktemp("burst")
    random = np.random.default_rng(1)
    whole = scene(200, 260)
    paths = []
    for number, (down, right) in enumerate(SHIFTS):
        view = whole[20 + down : 180 + down, 30 + right : 230 + right]
        noisy = np.clip(view + random.normal(0, 0.04, view.shape), 0, 1)
        path = folder / f"frame {number}.png"
        Image.fromarray(np.round(noisy * 255).astype(np.uint8)).save(path)
        paths.append(path)
    return MadeBurst(paths, whole[20:180, 30:230])


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real test data, which is not part of the repository."""
    beside = Path(__file__).parents[2] / "shared"
    folder = Path(os.environ.get("BURSTFIX_SHARED", beside))
    if not (folder / "bursts").is_dir():
        pytest.skip("real test data are absent; point BURSTFIX_SHARED at them")
    return folder
