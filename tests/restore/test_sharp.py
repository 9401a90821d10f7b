"""Photographs that are sharp and clean already are left alone."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from made import scene
from torch import Tensor

from burstfix import Options, restore_single
from burstfix.backends.base import DESCRIPTOR, Contract, Network, Survey, plain_descriptor
from burstfix.color import SRGB
from burstfix.frame import Frame, TensorPixels
from burstfix.restore.alignment import Aligned, AlignedBurst
from burstfix.restore.sharp import CELL, warranted

CPU = torch.device("cpu")
POINT = np.zeros((51, 51), np.float32)
POINT[25, 25] = 1


class Finder(Network):
    """Finds one point spread function everywhere."""

    def __init__(self, psf: np.ndarray, *, surveys: bool = True) -> None:
        super().__init__()
        self.psf = torch.from_numpy(psf / psf.sum())
        survey = Survey(cell=CELL, margin=0, fade=0, planes=1) if surveys else None
        self.contract = Contract(survey=survey)

    def find_blur(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        assert burst.shape[1:] == (1, 3, CELL, CELL)
        assert seen.shape[1:] == (1, 1, CELL, CELL)
        assert len(descriptor) == len(burst)
        return self.psf.clamp_min(1e-9).log().expand(len(burst), 1, 1, -1, -1)


def photograph(codes: np.ndarray, *, known_noise: bool = False) -> Aligned:
    light = torch.from_numpy(codes.transpose(2, 0, 1).astype(np.float32)) ** 2.2
    told = plain_descriptor(1)
    if known_noise:
        told[..., DESCRIPTOR.index("shot")] = told[..., DESCRIPTOR.index("read")] = 1e-4
    frame = Frame(pixels=TensorPixels(light), curve=SRGB)
    source = AlignedBurst([frame], [np.eye(3)], [1.0])
    return Aligned(
        source=source,
        descriptor=told,
        order=(0,),
        sharpness=(),
        correlation=(),
        gain=(),
        dropped={},
    )


def disc(radius: float) -> np.ndarray:
    y, x = np.mgrid[-25:26, -25:26]
    return (np.hypot(x, y) <= radius).astype(np.float32)


def line(length: int) -> np.ndarray:
    psf = np.zeros((51, 51), np.float32)
    psf[25, 25 - length // 2 : 26 + length // 2] = 1
    return psf


def judge(psf: np.ndarray, codes: np.ndarray, *, known_noise: bool = False) -> float:
    given = photograph(codes, known_noise=known_noise)
    return warranted(Finder(psf), given, CPU)


def test_what_is_sharp_and_clean_is_left_alone_and_what_is_blurred_is_not() -> None:
    codes = scene(300, 420)
    assert judge(POINT, codes) == 0
    assert judge(disc(4), codes) == 1
    assert judge(line(9), codes) == 1


def test_the_same_spread_in_one_direction_is_shake_and_in_all_is_softness() -> None:
    codes = scene(300, 420)
    peak = 0.25
    drawn, spread = (0.75 * rest / rest.sum() for rest in (line(5) - POINT, disc(2) - POINT))
    assert judge(spread + peak * POINT, codes) == 0
    assert judge(drawn + peak * POINT, codes) == 1


def test_noise_is_restored_however_sharp_the_photograph() -> None:
    noise = np.random.default_rng(1).normal(0, 4 / 255, (300, 420, 3))
    assert judge(POINT, scene(300, 420) + noise) == 1


def test_black_and_white_hide_no_noise() -> None:
    noisy = scene(300, 420) + np.random.default_rng(1).normal(0, 4 / 255, (300, 420, 3))
    noisy[:140, :140], noisy[160:, 280:] = 0, 1
    assert judge(POINT, noisy.clip(0, 1)) == 1
    clean = scene(300, 420)
    clean[:140, :140] = 0
    assert judge(POINT, clean) == 0


def test_a_photograph_that_shows_nothing_is_left_alone() -> None:
    assert judge(disc(4), np.full((200, 200, 3), 0.4)) == 0


def test_raw_files_are_always_restored() -> None:
    assert judge(POINT, scene(300, 420), known_noise=True) == 1


def test_small_photographs_and_networks_that_tell_no_blur_restore_all() -> None:
    assert judge(POINT, scene(CELL - 1, 420)) == 1
    assert warranted(Finder(POINT, surveys=False), photograph(scene(300, 420)), CPU) == 1


def test_cells_are_looked_at_few_by_few_where_memory_lacks() -> None:
    class Hungry(Finder):
        def find_blur(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
            if len(burst) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().find_blur(burst, seen, descriptor)

    assert warranted(Hungry(POINT), photograph(scene(300, 420)), CPU) == 0
    assert warranted(Hungry(disc(4)), photograph(scene(300, 420)), CPU) == 1


@pytest.mark.parametrize("even_sharp", [False, True])
def test_a_sharp_jpeg_comes_back_to_the_bit_unless_it_shall_be_restored(
    tmp_path: Path, even_sharp: bool
) -> None:
    """With the weights that ship."""
    given, output = tmp_path / "sharp.jpg", tmp_path / "out.png"
    squares = np.kron(np.random.default_rng(2).random((12, 12, 3)), np.ones((16, 16, 1)))
    assert cv2.imwrite(
        str(given), (40 + 170 * squares).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 97]
    )
    report = restore_single(given, output, Options(bit_depth=8, even_sharp=even_sharp))
    assert report.warranted == even_sharp
    assert even_sharp or np.array_equal(cv2.imread(str(output)), cv2.imread(str(given)))
