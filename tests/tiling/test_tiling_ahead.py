"""What is computed at once comes in order, on its part of torch's threads."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from burstfix.tiling.ahead import ahead, at_once, together

CPU = torch.device("cpu")


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_ahead_gives_all_in_order() -> None:
    assert list(ahead(iter(range(5)))) == [0, 1, 2, 3, 4]
    assert list(ahead(iter([]))) == []


@pytest.mark.usefixtures("two_threads")
def test_two_at_once_meet_and_come_in_order() -> None:
    meeting = threading.Barrier(2, timeout=30)  # breaks if one waits for the other to end
    threads = set()

    def work(number: int) -> int:
        threads.add(torch.get_num_threads())
        meeting.wait()
        time.sleep(0.02 * (number % 2))
        return number

    assert list(together(work, range(6), at_once(CPU))) == [0, 1, 2, 3, 4, 5]
    assert threads == {1}
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_an_error_comes_through_and_the_rest_is_left() -> None:
    begun = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 1:
            raise ValueError("no")
        return number

    results = together(work, range(100), 2)
    assert next(results) == 0
    with pytest.raises(ValueError, match="no"):
        list(results)
    assert len(begun) < 10
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_a_gpu_takes_one_after_the_other_here() -> None:
    assert at_once(torch.device("cuda")) == 1
    assert at_once(CPU) == 2
    threads = set(together(lambda _: threading.current_thread(), range(3), 1))
    assert threads == {threading.current_thread()}


@pytest.mark.usefixtures("two_threads")
def test_threads_keep_their_part_though_what_they_call_parts_it_again() -> None:
    torch.set_num_threads(4)
    threads = []

    def work(_: int) -> None:
        threads.append(torch.get_num_threads())
        for _ in together(lambda _: time.sleep(0.05), range(4), at_once(CPU)):
            pass

    for _ in together(work, range(6), 2):
        pass
    assert threads == [2] * 6
