"""What networks are tuned to films on: crops of three consecutive frames, here and there."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from burstfix.align.flow import Field, enlarge, reduction_for, unoccluded
from burstfix.backends.base import Contract, film_descriptor
from burstfix.color import SRGB, encode, luminance
from burstfix.errors import UsageError
from burstfix.frame import Box
from burstfix.io.photos import Photo, photo_of
from burstfix.io.video import BrokenClip
from burstfix.restore.film import Film, StillsFilm, ahead, open_film
from burstfix.restore.window import (
    MOST_FRAMES,
    Moment,
    Shot,
    Window,
    align_window,
    find_flows,
    radius_for,
    slide,
)
from burstfix.synth.reblur import Triples

_MOMENTS = 16  # of a film that excerpts are taken from
_CROPS = 4  # from each
_PLACES = 8  # that a crop is the most detailed of
_HELD_OUT = 4  # every such moment is for judging
_LEAST_CROP = 64
_UNKNOWN = 300  # frames that a film is taken to have that does not tell


class _Crop(NamedTuple):
    """Three consecutive frames of a place, as `Triples` holds many."""

    bursts: Tensor
    seen: Tensor
    flows: Tensor
    sure: Tensor


@dataclass(frozen=True)
class Excerpts:
    """Parts of one or several films.

    Args:
        learned: crops to tune on.
        held_out: crops of other moments, to judge by.
        photos: whole frames, made smaller, hence sharper; none of small films.
        exposure_cycle: half of the share of time that the shutter was open; None: nobody knows.
    """

    learned: Triples
    held_out: Triples
    photos: list[Photo]
    exposure_cycle: float | None


def take_excerpts(
    films: Sequence[Sequence[Path]],
    contract: Contract,
    *,
    rate: Fraction = Fraction(30),
    crop: int = 128,
    photo_sides: Sequence[int] = (),
    span_s: tuple[float | None, float | None] = (None, None),
) -> Excerpts:
    """Take crops of three consecutive frames, with the neighbours that a network wants.

    Args:
        films: of each its file, or the pictures that are its frames.
        contract: of the network; where it takes any number of frames, it gets five.
        rate: frames in a second, of pictures.
        crop: side of the crops [px]; less where a film is smaller.
        photo_sides: of `photos`, the preferred one first; frames are made smaller as far as one
            of them allows [px].
        span_s: from where to where in each film [s].

    Raises:
        InputError: a film cannot be read.
        UsageError: films are too short, or too small.
    """
    contract = replace(contract, frames=contract.frames or MOST_FRAMES)
    taken: list[_Crop] = []
    judged: list[_Crop] = []
    photos: list[Photo] = []
    cycles: list[float | None] = []
    for paths in films:
        with open_film(paths, rate) as film:
            cycles.append(_exposure_cycle(film))
            side = _side(film, crop, contract)
            for number, windows in enumerate(_moments(film, radius_for(contract), span_s)):
                kind = judged if number % _HELD_OUT == _HELD_OUT // 2 else taken
                kind.extend(_crops(windows, contract, side, number))
                photos.extend(_reduced(windows[1].shot.moment.light, photo_sides, len(photos)))
    known = [cycle for cycle in cycles if cycle]
    return Excerpts(
        _stack(taken, contract),
        _stack(judged, contract),
        photos,
        known[0] if len(known) == len(cycles) else None,
    )


def _exposure_cycle(film: Film) -> float | None:
    """Return half of the share of time that the shutter was open, where metadata tell."""
    exposure_s = film.first.metadata.exposure_s if isinstance(film, StillsFilm) else None
    rate = film.info.rate
    if not exposure_s or not rate:
        return None
    return min(0.5, exposure_s * float(rate) / 2)


def _side(film: Film, crop: int, contract: Contract) -> int:
    """Choose the side of crops of a film [px]: the network's multiple, and of 16."""
    step = int(np.lcm(contract.multiple_of, 16))
    side = min(crop, *film.info.size) // step * step
    if side < _LEAST_CROP:
        raise UsageError(
            f"Frames of {film.info.size[1]} x {film.info.size[0]} pixels are too small to tune on.",
            f"Tune on a film of {_LEAST_CROP} pixels a side or more.",
        )
    return side


def _moments(
    film: Film, radius: int, span_s: tuple[float | None, float | None]
) -> Iterator[tuple[Window, Window, Window]]:
    """Choose moments over a film, and give three consecutive frames at each."""
    info = film.info
    start, end = (None if s is None else info.start + round(s * info.clock) for s in span_s)
    wanted = takewhile(lambda m: end is None or m.time < end, _whole(film.moments(start)))
    inside = (moment for moment in wanted if start is None or moment.time >= start)
    stride = max(1, _length(film, span_s) // (_MOMENTS + 1))
    last: deque[Window] = deque(maxlen=3)
    since = stride // 2
    for window in slide(ahead(inside), radius):
        last.append(window)
        since += 1
        whole = len(last) == 3 and not (last[1].shot.cut or last[2].shot.cut)
        if whole and since >= stride:
            since = 0
            yield last[0], last[1], last[2]


def _length(film: Film, span_s: tuple[float | None, float | None]) -> int:
    """Return about how many frames are asked for."""
    info = film.info
    frames = info.frames or _UNKNOWN
    if not info.length_s:
        return frames
    end = min(span_s[1] or info.length_s, info.length_s)
    return round(frames * max(0.0, end - (span_s[0] or 0)) / info.length_s)


def _whole(moments: Iterator[Moment]) -> Iterator[Moment]:
    """End where the film breaks off; who restores it will tell."""
    try:
        yield from moments
    except BrokenClip:
        return


def _crops(
    windows: tuple[Window, Window, Window], contract: Contract, side: int, seed: int
) -> list[_Crop]:
    """Cut crops of the three frames out, with their neighbours and their flow."""
    bursts = [align_window(window, contract) for window in windows]
    earlier, here, later = (window.shot for window in windows)
    find_flows(here, [later, earlier])
    ways = [_way(here, other) for other in (later, earlier)]
    dice = np.random.default_rng(seed)
    luma = luminance(here.moment.light)[0]
    crops = []
    for _ in range(_CROPS):
        boxes = [_box(luma, side, dice) for _ in range(_PLACES)]
        box = max(boxes, key=lambda box: _detail(luma, box))
        read = [burst.read(box) for burst in bursts]
        moved = torch.stack([_cut(way, here, box) for way in ways])
        crops.append(
            _Crop(
                torch.stack([light for light, _ in read]),
                torch.stack([seen for _, seen in read]),
                moved[:, :2],
                moved[:, 2:].amin(dim=0).ge(0.99).float(),
            )
        )
    return crops


def _way(here: Shot, other: Shot) -> Field:
    """Tell where what another frame shows stands in a frame, and where that is sure.

    Returns:
        The flow (x, y) in pixels of the full picture, and 1 where the flow back leads home; one
        for each pixel that flow is found in; (h, w, 3).
    """
    there, back = other.flows[here.number], here.flows[other.number]
    factor = np.float32(reduction_for(here.size))
    sure = unoccluded(there, back).astype(np.float32)
    return np.concatenate([there * factor, sure[..., None]], axis=2)


def _cut(way: Field, here: Shot, box: Box) -> Tensor:
    """Cut what `_way` returns to a box; (3, h, w) float32."""
    return enlarge(way, reduction_for(here.size), box)


def _box(luma: Tensor, side: int, dice: np.random.Generator) -> Box:
    """Draw a place for a crop."""
    top, left = (int(dice.integers(0, length - side + 1)) for length in luma.shape)
    return Box(top, left, top + side, left + side)


def _detail(luma: Tensor, box: Box) -> float:
    """Tell how much there is to see."""
    part = luma[box.top : box.bottom, box.left : box.right].clamp_min(0).sqrt()
    return float(part.diff(dim=0).abs().mean() + part.diff(dim=1).abs().mean())


def _reduced(light: Tensor, sides: Sequence[int], number: int) -> list[Photo]:
    """Make a frame smaller, and its blur with it, as far as samples allow; none of small ones."""
    factors = (min(4, min(light.shape[-2:]) // side) for side in sides)
    factor = next((factor for factor in factors if factor > 1), 1)
    if factor == 1:
        return []
    codes = (encode(F.avg_pool2d(light[None], factor)[0].clamp(0, 1), SRGB) * 255).round().byte()
    return [photo_of(f"{number:04}", codes.permute(1, 2, 0).contiguous().numpy())]


def _stack(crops: list[_Crop], contract: Contract) -> Triples:
    if not crops:
        raise UsageError(
            "The film is too short to be tuned on.",
            "It takes about ten frames without a cut, or more: tune on a longer film.",
        )
    bursts, seen, flows, sure = (torch.stack(parts) for parts in zip(*crops, strict=True))
    assert contract.frames is not None
    return Triples(bursts, seen, film_descriptor(contract.frames), flows, sure)
