"""Several training processes, on one machine or many, as torchrun starts them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from burstfix.errors import UsageError


@dataclass(frozen=True)
class Processes:
    """This process among its peers; alone it is number 0 of 1."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def shards(self, total: int) -> range:
        """Return the shards of a batch that fall to this process."""
        if total % self.count:
            raise UsageError(
                f"{total} shards cannot be dealt to {self.count} processes.",
                "Make `shards` in the recipe a multiple of the processes.",
            )
        each = total // self.count
        return range(self.rank * each, (self.rank + 1) * each)

    def sum(self, tensors: list[Tensor]) -> None:
        """Add up tensors over all processes, in place."""
        if self.count == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.all_reduce(flat)
        start = 0
        for tensor in tensors:
            tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
            start += tensor.numel()

    def agree(self, value: float) -> float:
        """Return the first process's value to all."""
        if self.count == 1:
            return value
        box = torch.tensor([value], dtype=torch.float64)
        if distributed.get_backend() == "nccl":
            box = box.cuda()
        distributed.broadcast(box, src=0)
        return box.item()


@contextmanager
def join(device: torch.device) -> Iterator[Processes]:
    """Meet the other processes that torchrun started, if it did; part at the end."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or distributed.is_initialized():
        yield Processes()
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(distributed.get_rank(), count)
    finally:
        distributed.destroy_process_group()
