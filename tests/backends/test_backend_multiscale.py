import pytest
import torch
from torch import Tensor, nn

from burstfix.backends.base import plain_descriptor
from burstfix.backends.multiscale import BACKEND, Config, MultiscaleNetwork, ResBlock
from burstfix.backends.pyramid import pyramid
from burstfix.color import SRGB, decode, encode

SMALL = {"width": 8, "blocks": 1}


def build(config: Config) -> MultiscaleNetwork:
    torch.manual_seed(0)
    network = BACKEND.build(config)
    assert isinstance(network, MultiscaleNetwork)
    return network


def arguments(height: int = 32, width: int = 48) -> tuple[Tensor, Tensor, Tensor]:
    burst = torch.rand(2, 1, 3, height, width, generator=torch.Generator().manual_seed(1))
    return burst, torch.ones(2, 1, 1, height, width), plain_descriptor(1).expand(2, -1, -1)


def test_the_papers_network_has_120_layers_of_5x5_and_11_7_million_parameters() -> None:
    with torch.device("meta"):
        network = MultiscaleNetwork(Config())
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert len(layers) == 120
    assert {layer.kernel_size for layer in layers} == {(5, 5)}
    assert sum(weight.numel() for weight in network.parameters()) == 11_719_953
    assert network.contract.receptive_radius == 571
    assert network.contract.halo == 96


def test_no_relu_follows_the_sum_of_a_block() -> None:
    block = ResBlock(4).requires_grad_(False)
    block.second.weight.zero_()
    assert block.second.bias is not None
    block.second.bias.zero_()
    features = torch.randn(1, 4, 5, 5)
    assert torch.equal(block(features), features)


@pytest.mark.parametrize("scales", [1, 2, 3])
def test_pictures_go_from_coarse_to_the_result(scales: int) -> None:
    network = build(Config(scales=scales, **SMALL))
    given = arguments()
    with torch.inference_mode():
        pictures = network.pictures(*given)
        result = network.restore_light(*given)
    sizes = [(2, 3, 32 >> k, 48 >> k) for k in reversed(range(scales))]
    assert [tuple(picture.shape) for picture in pictures] == sizes
    assert torch.equal(pictures[-1], result)


def test_each_finer_scale_sees_what_the_coarser_made() -> None:
    network = build(Config(**SMALL))
    given = arguments()
    with torch.inference_mode():
        before = network.pictures(*given)
        network.scales[0].last.bias.add_(0.3)
        after = network.pictures(*given)
    for old, new in zip(before, after, strict=True):
        assert not torch.allclose(old, new)


def test_a_fresh_residual_network_gives_the_pyramid_of_its_input() -> None:
    network = build(Config(residual=True, **SMALL))
    burst, seen, descriptor = arguments()
    with torch.inference_mode():
        pictures = network.pictures(burst, seen, descriptor)
    wanted = reversed(pyramid(encode(burst[:, 0], SRGB), 3))
    for picture, codes in zip(pictures, wanted, strict=True):
        torch.testing.assert_close(picture, decode(codes, SRGB), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("wrong", [{"scales": 4}, {"scales": 0}, {"width": 0}, {"blocks": -1}])
def test_senseless_configs_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"scales|width"):
        Config(**wrong)
