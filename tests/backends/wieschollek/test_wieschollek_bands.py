"""The four bands against numpy's FFT, and how they are shared over the burst."""

import numpy as np
import pytest
import torch

from burstfix.backends.wieschollek.bands import LIMITS, SIDES, Bands, Inputs, positions, relative
from burstfix.backends.wieschollek.dft import hann


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("number", range(4))
def test_a_band_holds_the_coefficients_of_the_windowed_middle(number: int) -> None:
    patches = random(3, 65, 65)
    band = Bands()(patches)[number]
    side, first = SIDES[number], (65 - SIDES[number]) // 2
    window = hann(side).double().numpy()
    middle = patches.double().numpy()[:, first : first + side, first : first + side]
    spectra = np.fft.fft2(middle * np.outer(window, window), norm="ortho") / 0.375
    expected = np.stack([spectra[:, row, column] for column, row in positions(*LIMITS[number])], 1)
    result = band[..., 0].numpy() + 1j * band[..., 1].numpy()
    np.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize(("above", "up_to", "whole"), [(4, 8, 17**2 - 9**2), (-1, 4, 9**2)])
def test_a_band_holds_one_of_each_mirrored_pair(above: int, up_to: int, whole: int) -> None:
    kept = positions(above, up_to)
    mirrored = {(-column, -row) for column, row in kept}
    assert len(kept) == len(set(kept))
    assert len(set(kept) | mirrored) == whole
    assert set(kept) & mirrored <= {(0, 0)}


def test_bands_are_octaves_without_a_gap() -> None:
    frequency = [
        (min(max(map(abs, z)) for z in zs) / side, max(max(map(abs, z)) for z in zs) / side)
        for side, zs in zip(SIDES, (positions(*limits) for limits in LIMITS), strict=True)
    ]
    (high_low, high), (middle_low, middle_high), (low_low, low_high), (_, lowest) = frequency
    assert high == pytest.approx(0.47, abs=0.01)  # the highest that pixels show is 0.5
    assert high_low < middle_high * 1.3
    assert middle_low < low_high * 1.3
    assert low_low < lowest * 1.3


def test_relative_inputs_do_not_depend_on_where_a_thing_lies_or_how_bright_it_is() -> None:
    scene = random(1, 1, 130, 130)[0, 0]
    blurred = (scene + scene.roll(1, 0) + scene.roll(2, 0)) / 3
    burst = torch.stack([scene, blurred, scene])[None]
    frequency = torch.tensor(positions(4, 8)).float().norm(dim=1) / 65
    near = Bands()(burst[..., 32:97, 32:97])[2]
    turned = near.clone()  # every coefficient turned alike in all frames: what a shift does
    turned[..., 0], turned[..., 1] = -near[..., 1], near[..., 0]
    first, second = (relative(band, frequency) for band in (near, 3 * turned))
    torch.testing.assert_close(second[..., :2], first[..., :2], rtol=0, atol=4e-2)


def test_before_training_sharing_passes_everything_on() -> None:
    bands = Bands()(random(2, 14, 65, 65))
    for kind in ("plain", "relative"):
        inputs = Inputs(kind)
        out = inputs(bands)
        assert [part.shape[-1] for part in out] == inputs.widths
        changed = [band.clone() for band in bands]
        changed[0][:, 3] += 1
        if kind == "plain":  # relative ones compare frames even so
            again = inputs(changed)
            frames = (again[0] - out[0]).abs().amax(dim=(0, 2)).nonzero().flatten()
            assert frames.tolist() == [3]


def test_sharing_mixes_frames_alike_at_every_coefficient() -> None:
    inputs = Inputs("plain")
    share = inputs.sharing[1]
    with torch.no_grad():
        for parameter in share.parameters():
            parameter.add_(0.1 * random(*parameter.shape))
    band = random(2, 14, 104, 2)
    order = torch.randperm(104, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(share(band[:, :, order]), share(band)[:, :, order])
    touched = band.clone()
    touched[:, 5, 7] += 1
    difference = (share(touched) - share(band)).abs().amax(dim=(0, 3))
    assert (difference[:, 7] > 0).all()  # all frames hear of it, at that coefficient alone
    assert difference[:, [*range(7), *range(8, 104)]].max() == 0
