"""DeblurRNN: the paper's channels, the flowing state, the denoised picture."""

import pytest
import torch
from torch import Tensor

from burstfix.backends.base import plain_descriptor
from burstfix.backends.deblur_rnn import Config, DeblurRNNNetwork, receptive_radius


def make(**config: object) -> DeblurRNNNetwork:
    torch.manual_seed(0)
    network = DeblurRNNNetwork(Config(**{"width": 0.1, **config}))  # type: ignore[arg-type]
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)  # gates must open
    return network.eval()


def make_pairs(count: int = 2, side: int = 48) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 2, 3, side, side + 16, generator=generator)


def arguments(burst: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return burst, torch.ones_like(burst[:, :, :1]), plain_descriptor(2).expand(len(burst), -1, -1)


def test_the_channels_are_those_of_the_paper() -> None:
    with torch.device("meta"):
        network = DeblurRNNNetwork(Config())
    for net, frames in ((network.denoiser, 1), (network.deblurrer, 2)):
        shapes = {n: tuple(p.shape) for n, p in net.named_parameters() if p.dim() == 4}
        assert [s for n, s in shapes.items() if n.startswith("encoder")] == [
            (64, 3 * frames, 5, 5),
            (128, 64, 5, 5),
            (256, 128, 5, 5),
            (512, 256, 5, 5),
        ]
        assert [s for n, s in shapes.items() if n.startswith("decoder")] == [
            (512, 256, 5, 5),
            (512, 128, 5, 5),
            (256, 64, 5, 5),
            (128, 3, 5, 5),
        ]
    assert network.denoiser.lstm.of_input.weight.shape == (3 * 512, 512, 3, 3)
    assert network.deblurrer.lstm.of_input.weight.shape == (4 * 512, 512, 3, 3)
    assert network.contract.receptive_radius == receptive_radius() == 127


def test_all_but_the_first_and_last_layers_are_normalised() -> None:
    network = make()
    for net in (network.denoiser, network.deblurrer):
        norms = [block.norm is not None for block in net.encoder.blocks]
        assert norms == [False, True, True, True]
        assert all(block.norm is not None for block in net.decoder.blocks)
        assert net.decoder.last.bias is not None


@pytest.mark.parametrize("residual", [False, True])
def test_the_hidden_state_of_the_first_net_reaches_the_second(residual: bool) -> None:
    network, burst = make(residual=residual), make_pairs()
    with torch.no_grad():
        denoised, state = network.denoiser(burst[:, :1])
        both = torch.stack([denoised, burst[:, 1]], dim=1)
        before, _ = network.deblurrer(both, state)
        assert torch.equal(before, network(*arguments(burst)))
        for changed in ((state[0] + 0.5, state[1]), (state[0], state[1] + 0.5)):
            assert not torch.allclose(network.deblurrer(both, changed)[0], before)


def test_the_result_teaches_the_first_net_through_its_state_too() -> None:
    network, burst = make(), make_pairs()
    denoised, state = network.denoiser(burst[:, :1])
    both = torch.stack([denoised.detach(), burst[:, 1]], dim=1)
    network.deblurrer(both, state)[0].square().mean().backward()
    for name, parameter in network.denoiser.named_parameters():
        if name.startswith("decoder"):
            assert parameter.grad is None, name  # only the picture, cut off here, leads there
        else:
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_no_weight_is_idle() -> None:
    network, burst = make(residual=True).train(), make_pairs()
    sum(picture.square().mean() for picture in network.pictures(*arguments(burst))).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("residual", [False, True])
def test_the_pictures_are_the_denoised_one_and_the_result(residual: bool) -> None:
    network, light = make(residual=residual), make_pairs()
    with torch.inference_mode():
        denoised, result = network.pictures(*arguments(light))
        expected = network.restore_light(*arguments(light))
    torch.testing.assert_close(result, expected)
    changed = light.clone()
    changed[:, 1] = 0  # the blurry frame is nothing to the denoiser
    with torch.inference_mode():
        again, other = network.pictures(*arguments(changed))
    assert torch.equal(again, denoised)
    assert not torch.allclose(other, result)


def test_the_parts_hold_every_weight_once_and_make_the_pictures_in_their_order() -> None:
    network = make()
    parts = network.parts()
    weights = [id(weight) for part in parts for weight in part.parameters()]
    assert sorted(weights) == sorted(id(weight) for weight in network.parameters())
    denoised, _ = network.pictures(*arguments(make_pairs(1)))
    denoised.mean().backward()
    assert all(weight.grad is not None for weight in parts[0].parameters())
    assert all(weight.grad is None for weight in parts[1].parameters())


@pytest.mark.parametrize("config", [{"width": 0.0}, {"dropout": 1.0}])
def test_a_config_that_makes_no_network_is_refused(config: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="width"):
        Config(**config)  # type: ignore[arg-type]
