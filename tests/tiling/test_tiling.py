"""Tiles give the picture that one pass gives, whatever the size, and cope with failures."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from burstfix import tiling
from burstfix.backends.base import Contract, Network, plain_descriptor
from burstfix.color import SRGB, decode, encode
from burstfix.errors import DeviceError, InputError, UsageError
from burstfix.frame import Box, Size
from burstfix.tiling import Place, Room, TensorSource, run_tiled, run_whole
from burstfix.tiling.reader import Tile
from burstfix.tiling.runner import Runner, Surveyed

CPU = torch.device("cpu")
SIZES = [(24, 24), (61, 83), (40, 200), (33, 32), (129, 257)]


class ConvNet(Network):
    """Convolutions down to a cell of `stride` pixels and up again, on the frames' mean."""

    def __init__(self, stride: int, coding: str = "linear") -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(stride)
        self.down = nn.Conv2d(3, 8, 2 * stride - 1, stride, padding=stride - 1)
        self.middle = nn.Conv2d(8, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 3, stride, stride)
        for weight in self.parameters():
            nn.init.uniform_(weight, -0.3, 0.3, generator=generator)
        # a cell, one cell around it by `middle`, and stride - 1 pixels around that by `down`
        self.contract = Contract(multiple_of=stride, receptive_radius=2 * stride - 1, coding=coding)

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        mean = (burst * seen).mean(dim=1) * descriptor[:, :, 0].sum()
        return mean + self.up(self.middle(self.down(mean).tanh()).tanh())


class Identity(Network):
    """The reference, with a fault to order."""

    def __init__(self, contract: Contract | None = None) -> None:
        super().__init__()
        self.contract = contract or Contract()
        self.weight = nn.Parameter(torch.zeros(1))  # so that half precision applies
        self.sizes: list[Size] = []

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        del seen, descriptor
        self.sizes.append((burst.shape[-2], burst.shape[-1]))
        return burst[:, 0].clone()


@dataclass
class CountingSource:
    """Counts how often each pixel is read."""

    inner: TensorSource

    def __post_init__(self) -> None:
        self.count = torch.zeros(self.inner.size)

    @property
    def size(self) -> Size:
        return self.inner.size

    @property
    def frames(self) -> int:
        return self.inner.frames

    def read(self, box: Box, into: Room | None = None) -> Room:
        assert box.intersect(Box.whole(self.size)) == box
        assert not box.empty
        self.count[box.top : box.bottom, box.left : box.right] += 1
        return self.inner.read(box, into)


def make_source(size: Size, frames: int = 3, seed: int = 0) -> TensorSource:
    generator = torch.Generator().manual_seed(seed)
    seen = (torch.rand(frames, 1, *size, generator=generator) > 0.1).float()
    return TensorSource(torch.rand(frames, 3, *size, generator=generator), seen)


def one_pass(network: Network, source: TensorSource) -> Tensor:
    """Run the network over the whole picture, padded to whole cells."""
    height, width = source.size
    multiple = network.contract.multiple_of
    pad = (0, -width % multiple, 0, -height % multiple)
    burst, seen = (
        nn.functional.pad(part, pad, mode="replicate") for part in (source.burst, source.seen)
    )
    display = network.contract.coding == "display"
    if display:
        burst = encode(burst, SRGB)
    with torch.inference_mode():
        whole = network(burst[None], seen[None], plain_descriptor(source.frames))[0]
    return (decode(whole, SRGB) if display else whole)[:, :height, :width]


def run(network: Network, source: tiling.Source, **options: object) -> Tensor:
    settings = {"device": CPU, "precision": "fp32", "tile": 32, **options}
    return run_whole(network, source, descriptor=plain_descriptor(source.frames), **settings)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stride", [1, 2, 5, 8])
@pytest.mark.parametrize("coding", ["linear", "display"])
def test_tiles_give_the_same_picture_as_one_pass(size: Size, stride: int, coding: str) -> None:
    network, source = ConvNet(stride, coding).eval(), make_source(size)
    expected = one_pass(network, source)
    torch.testing.assert_close(run(network, source), expected, rtol=0, atol=1 / 65535)


@pytest.mark.parametrize("memory", [1, None])
def test_tiles_give_the_same_picture_however_rows_are_shared(memory: int | None) -> None:
    network, source = ConvNet(8).eval(), make_source((150, 210))
    expected = one_pass(network, source)
    result = run(network, source, memory=memory)
    torch.testing.assert_close(result, expected, rtol=0, atol=1 / 65535)


@pytest.mark.parametrize("size", SIZES)
def test_no_pixel_is_read_twice_where_memory_allows(size: Size) -> None:
    source = CountingSource(make_source(size))
    run(ConvNet(8).eval(), source)
    assert (source.count == 1).all()


def test_without_memory_to_share_rows_every_pixel_is_still_read() -> None:
    source = CountingSource(make_source((150, 210)))
    run(ConvNet(8).eval(), source, memory=1)
    assert (source.count >= 1).all()
    assert source.count.max() == 2


@pytest.mark.parametrize("halo", [0, 3, 24])
def test_blended_tiles_of_a_network_without_reach_are_exact(halo: int) -> None:
    source = make_source((97, 141))
    network = Identity(Contract(receptive_radius=40, multiple_of=4))
    torch.testing.assert_close(run(network, source, halo=halo), source.burst[0])


def test_bands_follow_each_other_and_are_as_wide_as_the_picture() -> None:
    network = Identity(Contract(receptive_radius=40, halo=24))
    source, row = make_source((150, 70)), 0
    bands = run_tiled(network, source, descriptor=plain_descriptor(3), place=Place(CPU), tile=48)
    for top, band in bands:
        assert top == row
        assert band.shape[2] == 70
        row += band.shape[1]
    assert row == 150


def test_progress_counts_every_tile() -> None:
    seen: list[tuple[int, int]] = []
    bands = run_tiled(
        Identity(),
        make_source((70, 70)),
        descriptor=plain_descriptor(3),
        place=Place(CPU),
        tile=64,
        on_tile=lambda done, total: seen.append((done, total)),
    )
    list(bands)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


class Hungry(Identity):
    """Has memory for no more than `room` pixels."""

    room = 128 * 128
    error: Exception = torch.OutOfMemoryError("CUDA out of memory")

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        result = super().forward(burst, seen, descriptor)
        if burst.shape[-1] * burst.shape[-2] > self.room:
            raise self.error
        return result


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
)
def test_tiles_shrink_until_memory_suffices(error: Exception) -> None:
    network, source = Hungry(Contract(multiple_of=8, receptive_radius=8)), make_source((300, 260))
    network.error = error
    torch.testing.assert_close(run(network, source, tile=512), source.burst[0])


def test_the_smaller_tile_size_is_remembered() -> None:
    network = Hungry(Contract(multiple_of=8))
    run(network, make_source((512, 512)), tile=256)
    failed = [size for size in network.sizes if size[0] * size[1] > network.room]
    assert len(failed) == 2  # 256 x 256, then 128 x 256; the other three tiles start smaller


def test_too_little_memory_for_the_smallest_tile_is_an_error_with_a_mend() -> None:
    network = Hungry(Contract(multiple_of=8))
    network.room = 100
    with pytest.raises(DeviceError) as caught:
        run(network, make_source((300, 300)), tile=256)
    assert "fewer frames" in caught.value.mend
    assert "--device cpu" not in caught.value.mend  # it is the CPU


def test_other_errors_pass_through() -> None:
    network = Hungry()
    network.error = RuntimeError("shapes do not match")
    with pytest.raises(RuntimeError, match="shapes do not match"):
        run(network, make_source((300, 300)), tile=256)


class Overflowing(Identity):
    """Computes in the precision that autocast asks for; 300 * 300 is beyond fp16."""

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        square = torch.full((1, 1), 300.0, device=burst.device)
        scale = (square @ square) / 90000
        return super().forward(burst, seen, descriptor) * scale


def test_what_overflows_in_half_precision_is_redone_in_fp32() -> None:
    network, source = Overflowing(), make_source((130, 130))
    result = run(network, source, precision="fp16", tile=64)
    torch.testing.assert_close(result, source.burst[0])
    assert len(network.sizes) == 9 + 1  # the first tile twice, then fp32 at once


class Faulty(Identity):
    """Gives one wrong pixel."""

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        result = super().forward(burst, seen, descriptor)
        result[..., 5, 5] = float("nan")
        return result


def test_no_tile_with_a_nan_is_ever_written() -> None:
    with pytest.raises(DeviceError, match="no numbers"):
        run(Faulty(), make_source((40, 40)))


def test_frames_with_a_nan_are_an_input_error() -> None:
    source = make_source((40, 40))
    source.burst[0, 0, 3, 3] = float("inf")
    with pytest.raises(InputError):
        run(Identity(), source)


def test_a_wrong_number_of_frames_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="takes 2 frames, not 3"):
        run(Identity(Contract(frames=2)), make_source((40, 40)))


def test_the_automatic_tile_fits_the_memory() -> None:
    contract = Contract(multiple_of=16, receptive_radius=64, working_bytes=100)
    for memory in (50 << 20, 200 << 20, 1 << 30):
        side = tiling._auto_side(contract, 8, CPU, memory, None)
        assert 8 * (side + 128) ** 2 * (16 + 100) <= memory
    assert tiling._auto_side(contract, 8, CPU, 1, None) == 64


def test_a_picture_no_larger_than_a_tile_with_its_halo_is_one_tile() -> None:
    contract = Contract(multiple_of=16, receptive_radius=96)

    def side(memory: int, whole: Size) -> int:
        return tiling._auto_side(contract, 2, CPU, memory, None, whole=whole)

    plenty = 1 << 34
    usual = side(plenty, (5000, 5000))
    assert side(plenty, (720, 1280)) == 1280  # 960 x 960 would be read for a tile of 768
    assert side(plenty, (768, 1280)) == usual
    assert side(plenty // 256, (720, 1280)) < usual


def test_half_precision_is_not_for_formulas(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: list[torch.dtype] = []
    original = Runner.restore

    def spy(self: Runner, tile: Tile, surveyed: Surveyed = None) -> Tensor:
        kinds.append(self.dtype)
        return original(self, tile, surveyed)

    monkeypatch.setattr(Runner, "restore", spy)
    network = Identity()
    run(network, make_source((40, 40)), precision="bf16")
    del network.weight
    run(network, make_source((40, 40)), precision="bf16")
    assert set(kinds) == {torch.bfloat16, torch.float32}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_reads_ahead_and_gives_the_picture_of_the_cpu() -> None:
    network, source = ConvNet(8).eval(), make_source((300, 420))
    expected = run(network, source)
    result = run(network, source, device=torch.device("cuda"), tile=64)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [(5, 7), (16, 33), (700, 40)])
def test_shares_of_the_frames_are_measured_on_pictures_of_any_size(size: tuple[int, int]) -> None:
    source = make_source(size)
    source.seen[:] = 1
    source.seen[1] = 0.5
    network = Identity(Contract(multiple_of=16))
    shares = tiling.frame_shares(
        network, source, descriptor=plain_descriptor(source.frames), place=Place(CPU)
    )
    expected = torch.full((source.frames,), 1.0)
    expected[1] = 0.5
    torch.testing.assert_close(shares, expected / expected.sum())


def test_tiles_may_be_larger_in_half_precision() -> None:
    contract = Contract(working_bytes=400)
    sides = [
        tiling._auto_side(contract, 8, CPU, 1 << 30, None, dtype)
        for dtype in (torch.float32, torch.bfloat16)
    ]
    assert sides[0] < sides[1]
