"""What every backend promises, whatever it does inside."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from burstfix import weights
from burstfix.backends import BACKENDS
from burstfix.backends.base import Network, plain_descriptor
from burstfix.frame import Box
from burstfix.synth.burst import SyntheticBurst
from burstfix.synth.reblur import Triples
from burstfix.tiling import TensorSource, run_whole
from burstfix.train.reblur import Supervision, Tuner, TuneSettings, classical_flow

CPU = torch.device("cpu")
EXACT = 1 / 65535

# Of the same kind as the whole network, in a fraction of its time
SMALL = {
    "set": {
        "frame_widths": (8, 8, 8, 8),
        "frame_blocks": (0, 1, 0, 1),
        "trunk_widths": (8, 8, 8, 8),
        "trunk_blocks": (1, 0, 0, 1),
        "trunk_up_blocks": (1, 0, 0),
    },
    "aittala": {"width": 0.1},
    "wieschollek": {"hidden": 0.01, "stride": 16, "colour_block": 64},
    "deblur-rnn": {"width": 0.1, "residual": True},
    "deblur-merger": {"width": 0.1, "residual": True},
    "multiscale": {"width": 8, "blocks": 1},
    "deblurgan": {"width": 8, "blocks": 2},
    "dvd": {"width": 0.1},
}

every_backend = pytest.mark.parametrize("name", BACKENDS)


def small_config(name: str) -> object:
    return BACKENDS[name].config(**SMALL.get(name, {}))


def build(name: str) -> Network:
    """Build a backend; a trained one gets the same random weights every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = BACKENDS[name].build(small_config(name))
        for parameter in network.parameters():
            parameter.data += 0.01 * torch.randn_like(parameter)  # zeros would hide a fault
    return network


def make_source(height: int, width: int, frames: int) -> TensorSource:
    generator = torch.Generator().manual_seed(7)
    scene = torch.rand(1, 3, height, width, generator=generator)
    noise = 0.1 * torch.randn(frames, 3, height, width, generator=generator)
    seen = torch.ones(frames, 1, height, width)
    seen[1:, :, : height // 8] = 0
    burst = torch.where(seen > 0, scene + noise, (scene + noise)[:1])
    return TensorSource(burst, seen)


def restore(network: Network, source: TensorSource, **options: object) -> Tensor:
    settings = {"device": CPU, "precision": "fp32", **options}
    return run_whole(network, source, descriptor=plain_descriptor(source.frames), **settings)


def frame_counts(network: Network) -> list[int]:
    return [network.contract.frames] if network.contract.frames else [1, 2, 5]


@every_backend
def test_any_size_and_number_of_frames_gives_a_picture_of_that_size(name: str) -> None:
    network = build(name)
    for frames in frame_counts(network):
        for height, width in ((37, 51), (1, 1), (64, 130)):
            result = restore(network, make_source(height, width, frames))
            assert result.shape == (3, height, width)
            assert torch.isfinite(result).all()


@every_backend
def test_two_runs_give_the_same_bits(name: str) -> None:
    network = build(name)
    source = make_source(70, 90, frame_counts(network)[-1])
    assert torch.equal(restore(network, source), restore(network, source))


@every_backend
def test_arguments_are_left_as_they_were(name: str) -> None:
    network = build(name)
    side = 2 * network.contract.multiple_of
    source = make_source(side, side, frame_counts(network)[-1])
    burst, seen = source.burst[None].clone(), source.seen[None].clone()
    descriptor = plain_descriptor(source.frames)
    with torch.inference_mode():
        network(burst, seen, descriptor)
    assert torch.equal(burst[0], source.burst)
    assert torch.equal(seen[0], source.seen)


@every_backend
def test_a_batch_gives_what_its_items_give(name: str) -> None:
    network = build(name)
    side = 2 * network.contract.multiple_of
    source = make_source(side, side, frame_counts(network)[-1])
    burst = torch.stack([source.burst, source.burst.flip(-1)])
    seen = torch.stack([source.seen, source.seen.flip(-1)])
    descriptor = plain_descriptor(source.frames)
    with torch.inference_mode():
        together = network(burst, seen, descriptor.expand(2, -1, -1))
        for item in range(2):
            alone = network(burst[item : item + 1], seen[item : item + 1], descriptor)[0]
            torch.testing.assert_close(together[item], alone, rtol=0, atol=EXACT)


@every_backend
def test_nothing_beyond_the_declared_radius_matters(name: str) -> None:
    network = build(name)
    multiple, radius = network.contract.multiple_of, network.contract.receptive_radius
    cells = 2 * -(-radius // multiple) + 3
    source = make_source(multiple * cells, multiple * cells, frame_counts(network)[-1])
    middle = cells // 2 * multiple
    # At the four corners of a cell, a probe must stay within the radius of the cells around it.
    for y in (middle, middle + multiple - 1):
        for x in (middle, middle + multiple - 1):
            probed = source.burst.clone()
            probed[-1, :, y, x] = float("nan")
            with torch.inference_mode():
                result = network(probed[None], source.seen[None], plain_descriptor(source.frames))[
                    0
                ]
            wrong = torch.isnan(result).any(dim=0).nonzero()
            assert len(wrong) > 0, "the probe must be felt somewhere"
            for at, pixel in ((wrong[:, 0], y), (wrong[:, 1], x)):
                start = at // multiple * multiple
                outside = torch.maximum(start - pixel, pixel - (start + multiple - 1))
                assert outside.max() <= radius


@every_backend
@pytest.mark.parametrize("size", [(401, 299), (200, 523)])
def test_tiles_with_the_full_halo_give_the_whole_picture(name: str, size: tuple[int, int]) -> None:
    network = build(name)
    source = make_source(*size, frame_counts(network)[-1])
    radius = network.contract.receptive_radius
    whole = restore(network, source, tile=4096, halo=radius)
    tiled = restore(network, source, tile=96, halo=radius)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=EXACT)


@every_backend
def test_tiles_with_the_default_halo_differ_by_less_than_a_1024th(name: str) -> None:
    network = build(name)
    source = make_source(401, 523, frame_counts(network)[-1])
    whole = restore(network, source, tile=4096)
    tiled = restore(network, source, tile=192)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1 / 1024)


@every_backend
def test_the_core_is_what_the_whole_pass_gives_there(name: str) -> None:
    network = build(name)
    side = 4 * network.contract.multiple_of
    source = make_source(side, side, frame_counts(network)[-1])
    core = Box(side // 3, side // 4, side // 2 + 1, side // 2)
    arguments = source.burst[None], source.seen[None], plain_descriptor(source.frames)
    with torch.inference_mode():
        whole = network(*arguments)
        part = network.forward_core(*arguments, core)
    expected = whole[..., core.top : core.bottom, core.left : core.right]
    torch.testing.assert_close(part, expected, rtol=0, atol=EXACT)


@every_backend
def test_the_order_of_the_other_frames_does_not_matter(name: str) -> None:
    network = build(name)
    if network.contract.frames is not None:
        pytest.skip("takes a fixed number of frames, each with a meaning")
    if network.contract.order_matters:
        pytest.skip("tells frames by their place, and says so")
    source = make_source(70, 90, 5)
    order = [0, 3, 1, 4, 2]
    shuffled = TensorSource(source.burst[order], source.seen[order])
    expected, result = restore(network, source), restore(network, shuffled)
    if network.contract.order_invariant:
        assert torch.equal(result, expected)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


@every_backend
def test_shares_of_the_frames_sum_to_one(name: str) -> None:
    network = build(name)
    side = 2 * network.contract.multiple_of
    for frames in frame_counts(network):
        source = make_source(side, side, frames)
        with torch.inference_mode():
            shares = network.frame_weights(
                source.burst[None], source.seen[None], plain_descriptor(frames)
            )
        assert shares.shape == (1, frames)
        assert (shares >= 0).all()
        torch.testing.assert_close(shares.sum(dim=1), torch.ones(1))


@every_backend
def test_a_saved_network_is_rebuilt_from_its_file_alone(name: str, tmp_path: Path) -> None:
    network = build(name)
    for stored in network.state_dict().values():
        if stored.is_floating_point():
            stored.copy_(stored.half())  # what the file can hold
    path = tmp_path / "weights.safetensors"
    config = vars(small_config(name))
    weights.save(network, weights.Card(backend=name, config=config), path)
    loaded, card = weights.load(path)
    source = make_source(64, 64, frame_counts(network)[-1])
    assert card.backend == name
    assert torch.equal(restore(loaded, source), restore(network, source))


@every_backend
def test_the_working_memory_is_declared(name: str) -> None:
    network = build(name)
    assert network.contract.working_bytes > 0
    assert network.contract.tasks


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every_backend
def test_the_gpu_gives_the_picture_of_the_cpu(name: str) -> None:
    network = build(name)
    source = make_source(401, 299, frame_counts(network)[-1])
    expected = restore(network, source)
    result = restore(network, source, device=torch.device("cuda"))
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-4)


@every_backend
def test_reblurring_teaches_every_network_for_films(name: str) -> None:
    network = build(name)
    if "video" not in network.contract.tasks or not BACKENDS[name].trained:
        pytest.skip("it restores no films, or has no weights")
    frames = network.contract.frames or 5
    source = make_source(64, 64, frames)
    bursts, seen = (part.expand(1, 3, *part.shape) for part in source.read(Box(0, 0, 64, 64)))
    moved = torch.stack([part.roll(step, -1) for step, part in enumerate(bursts.unbind(1))], 1)
    triples = Triples(moved, seen, plain_descriptor(frames))
    nothing = Supervision(draw=lambda step: made_burst(), fixed=[])  # noqa: ARG005
    tuner = Tuner(network, TuneSettings(), classical_flow, nothing, exposure_cycle=0.5)
    tuner.disagreement(triples).mean().backward()
    lengths = [float(p.grad.norm()) for p in network.parameters() if p.grad is not None]
    assert all(np.isfinite(length) for length in lengths)
    assert max(lengths) > 0


def made_burst() -> SyntheticBurst:
    """Stand in for samples that no test draws."""
    raise AssertionError
