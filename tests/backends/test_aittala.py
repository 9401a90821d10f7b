from itertools import permutations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from burstfix.backends.aittala import (
    AittalaNetwork,
    Config,
    Greatest,
    Layer,
    Pooling,
    local_sharpness,
    receptive_radius,
)
from burstfix.backends.base import plain_descriptor
from burstfix.tiling import TensorSource, run_whole


def make(**config: object) -> AittalaNetwork:
    torch.manual_seed(0)
    return AittalaNetwork(Config(**{"width": 0.1, **config})).eval()  # type: ignore[arg-type]


def make_burst(frames: int, side: int = 32, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(frames)
    return torch.rand(count, frames, 3, side, side, generator=generator)


def restore(network: AittalaNetwork, burst: Tensor) -> Tensor:
    with torch.inference_mode():
        result: Tensor = network(burst, torch.ones_like(burst[:, :, :1]), plain_descriptor(1))
    return result


def test_the_channels_are_those_of_the_paper() -> None:
    network = AittalaNetwork(Config())
    shapes = [tuple(p.shape) for n, p in network.named_parameters() if n.endswith("direction")]
    assert shapes == [
        (64, 3, 3, 3),
        *[(128, 128, 1, 1), (128, 128, 4, 4)],
        *[(256, 256, 1, 1), (256, 256, 4, 4)],
        *[(384, 512, 1, 1), (384, 384, 4, 4)],
        *[(384, 768, 1, 1), (384, 384, 4, 4), (384, 384, 3, 3), (384, 384, 4, 4)],
        *[(384, 1152, 1, 1), (384, 384, 3, 3), (384, 256, 4, 4)],
        *[(256, 768, 1, 1), (256, 256, 3, 3), (256, 192, 4, 4)],
        *[(192, 512, 1, 1), (192, 192, 3, 3), (192, 96, 4, 4)],
        *[(96, 256, 1, 1), (96, 96, 3, 3)],
        *[(64, 96, 3, 3), (3, 64, 3, 3)],
    ]


@pytest.mark.parametrize("up", [False, True])
def test_weights_are_directions_of_length_one_times_gains(up: bool) -> None:
    torch.manual_seed(0)
    layer = Layer(6, 4, 4, up=up, linear=True)
    layer.gain.data = torch.tensor([1.0, 2.0, 3.0, 4.0])
    plain = torch.nn.ConvTranspose2d if up else torch.nn.Conv2d
    twin = torch.nn.utils.parametrizations.weight_norm(
        plain(6, 4, 4, stride=2, padding=1), dim=1 if up else 0
    )
    twin.parametrizations.weight.original1.data = layer.direction.data.clone()
    twin.parametrizations.weight.original0.data = layer.gain.data.view(
        (1, 4, 1, 1) if up else (4, 1, 1, 1)
    )
    twin.bias.data.zero_()
    features = torch.randn(2, 6, 8, 8)
    torch.testing.assert_close(layer(features), twin(features), atol=1e-5, rtol=1e-5)


def test_parts_are_convolved_as_if_concatenated_and_shared_ones_repeated() -> None:
    torch.manual_seed(0)
    layer = Layer(4 + 5 + 6, 7, 1)
    local, shared, skip = torch.randn(6, 4, 5, 5), torch.randn(2, 5, 5, 5), torch.randn(6, 6, 5, 5)
    whole = torch.cat([local, shared.repeat_interleave(3, dim=0), skip], dim=1)
    torch.testing.assert_close(layer(local, shared, skip), layer(whole), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("frames", [1, 4])
@pytest.mark.parametrize("residual", [False, True])
def test_the_first_batch_sets_zero_mean_and_unit_variance_in_every_layer(
    frames: int, residual: bool
) -> None:
    network = make(residual=residual)
    burst = 0.3 + 0.1 * make_burst(frames, side=64)
    with torch.no_grad():
        network.initialise(burst, torch.ones_like(burst[:, :, :1]), plain_descriptor(frames))
    seen: list[tuple[Tensor, Tensor]] = []

    def note(layer: Layer, parts: tuple[Tensor, ...]) -> None:
        seen.append(torch.std_mean(layer.convolve(*parts), dim=(0, 2, 3)))

    layers = [layer for layer in network.modules() if isinstance(layer, Layer)]
    for layer in layers:
        layer.register_forward_pre_hook(note)
    restore(network, burst)
    assert len(seen) == len(layers)
    for number, (deviation, mean) in enumerate(seen, start=1):
        wanted = 0.1 if residual and number == len(seen) else 1.0  # corrections begin small
        torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-3, rtol=0)
        expected = torch.full_like(deviation, wanted)
        torch.testing.assert_close(deviation, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("pooling", ["max", "mean"])
@pytest.mark.parametrize(("residual", "p"), [(False, 0.0), (True, 0.0), (True, 2.0)])
def test_no_order_of_the_frames_changes_a_bit_not_even_another_first(
    pooling: Pooling, residual: bool, p: float
) -> None:
    network, burst = make(pooling=pooling, residual=residual, p=p), make_burst(4)
    expected = restore(network, burst)
    for order in permutations(range(4)):
        assert torch.equal(restore(network, burst[:, list(order)]), expected)


@pytest.mark.parametrize("residual", [False, True])
def test_without_final_pooling_the_pictures_move_with_their_frames(residual: bool) -> None:
    network, burst = make(final_pooling=False, residual=residual), make_burst(5)
    with torch.inference_mode():
        expected = network.restore_frames(burst)
    assert not torch.equal(expected[:, 0], expected[:, 1])
    assert torch.equal(restore(network, burst), expected[:, 0])
    for order in ([4, 0, 3, 1, 2], [1, 2, 3, 4, 0]):
        with torch.inference_mode():
            moved = network.restore_frames(burst[:, order])
        assert torch.equal(moved, expected[:, order])
        assert torch.equal(restore(network, burst[:, order]), expected[:, order[0]])


def blurred(picture: Tensor, side: int) -> Tensor:
    return F.avg_pool2d(F.pad(picture, (side // 2,) * 4, mode="reflect"), side, 1)


def test_noise_does_not_count_as_sharpness_and_detail_does() -> None:
    generator = torch.Generator().manual_seed(0)
    scene = F.interpolate(make_burst(1, side=24, count=1)[0, :1], size=(96, 96), mode="bicubic")
    noise = torch.randn(1, 1, 96, 96, generator=generator).expand(-1, 3, -1, -1)
    dull = blurred(scene, 25)
    noisy = torch.stack([dull, dull + 0.1 * noise], dim=1)
    sharp = torch.stack([dull, scene], dim=1)
    apart = [float(local_sharpness(burst).diff(dim=1).mean()) for burst in (noisy, sharp)]
    assert (
        abs(apart[0]) < 0.1
    )  # of white noise a tenth lies in the band, 0.4 of a ninth is taken off
    assert apart[1] > 0.8  # all detail is in one of two frames: log((1 + 1/2) / (1/2)) = 1.1


def test_a_lucky_frame_leads_the_weighed_mean_and_equal_frames_share_it() -> None:
    scene = F.interpolate(make_burst(1, side=24, count=1)[0], size=(96, 96), mode="bilinear")
    burst = torch.stack([blurred(scene, 21), scene, blurred(scene, 15), blurred(scene, 21)], dim=1)
    errors = [
        float((make(residual=True, p=p)._mean(burst) - scene).square().mean())
        for p in (0.0, 1.0, 4.0)
    ]
    assert errors[0] > 2 * errors[1] > 6 * errors[2]
    alike = burst[:, :1].expand(-1, 3, -1, -1, -1)
    torch.testing.assert_close(make(residual=True, p=4.0)._mean(alike), burst[:, 0])


def test_shares_go_with_their_frames_and_equal_frames_share_equally() -> None:
    network, burst = make(), make_burst(4)
    with torch.inference_mode():
        shares = network.frame_weights(burst, burst[:, :, :1], plain_descriptor(4))
        order = [2, 0, 3, 1]
        moved = network.frame_weights(burst[:, order], burst[:, :, :1], plain_descriptor(4))
    assert torch.equal(moved, shares[:, order])
    assert (shares > 0).all()
    assert shares.std(dim=1).min() > 1e-3
    alike = make_burst(1).expand(-1, 3, -1, -1, -1)
    with torch.inference_mode():
        same = network.frame_weights(alike, alike[:, :, :1], plain_descriptor(3))
    torch.testing.assert_close(same, torch.full_like(same, 1 / 3))


def test_with_final_pooling_there_are_no_pictures_of_single_frames() -> None:
    with pytest.raises(ValueError, match="one picture"):
        make().restore_frames(make_burst(2))


@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_frames_that_repeat_change_nothing_but_rounding(pooling: Pooling) -> None:
    network, burst = make(pooling=pooling), make_burst(2)
    repeated = burst.repeat(1, 3, 1, 1, 1)
    torch.testing.assert_close(
        restore(network, repeated), restore(network, burst), atol=1e-5, rtol=0
    )


def test_max_and_mean_exchange_different_things() -> None:
    burst = make_burst(4)
    pictures = [restore(make(pooling=pooling), burst) for pooling in ("max", "mean")]
    assert (pictures[0] - pictures[1]).abs().max() > 1e-3


def test_the_maximum_over_frames_has_the_gradient_of_pytorch() -> None:
    torch.manual_seed(0)
    flat = torch.randn(2, 5, 7, requires_grad=True)
    weights = torch.randn(2, 7)
    (ours,) = torch.autograd.grad((Greatest.apply(flat) * weights).sum(), flat)  # type: ignore[no-untyped-call]
    (theirs,) = torch.autograd.grad((flat.amax(dim=1) * weights).sum(), flat)
    assert torch.equal(ours, theirs)


def test_all_weights_learn() -> None:
    network, burst = make().train(), make_burst(3)
    network(burst, burst[:, :, :1], plain_descriptor(3)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_one_frame_alone_is_restored_as_in_a_plain_unet() -> None:
    """Follow the table of the paper with plain functions and no sharing."""
    network, burst = make(), make_burst(1, side=32, count=1)

    def conv(features: Tensor, layer: Layer) -> Tensor:
        axis = 1 if layer.up else 0
        others = [d for d in range(4) if d != axis]
        norm = layer.direction.square().sum(dim=others, keepdim=True).sqrt()
        weight = layer.direction / norm * layer.gain.view_as(norm)
        if layer.up:
            result = F.conv_transpose2d(features, weight, layer.bias, 2, 1)
        elif weight.shape[-1] == 4:
            result = F.conv2d(features, weight, layer.bias, 2, 1)
        else:
            result = F.conv2d(features, weight, layer.bias, 1, weight.shape[-1] // 2)
        return result if layer.linear else F.elu(result)

    layers = iter([layer for layer in network.modules() if isinstance(layer, Layer)])
    features = conv((burst[0] - 0.5) / 0.25, next(layers))
    skips = [features]
    for _ in range(3):
        features = conv(torch.cat([features, features], dim=1), next(layers))
        features = conv(features, next(layers))
        skips.append(features)
    features = conv(torch.cat([features, features], dim=1), next(layers))
    for _ in range(3):
        features = conv(features, next(layers))
    for count in (2, 2, 2, 1):
        features = conv(torch.cat([features, features, skips.pop()], dim=1), next(layers))
        for _ in range(count):
            features = conv(features, next(layers))
    expected = 0.5 + 0.25 * conv(conv(features, next(layers)), next(layers))
    assert next(layers, None) is None
    torch.testing.assert_close(restore(network, burst), expected.detach(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (15, 17), (37, 51), (80, 31)])
def test_odd_sizes_are_restored_as_with_their_edges_repeated(size: tuple[int, int]) -> None:
    network = make(residual=True)
    height, width = size
    burst = make_burst(3, side=96, count=1)[..., :height, :width]
    source = TensorSource(burst[0], torch.ones(3, 1, height, width))
    result = run_whole(
        network,
        source,
        descriptor=plain_descriptor(3),
        device=torch.device("cpu"),
        precision="fp32",
    )
    assert result.shape == (3, height, width)
    cell = network.contract.multiple_of
    down, across = -height % cell, -width % cell
    wide = np.pad(burst.numpy(), [(0, 0)] * 3 + [(0, down), (0, across)], mode="edge")
    with torch.inference_mode():
        padded = torch.from_numpy(wide)
        whole = network.restore_light(
            padded, torch.ones_like(padded[:, :, :1]), plain_descriptor(3)
        )
    torch.testing.assert_close(result, whole[0, :, :height, :width], atol=1e-5, rtol=0)


def test_the_declared_radius_is_reached_and_not_passed() -> None:
    network = make()
    cell, radius = network.contract.multiple_of, receptive_radius()
    side = 2 * radius + 3 * cell
    burst = make_burst(1, side=side, count=1)
    middle = side // 2 // cell * cell
    reach = []
    for pixel in range(middle, middle + cell):
        probed = burst.clone()
        probed[..., pixel, pixel] = float("nan")
        wrong = restore(network, probed).isnan().any(dim=(0, 1, 2)).nonzero()
        starts = wrong // cell * cell
        reach.append(int(torch.maximum(starts - pixel, pixel - (starts + cell - 1)).max()))
    assert max(reach) == radius


@pytest.mark.parametrize(
    "config",
    [
        {"width": 0.0},
        {"width": 9.0},
        {"pooling": "median"},
        {"p": -1.0},
    ],
)
def test_what_no_network_has_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"(width|p) lies"):
        Config(**config)  # type: ignore[arg-type]
