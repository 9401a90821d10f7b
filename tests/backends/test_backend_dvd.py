import pytest
import torch
from torch import Tensor

from burstfix.backends.base import plain_descriptor
from burstfix.backends.dvd import Config, DVDNetwork, receptive_radius


def trained(config: Config) -> DVDNetwork:
    """Build a network whose norms have met some pictures."""
    torch.manual_seed(0)
    network = DVDNetwork(config).train()
    with torch.no_grad():
        for _ in range(20):
            network(*arguments(2, config.frames, 32, 40))
    return network.eval()


def arguments(count: int, frames: int, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    burst = torch.rand(count, frames, 3, height, width)
    seen = torch.ones(count, frames, 1, height, width)
    return burst, seen, plain_descriptor(frames).expand(count, -1, -1)


def test_the_papers_network_has_15_3_million_parameters_and_a_narrow_one_has_few() -> None:
    with torch.device("meta"):
        counts = [
            sum(weight.numel() for weight in DVDNetwork(Config(width=width)).parameters())
            for width in (1.0, 0.25)
        ]
    assert counts[0] == 15_300_406
    assert counts[1] < counts[0] / 15


def test_the_network_sees_the_frames_in_the_order_of_the_film() -> None:
    network = trained(Config(width=0.1))
    burst, seen, descriptor = arguments(1, 5, 16, 16)
    stacked: list[Tensor] = []
    network.first.register_forward_pre_hook(lambda _, given: stacked.append(given[0]))
    with torch.inference_mode():
        network(burst, seen, descriptor)
    expected = burst[:, [1, 2, 0, 3, 4]].flatten(1, 2)
    assert torch.equal(stacked[0], expected)


def test_what_comes_out_is_the_reference_where_the_correction_is_nothing() -> None:
    network = trained(Config(width=0.1))
    torch.nn.init.zeros_(network.last.weight)
    torch.nn.init.zeros_(network.last.bias)
    burst, seen, descriptor = arguments(1, 5, 24, 16)
    with torch.inference_mode():
        assert torch.equal(network(burst, seen, descriptor), burst[:, 0])


def test_the_radius_is_that_of_three_halvings() -> None:
    assert receptive_radius() == 81


def test_skips_carry_detail_that_halving_loses() -> None:
    network = trained(Config(width=0.1))
    burst, seen, descriptor = arguments(1, 5, 32, 32)
    with torch.inference_mode():
        before = network(burst, seen, descriptor)
        network.downs[0].layers[0].conv.weight.zero_()  # nothing but the outermost sum is left
        network.downs[0].layers[0].norm.running_mean.zero_()
        network.downs[0].layers[0].norm.bias.zero_()
        without = network(burst, seen, descriptor)
        other = network(torch.rand_like(burst), seen, descriptor)
    assert not torch.equal(before, without)
    assert not torch.equal(without - burst[:, 0], other)


@pytest.mark.parametrize("alignment", ["none", "homography", "flow"])
def test_the_contract_asks_for_the_alignment_of_the_config(alignment: str) -> None:
    network = DVDNetwork(Config(width=0.1, alignment=alignment))
    assert network.contract.alignment == alignment
    assert network.contract.tasks == ("video",)


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"alignment": "affine"}, {"frames": 4}, {"frames": 17}]
)
def test_senseless_configs_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"width|alignment|frames"):
        Config(**wrong)
