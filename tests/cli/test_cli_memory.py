"""The process takes and leaves memory as its backend needs it."""

import os
import subprocess
import sys

import pytest

# Takes pieces of 8 MB, or of 32, leaves them but the last, takes them anew, and tells how much
# memory is held at the end, and how many page faults the second time cost.
SCRIPT = """
import os, resource, sys
from burstfix.cli.memory import tune
tune(sys.argv[1], film="film" in sys.argv)
import torch
from burstfix.device import trim_memory
size = 1 << (23 if "large" in sys.argv else 21)
pieces = [torch.ones(size) for _ in range(32)]
del pieces[0]  # untuned, glibc learns here to keep pieces of this size
pieces = pieces[:1]
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
pieces += [torch.ones(size) for _ in range(32)]
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
last = pieces[-1]
del pieces
if "trim" in sys.argv:
    trim_memory()
with open("/proc/self/statm") as file:
    print(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"), faults)
"""

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone is tuned")


def measure(*asked: str) -> tuple[int, int]:
    """Return how many bytes are held, and how many page faults there were."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *asked],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    held, faults = done.stdout.split()
    return int(held), int(faults)


def test_pieces_that_are_not_used_any_more_are_handed_back() -> None:
    assert measure("mean")[0] - measure("aittala")[0] > 100 << 20


def test_memory_that_is_kept_costs_no_page_faults_again() -> None:
    pages = 32 * (8 << 20) // os.sysconf("SC_PAGE_SIZE")
    assert measure("set")[1] < pages / 2  # aligned pieces fit into most of the holes


def test_films_hand_pieces_back_with_backends_that_are_else_left_alone() -> None:
    assert measure("mean")[0] - measure("mean", "film")[0] > 100 << 20


def test_films_by_set_keep_memory_until_it_is_trimmed() -> None:
    kept, trimmed = measure("set", "film", "large"), measure("set", "film", "large", "trim")
    assert kept[0] - trimmed[0] > 400 << 20
