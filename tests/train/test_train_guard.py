import math

import pytest

from burstfix.train.guard import Guard


def settled(steps: int = 300) -> Guard:
    guard = Guard(clip=1.5, spike=10)
    for _ in range(steps):
        assert guard.judge(0.1, 2.0) == "step"
    return guard


@pytest.mark.parametrize(
    ("loss", "norm"), [(math.nan, 2.0), (0.1, math.inf), (0.1, math.nan), (0.1, 21.0)]
)
def test_a_spike_is_skipped_and_the_next_step_taken(loss: float, norm: float) -> None:
    guard = settled()
    assert guard.judge(loss, norm) == "skip"
    assert guard.judge(0.1, 2.0) == "step"


def test_many_spikes_in_a_row_bring_the_good_weights_back() -> None:
    guard = settled()
    verdicts = [guard.judge(math.nan, 2.0) for _ in range(20)]
    assert set(verdicts[:-1]) == {"skip"}
    assert verdicts[-1] == "restore"


def test_a_loss_that_doubles_for_good_brings_the_good_weights_back() -> None:
    guard = settled()
    verdicts = [guard.judge(0.4, 2.0) for _ in range(300)]
    assert "restore" in verdicts
    assert verdicts[0] == "step"  # one hard batch is no divergence


def test_after_a_restoration_the_guard_learns_anew() -> None:
    guard = settled()
    guard.forget()
    assert guard.judge(5.0, 500.0) == "step"


def test_long_gradients_are_shortened_to_a_multiple_of_the_usual() -> None:
    guard = settled()
    assert guard.scale(2.0) == 1
    assert guard.scale(6.0) == pytest.approx(0.5)


def test_at_first_nothing_is_known_and_nothing_is_shortened() -> None:
    guard = Guard(clip=1.5, spike=10)
    assert guard.judge(0.1, 1e6) == "step"
    assert guard.scale(1e6) == 1
