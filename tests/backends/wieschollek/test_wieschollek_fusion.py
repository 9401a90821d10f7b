"""The fusion before training is Fourier burst accumulation, by the formula and by `fba`."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from burstfix.backends import fba
from burstfix.backends.wieschollek.dft import Inverse, Transform, around, half
from burstfix.backends.wieschollek.fusion import Fusion


def patches(count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    scene = torch.randn(count, 1, 41, 41, generator=generator)
    blurred = [F.avg_pool2d(scene, side, 1)[..., :33, :33] for side in (1, 3, 5, 7)]
    return torch.cat([blurred[n % 4] for n in range(14)], dim=1)


def transform(burst: torch.Tensor) -> torch.Tensor:
    return Transform(33, half(33), around(33), torch.ones(33))(burst)


@pytest.mark.parametrize("p", [0.0, 1.0, 5.0, 11.0])
def test_untrained_fusion_is_the_formula(p: float) -> None:
    burst = patches()
    fusion = Fusion(p=p, mean_input=True, smoothing=0.0)
    result = Inverse(33, 33, torch.ones(33))(fusion(transform(burst)))
    spectra = np.fft.fft2(burst.double().numpy())
    weights = np.abs(spectra) ** p
    weights /= weights.sum(axis=1, keepdims=True)
    expected = np.fft.ifft2((weights * spectra).sum(axis=1))
    assert np.abs(expected.imag).max() < 1e-9
    np.testing.assert_allclose(result.detach().numpy(), expected.real, atol=5e-4)


def test_untrained_shares_are_those_of_the_backend_fba() -> None:
    p, smoothing = 3.0, 33 / 1.5  # fba computes every frequency where sigma is below 2
    fusion = Fusion(p=p, mean_input=False, smoothing=smoothing).eval()
    network = fba.FourierNetwork(fba.Config(block=32, overlap=16, p=p, smoothing=1e4))
    burst = patches()[:, :, :32, :32]
    theirs = network._weights(torch.fft.rfft2(burst).unsqueeze(2).expand(-1, -1, 3, -1, -1))
    ours, gain = fusion.weights(
        Transform(32, range(17), [*range(16), *range(-16, 0)], torch.ones(32))(burst)
    )
    # A sigma of 32 / 1e4 smooths nothing; fba holds each column twice, rows first.
    torch.testing.assert_close(ours.transpose(-1, -2), theirs[..., ::2], rtol=0, atol=2e-3)
    assert (gain == 1).all()


def test_smoothing_is_a_circular_gaussian_over_the_whole_spectrum() -> None:
    fusion = Fusion(p=1.0, mean_input=False, smoothing=33 / 2.0).eval()
    spectrum = np.fft.fft2(patches()[0, :1].numpy())
    weights = np.abs(spectrum)  # has the symmetry of weights of a real patch
    frequency = np.minimum(np.arange(33), 33 - np.arange(33))
    bell = np.exp(-0.5 * (frequency / 2.0) ** 2)
    kernel = np.fft.fft2(np.outer(bell, bell) / bell.sum() ** 2)
    expected = np.real(np.fft.ifft2(np.fft.fft2(weights) * kernel))
    half_weights = torch.from_numpy(weights[:, :, :17]).float().transpose(-1, -2)
    result = fusion.smooth(half_weights).transpose(-1, -2)
    np.testing.assert_allclose(result.numpy(), expected[:, :, :17], rtol=1e-4)


def test_weights_are_smoothed_only_where_the_network_does_not_learn() -> None:
    fusion = Fusion(p=3.0, mean_input=True, smoothing=10.0)
    rough = Fusion(p=3.0, mean_input=True, smoothing=0.0)
    rough.load_state_dict(fusion.state_dict())
    spectra = transform(patches())
    assert torch.equal(fusion.train()(spectra), rough.train()(spectra))
    assert not torch.equal(fusion.eval()(spectra), rough.eval()(spectra))


def test_the_gain_can_silence_a_frequency() -> None:
    fusion = Fusion(p=1.0, mean_input=True, smoothing=0.0)
    with torch.no_grad():
        fusion.second.bias[-1] = -30
    assert fusion(transform(patches())).abs().max() < 1e-9
