"""Weights divided by their largest singular value."""

import pytest
import torch
from torch import Tensor

from burstfix.backends.spectral import SpectralNorm


def matrix_of(singular: list[float], shape: tuple[int, int]) -> Tensor:
    """Make a matrix with given singular values and random singular vectors."""
    generator = torch.Generator().manual_seed(3)
    left, _ = torch.linalg.qr(torch.randn(shape[0], len(singular), generator=generator))
    right, _ = torch.linalg.qr(torch.randn(shape[1], len(singular), generator=generator))
    return left @ torch.diag(torch.tensor(singular)) @ right.T


def trained(norm: SpectralNorm, weight: Tensor, steps: int) -> SpectralNorm:
    norm.train()
    for _ in range(steps):
        norm(weight)
    return norm


def test_a_matrix_of_known_singular_values_is_divided_by_the_largest() -> None:
    torch.manual_seed(0)
    weight = matrix_of([3.0, 1.5, 0.2], (5, 12))
    norm = trained(SpectralNorm(5), weight, 20)
    torch.testing.assert_close(norm.measure(weight), torch.tensor(3.0))
    expected = matrix_of([1.0, 0.5, 0.2 / 3], (5, 12))
    torch.testing.assert_close(norm(weight), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_kernel_counts_as_the_matrix_from_all_inputs_to_the_outputs(axis: int) -> None:
    torch.manual_seed(0)
    kernel = torch.randn(4, 6, 5, 5)
    norm = trained(SpectralNorm(kernel.shape[axis], axis=axis), kernel, 300)
    flat = kernel.movedim(axis, 0).flatten(1)
    torch.testing.assert_close(norm.measure(kernel), torch.linalg.matrix_norm(flat, ord=2))


def test_the_gradient_is_that_of_the_largest_singular_value() -> None:
    torch.manual_seed(0)
    weight = matrix_of([3.0, 1.0], (4, 6)).requires_grad_()
    norm = trained(SpectralNorm(4), weight.detach(), 50)
    (found,) = torch.autograd.grad(norm.measure(weight), weight)
    (expected,) = torch.autograd.grad(torch.linalg.matrix_norm(weight, ord=2), weight)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_training_comes_nearer_with_every_call_and_inference_keeps_what_it_has() -> None:
    torch.manual_seed(0)
    weight = matrix_of([2.0, 1.9, 1.5], (8, 8))
    norm = SpectralNorm(8).train()
    values = [float(norm.measure(weight)) for _ in range(6)]
    assert values == sorted(values) and values[0] < values[-1] <= 2 + 1e-5
    kept = norm.eval().u.clone()
    first, second = norm(weight), norm(weight)
    assert torch.equal(first, second)
    assert torch.equal(norm.u, kept)


def test_the_length_of_the_stored_vector_does_not_matter() -> None:
    torch.manual_seed(0)
    weight, norm = torch.randn(6, 9), SpectralNorm(6).eval()
    expected = norm(weight)
    norm.u *= 0.9  # as of an average over directions
    torch.testing.assert_close(norm(weight), expected)


def test_half_precision_around_it_does_not_coarsen_the_value() -> None:
    torch.manual_seed(0)
    weight, norm = torch.randn(16, 64), SpectralNorm(16).eval()
    with torch.autocast("cpu", torch.bfloat16):
        inside = norm.measure(weight)
    assert torch.equal(inside, norm.measure(weight))
