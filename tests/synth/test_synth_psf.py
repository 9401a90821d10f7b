import math

import pytest
import torch
import torch.nn.functional as F

from burstfix.synth import psf

EXTENTS = torch.linspace(0, 25, 40)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(kind: str, extents: torch.Tensor) -> torch.Tensor:
    if kind == "walk":
        return psf.random_walk_psfs(extents, generator=seeded(), defocus=extents / 50)
    paths = psf.disc_paths(len(extents), steps=512)
    if kind == "matern":
        paths = psf.matern_paths(len(extents), generator=seeded())
    return psf.splat(psf.fit_paths(paths, extents, size=51), 51)


@pytest.mark.parametrize("kind", ["walk", "matern", "disc"])
def test_psfs_sum_to_1_and_are_centred(kind: str) -> None:
    psfs = draw(kind, EXTENTS)

    assert psfs.shape == (40, 51, 51)
    assert (psfs >= 0).all()
    torch.testing.assert_close(psfs.sum(dim=(1, 2)), torch.ones(40))
    torch.testing.assert_close(psf.centroids(psfs), torch.zeros(40, 2), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["walk", "matern", "disc"])
def test_psfs_are_as_wide_as_asked(kind: str) -> None:
    extents = torch.tensor([4.0, 10.0, 20.0, 25.0])
    psfs = (
        draw(kind, extents) if kind != "walk" else psf.random_walk_psfs(extents, generator=seeded())
    )

    for bitmap, extent in zip(psfs, extents, strict=True):
        lit = bitmap.nonzero().float()
        diameter = torch.cdist(lit, lit).max()
        # Bilinear splatting lights up to the next whole pixel at both ends.
        assert extent - 1.5 <= diameter <= extent + 3


def test_an_extent_of_0_is_no_blur() -> None:
    psfs = psf.random_walk_psfs(torch.zeros(3), generator=seeded(), size=7)

    expected = torch.zeros(3, 7, 7)
    expected[:, 3, 3] = 1
    torch.testing.assert_close(psfs, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [7, 17])
def test_a_path_too_long_for_its_bitmap_is_shrunk_not_cut(size: int) -> None:
    paths = psf.matern_paths(20, generator=seeded())
    psfs = psf.splat(psf.fit_paths(paths, torch.full((20,), 100.0), size=size), size)

    torch.testing.assert_close(psfs.sum(dim=(1, 2)), torch.ones(20))
    torch.testing.assert_close(psf.centroids(psfs), torch.zeros(20, 2), atol=1e-4, rtol=0)


def test_matern_paths_have_the_covariance_of_their_process() -> None:
    paths = psf.matern_paths(4000, generator=seeded(), steps=11, length=0.3)
    series = paths.transpose(1, 2).reshape(-1, 11)
    found = series.T @ series / len(series)
    lag = math.sqrt(3) / 0.3 * (torch.linspace(0, 1, 11)[:, None] - torch.linspace(0, 1, 11)).abs()
    torch.testing.assert_close(found, (1 + lag) * torch.exp(-lag), rtol=0, atol=0.06)


def test_less_damping_of_velocity_makes_straighter_walks() -> None:
    def length_per_extent(damping: float) -> float:
        paths = psf.random_walk_paths(200, generator=seeded(), damping=damping)
        length = paths.diff(dim=1).norm(dim=-1).sum(dim=1)
        return float((length / torch.cdist(paths, paths).amax(dim=(1, 2))).median())

    assert length_per_extent(0.98) < length_per_extent(0.9) < length_per_extent(0.5)


def test_longer_correlation_makes_straighter_matern_paths() -> None:
    def length_per_extent(correlation: float) -> float:
        paths = psf.matern_paths(200, generator=seeded(), length=correlation)
        length = paths.diff(dim=1).norm(dim=-1).sum(dim=1)
        return float((length / torch.cdist(paths, paths).amax(dim=(1, 2))).median())

    assert length_per_extent(1.0) < length_per_extent(0.3) < length_per_extent(0.1)


@pytest.mark.parametrize("size", [(40, 53), (64, 64), (31, 97)])
def test_convolution_equals_the_direct_sum(size: tuple[int, int]) -> None:
    images = torch.rand(3, 2, *size, generator=seeded())
    psfs = psf.random_walk_psfs(torch.tensor([3.0, 6.0, 9.0]), generator=seeded(1), size=19)

    blurred = psf.convolve(images, psfs)

    padded = F.pad(images, (9, 9, 9, 9), mode="reflect")
    for image, kernel, result in zip(padded, psfs, blurred, strict=True):
        flipped = kernel.flip(0, 1)[None, None]  # conv2d correlates
        direct = F.conv2d(image.unsqueeze(1), flipped).squeeze(1)
        torch.testing.assert_close(result, direct, atol=1e-5, rtol=1e-5)


def test_a_shifted_psf_moves_the_picture_that_way() -> None:
    image = torch.zeros(1, 1, 32, 32)
    image[0, 0, 10, 12] = 1
    shift = psf.splat(torch.tensor([[[3.0, -2.0]]]), 9)

    moved = psf.convolve(image, shift)

    assert moved[0, 0, 8, 15] == pytest.approx(1, abs=1e-5)


def test_an_even_psf_is_refused() -> None:
    with pytest.raises(ValueError, match="odd"):
        psf.splat(torch.zeros(1, 4, 2), 8)


def test_smooth_lengths_have_small_factors_only() -> None:
    assert [psf.smooth_length(n) for n in (1, 7, 97, 128, 1010)] == [1, 8, 100, 128, 1024]
