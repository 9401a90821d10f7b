"""Reads what is computed next while the network computes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


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
