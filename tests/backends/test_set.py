import dataclasses
import math

import pytest
import torch
from torch import Tensor

from burstfix.backends.base import plain_descriptor
from burstfix.backends.order import given_order
from burstfix.backends.set import Config, SetNetwork
from burstfix.backends.set.blocks import Meet, cropped
from burstfix.backends.set.code import to_code, to_light
from burstfix.backends.set.fusion import collapse, pyramid
from burstfix.backends.set.network import hold_back
from burstfix.frame import Box

SMALL = Config(
    frame_widths=(8, 8, 12, 12),
    frame_blocks=(0, 1, 1, 1),
    trunk_widths=(8, 12, 12, 16),
    trunk_blocks=(1, 1, 1, 1),
    trunk_up_blocks=(1, 1, 1),
    heads=2,
)


def small_network(seed: int = 0, config: Config = SMALL) -> SetNetwork:
    """Return a small network whose last layer is not zero, as after training."""
    torch.manual_seed(seed)
    network = SetNetwork(config)
    torch.nn.init.normal_(network.trunk.head.weight, std=0.05)
    for layer in network.fusion.logits:
        torch.nn.init.normal_(layer.weight, std=1.0)
    return network.eval()


def random_burst(frames: int, size: tuple[int, int], count: int = 1) -> tuple[Tensor, ...]:
    burst = torch.rand(count, frames, 3, *size) - 0.05
    seen = (torch.rand(count, frames, 1, *size) > 0.1).float()
    seen[:, 0] = 1
    return burst, seen, plain_descriptor(frames).repeat(count, 1, 1)


def restore(network: SetNetwork, *inputs: Tensor) -> Tensor:
    with torch.inference_mode():
        result: Tensor = network(*inputs)
    return result


@pytest.mark.parametrize("frames", [1, 2, 3, 8, 16])
def test_any_number_of_frames_gives_one_picture(frames: int) -> None:
    result = restore(small_network(), *random_burst(frames, (32, 48), count=2))
    assert result.shape == (2, 3, 32, 48)
    assert torch.isfinite(result).all()


def test_no_bit_changes_over_a_hundred_permutations_of_the_other_frames() -> None:
    network = small_network()
    burst, seen, descriptor = random_burst(8, (32, 48))
    descriptor[0, 1:, 2] = torch.rand(7) * 1e-3
    wanted = restore(network, burst, seen, descriptor)
    for seed in range(100):
        order = torch.randperm(7, generator=torch.Generator().manual_seed(seed)) + 1
        order = torch.cat([torch.tensor([0]), order])
        result = restore(network, burst[:, order], seen[:, order], descriptor[:, order])
        assert torch.equal(result, wanted)


def test_the_reference_is_not_one_of_the_others() -> None:
    network = small_network()
    burst, seen, descriptor = random_burst(3, (32, 32))
    seen.fill_(1)
    swapped = restore(network, burst[:, [1, 0, 2]], seen, descriptor)
    assert not torch.equal(swapped, restore(network, burst, seen, descriptor))


def test_no_pixel_beyond_the_declared_radius_is_looked_at() -> None:
    network = small_network()
    radius, cell = network.contract.receptive_radius, network.contract.multiple_of
    side = (2 * radius // cell + 5) * cell
    burst, seen, descriptor = random_burst(2, (cell * 2, side))
    column = (side // cell // 2) * cell + 5
    burst[0, 1, :, 3, column] = math.nan
    result = restore(network, burst, seen, descriptor)
    reached = result[0].isnan().any(dim=0).any(dim=0).nonzero()
    first_cell, last_cell = int(reached.min()) // cell, int(reached.max()) // cell
    assert column - (first_cell + 1) * cell < radius
    assert last_cell * cell - column <= radius
    assert column in reached


@pytest.mark.parametrize(("top", "frames"), [(0, 2), (64, 2), (64, 1)])
def test_a_part_with_its_halo_equals_the_same_part_of_the_whole(top: int, frames: int) -> None:
    network = small_network(config=dataclasses.replace(SMALL, restraint=0.2))
    radius, cell = network.contract.receptive_radius, network.contract.multiple_of
    halo = math.ceil(radius / cell) * cell
    burst, seen, descriptor = random_burst(frames, (top + 32 + halo, 32))
    whole = restore(network, burst, seen, descriptor)
    start = max(0, top - halo)
    part = restore(network, burst[..., start:, :], seen[..., start:, :], descriptor)
    difference = (
        whole[..., top : top + 32, :] - part[..., top - start : top - start + 32, :]
    ).abs()
    assert difference.max() < 1 / 65535


def test_before_training_it_is_the_mean_of_what_was_seen() -> None:
    torch.manual_seed(0)
    network = SetNetwork(SMALL).eval()
    for layer in network.fusion.logits:
        torch.nn.init.zeros_(layer.weight)
    burst, seen, descriptor = random_burst(4, (32, 32))
    seen.fill_(1)
    result = restore(network, burst, seen, descriptor)
    torch.testing.assert_close(result, burst.mean(dim=1), atol=1e-5, rtol=1e-5)


def test_what_a_frame_did_not_see_is_not_fused() -> None:
    torch.manual_seed(0)
    network = SetNetwork(SMALL).eval()
    burst = torch.full((1, 2, 3, 32, 32), 0.25)
    burst[:, 1] = 0.75
    seen = torch.ones(1, 2, 1, 32, 32)
    seen[:, 1] = 0
    result = restore(network, burst, seen, plain_descriptor(2))
    assert (result - 0.25).abs().max() < 1e-3


def test_shares_of_the_frames_sum_to_one() -> None:
    shares = small_network().frame_weights(*random_burst(5, (32, 32), count=2))
    assert shares.shape == (2, 5)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(2))
    assert (shares > 0).all()


def test_unknown_and_extreme_descriptors_are_legal() -> None:
    network = small_network()
    burst, seen, descriptor = random_burst(3, (32, 32))
    unknown = restore(network, burst, seen, descriptor)
    known = descriptor.clone()
    known[..., 1:] = torch.tensor([4.0, 0.0, 1.0])
    result = restore(network, burst, seen, known)
    assert torch.isfinite(result).all()
    assert not torch.equal(result, unknown)


def test_the_inner_code_has_an_inverse_also_below_black_and_above_white() -> None:
    light = torch.linspace(-0.5, 4, 1001)
    torch.testing.assert_close(to_light(to_code(light)), light, atol=1e-6, rtol=1e-5)
    assert to_code(torch.tensor(1.0)).item() == pytest.approx(1)
    assert (to_code(light).diff() > 0).all()


def test_a_frame_alone_is_fused_as_copies_of_it_are() -> None:
    network = small_network()
    burst, _, _ = random_burst(1, (32, 48))
    seen = torch.ones(1, 1, 1, 32, 48)
    order = given_order(burst)
    levels = network.frame_net(burst, seen, plain_descriptor(1), order)
    weighed = network.fusion.pictures(burst, network.fusion.weigh(levels, seen, order), order)
    fused = network.fusion(burst, seen, levels, order)
    torch.testing.assert_close(fused, weighed, atol=1e-6, rtol=1e-5)


def test_small_changes_are_held_back_and_large_ones_are_not() -> None:
    given = torch.rand(1, 3, 40, 120)
    change = torch.where(torch.rand(1, 3, 40, 120) > 0.5, 0.01, -0.01)
    change[..., 60:] *= 3
    held = hold_back(given, given + change, 0.015)
    torch.testing.assert_close(held[..., :44], given[..., :44])
    torch.testing.assert_close(held[..., 76:], (given + change)[..., 76:])


def test_a_restrained_network_leaves_a_lone_frame_that_it_would_hardly_change() -> None:
    torch.manual_seed(0)
    network = small_network()
    burst, seen, descriptor = random_burst(1, (48, 48))
    free = restore(network, burst, seen, descriptor)
    assert not torch.allclose(free, burst[:, 0], atol=1e-3)
    network.restraint = 10.0
    same = restore(network, burst, seen, descriptor)
    torch.testing.assert_close(same, burst[:, 0], atol=1e-5, rtol=1e-5)
    known = torch.tensor([[[1.0, 0.0, 1e-4, 1e-5]]])
    network.restraint = 0.0
    wanted = restore(network, burst, seen, known)
    network.restraint = 10.0
    assert torch.equal(restore(network, burst, seen, known), wanted)
    more = random_burst(2, (48, 48))
    network.restraint = 0.0
    wanted = restore(network, *more)
    network.restraint = 10.0
    assert torch.equal(restore(network, *more), wanted)


def test_the_pyramid_joins_to_the_picture_that_was_split() -> None:
    picture = torch.randn(2, 3, 32, 48)
    joined = collapse(pyramid(picture))
    torch.testing.assert_close(joined, picture, atol=1e-5, rtol=1e-5)


def test_the_gradient_of_the_exchange_is_that_of_maximum_and_mean() -> None:
    flat = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Meet.apply, (flat,))
    greatest, mean = Meet.apply(flat)
    assert torch.equal(greatest, flat.amax(dim=1))
    torch.testing.assert_close(mean, flat.mean(dim=1))


def test_every_weight_gets_a_gradient() -> None:
    network = small_network().train()
    burst, seen, descriptor = random_burst(3, (32, 32), count=2)
    network(burst, seen, descriptor).square().mean().backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


def test_the_default_network_is_small() -> None:
    network = SetNetwork(Config())
    assert sum(p.numel() for p in network.parameters()) <= 5_000_000


def test_the_config_is_plain_data() -> None:
    assert Config(**dataclasses.asdict(SMALL)) == SMALL


@pytest.mark.parametrize("restraint", [0.0, 0.01])
def test_a_part_alone_is_what_the_whole_has_there(restraint: float) -> None:
    network = small_network(config=dataclasses.replace(SMALL, restraint=restraint))
    for frames in (1, 3):
        burst, seen, _ = random_burst(frames, (96, 128))
        descriptor, core = plain_descriptor(frames), Box(37, 16, 66, 95)
        whole = restore(network, burst, seen, descriptor)
        with torch.inference_mode():
            part = network.forward_core(burst, seen, descriptor, core)
        torch.testing.assert_close(part, cropped(whole, core), atol=1e-5, rtol=1e-5)


def test_frames_one_by_one_give_what_all_at_once_give(monkeypatch: pytest.MonkeyPatch) -> None:
    network = small_network()
    burst, seen, descriptor = random_burst(4, (48, 64))
    at_once = restore(network, burst, seen, descriptor)
    monkeypatch.setattr("burstfix.backends.set.blocks._AT_ONCE", 1)
    torch.testing.assert_close(restore(network, burst, seen, descriptor), at_once)
