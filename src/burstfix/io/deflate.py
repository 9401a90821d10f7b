"""Runs work on bands of a picture in threads, and hands the results back in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy.typing as npt

BAND_BYTES = 1 << 21  # of samples compressed at once

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def bands(array: npt.NDArray[Any]) -> list[slice]:
    """Cut the rows of a picture (H, W, ...) into bands of about `BAND_BYTES`."""
    rows = max(1, BAND_BYTES // max(array[:1].nbytes, 1))
    return [slice(top, min(top + rows, len(array))) for top in range(0, len(array), rows)]


def in_order(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """Work on items in threads and yield the results in the items' order.

    At most a few results wait, so memory stays bounded when the reader is slow.
    """
    threads = min(os.cpu_count() or 1, 8)
    waiting: deque[Future[_Result]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
