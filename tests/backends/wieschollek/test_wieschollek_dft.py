"""Small transforms as matrix products against numpy's FFT."""

import numpy as np
import pytest
import torch

from burstfix.backends.wieschollek.dft import Inverse, Transform, around, half, hann, multiply


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def as_numpy(spectra: torch.Tensor) -> np.ndarray:
    """Lay a spectrum out as `np.fft.rfft2` does, complex."""
    parts = spectra.double().numpy()
    return np.swapaxes(parts[..., 0] + 1j * parts[..., 1], -1, -2)


@pytest.mark.parametrize("side", [17, 33, 65])
def test_all_frequencies_are_those_of_numpy(side: int) -> None:
    patches, window = random(3, 2, side, side), hann(side)
    spectra = Transform(side, half(side), around(side), window)(patches)
    windowed = (patches * window[:, None] * window).double().numpy()
    expected = np.fft.rfft2(windowed, norm="ortho")
    np.testing.assert_allclose(as_numpy(spectra), expected, atol=2e-6)


def test_chosen_frequencies_are_those_of_numpy() -> None:
    patches = random(4, 33, 33)
    columns, rows = [0, 2, 5], [-3, 0, 7]
    spectra = Transform(33, columns, rows, torch.ones(33))(patches)
    expected = np.fft.fft2(patches.double().numpy(), norm="ortho")[:, rows][:, :, columns]
    np.testing.assert_allclose(as_numpy(spectra), expected, atol=2e-6)


@pytest.mark.parametrize(("side", "kept"), [(33, 33), (65, 33), (65, 65)])
def test_the_inverse_gives_the_windowed_middle_back(side: int, kept: int) -> None:
    patches, window = random(5, side, side), hann(kept)
    spectra = Transform(side, half(side), around(side), torch.ones(side))(patches)
    first = (side - kept) // 2
    middle = patches[:, first : first + kept, first : first + kept]
    result = Inverse(side, kept, window)(spectra)
    torch.testing.assert_close(result, middle * window[:, None] * window, rtol=0, atol=2e-6)


def test_a_product_of_spectra_is_a_circular_convolution() -> None:
    patch, kernel = random(17, 17), random(17, 17, seed=1)
    transform = Transform(17, half(17), around(17), torch.ones(17))
    product = multiply(transform(patch), transform(kernel))
    result = Inverse(17, 17, torch.ones(17))(product) * 17  # both are orthonormal
    expected = np.zeros((17, 17))
    for y in range(17):
        for x in range(17):
            expected += float(kernel[y, x]) * np.roll(patch.numpy(), (y, x), axis=(0, 1))
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-4)
