"""Keeps all cores busy: reads what comes next meanwhile, and computes some things at once."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

_AT_ONCE = 2  # more take more memory than they gain


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Make the next item in a thread while this one is used; holds none back.

    On the CPU too: neither keeps all cores busy alone (12 MP x 8 by `fba` in 11 s, not 15).
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        future = pool.submit(next, items, None)
        while (item := future.result()) is not None:
            future = pool.submit(next, items, None)
            held = [item]
            del item
            yield held.pop()


def at_once(device: torch.device) -> int:
    """Return how many things are computed at once on a device: two on a CPU with two cores."""
    return min(_AT_ONCE, torch.get_num_threads()) if device.type == "cpu" else 1


def together(
    function: Callable[[Item], Result], items: Iterable[Item], count: int
) -> Iterator[Result]:
    """Apply a function to items, some at once, each on its part of torch's threads.

    Small operations gain next to nothing by more threads, and keep them waiting.

    Args:
        function: is called in threads of its own.
        items: are taken in the calling thread, at most `count` + 1 more than were returned, so
            that none waits for the caller.
        count: how many at once, at most `at_once`; 1 computes in the calling thread.

    Yields:
        The results in the order of the items.
    """
    if count < 2:
        yield from map(function, items)
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(threads // count)
    pool = ThreadPoolExecutor(count, initializer=_begin, initargs=(threads // count,))
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            del item
            if len(waiting) > count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def _begin(threads: int) -> None:
    """Give this thread its number, whatever another thread has set for those that begin now."""
    torch.get_num_threads()  # takes over what is set, once for each thread
    torch.set_num_threads(threads)
