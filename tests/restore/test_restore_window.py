"""The window gives each frame its neighbours, of its own scene only."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from made import scene, to_light

from burstfix.backends.base import Contract
from burstfix.backends.set.config import Config
from burstfix.backends.set.network import SetNetwork
from burstfix.frame import Box
from burstfix.restore.window import (
    Moment,
    Window,
    align_window,
    alignment_for,
    radius_for,
    restore_windows,
    slide,
)
from burstfix.tiling import Place


def moments(count: int, cut: int | None = None, size: tuple[int, int] = (40, 64)) -> list[Moment]:
    views = []
    for number in range(count):
        picture = to_light(scene(*size, seed=1 if cut is not None and number >= cut else 0))
        light = torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1).contiguous()
        views.append(Moment(light, number, 1))
    return views


def around(window: Window) -> list[int]:
    return [shot.number - window.shot.number for shot in window.around.values()]


def test_every_frame_comes_once_with_the_neighbours_there_are() -> None:
    windows = list(slide(moments(6), 2))
    assert [window.shot.number for window in windows] == list(range(6))
    assert [sorted(around(window)) for window in windows] == [
        [1, 2],
        [-1, 1, 2],
        [-2, -1, 1, 2],
        [-2, -1, 1, 2],
        [-2, -1, 1],
        [-2, -1],
    ]


def test_neighbours_across_a_cut_are_left_out() -> None:
    windows = list(slide(moments(7, cut=3), 2))
    assert [window.shot.cut for window in windows] == [False] * 3 + [True] + [False] * 3
    assert [sorted(around(window)) for window in windows][2:4] == [[-2, -1], [1, 2]]


def test_no_more_frames_are_held_than_the_window_needs() -> None:
    given: list[int] = []

    def counted() -> Iterator[Moment]:
        for moment in moments(20, size=(20, 32)):
            given.append(moment.time)
            yield moment

    for window in slide(counted(), 2):
        assert given[-1] <= window.shot.number + 2


@pytest.mark.parametrize("count", [1, 2, 3])
def test_short_films_are_given_whole(count: int) -> None:
    assert len(list(slide(moments(count), 2))) == count


def test_a_network_of_five_frames_gets_five_and_one_of_any_number_what_there_is() -> None:
    first = next(slide(moments(4), 2))
    fixed = align_window(first, Contract(tasks=("video",), frames=5, alignment="flow"))
    assert fixed.frames == 5
    burst, seen = fixed.read(Box(0, 0, 20, 20))
    assert seen.amax(dim=(1, 2, 3)).tolist() == [1, 0, 0, 1, 1]  # itself, -2, -1, +1, +2
    assert torch.equal(burst[1], burst[0])
    assert align_window(first, Contract(tasks=("burst", "video"))).frames == 3


def test_networks_for_films_get_the_alignment_they_ask_for_and_others_flow() -> None:
    assert alignment_for(Contract(tasks=("burst", "video"))) == "flow"
    assert alignment_for(Contract(tasks=("video",), alignment="none")) == "none"
    assert radius_for(Contract(frames=1)) == 0
    assert radius_for(Contract(frames=5)) == 2
    assert radius_for(Contract()) == 2


def test_a_network_may_ask_for_homographies() -> None:
    whole = to_light(scene(200, 260))
    views = []
    for number in range(5):
        picture = whole[20 + 2 * number : 180 + 2 * number, 30 - number : 230 - number]
        light = torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1).contiguous()
        views.append(Moment(light, number, 1))
    window = list(slide(views, 2))[2]
    source = align_window(window, Contract(tasks=("video",), frames=5, alignment="homography"))
    burst, seen = source.read(Box(10, 10, 150, 190))
    assert float(seen.min()) == 1
    for number in range(1, 5):
        assert float((burst[number] - burst[0]).abs().mean()) < 0.002


def test_without_alignment_neighbours_are_taken_as_they_lie() -> None:
    window = list(slide(moments(5), 2))[2]
    source = align_window(window, Contract(tasks=("video",), frames=5, alignment="none"))
    burst, seen = source.read(Box(0, 0, 40, 64))
    assert torch.equal(burst[4], window.around[2].moment.light)
    assert float(seen.min()) == 1


@pytest.mark.parametrize("memory", [None, 4 << 20])  # resampled ahead, or one after the other
def test_frames_restored_two_at_once_are_those_restored_one_by_one(memory: int | None) -> None:
    """Only threads sum in another order."""
    torch.manual_seed(0)
    widths = (8, 8, 8, 8)
    network = SetNetwork(
        Config(frame_widths=widths, trunk_widths=widths, heads=1, blur_widths=widths)
    ).eval()
    before = torch.get_num_threads()
    films = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            windows = slide(moments(5, size=(90, 150)), 2)
            place = Place(torch.device("cpu"), "fp32")
            found = restore_windows(windows, network, place=place, memory=memory)
            films.append([(each.window.shot.number, each.light, each.neighbours) for each in found])
    finally:
        torch.set_num_threads(before)
    numbers, lights, neighbours = zip(*films[0], strict=True)
    assert numbers == (0, 1, 2, 3, 4)
    assert neighbours == (2, 3, 4, 3, 2)
    for one, other in zip(lights, (light for _, light, _ in films[1]), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
