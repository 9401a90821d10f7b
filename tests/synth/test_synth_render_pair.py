import pytest
import torch

from burstfix.errors import InputError
from burstfix.synth import sensor
from burstfix.synth.render import BLACK_LEVEL_DN, WHITE_LEVEL_DN
from burstfix.synth.render_pair import LIGHT, render_pair
from burstfix.synth.sequence import centre_ways

WHITE = (1.0, 1.0, 1.0)


def photo(height: int = 160, width: int = 182) -> torch.Tensor:
    seeds = torch.rand(1, 3, 9, 10, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(seeds, size=(height, width), mode="bicubic")[0].clamp(
        0, 1
    )


def test_the_same_seed_gives_the_same_frames() -> None:
    first, same, other = (render_pair(photo(), seed=seed) for seed in (3, 3, 4))
    for index in (0, 1):
        assert torch.equal(first.mosaic(index), same.mosaic(index))
        assert not torch.equal(first.mosaic(index), other.mosaic(index))


def test_the_truth_is_the_middle_of_the_photograph_and_the_short_frame_a_share_of_its_light() -> (
    None
):
    pair = render_pair(photo(), noise=0.0)
    margin = pair.sequence.margin
    truth = photo()[:, margin:-margin, margin:-margin]
    torch.testing.assert_close(pair.truth(), truth, atol=1e-3, rtol=0)
    torch.testing.assert_close(pair.linear(0), truth * LIGHT, atol=1e-3, rtol=0)


@pytest.mark.parametrize("blur", [(3.0, 4.0), (18.0, 20.0)])
def test_the_long_frame_is_shaken_as_far_as_asked(blur: tuple[float, float]) -> None:
    sequence = render_pair(photo(), blur=blur).sequence
    size = torch.tensor(sequence.scenes.shape[-2:]).flip(0)
    ways = centre_ways(sequence.path, sequence.axis, (size - 1) / 2)[0, 1:]
    extent = float(torch.cdist(ways, ways).amax())
    assert blur[0] - 0.01 <= extent <= blur[1] + 0.01


def test_noise_is_as_told_and_much_weaker_in_the_long_frame() -> None:
    grey = torch.full((3, 200, 200), 0.18)
    pair = render_pair(grey, noise=0.08, blur=(3, 4), white_balance=WHITE)
    spreads = []
    for index in (0, 1):
        levels = pair.mosaic(index).float()
        light = (levels - BLACK_LEVEL_DN) / (WHITE_LEVEL_DN - BLACK_LEVEL_DN)
        shot, read = pair.noise(index)
        assert float(light.var()) == pytest.approx(shot * float(light.mean()) + read, rel=0.05)
        spreads.append(float(light.std()) / (LIGHT if index == 0 else 1))
    assert spreads[0] == pytest.approx(0.08, rel=0.05)
    assert spreads[1] < 0.4 * spreads[0]


def test_a_mosaic_has_the_colours_of_the_photograph_after_white_balance() -> None:
    pair = render_pair(photo(), noise=0.0, white_balance=(2.0, 1.0, 1.6))
    light = (pair.mosaic(0).float() - BLACK_LEVEL_DN) / (WHITE_LEVEL_DN - BLACK_LEVEL_DN)
    gains = torch.tensor([2.0, 1.0, 1.6]).view(3, 1, 1)
    balanced = sensor.demosaic(light[None, None])[0] * gains / LIGHT
    assert (balanced - pair.truth()).abs().mean() < 0.01


def test_a_moving_thing_is_elsewhere_in_the_long_frame() -> None:
    still, moving = (
        render_pair(photo(), noise=0.0, blur=(0.01, 0.02), moving=moves) for moves in (False, True)
    )
    assert (still.truth() - still.exposed(1)).abs().mean() < 0.01
    assert (moving.truth() - moving.exposed(1)).abs().amax() > 0.1


def test_too_small_a_photograph_is_refused_with_the_margin_it_needs() -> None:
    with pytest.raises(InputError, match="margin of 64 px"):
        render_pair(photo(120, 200), blur="severe")
