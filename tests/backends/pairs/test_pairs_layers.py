"""Blocks, encoder and decoder of the networks for pairs."""

import pytest
import torch
from torch import Tensor

from burstfix.backends.pairs.layers import Block, Change, Decoder, Encoder
from burstfix.backends.scaling import Scaled

SIZES = {"halve": (4, 6), "keep": (8, 12), "double": (16, 24)}


def shaken(block: Block) -> Block:
    """Give a block's batch norm statistics that no fresh one has."""
    assert block.norm is not None
    for part in (block.norm.running_mean, block.norm.weight, block.norm.bias):
        assert part is not None
        part.data += 0.3 * torch.randn_like(part)
    assert block.norm.running_var is not None
    block.norm.running_var.uniform_(0.5, 2.0)
    return block


def plain(block: Block, features: Tensor) -> Tensor:
    """Compute a block in inference by PyTorch's layers, one after another."""
    weight = block.weight / block.spectral.measure(block.weight)
    side = weight.shape[-1]
    kind = torch.nn.ConvTranspose2d if block.change == "double" else torch.nn.Conv2d
    extra = {"output_padding": 1} if block.change == "double" else {}
    channels = weight.shape[:2] if block.change == "double" else weight.shape[1::-1]
    stride = 1 if block.change == "keep" else 2
    layer = kind(*channels, side, stride, side // 2, bias=block.norm is None, **extra)
    layer.weight.data = weight.detach()
    if block.norm is None:
        assert block.bias is not None
        layer.bias.data = block.bias.detach()
    after = block.norm or torch.nn.Identity()
    result: Tensor = torch.nn.LeakyReLU(0.2)(after(layer(features)))
    return result


@pytest.mark.parametrize("change", SIZES)
def test_in_inference_a_block_is_its_layers_one_after_another(change: Change) -> None:
    torch.manual_seed(0)
    block = shaken(Block(3, 5, change)).eval()
    features = torch.randn(2, 3, 8, 12)
    with torch.inference_mode():
        result = block(features)
        torch.testing.assert_close(result, plain(block, features), atol=1e-5, rtol=1e-5)
    assert result.shape[2:] == SIZES[change]


def test_a_block_without_batch_norm_has_a_bias() -> None:
    torch.manual_seed(0)
    block = Block(3, 5, normed=False).eval()
    assert block.bias is not None
    block.bias.data += torch.randn(5)
    features = torch.randn(1, 3, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(block(features), plain(block, features), atol=1e-5, rtol=1e-5)


def test_training_normalises_by_the_batch_and_learns_its_statistics() -> None:
    torch.manual_seed(0)
    block = Block(3, 5).train()
    features = 2 + 3 * torch.randn(4, 3, 16, 16)
    result = block(features)
    unbent = torch.where(result < 0, result / 0.2, result)
    deviation, mean = torch.std_mean(unbent, dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(mean, torch.zeros(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(deviation, torch.ones(5), atol=1e-2, rtol=0)
    assert block.norm is not None and block.norm.running_mean is not None
    assert block.norm.running_mean.abs().max() > 0


def test_inference_changes_no_statistics_and_heeds_no_neighbour_in_the_batch() -> None:
    torch.manual_seed(0)
    block = shaken(Block(3, 5)).eval()
    state = {name: value.clone() for name, value in block.state_dict().items()}
    features = torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        both = block(features)
        alone = block(features[:1])
    torch.testing.assert_close(both[:1], alone)
    for name, value in block.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_dropout_acts_in_training_alone() -> None:
    torch.manual_seed(0)
    encoder = Encoder(3, Scaled(0.1)).eval()
    decoder = Decoder(1, 3, Scaled(0.1), dropout=0.5)
    levels = encoder(torch.randn(1, 3, 32, 32))
    with torch.no_grad():
        decoder.eval()
        assert torch.equal(decoder(levels[-1], [levels[:-1]]), decoder(levels[-1], [levels[:-1]]))
        decoder.train()
        first, second = (decoder(levels[-1], [levels[:-1]]) for _ in range(2))
        assert not torch.equal(first, second)


@pytest.mark.parametrize("encoders", [1, 2])
@pytest.mark.parametrize("level", range(4))
def test_every_level_of_every_encoder_reaches_the_picture(encoders: int, level: int) -> None:
    torch.manual_seed(0)
    scaled = Scaled(0.1)
    parts = [Encoder(3, scaled).eval() for _ in range(encoders)]
    decoder = Decoder(encoders, 3, scaled, dropout=0.5).eval()
    with torch.no_grad():
        levels = [part(torch.randn(1, 3, 32, 48)) for part in parts]
        before = decoder(levels[0][-1], [each[:-1] for each in levels])
        assert before.shape == (1, 3, 32, 48)
        levels[0 if level == 3 else -1][level] += 1
        after = decoder(levels[0][-1], [each[:-1] for each in levels])
    assert not torch.allclose(before, after)
