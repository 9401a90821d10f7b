"""Part the photographs of one card into bursts, by what their files tell."""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from burstfix.errors import InputError
from burstfix.io.decode import Probe, probe
from burstfix.restore.inputs import BurstFiles, natural_key
from burstfix.restore.kinds import kinds_by_time
from burstfix.restore.report import Reporter

PAIR_GAP_S = 30.0  # likewise within a pair: settings are changed in between
GAP_S = 2.0  # between one exposure's end and the next one's start, within a burst
_WHOLE_SECOND_S = 1.0  # by how much a time without sub-seconds may be off
_UNDATED = "{} does not tell when it was taken, so its burst is not known"
_NAMED = re.compile(  # IMG_2019_BURST003.jpg; 00003IMG_00003_BURST20190101123456789.jpg
    r"(?P<before>.+)_BURST\d{1,4}(?!\d)|.*BURST(?P<after>\d{8,})", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Photographs parted into bursts.

    Args:
        bursts: in order of time; each of two frames or more.
        alone: photographs that belong to none, or do not tell when they were taken.
        unread: files that were left out, since they cannot be read.
    """

    bursts: tuple[BurstFiles, ...]
    alone: tuple[Path, ...]
    unread: tuple[Path, ...] = ()


def split_bursts(
    burst: BurstFiles,
    gap_s: float = GAP_S,
    *,
    skip_bad: bool = False,
    reporter: Reporter | None = None,
) -> Groups:
    """Part files into bursts.

    A camera's own name for a burst decides, in the file or in its name. Else photographs belong
    together that one camera took at one size and focal length, none later than `gap_s` after
    another ended.

    Args:
        burst: all the files.
        gap_s: the longest pause within a burst [s].
        skip_bad: leave out what cannot be read.
        reporter: is told of files that do not tell when they were taken; None is silent.

    Raises:
        InputError: a file cannot be read, or there is no burst.
    """
    dated, undated = _looks(burst, reporter or Reporter(), skip_bad=skip_bad)
    return _named(_parts(dated, gap_s), undated, burst, gap_s)


def split_pairs(
    pairs: BurstFiles,
    gap_s: float = PAIR_GAP_S,
    *,
    skip_bad: bool = False,
    reporter: Reporter | None = None,
) -> Groups:
    """Part files into pairs of short and long exposures.

    They are parted as bursts are, then, by exposure times, where a kind comes back: short, long,
    short, long are two pairs; short, short, long, long are one.

    Args:
        pairs: all the files.
        gap_s: the longest pause within a pair [s].
        skip_bad: leave out what cannot be read.
        reporter: as `split_bursts`.

    Raises:
        InputError: as `split_bursts`.
    """
    dated, undated = _looks(pairs, reporter or Reporter(), skip_bad=skip_bad)
    parts = [pair for part in _parts(dated, gap_s) for pair in _alternating(part)]
    return _named(parts, undated, pairs, gap_s)


def _alternating(part: list[Probe]) -> list[list[Probe]]:
    """Cut photographs in the order taken after every second run of one kind."""
    kinds = kinds_by_time([look.metadata for look in part]) if len(part) > 1 else None
    if kinds is None:
        return [part]
    runs: list[list[Probe]] = []
    before = ""
    for look, kind in zip(part, kinds.named(), strict=True):
        if kind != before:
            runs.append([])
        runs[-1].append(look)
        before = kind
    if len(runs) % 2:
        return [part]  # a run would stand alone; all together can be a pair
    return [one + other for one, other in zip(runs[::2], runs[1::2], strict=True)]


def _looks(
    files: BurstFiles, reporter: Reporter, *, skip_bad: bool
) -> tuple[list[Probe], list[Probe]]:
    """Look at files: those whose time or name can tell the burst, and the others."""
    looks = probe(files.files, skip_bad=skip_bad)
    dated = [look for look in looks if look.metadata.taken or _identity(look)]
    undated = [look for look in looks if not look.metadata.taken and not _identity(look)]
    for look in undated if dated else ():  # without any, that is the error
        reporter.warn(f"{_UNDATED.format(look.path.name)}, and it is left out.")
    return dated, undated


def _parts(looks: Sequence[Probe], gap_s: float) -> list[list[Probe]]:
    """Part files by kind and time; the parts and what is in them in the order taken."""
    groups: dict[Hashable, list[Probe]] = {}
    for look in looks:
        groups.setdefault(_kind(look), []).append(look)
    parted = [part for group in groups.values() for part in _by_time(group, gap_s)]
    parted.sort(key=lambda part: (_start_s(part[0]), natural_key(part[0].path)))
    return parted


def _named(
    parted: Sequence[Sequence[Probe]], undated: Sequence[Probe], burst: BurstFiles, gap_s: float
) -> Groups:
    """Turn parts into bursts, and tell which photographs are alone."""
    files = [tuple(sorted((look.path for look in part), key=natural_key)) for part in parted]
    bursts = tuple(BurstFiles(files=part) for part in files if len(part) > 1)
    if not bursts and undated:
        raise InputError(
            f"{_UNDATED.format(undated[0].path.name)}.",
            "Name the frames of each burst, or put them into a folder each.",
        )
    if not bursts:
        raise InputError(
            f"No two of the {len(burst.files)} photographs were taken within {gap_s:g} s.",
            "Name the frames of a burst themselves, or allow more with --gap.",
        )
    alone = [part[0] for part in files if len(part) == 1] + [look.path for look in undated]
    read = {path for part in files for path in part} | set(alone)
    return Groups(
        bursts=bursts,
        alone=tuple(alone),
        unread=tuple(path for path in burst.files if path not in read),
    )


def _kind(look: Probe) -> Hashable:
    """Return what the photographs of a burst share."""
    facts = look.metadata
    return (facts.camera, look.size, look.kind, facts.focal_length_mm, _identity(look))


def _identity(look: Probe) -> str:
    """Return the camera's own name of the burst, from the file or its name; empty if unknown."""
    named = _NAMED.match(look.path.stem)
    return look.metadata.burst_id or (named and (named["before"] or named["after"])) or ""


def _by_time(group: Sequence[Probe], gap_s: float) -> list[list[Probe]]:
    """Cut photographs of one kind where a pause is too long; those of a named burst nowhere."""
    ordered = sorted(group, key=lambda look: (_start_s(look), natural_key(look.path)))
    if _identity(ordered[0]):
        return [ordered]
    parts = [[ordered[0]]]
    whole = all(look.metadata.taken and not look.metadata.taken.microsecond for look in ordered)
    allowed_s = gap_s + (_WHOLE_SECOND_S if whole else 0)
    for before, look in pairwise(ordered):
        ended_s = _start_s(before) + (before.metadata.exposure_s or 0)
        if _start_s(look) - ended_s > allowed_s:
            parts.append([])
        parts[-1].append(look)
    return parts


def _start_s(look: Probe) -> float:
    """Return when a photograph was taken, by the camera's clock [s]; 0 where a name suffices."""
    taken = look.metadata.taken
    if taken is None:
        return 0.0
    return (taken - datetime(1970, 1, 1, tzinfo=taken.tzinfo)).total_seconds()
