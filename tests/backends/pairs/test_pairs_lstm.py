"""The ConvLSTM against its equations, written out pixel by pixel."""

import numpy as np
import pytest
import torch

from burstfix.backends.pairs.lstm import ConvLSTM


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def convolve(features: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Correlate (C, h, w) with (K, C, 3, 3), zeros outside, one pixel at a time."""
    _, height, width = features.shape
    padded = np.pad(features, ((0, 0), (1, 1), (1, 1)))
    result = np.zeros((len(kernel), height, width))
    for y in range(height):
        for x in range(width):
            result[:, y, x] = (kernel * padded[:, y : y + 3, x : x + 3]).sum(axis=(1, 2, 3))
    return result


def step(
    cell: ConvLSTM, x: np.ndarray, hidden: np.ndarray, old: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Shi's equation 3 without peepholes; gates in the order input, new, output, forget."""
    weights = {name: value.detach().double().numpy() for name, value in cell.state_dict().items()}
    gates = convolve(x, weights["of_input.weight"]) + weights["of_input.bias"][:, None, None]
    if "of_hidden.weight" in weights:
        gates = gates + convolve(hidden, weights["of_hidden.weight"])
    each = gates.reshape(-1, *x.shape)
    let_in, new, let_out = sigmoid(each[0]), np.tanh(each[1]), sigmoid(each[2])
    forget = sigmoid(each[3]) if len(each) == 4 else 0.0
    cells = forget * old + let_in * new
    return let_out * np.tanh(cells), cells


def make(*, begins: bool) -> ConvLSTM:
    torch.manual_seed(0)
    cell = ConvLSTM(3, begins=begins)
    for parameter in cell.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return cell


@pytest.mark.parametrize("begins", [False, True])
def test_a_step_follows_the_equations(begins: bool) -> None:
    cell = make(begins=begins)
    features, hidden, old = torch.randn(3, 1, 3, 4, 5).unbind()
    with torch.inference_mode():
        found = cell(features, None if begins else (hidden, old))
    x, h, c = (part[0].double().numpy() for part in (features, hidden, old))
    expected = step(cell, x, 0 * h, 0 * c) if begins else step(cell, x, h, c)
    for part, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(part[0].numpy(), wanted, atol=1e-5)


def test_a_first_cell_gives_what_one_does_that_hears_of_zeros() -> None:
    first, any_cell = make(begins=True), make(begins=False)
    for name, own in first.of_input.named_parameters():
        dict(any_cell.of_input.named_parameters())[name].data[: len(own)] = own
    features = torch.randn(2, 3, 6, 4)
    zeros = torch.zeros_like(features)
    with torch.inference_mode():
        for found, wanted in zip(first(features), any_cell(features, (zeros, zeros)), strict=True):
            torch.testing.assert_close(found, wanted)


def test_a_cell_remembers_at_first() -> None:
    torch.manual_seed(0)
    cell = ConvLSTM(4, begins=False)
    zeros, old = torch.zeros(1, 4, 5, 5), torch.randn(1, 4, 5, 5)
    with torch.inference_mode():
        kept = cell(zeros, (zeros, old))[1]
    torch.testing.assert_close(kept, torch.tensor(1.0).sigmoid() * old, atol=0.02, rtol=0)
