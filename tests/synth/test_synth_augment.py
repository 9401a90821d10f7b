"""Augmentation changes truth and inputs alike, by what it was allowed, and by its seed alone."""

import colorsys

import pytest
import torch
from torch import Tensor

from burstfix.color import SRGB, decode, encode
from burstfix.synth.augment import AugmentSettings, augment, saturate

NOTHING = {"flips": False, "turns": False, "permutes": False, "saturation": (1.0, 1.0)}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_pictures(samples: int = 64, side: int = 8) -> Tensor:
    """Make truths and two inputs that are half and a quarter of them."""
    truth = torch.rand(samples, 1, 3, side, side, generator=seeded(5))
    return torch.cat([truth, truth / 2, truth / 4], dim=1)


def test_without_changes_the_pictures_stay_as_they_are() -> None:
    pictures = make_pictures() * 3 - 1  # beyond black and white too
    assert torch.equal(augment(pictures, AugmentSettings(**NOTHING), seeded()), pictures)


def test_the_seed_decides_and_the_argument_is_left_alone() -> None:
    pictures = make_pictures()
    before, settings = pictures.clone(), AugmentSettings(noise=0.01)
    first, again = (augment(pictures, settings, seeded(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(pictures, before)
    assert not torch.equal(first, augment(pictures, settings, seeded(4)))


def test_geometry_and_colours_change_alike_in_truth_and_inputs() -> None:
    settings = AugmentSettings(saturation=(1.0, 1.0))
    changed = augment(make_pictures(), settings, seeded())
    assert torch.equal(changed[:, 1], changed[:, 0] / 2)
    assert torch.equal(changed[:, 2], changed[:, 0] / 4)


@pytest.mark.parametrize(
    ("allowed", "kinds"),
    [({"flips": True}, 4), ({"turns": True}, 4), ({"flips": True, "turns": True}, 8)],
)
def test_all_of_the_allowed_geometries_occur_and_no_others(
    allowed: dict[str, bool], kinds: int
) -> None:
    one = torch.arange(12.0).view(1, 1, 3, 2, 2).expand(100, -1, -1, -1, -1)
    changed = augment(one, AugmentSettings(**{**NOTHING, **allowed}), seeded())
    assert len(torch.unique(changed, dim=0)) == kinds
    assert torch.equal(changed.amax(dim=(-2, -1)), one.amax(dim=(-2, -1)))


def test_turns_keep_the_shape_of_pictures_that_are_not_square() -> None:
    one = torch.rand(1, 2, 3, 4, 6, generator=seeded()).expand(50, -1, -1, -1, -1)
    changed = augment(one, AugmentSettings(**{**NOTHING, "turns": True}), seeded())
    assert len(torch.unique(changed, dim=0)) == 2


def test_all_six_orders_of_colours_occur() -> None:
    one = torch.tensor([0.1, 0.5, 0.9]).view(1, 1, 3, 1, 1).expand(200, -1, -1, -1, -1)
    changed = augment(one, AugmentSettings(**{**NOTHING, "permutes": True}), seeded())
    assert len(torch.unique(changed.flatten(1), dim=0)) == 6


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.5, 10.0])
def test_saturation_is_that_of_hsv(factor: float) -> None:
    codes = torch.rand(3, 1, 50, generator=seeded(1), dtype=torch.float64)
    result = saturate(codes, factor)
    for before, after in zip(codes[:, 0].T.tolist(), result[:, 0].T.tolist(), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*before)
        wanted = colorsys.hsv_to_rgb(hue, min(factor * saturation, 1), value)
        assert after == pytest.approx(wanted)


def test_saturation_of_grey_and_of_noise_below_black_goes_nowhere_wrong() -> None:
    codes = torch.tensor([[0.3, 0.0, 0.5], [0.3, 0.0, -0.1], [0.3, 0.0, 0.2]]).view(3, 1, 3)
    torch.testing.assert_close(saturate(codes, 1.5), codes)


def test_saturation_is_multiplied_evenly_within_its_range() -> None:
    colour = decode(torch.tensor([0.6, 0.45, 0.3]), SRGB).view(1, 1, 3, 1, 1)
    settings = AugmentSettings(**{**NOTHING, "saturation": (0.5, 1.5)})
    changed = augment(colour.expand(2000, -1, -1, -1, -1), settings, seeded())
    codes = encode(changed, SRGB).flatten(1)
    factors = (codes[:, 0] - codes[:, 2]) / 0.3
    assert factors.min() > 0.49
    assert factors.max() < 1.51
    assert float(factors.mean()) == pytest.approx(1, abs=0.03)
    assert float(factors.std()) == pytest.approx(1 / 12**0.5, rel=0.05)


def test_noise_reaches_the_inputs_alone_and_has_the_papers_spread() -> None:
    grey = decode(torch.full((400, 2, 3, 8, 8), 0.5), SRGB)
    changed = augment(grey, AugmentSettings(**{**NOTHING, "noise": 2 / 255}), seeded())
    assert torch.equal(changed[:, 0], grey[:, 0])
    codes = encode(changed[:, 1], SRGB)
    deviations = codes.flatten(1).std(dim=1)
    # The magnitude of a normal draw: its mean square is the variance of the draw.
    assert float(deviations.square().mean().sqrt()) == pytest.approx(2 / 255, rel=0.1)
    assert float(deviations.min()) < 0.1 * 2 / 255


def test_noise_ends_at_black_and_white() -> None:
    ends = torch.tensor([0.0, 1.0, 1.5, -0.2]).view(1, 1, 1, 1, 4).expand(9, 2, 3, 5, 4)
    noisy = augment(ends, AugmentSettings(**{**NOTHING, "noise": 0.1}), seeded())[:, 1]
    assert noisy.min() >= 0
    assert noisy.max() <= 1


@pytest.mark.parametrize(
    "wrong", [{"saturation": (1.5, 0.5)}, {"saturation": (-1.0, 1.0)}, {"noise": -0.1}]
)
def test_senseless_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="saturation"):
        AugmentSettings(**wrong)
