"""A window that slides over a film: each frame with its neighbours, aligned and restored."""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from burstfix import tiling
from burstfix.align.cut import Thumbnail, is_cut, thumbnail
from burstfix.align.flow import (
    Field,
    FlowBurst,
    Grey,
    Motion,
    find_flow,
    grey_of,
    make_motion,
    reduction_for,
)
from burstfix.align.homography import reduction_for as reduction_for_homography
from burstfix.align.plane import plane_motion
from burstfix.backends.base import Alignment, Contract, Network, film_descriptor
from burstfix.device import Precision, cores, free_memory
from burstfix.frame import Box, Size, TensorPixels
from burstfix.io.store import reduced_luminance
from burstfix.tiling.ahead import ahead, at_once, together
from burstfix.tiling.reader import LIGHT_BYTES

MOST_FRAMES = 5  # that a network which takes any number is given
_ENOUGH_BYTES = 1 << 30  # of memory, to restore two frames at once


class Moment(NamedTuple):
    """A frame of a film: its light, (3, H, W), when it is shown and for how long [ticks]."""

    light: Tensor
    time: int
    duration: int
    name: str = ""  # of its file, where each frame has one


@dataclass
class Shot:
    """A frame in the window.

    Args:
        number: counted from where reading began.
        moment: the frame.
        cut: whether the scene changes between the frame before and it.
    """

    number: int
    moment: Moment
    cut: bool
    small: Thumbnail
    grey: Grey | None = None
    flows: dict[int, Field] = field(default_factory=dict)  # to other frames, by number

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self.moment.light.shape[-2], self.moment.light.shape[-1]


@dataclass(frozen=True)
class Window:
    """A frame and those around it.

    Args:
        shot: the frame.
        around: its neighbours by their distance in frames, those of other scenes left out.
    """

    shot: Shot
    around: dict[int, Shot]


def slide(moments: Iterable[Moment], radius: int) -> Iterator[Window]:
    """Give each frame with up to `radius` neighbours on each side; holds no more than these."""
    held: deque[Shot] = deque()
    waiting = 0  # how many of the last frames held were not given yet
    for number, moment in enumerate(moments):
        small = thumbnail(moment.light)
        cut = bool(held) and is_cut(held[-1].small, small)
        held.append(Shot(number, moment, cut, small))
        waiting += 1
        if waiting > radius:
            yield _window(held, len(held) - waiting, radius)
            waiting -= 1
        while len(held) - waiting > radius:
            held.popleft()
    while waiting:
        yield _window(held, len(held) - waiting, radius)
        waiting -= 1


def _window(held: "deque[Shot]", index: int, radius: int) -> Window:
    """Collect what lies around a frame up to the next cut."""
    around = {}
    for distance in range(1, radius + 1):
        if index - distance < 0 or held[index - distance + 1].cut:
            break
        around[-distance] = held[index - distance]
    for distance in range(1, radius + 1):
        if index + distance >= len(held) or held[index + distance].cut:
            break
        around[distance] = held[index + distance]
    return Window(held[index], around)


def radius_for(contract: Contract) -> int:
    """Return how many neighbours on each side a network is given."""
    return ((contract.frames or MOST_FRAMES) - 1) // 2


def alignment_for(contract: Contract) -> Alignment:
    """Return how neighbours are aligned.

    What networks for bursts say of alignment holds for photographs of a scene that keeps still; in
    films things move, so they get flow. Networks for films alone get what they ask for.
    """
    if contract.frames == 1:
        return "none"
    return "flow" if "burst" in contract.tasks else contract.alignment


def align_window(window: Window, contract: Contract) -> FlowBurst:
    """Bring neighbours to the frame's geometry, as a network wants them.

    Those that are missing or cannot be aligned count as unseen, where the network takes a fixed
    number of frames; else they are left out.

    Returns:
        The frame first, then its neighbours in the order of the film.
    """
    shots = {distance: window.around.get(distance) for distance in _distances(contract)}
    motions = _motions(window, alignment_for(contract))
    used = [
        distance
        for distance in shots
        if contract.frames or ((motion := motions.get(distance)) and motion.ok)
    ]
    views = [window.shot, *(shots[distance] or window.shot for distance in used)]
    usable = [motion if motion and motion.ok else None for motion in map(motions.get, used)]
    return FlowBurst([TensorPixels(view.moment.light) for view in views], usable)


class RestoredWindow(NamedTuple):
    """A restored frame.

    Args:
        window: the frame as it was, and those around it.
        light: linear light, (3, H, W) float32 on the CPU.
        neighbours: from how many it was made.
    """

    window: Window
    light: Tensor
    neighbours: int


def restore_windows(
    windows: Iterator[Window],
    network: Network,
    *,
    place: tiling.Place,
    tile: int | None = None,
    memory: int | None = None,
) -> Iterator[RestoredWindow]:
    """Restore frames from their neighbours; the next ones are aligned meanwhile.

    Args:
        windows: the frames and those around them.
        network: what restores; moved to its place.
        place: as `tiling.run_tiled` takes it, and likewise all others.
        tile: side of a tile [px].
        memory: what windows and tiles may take [bytes]; None is half of what is free.
    """
    if memory is None:
        memory = free_memory(torch.device("cpu")) // 2
    count = at_once(place.device) if memory >= _ENOUGH_BYTES else 1
    waiting = count + 2  # windows that wait or are in use
    share = memory // 2 // count

    def restore(aligned: _Aligned) -> RestoredWindow:
        bands = tiling.run_tiled(
            network,
            aligned.burst,
            descriptor=film_descriptor(aligned.burst.frames),
            place=place,
            tile=tile,
            memory=share,
        )
        light = torch.cat([band for _, band in bands], dim=1)
        return RestoredWindow(aligned.window, light, aligned.neighbours)

    aligned = ahead(_align(windows, network.contract, memory // 2 // waiting))
    yield from together(restore, aligned, count)


class _Aligned(NamedTuple):
    """A window, its frames in the geometry of the one, and how many neighbours show anything."""

    window: Window
    burst: tiling.Source
    neighbours: int


def _align(windows: Iterator[Window], contract: Contract, memory: int) -> Iterator[_Aligned]:
    """Align windows, and resample them whole where that takes no more memory than given [bytes]."""
    for window in windows:
        burst = align_window(window, contract)
        used = sum(motion is not None for motion in burst.motions)
        if burst.frames * math.prod(burst.size) * LIGHT_BYTES <= memory:
            yield _Aligned(window, tiling.TensorSource(*burst.read(Box.whole(burst.size))), used)
        else:
            yield _Aligned(window, burst, used)


def restore_lights(
    frames: Iterable[Tensor],
    network: Network,
    *,
    device: torch.device,
    precision: Precision = "auto",
) -> Iterator[Tensor]:
    """Restore a film that is in memory, frame by frame; linear light, (3, H, W) each."""
    moments = (Moment(light, number, 1) for number, light in enumerate(frames))
    windows = slide(moments, radius_for(network.contract))
    for restored in restore_windows(windows, network, place=tiling.Place(device, precision)):
        yield restored.light


def find_flows(reference: Shot, neighbours: list[Shot]) -> None:
    """Find the flows to and from a frame that no earlier frame needed, on all cores.

    They are then in the shots' `flows`, in pictures smaller by `align.flow.reduction_for`.
    """
    factor = reduction_for(reference.size)
    for shot in (reference, *neighbours):
        if shot.grey is None:
            shot.grey = grey_of(shot.moment.light, factor)
    pairs = [pair for other in neighbours for pair in ((reference, other), (other, reference))]
    missing = [(one, other) for one, other in pairs if other.number not in one.flows]

    def find(pair: tuple[Shot, Shot]) -> None:
        one, other = pair
        assert one.grey is not None
        assert other.grey is not None
        one.flows[other.number] = find_flow(one.grey, other.grey)

    with ThreadPoolExecutor(cores()) as pool:
        for _ in pool.map(find, missing):
            pass  # raises what a thread raised


def _motions(window: Window, alignment: Alignment) -> dict[int, Motion]:
    """Find how all neighbours lie to the frame, by their distance; on all cores."""
    shot, around = window.shot, window.around
    if alignment == "flow":
        find_flows(shot, list(around.values()))
    with ThreadPoolExecutor(cores()) as pool:
        found = pool.map(lambda other: _motion(shot, other, alignment), around.values())
        motions = dict(zip(around, found, strict=True))
    for distance, other in around.items():
        if distance < 0:  # both have been the reference now
            shot.flows.pop(other.number, None)
            other.flows.pop(shot.number, None)
    return motions


def _distances(contract: Contract) -> list[int]:
    radius = radius_for(contract)
    return [*range(-radius, 0), *range(1, radius + 1)]


def _motion(reference: Shot, neighbour: Shot, alignment: Alignment) -> Motion:
    """Tell how a neighbour lies to a frame."""
    if alignment == "none":
        return Motion.still(reference.size)
    if alignment == "homography":
        return _plane_motion(reference, neighbour)
    assert reference.grey is not None
    assert neighbour.grey is not None
    return make_motion(
        reference.grey,
        neighbour.grey,
        reference.flows[neighbour.number],
        neighbour.flows[reference.number],
        reduction_for(reference.size),
    )


def _plane_motion(reference: Shot, neighbour: Shot) -> Motion:
    """Align as photographs of a burst are, and return the homography's flow."""
    factor = reduction_for_homography(reference.size)
    one, other = (
        reduced_luminance(TensorPixels(shot.moment.light), factor).numpy()
        for shot in (reference, neighbour)
    )
    return plane_motion(one, other, reference.size)
