import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from burstfix.backends.base import plain_descriptor
from burstfix.backends.deblurgan import Config, DeblurGANNetwork
from burstfix.backends.normed import Normed
from burstfix.tiling import TensorSource, run_whole

CPU = torch.device("cpu")


def trained(config: Config) -> DeblurGANNetwork:
    """Build a network whose norms have met some pictures, brighter in one corner."""
    torch.manual_seed(0)
    network = DeblurGANNetwork(config).train()
    with torch.no_grad():
        for _ in range(30):
            burst, seen, descriptor = arguments(4, 32, 40)
            network(burst * torch.linspace(0.2, 1.2, 40), seen, descriptor)
        network.last.weight.mul_(20)  # else an untrained network changes hardly anything
    return network.eval()


def arguments(count: int, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    burst = torch.rand(count, 1, 3, height, width)
    return burst, torch.ones(count, 1, 1, height, width), plain_descriptor(1).expand(count, -1, -1)


def test_the_papers_generator_has_nine_blocks_and_11_4_million_parameters() -> None:
    with torch.device("meta"):
        network = DeblurGANNetwork(Config())
    assert len(network.blocks) == 9
    assert sum(weight.numel() for weight in network.parameters()) == 11_383_427


def test_a_correction_is_bounded_by_half_of_the_codes() -> None:
    network = trained(Config(width=8, blocks=1))
    burst, seen, descriptor = arguments(1, 16, 16)
    with torch.inference_mode():
        change = network(burst, seen, descriptor) - burst[:, 0]
        network.last.bias.add_(100)
        most = network(burst, seen, descriptor) - burst[:, 0]
    assert 0.01 < float(change.abs().max()) < 0.5
    torch.testing.assert_close(most, torch.full_like(most, 0.5))


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("doubling", [False, True])
def test_inference_normalises_by_what_training_has_met(norm: str, *, doubling: bool) -> None:
    torch.manual_seed(0)
    conv = (
        nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1, bias=False)
        if doubling
        else nn.Conv2d(6, 4, 3, stride=2, padding=1, bias=False)
    )
    layer = Normed(conv, norm)
    nn.init.normal_(layer.norm.weight)
    nn.init.normal_(layer.norm.bias)
    with torch.no_grad():
        for _ in range(20):
            layer(3 + torch.randn(5, 6, 8, 8))
        layer.eval()
        features = 1 + torch.randn(2, 6, 8, 8)
        wanted = F.batch_norm(
            conv(features),
            layer.norm.running_mean,
            layer.norm.running_var,
            layer.norm.weight,
            layer.norm.bias,
            eps=layer.norm.eps,
        )
        torch.testing.assert_close(layer(features), wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_tiles_give_the_whole_picture_whatever_the_norm(norm: str) -> None:
    network = trained(Config(width=8, blocks=3, norm=norm))
    scene = torch.rand(1, 3, 300, 260) * torch.linspace(0.05, 1, 260)  # tiles differ in light
    source = TensorSource(scene, torch.ones(1, 1, 300, 260))
    whole, tiled = (
        run_whole(
            network, source, descriptor=plain_descriptor(1), device=CPU, precision="fp32", tile=tile
        )
        for tile in (4096, 96)
    )
    assert float((whole - scene[0]).abs().max()) > 0.01, "the network must do something"
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1 / 65535)


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"blocks": -1}, {"dropout": 1.0}, {"norm": "group"}]
)
def test_senseless_configs_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"width|norm"):
        Config(**wrong)
