"""An aligned burst has the reference's geometry and exposure, and says what was not seen."""

import numpy as np
import pytest
import torch
from align_scene import hand_shake
from torch import Tensor

from burstfix.align.warp import AlignedBurst, whole_shift
from burstfix.color import LINEAR
from burstfix.frame import Box, Frame, TensorPixels

SIZE = (120, 170)


def frame(tensor: Tensor) -> Frame:
    return Frame(pixels=TensorPixels(tensor), curve=LINEAR)


def random_frame(seed: int, size: tuple[int, int] = SIZE) -> Frame:
    return frame(torch.from_numpy(np.random.default_rng(seed).random((3, *size), np.float32)))


def shift(right: float, down: float) -> np.ndarray:
    return np.array([[1, 0, right], [0, 1, down], [0, 0, 1.0]])


def test_the_reference_is_untouched() -> None:
    reference = random_frame(0)
    burst = AlignedBurst([reference, random_frame(1)], [np.eye(3), shift(3.3, 2.1)], [1, 1])
    light, seen = burst.read(Box(7, 9, 60, 100))
    assert torch.equal(light[0], reference.read(Box(7, 9, 60, 100)))
    assert seen[0].min() == 1


def test_a_shift_by_whole_pixels_is_copied_to_the_bit() -> None:
    source = random_frame(1)
    burst = AlignedBurst([random_frame(0), source], [np.eye(3), shift(5, -4)], [1, 1])
    light, seen = burst.read(Box(10, 10, 50, 60))
    assert torch.equal(light[1], source.read(Box(6, 15, 46, 65)))
    assert seen[1].min() == 1


def test_a_smooth_scene_is_laid_onto_the_reference() -> None:
    def scene(x: Tensor, y: Tensor) -> Tensor:
        return 0.4 + 0.3 * torch.sin(0.09 * x) * torch.cos(0.11 * y + 0.5)

    y, x = torch.meshgrid(*(torch.arange(s, dtype=torch.float64) for s in SIZE), indexing="ij")
    matrix = hand_shake(SIZE, degrees=2, right=4.4, down=-3.3, keystone=0.01)
    back = np.linalg.inv(matrix)
    depth = back[2, 0] * x + back[2, 1] * y + back[2, 2]
    scene_x = (back[0, 0] * x + back[0, 1] * y + back[0, 2]) / depth
    scene_y = (back[1, 0] * x + back[1, 1] * y + back[1, 2]) / depth
    frames = [
        frame(scene(x, y).float().repeat(3, 1, 1)),
        frame(scene(scene_x, scene_y).float().repeat(3, 1, 1)),
    ]
    light, seen = AlignedBurst(frames, [np.eye(3), matrix], [1, 1]).read(Box.whole(SIZE))
    assert ((light[1] - light[0]).abs() * seen[1]).max() < 1e-3
    assert seen[1].mean() > 0.85


@pytest.mark.parametrize("matrix", [shift(2.5, 7.25), hand_shake(SIZE, degrees=3, right=9, down=4)])
def test_boxes_equal_the_whole(matrix: np.ndarray) -> None:
    burst = AlignedBurst([random_frame(0), random_frame(1)], [np.eye(3), matrix], [1, 0.8])
    whole, whole_seen = burst.read(Box.whole(SIZE))
    for box in (Box(0, 0, 64, 64), Box(0, 64, 64, 128), Box(50, 33, 120, 170), Box(60, 60, 61, 61)):
        light, seen = burst.read(box)
        part = (..., slice(box.top, box.bottom), slice(box.left, box.right))
        torch.testing.assert_close(light, whole[part], rtol=0, atol=1e-6)
        assert torch.equal(seen, whole_seen[part])


@pytest.mark.parametrize(("right", "border"), [(10.5, 13), (10.0, 10)])
def test_what_lies_outside_a_frame_is_unseen_and_repeats_the_reference(
    right: float, border: int
) -> None:
    burst = AlignedBurst([random_frame(0), random_frame(1)], [np.eye(3), shift(right, 0)], [1, 1])
    light, seen = burst.read(Box(30, 0, 80, SIZE[1]))
    assert seen[1, :, :, : SIZE[1] - border].min() == 1
    assert seen[1, :, :, SIZE[1] - border :].max() == 0
    unseen = seen[1].expand(3, -1, -1) == 0
    assert torch.equal(light[1][unseen], light[0][unseen])


def test_a_frame_that_saw_nothing_of_a_box_repeats_the_reference() -> None:
    for right in (500.0, 500.5):
        burst = AlignedBurst(
            [random_frame(0), random_frame(1)], [np.eye(3), shift(right, 0)], [1, 1]
        )
        light, seen = burst.read(Box(0, 0, 40, 40))
        assert seen[1].max() == 0
        assert torch.equal(light[1], light[0])


def test_gains_are_applied_and_saturated_light_of_longer_exposures_is_unseen() -> None:
    reference = torch.full((3, 40, 50), 0.3)
    reference[1, :, 25:] = 0.7
    longer = (2 * reference).clamp_max(1)
    burst = AlignedBurst([frame(reference), frame(longer)], [np.eye(3)] * 2, [1, 0.5])
    light, seen = burst.read(Box(0, 0, 40, 50))
    torch.testing.assert_close(light[1], reference)
    assert seen[1, 0, :, :25].min() == 1
    assert seen[1, 0, :, 25:].max() == 0


def test_light_near_saturation_counts_the_less_the_nearer() -> None:
    reference, longer = torch.full((3, 4, 100), 0.4), torch.full((3, 4, 100), 0.5)
    longer[0] = torch.linspace(0.8, 1.1, 100)
    burst = AlignedBurst([frame(reference), frame(longer)], [np.eye(3)] * 2, [1, 0.5])
    _, seen = burst.read(Box(0, 0, 4, 100))
    assert (seen[1].diff(dim=-1) <= 0).all()
    assert seen[1].diff(dim=-1).abs().max() < 0.1


def test_saturated_light_counts_where_exposures_are_equal() -> None:
    white = torch.ones((3, 40, 50))
    _, seen = AlignedBurst([frame(white)] * 2, [np.eye(3)] * 2, [1, 1.0]).read(Box(0, 0, 40, 50))
    assert seen.min() == 1


def test_nearly_whole_shifts_are_told_from_others() -> None:
    assert whole_shift(shift(3.004, -2.0), SIZE) == (-2, 3)
    assert whole_shift(shift(3.2, -2.0), SIZE) is None
    assert whole_shift(hand_shake(SIZE, degrees=0.1, right=0, down=0), SIZE) is None


def test_lists_of_unlike_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one homography and one gain"):
        AlignedBurst([random_frame(0)], [np.eye(3)], [])
