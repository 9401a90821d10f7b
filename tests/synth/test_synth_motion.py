import math

import pytest
import torch

from burstfix.synth import motion, psf
from burstfix.synth.resample import transform


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_corners_land_where_they_are_sent() -> None:
    offsets = torch.randn(5, 4, 2, generator=seeded(), dtype=torch.float64)
    corners = torch.tensor([[[0.0, 0], [59, 0], [59, 39], [0, 39]]], dtype=torch.float64)

    homographies = motion.corner_homographies(offsets, (40, 60))

    moved = transform(homographies, corners.expand(5, -1, -1).unsqueeze(1))
    torch.testing.assert_close(moved.squeeze(1), corners + offsets)


def test_a_rigid_motion_turns_about_its_centre_and_keeps_distances() -> None:
    turn = motion.rigid(
        torch.zeros(1, 2, dtype=torch.float64),
        torch.tensor([math.pi / 2], dtype=torch.float64),
        (10.0, 20.0),
    )
    points = torch.tensor([[[10.0, 20.0], [11.0, 20.0]]], dtype=torch.float64)

    moved = transform(turn, points)[0]

    torch.testing.assert_close(moved, torch.tensor([[[10.0, 20], [10, 21]]], dtype=torch.float64))


def test_shake_without_turning_blurs_as_its_psf_does() -> None:
    scene = torch.nn.functional.avg_pool2d(torch.rand(1, 3, 81, 81, generator=seeded()), 9, 1, 4)
    walks = psf.random_walk_paths(1, generator=seeded(1))
    paths = psf.fit_paths(walks, torch.tensor([9.0]), size=19)
    kernel = psf.splat(paths, 19)

    moments = motion.shake_homographies(-paths, torch.zeros(1, 128), (40.0, 40.0), steps=128)
    shaken = motion.shake(scene, moments)

    inner = slice(20, 61)
    expected = psf.convolve(scene, kernel)
    torch.testing.assert_close(
        shaken[..., inner, inner], expected[..., inner, inner], atol=1e-4, rtol=0
    )


def test_a_turning_camera_blurs_the_corners_more_than_the_centre() -> None:
    scene = torch.rand(1, 1, 101, 101, generator=seeded())
    roll = torch.linspace(-0.05, 0.05, 32)[None]

    moments = motion.shake_homographies(torch.zeros(1, 32, 2), roll, (50.0, 50.0), steps=32)
    shaken = motion.shake(scene, moments)[0, 0]

    assert shaken[45:56, 45:56].std() > 2 * shaken[5:25, 5:25].std()
    torch.testing.assert_close(shaken[50, 50], scene[0, 0, 50, 50], atol=1e-4, rtol=0)


def test_parallax_is_smooth_directed_and_as_strong_as_asked() -> None:
    flow = motion.parallax(400, (48, 48), torch.full((400,), 2.0), seeded())

    assert flow.pow(2).sum(-1).mean().sqrt() == pytest.approx(2.0, rel=0.15)
    assert flow.diff(dim=2).abs().max() < 1.5
    x, y = flow[0].reshape(-1, 2).unbind(-1)
    assert (x * y[0] - y * x[0]).abs().max() < 1e-4  # all along one line


def test_blobs_are_shapes_inside_the_picture() -> None:
    masks = motion.blobs(50, (96, 96), seeded())

    assert masks.min() == 0
    assert masks.max() == 1
    share = masks.mean(dim=(1, 2, 3))
    assert ((share > 0.005) & (share < 0.6)).float().mean() > 0.9
    hard = ((masks > 0) & (masks < 1)).float().mean()
    assert hard < 0.1


def test_a_moving_layer_keeps_its_colour_and_goes_where_it_is_sent() -> None:
    scene = torch.zeros(1, 3, 40, 60)
    layer = torch.full((1, 3, 40, 60), 0.7)
    mask = torch.zeros(1, 1, 40, 60)
    mask[..., 10:20, 10:20] = 1
    positions = torch.tensor([[[0.0, 0.0], [15.0, 4.0]]])

    frames = motion.move_layer(scene, layer, mask, positions, torch.zeros(1, 2))

    torch.testing.assert_close(frames[0, 0], 0.7 * mask[0].expand(3, -1, -1))
    torch.testing.assert_close(
        frames[0, 1],
        0.7 * mask[0].roll((4, 15), dims=(1, 2)).expand(3, -1, -1),
        atol=1e-5,
        rtol=0,
    )


def test_a_streak_spreads_a_layer_but_keeps_its_light() -> None:
    scene, layer = torch.zeros(1, 3, 40, 60), torch.ones(1, 3, 40, 60)
    mask = torch.zeros(1, 1, 40, 60)
    mask[..., 15:20, 20:30] = 1

    frames = motion.move_layer(
        scene, layer, mask, torch.zeros(1, 1, 2), torch.tensor([[12.0, 0.0]])
    )

    assert frames[0, 0, 0].sum() == pytest.approx(50, rel=1e-4)
    assert (frames[0, 0, 0].sum(0) > 0.01).sum() == 22
