"""Flow lays moving pictures onto each other, and says where it cannot."""

import cv2
import numpy as np
import pytest
import torch
from made import scene, to_light
from torch import Tensor

from burstfix.align.flow import (
    FlowBurst,
    Motion,
    enlarge,
    find_flow,
    grey_of,
    make_motion,
    unoccluded,
)
from burstfix.frame import Box, TensorPixels

SIZE = (120, 160)


def light_of(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(to_light(picture).astype(np.float32)).permute(2, 0, 1).contiguous()


def motion_between(reference: Tensor, neighbour: Tensor, factor: int = 1) -> Motion:
    one, other = grey_of(reference, factor), grey_of(neighbour, factor)
    return make_motion(one, other, find_flow(one, other), find_flow(other, one), factor)


@pytest.fixture(scope="module")
def views() -> tuple[Tensor, Tensor]:
    """A scene, and the same turned by 2 degrees and moved by 5 px."""
    whole = scene(200, 240)
    turn = cv2.getRotationMatrix2D((120, 100), 2, 1)
    turn[:, 2] += (5, -2)
    turned = cv2.warpAffine(whole, turn, (240, 200), flags=cv2.INTER_CUBIC)
    return light_of(whole[40:160, 40:200]), light_of(turned[40:160, 40:200])


def error(one: Tensor, other: Tensor) -> float:
    inner = (slice(None), slice(16, -16), slice(16, -16))
    return float((one - other)[inner].square().mean().sqrt())


@pytest.mark.parametrize("factor", [1, 2])
def test_known_motion_is_undone(views: tuple[Tensor, Tensor], factor: int) -> None:
    reference, neighbour = views
    motion = motion_between(reference, neighbour, factor)
    assert motion.ok
    source = FlowBurst([TensorPixels(reference), TensorPixels(neighbour)], [motion])
    burst, seen = source.read(Box.whole(SIZE))
    assert torch.equal(burst[0], reference)
    assert float(seen[1].mean()) > 0.85
    assert error(burst[1], reference) < 0.2 * error(neighbour, reference)


@pytest.mark.parametrize("factor", [1, 2])
def test_a_box_reads_the_same_pixels_as_the_whole(
    views: tuple[Tensor, Tensor], factor: int
) -> None:
    reference, neighbour = views
    motion = motion_between(reference, neighbour, factor)
    source = FlowBurst([TensorPixels(reference), TensorPixels(neighbour)], [motion])
    burst, seen = source.read(Box.whole(SIZE))
    box = Box(17, 31, 90, 120)
    part, share = source.read(box)
    assert torch.equal(part, burst[..., 17:90, 31:120])
    assert torch.equal(share, seen[..., 17:90, 31:120])


def test_what_something_hides_in_the_neighbour_is_unseen() -> None:
    whole = scene(*SIZE)
    hidden = whole.copy()
    patch = scene(40, 40, seed=5)
    whole[40:80, 30:70] = patch
    hidden[40:80, 50:90] = patch  # moved by 20 px to the right
    reference, neighbour = light_of(whole), light_of(hidden)
    motion = motion_between(reference, neighbour)
    covered = motion.seen[44:76, 74:88]  # seen in the reference, behind the patch in the other
    elsewhere = motion.seen[4:36, 100:150]
    assert covered.mean() < 0.3
    assert elsewhere.mean() > 0.95
    source = FlowBurst([TensorPixels(reference), TensorPixels(neighbour)], [motion])
    burst, seen = source.read(Box.whole(SIZE))
    unseen = (seen[1, 0] == 0).expand(3, -1, -1)
    assert torch.equal(burst[1][unseen], reference[unseen])


def test_another_scene_counts_as_unseen() -> None:
    reference, other = light_of(scene(*SIZE)), light_of(scene(*SIZE, seed=9))
    assert not motion_between(reference, other).ok
    source = FlowBurst([TensorPixels(reference), TensorPixels(other)], [None])
    burst, seen = source.read(Box(0, 0, 50, 60))
    assert torch.equal(burst[1], reference[:, :50, :60])
    assert float(seen[0].min()) == 1
    assert float(seen[1].max()) == 0


def test_flow_that_does_not_lead_back_is_occluded() -> None:
    forward = np.full((20, 30, 2), (4, 0), np.float32)
    assert unoccluded(forward, -forward)[:, :25].all()
    assert not unoccluded(forward, -forward)[:, 27:].any()  # leaves the picture
    assert not unoccluded(forward, forward).any()


def test_blocks_are_interpolated_between_their_middles() -> None:
    ramp = np.arange(8, dtype=np.float32)[None, :, None].repeat(4, axis=0) * 2 + 0.5
    values = enlarge(ramp, 2, Box(0, 0, 8, 16))[0]  # a ramp of slope 1 over pixels
    torch.testing.assert_close(values[3, 1:15], torch.arange(1.0, 15.0))


@pytest.mark.parametrize("step", [1, 2, 4, 8])
def test_a_pixel_gets_the_same_value_in_any_box(step: int) -> None:
    dice = np.random.default_rng(step)
    blocks = dice.standard_normal((30, 41, 2)).astype(np.float32)
    height, width = 30 * step - step // 2, 41 * step
    whole = enlarge(blocks, step, Box(0, 0, height, width))
    for _ in range(50):
        (top, bottom), (left, right) = (
            np.sort(dice.choice(side + 1, 2, replace=False)).tolist() for side in (height, width)
        )
        part = enlarge(blocks, step, Box(top, left, bottom, right))
        assert torch.equal(part, whole[:, top:bottom, left:right])


def test_tiny_pictures_have_no_flow() -> None:
    grey = np.zeros((9, 200), np.uint8)
    assert not find_flow(grey, grey).any()
