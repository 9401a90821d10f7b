"""Draws the next batch while the network still works on this one."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext

import torch

from burstfix.io.photos import Photo
from burstfix.synth.burst import SyntheticBurst
from burstfix.train.config import Recipe, Stage
from burstfix.train.data import draw_batch

_Key = tuple[int, int, Stage]  # step, shard, stage


class Batches:
    """Batches by step and shard; each has its own seed, so order and threads change nothing.

    On a GPU the shard asked for next is drawn by a thread on a stream of its own: degrading is
    many small kernels, and waits for the host now and then, while the network's are large.

    Args:
        photos: to degrade.
        recipe: burst lengths and degradations.
        device: where the bursts shall lie.
        ahead: whether to draw the next shard early. On a CPU, which has nothing idle, it does
            not pay; None decides by the device.
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        recipe: Recipe,
        device: torch.device,
        *,
        ahead: bool | None = None,
    ) -> None:
        self.photos = photos
        self.recipe = recipe
        self.device = device
        self.ahead = device.type == "cuda" if ahead is None else ahead
        self._stream: torch.cuda.Stream | None = None
        if self.ahead and device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._pending: dict[_Key, Future[SyntheticBurst]] = {}

    def draw(self, step: int, shard: int, stage: Stage) -> SyntheticBurst:
        """Return a shard of a step, drawn early if `expect` was told of it."""
        future = self._pending.pop((step, shard, stage), None)
        if future is None:
            return self._draw(step, shard, stage)
        batch = future.result()
        if self._stream is not None:
            present = torch.cuda.current_stream(self.device)
            present.wait_stream(self._stream)
            for tensor in vars(batch).values():
                tensor.record_stream(present)  # else its memory is given away too early
        return batch

    def expect(self, step: int, shard: int, stage: Stage) -> None:
        """Begin to draw what will be asked for next; what was expected in vain is dropped."""
        if self.ahead:
            self._pending = {
                (step, shard, stage): self._pool.submit(self._draw_apart, step, shard, stage)
            }

    def close(self) -> None:
        """Drop what is pending, and end the thread."""
        self._pending = {}
        self._pool.shutdown(cancel_futures=True)

    def _draw_apart(self, step: int, shard: int, stage: Stage) -> SyntheticBurst:
        with self._apart():
            batch = self._draw(step, shard, stage)
            if self._stream is not None:
                self._stream.synchronize()  # so that the network's stream waits for no later work
            return batch

    def _apart(self) -> AbstractContextManager[object]:
        return torch.cuda.stream(self._stream) if self._stream is not None else nullcontext()

    def _draw(self, step: int, shard: int, stage: Stage) -> SyntheticBurst:
        seed = (self.recipe.seed, step, shard)
        return draw_batch(self.photos, self.recipe, stage, seed=seed, device=self.device)
