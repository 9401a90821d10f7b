"""DeblurMerger: the paper's channels, and both frames at every level."""

import pytest
import torch
from torch import Tensor

from burstfix.backends.base import plain_descriptor
from burstfix.backends.deblur_merger import Config, DeblurMergerNetwork, receptive_radius


def make(**config: object) -> DeblurMergerNetwork:
    torch.manual_seed(0)
    return DeblurMergerNetwork(Config(**{"width": 0.1, **config})).eval()  # type: ignore[arg-type]


def arguments(burst: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return burst, torch.ones_like(burst[:, :, :1]), plain_descriptor(2).expand(len(burst), -1, -1)


def test_the_channels_are_those_of_the_paper() -> None:
    with torch.device("meta"):
        network = DeblurMergerNetwork(Config())
    shapes = [tuple(p.shape) for p in network.parameters() if p.dim() == 4]
    encoder = [(64, 3, 5, 5), (128, 64, 5, 5), (256, 128, 5, 5), (512, 256, 5, 5)]
    assert shapes == [
        *encoder,
        *encoder,
        (512, 1024, 3, 3),
        *[(512, 256, 5, 5), (768, 128, 5, 5), (384, 64, 5, 5), (192, 3, 5, 5)],
    ]
    assert network.contract.receptive_radius == receptive_radius() == 63


@pytest.mark.parametrize("residual", [False, True])
def test_both_frames_matter_and_are_not_interchangeable(residual: bool) -> None:
    network = make(residual=residual)
    burst = torch.rand(1, 2, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        before = network(*arguments(burst))
        assert not torch.allclose(network(*arguments(burst.flip(1))), before)
        for frame in (0, 1):
            changed = burst.clone()
            changed[:, frame] += 0.1
            assert not torch.allclose(network(*arguments(changed)), before)


def test_no_weight_is_idle() -> None:
    network = make(residual=True).train()
    burst = torch.rand(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    network(*arguments(burst)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("config", [{"width": 5.0}, {"dropout": -0.1}])
def test_a_config_that_makes_no_network_is_refused(config: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="width"):
        Config(**config)  # type: ignore[arg-type]
