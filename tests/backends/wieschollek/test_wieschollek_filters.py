"""Predicted filters are real filters, and change nothing before training."""

import numpy as np
import torch

from burstfix.backends.wieschollek.filters import FREE, Predictor, hermitian


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_what_is_predicted_has_the_symmetry_of_a_real_filter() -> None:
    half = hermitian(random(2, FREE)).double().numpy()
    spectra = np.swapaxes(half[..., 0] + 1j * half[..., 1], 1, 2)  # (n, rows, columns)
    whole = np.zeros((2, 65, 65), dtype=complex)
    whole[:, :, :33] = spectra
    for row in range(65):
        for column in range(33, 65):
            whole[:, row, column] = spectra[:, -row % 65, 65 - column].conj()
    filters = np.fft.ifft2(whole)
    assert np.abs(filters.imag).max() < 1e-12 * np.abs(filters.real).max() + 1e-12
    np.testing.assert_allclose(np.fft.rfft2(filters.real), spectra, atol=1e-9)


def test_every_free_number_has_an_effect_of_its_own() -> None:
    spectra = hermitian(torch.eye(FREE)).flatten(1)
    touched = spectra != 0
    assert touched.any(dim=1).all()
    assert (touched.sum(dim=0) <= 1).all()  # no place of the spectrum hears of two


def test_before_training_filters_leave_frames_as_they_are() -> None:
    predictor = Predictor([312, 312, 312, 123], hidden=0.02)
    bands = [random(2, 14, width) for width in (312, 312, 312, 123)]
    filters = predictor(bands)
    assert filters.shape == (2, 14, 33, 65, 2)
    assert (filters == 0).all()  # they come less 1


def test_the_paper_s_widths_are_those_of_hidden_one() -> None:
    with torch.device("meta"):
        predictor = Predictor([208, 208, 208, 82], hidden=1.0)
    shapes = [tuple(p.shape) for name, p in predictor.named_parameters() if "weight" in name]
    assert shapes[:4] == [(1024, 208)] * 3 + [(1024, 82)]
    assert shapes[4:] == [(2048, 2048)] * 2 + [(4096, 4096)] * 2 + [(4225, 4096)]
