import pytest
import torch

from burstfix.train.muon import Muon, orthogonal
from burstfix.train.optimisers import scale_rates
from burstfix.train.processes import Processes


@pytest.mark.parametrize("shape", [(8, 8), (8, 40), (40, 8)])
def test_singular_values_come_near_one_and_vectors_stay(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    inner = u.T @ orthogonal(matrix) @ v.T
    values = inner.diagonal()
    assert values.min() > 0.5
    assert values.max() < 1.4
    assert (inner - torch.diag(values)).abs().max() < 0.05


def optimiser(matrix: torch.Tensor, bias: torch.Tensor) -> Muon:
    return Muon([matrix], [bias], rate=0.05, other_rate=0.05, processes=Processes())


def test_a_least_squares_problem_is_solved() -> None:
    torch.manual_seed(0)
    x, wanted, shift = torch.randn(64, 6), torch.randn(4, 6), torch.randn(4)
    y = x @ wanted.T + shift
    matrix, bias = torch.zeros(4, 6, requires_grad=True), torch.zeros(4, requires_grad=True)
    steps = optimiser(matrix, bias)
    for k in range(400):
        scale_rates(steps, 1 - k / 400)
        steps.zero_grad()
        (x @ matrix.T + bias - y).square().mean().backward()
        steps.step()
    torch.testing.assert_close(matrix.detach(), wanted, atol=0.05, rtol=0)
    torch.testing.assert_close(bias.detach(), shift, atol=0.05, rtol=0)


def test_the_others_move_as_with_adam() -> None:
    torch.manual_seed(0)
    gradients = torch.randn(10, 4)
    bias, twin = torch.zeros(4, requires_grad=True), torch.zeros(4, requires_grad=True)
    steps = optimiser(torch.zeros(2, 2, requires_grad=True), bias)
    adam = torch.optim.Adam([twin], lr=0.05, betas=(0.9, 0.99))
    for gradient in gradients:
        bias.grad, twin.grad = gradient.clone(), gradient.clone()
        steps.step()
        adam.step()
    torch.testing.assert_close(bias, twin, atol=1e-6, rtol=1e-5)


def test_the_size_of_a_gradient_does_not_change_the_step_of_a_matrix() -> None:
    torch.manual_seed(0)
    gradient, results = torch.randn(3, 5), []
    for size in (1.0, 1024.0):
        matrix = torch.zeros(3, 5, requires_grad=True)
        matrix.grad = size * gradient
        optimiser(matrix, torch.zeros(1, requires_grad=True)).step()
        results.append(matrix.detach())
    torch.testing.assert_close(results[0], results[1], atol=1e-3, rtol=0)
