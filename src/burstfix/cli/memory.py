"""Have the process take and leave memory as its backend needs it.

Tiles take and leave pieces of many megabytes. glibc asks the system for each and hands it back,
which costs a page fault for every 4 KB: a third of the time that `set` takes. Or, once it has seen
some go, it keeps such pieces in several heaps and cuts them up for smaller ones; then a network
holds half again as much as it uses.
"""

import ctypes
import os
import sys
from collections.abc import Callable

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8  # glibc's malloc.h
_LARGE_BYTES = 4 << 20  # from here on pieces are handed back
_FILM_BYTES = 1 << 20  # likewise for films: planes and flows of a frame are smaller than tiles
_SPARE_BYTES = 64 << 20  # of smaller pieces may be kept; by default, glibc would keep next to none
_NEVER = (1 << 31) - 1  # bytes: the most that mallopt can be told

# Two compute too little to be worth it. `set` took 85 seconds and 2.2 GB for 12 MP x 8 with memory
# kept, 123 and 1.8 with it handed back; in films `restore_video` trims what is kept, now and then.
_LEFT_ALONE = frozenset({"fba", "mean"})
_KEEPING = frozenset({"set"})


def tune(backend: str, *, film: bool = False) -> None:
    """Tell glibc what suits a backend, unless the user has; to be called before torch is loaded.

    Args:
        backend: its name.
        film: whether frame after frame is restored. Pieces then come and go by thousands, in
            several threads, and what glibc keeps in their heaps grows from frame to frame.
    """
    if sys.platform != "linux" or (backend in _LEFT_ALONE and not film):
        return
    own = {"GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_ARENA_MAX"} & os.environ.keys()
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if own or mallopt is None:  # musl has none
        return
    if backend in _KEEPING:
        _keep(mallopt)
    elif film:
        mallopt(_M_ARENA_MAX, 1)
        _hand_back(mallopt, _FILM_BYTES)
    else:
        _hand_back(mallopt, _LARGE_BYTES)


def _keep(mallopt: Callable[[int, int], int]) -> None:
    """Take all memory from one heap, and hand nothing back unless asked to."""
    mallopt(_M_ARENA_MAX, 1)
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, _NEVER)


def _hand_back(mallopt: Callable[[int, int], int], least: int) -> None:
    """Hand large pieces back whole, and take them as large pages, which cost fewer faults."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # read by torch
    mallopt(_M_MMAP_THRESHOLD, least)
    mallopt(_M_TRIM_THRESHOLD, _SPARE_BYTES)
