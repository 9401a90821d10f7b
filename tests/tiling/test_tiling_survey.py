"""The first pass: every cell once, in rows ahead of the tiles, whatever memory and precision do."""

import pytest
import torch
from torch import Tensor, nn

from burstfix.backends.base import Contract, Network, Survey, plain_descriptor
from burstfix.errors import DeviceError
from burstfix.frame import Box
from burstfix.tiling import TensorSource, run_whole

CPU = torch.device("cpu")
SURVEY = Survey(cell=32, margin=8, fade=4, planes=3)


class Copy(Network):
    """Its first pass copies the reference, its second returns that."""

    def __init__(self, most: int = 1000) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))  # what has weights may compute in half precision
        self.contract = Contract(multiple_of=8, receptive_radius=8, survey=SURVEY)
        self.most = most
        self.cells = 0

    def survey(self, blocks: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        if len(blocks) > self.most:
            raise torch.OutOfMemoryError("out of memory")
        assert seen.shape[-2:] == (32, 32)
        assert len(descriptor) == len(blocks)
        self.cells += len(blocks)
        reach = SURVEY.margin - SURVEY.fade
        return blocks[:, 0, :, reach:-reach, reach:-reach]

    def forward_surveyed(
        self, burst: Tensor, seen: Tensor, descriptor: Tensor, surveyed: Tensor, core: Box
    ) -> Tensor:
        del seen, descriptor
        assert surveyed.shape[-2:] == burst.shape[-2:]
        return surveyed[..., core.top : core.bottom, core.left : core.right]


class Overflowing(Copy):
    """Its first pass overflows in half precision."""

    def survey(self, blocks: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        made = super().survey(blocks, seen, descriptor)
        return made * torch.inf if torch.is_autocast_enabled("cpu") else made


def make_source(height: int, width: int) -> TensorSource:
    burst = torch.rand(3, 3, height, width, generator=torch.Generator().manual_seed(0))
    return TensorSource(burst, torch.ones(3, 1, height, width))


def run(network: Network, source: TensorSource, precision: str = "fp32", tile: int = 48) -> Tensor:
    return run_whole(
        network,
        source,
        descriptor=plain_descriptor(3),
        device=CPU,
        precision=precision,  # type: ignore[arg-type]
        tile=tile,
    )


@pytest.mark.parametrize("tile", [8, 48, 4096])
@pytest.mark.parametrize("size", [(1, 1), (32, 32), (33, 70), (150, 31), (200, 300)])
def test_cells_fade_into_the_picture_they_were_cut_from(size: tuple[int, int], tile: int) -> None:
    source = make_source(*size)
    torch.testing.assert_close(run(Copy(), source, tile=tile), source.burst[0], atol=1e-6, rtol=0)


def test_every_cell_is_done_once() -> None:
    network = Copy()
    run(network, make_source(200, 300), tile=16)
    assert network.cells == 7 * 10


def test_less_memory_makes_fewer_cells_at_once() -> None:
    source, network = make_source(100, 200), Copy(most=1)
    torch.testing.assert_close(run(network, source), source.burst[0], atol=1e-6, rtol=0)
    with pytest.raises(DeviceError, match="blur"):
        run(Copy(most=0), source)


def test_what_overflows_in_half_precision_is_redone_in_fp32() -> None:
    source = make_source(64, 64)
    result = run(Overflowing(), source, precision="bf16")
    torch.testing.assert_close(result, source.burst[0], atol=1e-3, rtol=0)
