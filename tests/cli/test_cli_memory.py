"""The process hands large pieces of memory back at once, so that tiles take what they use."""

import os
import subprocess
import sys

import pytest

# Takes pieces of 8 MB, gives all back but the last, and tells how much memory is held.
SCRIPT = """
import os
from burstfix.cli.memory import tune
if {tuned}:
    tune()
import torch
pieces = [torch.ones(1 << 21) for _ in range(32)]
del pieces[0]  # untuned, glibc learns here to keep pieces of this size
pieces = pieces[:1] + [torch.ones(1 << 21) for _ in range(32)]
last = pieces[-1]
del pieces
with open("/proc/self/statm") as file:
    print(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
"""


def held_bytes(*, tuned: bool) -> int:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(tuned=tuned)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone is tuned")
def test_pieces_that_are_not_used_any_more_are_handed_back() -> None:
    assert held_bytes(tuned=False) - held_bytes(tuned=True) > 100 << 20
