"""Where a device's memory or half precision does not suffice, the work goes on, and says so.

The device without memory is torch's `meta`, which every machine has.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from burstfix import tiling
from burstfix.backends.base import Contract, Network, Survey, plain_descriptor
from burstfix.errors import DeviceError
from burstfix.frame import Box, Size
from burstfix.tiling import Place, TensorSource, runner

CPU, FULL = torch.device("cpu"), torch.device("meta")


class Identity(Network):
    """The reference; stays where it is, for what went to `meta` is lost."""

    def __init__(self, contract: Contract | None = None) -> None:
        super().__init__()
        self.contract = contract or Contract(multiple_of=8)
        self.weight = torch.nn.Parameter(torch.zeros(1))  # so that half precision applies
        self.sizes: list[Size] = []

    def to(self, *_: object, **__: object) -> "Identity":  # type: ignore[override]
        return self

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        del seen, descriptor
        self.sizes.append((burst.shape[-2], burst.shape[-1]))
        return burst[:, 0].clone()


class Heavy(Identity):
    """Finds no room for itself."""

    def to(self, *places: object, **_: object) -> "Heavy":  # type: ignore[override]
        if FULL in places:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self


class Surveying(Identity):
    """Its first pass copies the reference, its second returns that."""

    def __init__(self) -> None:
        survey = Survey(cell=32, margin=8, fade=4, planes=3)
        super().__init__(Contract(multiple_of=8, survey=survey))

    def survey(self, blocks: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        del seen, descriptor
        return blocks[:, 0, :, 4:-4, 4:-4]

    def forward_surveyed(
        self, burst: Tensor, seen: Tensor, descriptor: Tensor, surveyed: Tensor, core: Box
    ) -> Tensor:
        del burst, seen, descriptor
        return surveyed[..., core.top : core.bottom, core.left : core.right]


class Overflowing(Identity):
    """Computes in the precision that autocast asks for; 300 * 300 is beyond fp16."""

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        square = torch.full((1, 1), 300.0)
        return super().forward(burst, seen, descriptor) * ((square @ square) / 90000)


@pytest.fixture(autouse=True)
def full_device(monkeypatch: pytest.MonkeyPatch) -> None:
    computing: Callable[..., object] = runner.computing

    @contextmanager
    def on_what_has_memory(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
        if device == FULL:
            raise torch.OutOfMemoryError("CUDA out of memory")
        with computing(device, dtype):  # type: ignore[attr-defined]
            yield

    monkeypatch.setattr(runner, "computing", on_what_has_memory)
    monkeypatch.setattr(tiling, "computing", on_what_has_memory)


def make_source(height: int, width: int) -> TensorSource:
    burst = torch.rand(3, 3, height, width, generator=torch.Generator().manual_seed(0))
    return TensorSource(burst, torch.ones(3, 1, height, width))


def run(network: Network, source: TensorSource, place: Place, **options: int) -> Tensor:
    bands = tiling.run_tiled(
        network, source, descriptor=plain_descriptor(3), place=place, **options
    )
    return torch.cat([band for _, band in bands], dim=1)


@pytest.mark.parametrize("make", [Identity, Heavy, Surveying])
def test_where_no_tile_is_small_enough_the_cpu_takes_over_and_that_is_told_once(
    make: Callable[[], Network],
) -> None:
    told: list[str] = []
    place = Place(FULL, may_leave=True, warn=told.append)
    source = make_source(300, 260)
    result = run(make(), source, place, tile=128)
    torch.testing.assert_close(result, source.burst[0], atol=1e-6, rtol=0)
    assert place.device == CPU
    assert len(told) == 1
    assert "meta does not suffice" in told[0]


@pytest.mark.parametrize("make", [Identity, Heavy, Surveying])
def test_a_device_that_was_asked_for_is_not_left(make: Callable[[], Network]) -> None:
    with pytest.raises(DeviceError) as caught:
        run(make(), make_source(100, 100), Place(FULL))
    assert caught.value.exit_code == 6
    assert "--device cpu" in caught.value.mend


def test_tiles_that_the_cpu_takes_over_fit_the_main_memory() -> None:
    network, memory = Identity(), 2 << 20
    run(network, make_source(512, 512), Place(FULL, may_leave=True), tile=512, memory=memory)
    side = tiling._auto_side(network.contract, 3, CPU, memory, None)
    assert side < 256  # else this tests nothing
    assert max(height * width for height, width in network.sizes) <= side**2


def test_shares_without_memory_are_not_told() -> None:
    place = Place(FULL, may_leave=True)
    source = make_source(64, 64)
    assert (
        tiling.frame_shares(Identity(), source, descriptor=plain_descriptor(3), place=place) is None
    )


def test_fp32_after_an_overflow_is_told_once_and_holds_for_the_pictures_that_follow() -> None:
    told: list[str] = []
    place, source = Place(CPU, "fp16", warn=told.append), make_source(64, 64)
    for _ in range(2):
        network = Overflowing()
        torch.testing.assert_close(run(network, source, place), source.burst[0])
    assert len(network.sizes) == 1  # the second picture begins in fp32
    assert place.precision_of(network) == "fp32"
    assert len(told) == 1
    assert "overflow in fp16" in told[0]


def test_smaller_tiles_are_noted() -> None:
    class Hungry(Identity):
        def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
            if burst.shape[-1] * burst.shape[-2] > 128 * 128:
                raise MemoryError
            return super().forward(burst, seen, descriptor)

    noted: list[str] = []
    run(Hungry(), make_source(128, 256), Place(CPU, note=noted.append), tile=256)
    assert len(noted) == 1
    assert "256 x 128 pixels" in noted[0]
