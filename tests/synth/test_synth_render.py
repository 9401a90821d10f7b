import pytest
import torch

from burstfix.errors import InputError
from burstfix.synth import psf, render
from burstfix.synth.resample import pixel_grid, spline_sample, transform


def smooth_photo(size: tuple[int, int] = (220, 300)) -> torch.Tensor:
    seeds = torch.rand(
        1, 3, size[0] // 12, size[1] // 12, generator=torch.Generator().manual_seed(1)
    )
    big = torch.nn.functional.interpolate(seeds, size=size, mode="bicubic")[0]
    return 0.2 + 0.6 * big


def test_frames_share_an_even_size_inside_the_photograph() -> None:
    burst = render.render_burst(smooth_photo((221, 303)), frames=3, shake_px=10, blur="easy")

    assert burst.frames == 3
    assert burst.size[0] % 2 == burst.size[1] % 2 == 0
    assert burst.truth_for(1).shape == (3, *burst.size)
    assert burst.linear(1).shape == (3, *burst.size)
    assert burst.mosaic(1).shape == burst.size
    corners = torch.tensor([[[0.0, 0.0]], [[burst.size[1] - 1.0, burst.size[0] - 1.0]]])
    scene_from_source = torch.linalg.inv(burst.source_from_scene)
    seen = transform(scene_from_source, corners.double())
    assert seen.min() >= 0
    assert seen[..., 0].max() <= 302
    assert seen[..., 1].max() <= 220


def test_truth_is_the_photograph_in_the_frames_geometry() -> None:
    photo = smooth_photo()
    burst = render.render_burst(photo, frames=3, shake_px=15, rotation_deg=2, seed=5)
    points = transform(torch.linalg.inv(burst.source_from_scene), pixel_grid(burst.size))

    for index in range(3):
        expected = spline_sample(photo[None], points[index : index + 1])[0].clamp(0, 1)
        torch.testing.assert_close(burst.truth_for(index), expected, atol=1e-4, rtol=0)


def test_frames_warped_back_to_a_reference_are_its_truth() -> None:
    burst = render.render_burst(
        smooth_photo(), frames=4, shake_px=15, rotation_deg=1, blur="none", noise=0.0, seed=3
    )
    reference = 2
    truth = burst.truth_for(reference)
    homographies = burst.source_from_reference(reference)

    torch.testing.assert_close(homographies[reference], torch.eye(3, dtype=torch.float64))
    for index in range(4):
        points = transform(homographies[index : index + 1], pixel_grid(burst.size))
        back = spline_sample(burst.linear(index)[None], points)[0]
        x, y = points[0].unbind(-1)
        inside = (x > 12) & (y > 12) & (x < burst.size[1] - 13) & (y < burst.size[0] - 13)
        assert inside.float().mean() > 0.5
        assert (back - truth)[:, inside].abs().max() < 2e-3


def test_homographies_differ_and_keep_the_shake_asked() -> None:
    burst = render.render_burst(
        smooth_photo(), frames=12, shake_px=15, rotation_deg=1, blur="none", seed=3
    )
    margin = (300 - burst.size[1]) // 2
    middle = torch.tensor([[[149.5, 109.5]]], dtype=torch.float64)

    moved = transform(burst.source_from_scene, middle)[:, 0, 0] - (middle[0, 0] - margin)

    distances = moved.norm(dim=1)
    assert distances.max() <= 15 * 1.15
    assert distances.max() > 7
    assert len(distances.unique()) == 12


def test_a_frame_is_the_truth_blurred_by_its_psf() -> None:
    burst = render.render_burst(smooth_photo(), frames=2, blur="hard", noise=0.0, shake_px=5)

    blurred = psf.convolve(burst.truth_for(1)[None], burst.psfs[1][None])[0]

    inner = slice(26, -26)
    torch.testing.assert_close(
        burst.light(1)[:, inner, inner], blurred[:, inner, inner], atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("name", ["easy", "mixed", "hard"])
def test_psfs_are_of_the_extent_that_the_name_says(name: str) -> None:
    burst = render.render_burst(smooth_photo((300, 300)), frames=10, blur=name, shake_px=5)
    low, high = render.BLUR[name]

    torch.testing.assert_close(burst.psfs.sum(dim=(1, 2)), torch.ones(10))
    torch.testing.assert_close(psf.centroids(burst.psfs), torch.zeros(10, 2), atol=1e-4, rtol=0)
    for bitmap in burst.psfs:
        lit = bitmap.nonzero().float()
        assert low - 1.5 <= torch.cdist(lit, lit).max() <= high + 3


@pytest.mark.parametrize(("name", "sigma"), [("low", 0.01), ("medium", 0.03), ("high", 0.1)])
def test_noise_is_as_strong_as_its_name_says_at_middle_grey(name: str, sigma: float) -> None:
    photo = torch.full((3, 300, 300), render.MIDDLE_GREY)
    burst = render.render_burst(photo, frames=1, noise=name, shake_px=5, white_balance=(1, 1, 1))

    linear = burst.linear(0)
    light = (burst.mosaic(0).float() - render.BLACK_LEVEL_DN) / (
        render.WHITE_LEVEL_DN - render.BLACK_LEVEL_DN
    )

    assert linear.std().item() == pytest.approx(sigma, rel=0.03)
    assert light.mean().item() == pytest.approx(render.MIDDLE_GREY, abs=0.002)
    # At high noise black clips a little, 512 below being all there is.
    assert light.std().item() == pytest.approx(sigma, rel=0.03 if sigma < 0.1 else 0.2)


def test_the_mosaic_is_the_light_divided_by_the_white_balance() -> None:
    photo = torch.tensor([0.8, 0.5, 0.4]).view(3, 1, 1).expand(3, 200, 200).contiguous()
    burst = render.render_burst(
        photo, frames=1, noise=0.0, shake_px=5, blur="none", white_balance=(2.0, 1.0, 1.6)
    )

    cells = burst.mosaic(0).float()[:4, :4]

    span = render.WHITE_LEVEL_DN - render.BLACK_LEVEL_DN
    light = (cells - render.BLACK_LEVEL_DN) / span
    expected = torch.tensor([[0.4, 0.5], [0.5, 0.25]]).repeat(2, 2)
    torch.testing.assert_close(light, expected, atol=1 / span, rtol=0)


def test_light_beyond_saturation_is_clipped_after_the_noise() -> None:
    burst = render.render_burst(
        torch.full((3, 200, 200), 3.0),
        frames=1,
        noise="high",
        shake_px=5,
        blur="none",
        white_balance=(1, 1, 1),
    )

    assert (burst.linear(0) == 1).all()
    assert (burst.mosaic(0).int() == render.WHITE_LEVEL_DN).all()
    assert (burst.truth_for(0) == 1).all()


def test_exposures_scale_frames_and_their_truth() -> None:
    burst = render.render_burst(
        torch.full((3, 200, 200), 0.1), frames=5, noise=0.0, shake_px=5, exposure_ev=1.5
    )

    assert burst.exposure_ev[0] == 0
    assert burst.exposure_ev.abs().max() > 0.3
    for index in range(5):
        expected = 0.1 * 2 ** burst.exposure_ev[index].item()
        assert burst.linear(index).mean().item() == pytest.approx(expected, rel=1e-3)
        assert burst.truth_for(index).mean().item() == pytest.approx(expected, rel=1e-3)


def test_the_same_seed_gives_the_same_frames_whatever_was_rendered_before() -> None:
    first = render.render_burst(smooth_photo(), frames=3, seed=7, shake_px=5)
    again = render.render_burst(smooth_photo(), frames=3, seed=7, shake_px=5)
    other = render.render_burst(smooth_photo(), frames=3, seed=8, shake_px=5)
    first.linear(0)

    assert torch.equal(first.linear(2), again.linear(2))
    assert torch.equal(first.mosaic(2), again.mosaic(2))
    assert not torch.equal(first.linear(1), first.linear(2))
    assert not torch.equal(first.psfs, other.psfs)


def test_tiles_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    burst = render.render_burst(smooth_photo(), frames=1, shake_px=5, blur="easy")
    whole = burst.light(0)

    monkeypatch.setattr(render, "TILE", 64)

    torch.testing.assert_close(burst.light(0), whole, atol=1e-4, rtol=0)


def test_a_photograph_too_small_for_its_shake_is_refused() -> None:
    with pytest.raises(InputError, match="too small") as caught:
        render.render_burst(smooth_photo(), shake_px=100)

    assert "larger" in caught.value.mend
