import pytest
import torch
from torch import Tensor

from burstfix.backends.base import Contract, Network, plain_descriptor
from burstfix.color import SRGB, encode
from burstfix.frame import Box


class Witness(Network):
    """Returns the first frame as it came, and remembers the burst."""

    def __init__(self, coding: str) -> None:
        super().__init__()
        self.contract = Contract(coding=coding)  # type: ignore[arg-type]
        self.burst = torch.empty(0)

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        del seen, descriptor
        self.burst = burst
        return burst[:, 0]


@pytest.mark.parametrize("coding", ["linear", "display"])
@pytest.mark.parametrize("core", [None, Box(1, 2, 5, 7)])
def test_light_goes_in_and_comes_out_whatever_the_network_works_on(
    coding: str, core: Box | None
) -> None:
    light = torch.linspace(-0.1, 1.4, 2 * 3 * 3 * 6 * 8).view(2, 3, 3, 6, 8)
    network = Witness(coding)
    result = network.restore_light(light, light[:, :, :1], plain_descriptor(3), core)
    expected = light[:, 0] if core is None else light[:, 0, :, 1:5, 2:7]
    torch.testing.assert_close(result, expected, atol=1e-6, rtol=1e-5)
    coded = encode(light, SRGB) if coding == "display" else light
    assert torch.equal(network.burst, coded)


def test_display_coding_lets_gradients_through_also_below_black() -> None:
    network = Witness("display")
    light = torch.linspace(-0.5, 1.5, 3 * 4 * 4).view(1, 1, 3, 4, 4)
    gain = torch.ones((), requires_grad=True)
    network.forward = lambda burst, *_: gain * burst[:, 0]  # type: ignore[method-assign]
    network.restore_light(light, light[:, :, :1], plain_descriptor(1)).square().sum().backward()
    assert gain.grad is not None
    assert bool(gain.grad > 0)
    assert bool(gain.grad.isfinite())
