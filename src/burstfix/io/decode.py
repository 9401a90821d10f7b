"""Read photographs into frames: in parallel, in processes of their own, within a memory limit."""

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from burstfix import color
from burstfix.errors import InputError
from burstfix.frame import Curve, Frame, Metadata, Size
from burstfix.io import wire
from burstfix.io.belong import check_same_kind
from burstfix.io.icc import curve_of
from burstfix.io.metadata import Facts
from burstfix.io.pool import Pool, Worker
from burstfix.io.primaries import profile_of_points
from burstfix.io.store import Spill, StoredCodes

__all__ = [
    "DEFAULT_MEMORY",
    "Keeps",
    "Probe",
    "ask_frame",
    "ask_probe",
    "check_same_kind",
    "decoders",
    "probe",
    "read_frame",
    "read_frames",
    "rebalance",
]

DEFAULT_MEMORY = 2 << 30  # bytes
Keeps = Callable[[int], bool]  # whether so many bytes of codes are kept in memory, or in a file

_SPILL_CHUNK = 1 << 23  # bytes on their way from a decoder to the disk
_PEAK_PER_BYTE = 16  # of file: what a decoder takes at its peak
_CHEAP_PEAK = 1 << 30  # decoders that together stay under it are never made to wait
_SAME_GAIN = 1e-3


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What a file tells without decoding its pixels.

    Args:
        kind: "raw", or one of `raster.KINDS`.
        size: (height, width) of the upright picture.
    """

    path: Path
    kind: str
    size: Size
    metadata: Metadata = field(default_factory=Metadata)

    @property
    def raw(self) -> bool:
        """Whether the file is a raw file."""
        return self.kind == "raw"


class _Budget:
    """How many bytes of codes may still be kept in memory."""

    def __init__(self, allowed: int) -> None:
        self._left = allowed
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Take so many bytes, if there are."""
        with self._lock:
            granted = count <= self._left
            self._left -= count if granted else 0
        return granted


def decoders(paths: Sequence[Path]) -> Pool:
    """Return processes that decode so many files, to be entered; one a core at most."""
    return Pool(max(1, min(os.cpu_count() or 1, len(paths))))


def probe(
    paths: Sequence[Path], pool: Pool | None = None, *, skip_bad: bool = False
) -> list[Probe]:
    """Look at files without decoding them, in order.

    Args:
        paths: the files.
        pool: processes that do it; None starts some.
        skip_bad: leave out what cannot be read, unless it is all.

    Raises:
        InputError: a file is missing, damaged, or no photograph.
    """
    if not paths:
        return []
    found, failed = list[Probe](), list[InputError]()
    with _entered(pool, paths) as running:
        for future in running.run(ask_probe, paths):
            try:
                found.append(future.result())
            except InputError as error:
                if not skip_bad:
                    raise
                failed.append(error)
    if not found:
        raise failed[0]
    return found


def ask_probe(worker: Worker, path: Path) -> Probe:
    """Have a worker look at a file.

    Raises:
        InputError: as `probe`.
    """
    request = {"pixels": False, "gains": None}
    header = worker.ask(path, request, lambda header, _: header)
    return Probe(
        path=path,
        kind=header["kind"],
        size=(header["size"][0], header["size"][1]),
        metadata=_metadata(header),
    )


def read_frames(
    paths: Sequence[Path],
    *,
    memory: int = DEFAULT_MEMORY,
    skip_bad: bool = False,
    on_frame: Callable[[Path], None] | None = None,
    pool: Pool | None = None,
) -> tuple[list[Frame], list[InputError]]:
    """Decode files, each raw one with its own as-shot white balance.

    Args:
        paths: the files.
        memory: bytes that decoded codes may take; what exceeds them is kept in a file.
        skip_bad: leave out what cannot be read.
        on_frame: called after each file, in order, from this thread.
        pool: processes that do it; None starts some.

    Returns:
        The frames in order, and the errors of the files left out.

    Raises:
        InputError: a file is missing, damaged, or no photograph.
    """
    if not paths:
        return [], []
    budget = _Budget(memory)

    def read(worker: Worker, path: Path) -> Frame:
        return ask_frame(worker, path, budget.take)

    frames, errors = list[Frame](), list[InputError]()
    with _entered(pool, paths) as running:
        futures = running.run(read, paths, most=_at_once(paths, memory))
        for path, future in zip(paths, futures, strict=True):
            try:
                frames.append(future.result())
            except InputError as error:
                if not skip_bad:
                    raise
                errors.append(error)
            if on_frame:
                on_frame(path)
    return frames, errors


def read_frame(path: Path) -> Frame:
    """Decode one file, kept in memory.

    Raises:
        InputError: the file is missing, damaged, or no photograph.
    """
    with Pool(1) as pool:
        return next(
            pool.run(lambda worker, path: ask_frame(worker, path, lambda _: True), [path])
        ).result()


def rebalance(frames: Sequence[Frame], reference: int) -> list[Frame]:
    """Decode raw frames again whose white balance differs from the reference's.

    A frame that was kept in a file is kept in a file again.

    Raises:
        InputError: a file cannot be read any more.
    """
    gains = frames[reference].white_balance
    unlike = [
        frame for frame in frames if gains and frame.path and _differ(frame.white_balance, gains)
    ]

    def read(worker: Worker, frame: Frame) -> Frame:
        assert frame.path is not None
        spilled = isinstance(frame.pixels, StoredCodes) and frame.pixels.spilled
        return ask_frame(worker, frame.path, lambda _: not spilled, gains)

    if not unlike:
        return list(frames)
    known = [frame.path for frame in unlike if frame.path]
    with decoders(known) as pool:
        futures = pool.run(read, unlike, most=_at_once(known, DEFAULT_MEMORY))
        again = {id(old): new for old, new in zip(unlike, futures, strict=True)}
        return [again[id(frame)].result() if id(frame) in again else frame for frame in frames]


def ask_frame(
    worker: Worker,
    path: Path,
    in_memory: Keeps,
    gains: tuple[float, ...] | None = None,
) -> Frame:
    """Have a worker decode a file.

    Args:
        worker: a process of a pool.
        path: the file.
        in_memory: where codes are kept.
        gains: white balance of a raw file; None takes its own.

    Raises:
        InputError: as `read_frame`.
    """

    def receive(header: wire.Header, stream: BinaryIO) -> Frame:
        height, width = header["size"]
        shape, dtype = (height, width, 3), np.dtype(header["dtype"])
        codes: np.ndarray[Any, Any] | Spill
        if in_memory(int(np.prod(shape)) * dtype.itemsize):
            codes = np.empty(shape, dtype)
            wire.receive_into(stream, codes.data.cast("B"))
        else:
            codes = Spill(shape, dtype)
            _receive_spill(stream, codes)
        return _frame(path, header, codes)

    return worker.ask(path, {"pixels": True, "gains": gains}, receive)


def _receive_spill(stream: BinaryIO, spill: Spill) -> None:
    """Pass codes from a decoder to the disk, some rows at a time."""
    height, width, channels = spill.shape
    row_bytes = width * channels * spill.dtype.itemsize
    rows = max(1, _SPILL_CHUNK // row_bytes)
    chunk = memoryview(bytearray(rows * row_bytes))
    for top in range(0, height, rows):
        part = chunk[: min(rows, height - top) * row_bytes]
        wire.receive_into(stream, part)
        spill.write_rows(top, part)


def _frame(path: Path, header: wire.Header, codes: np.ndarray[Any, Any] | Spill) -> Frame:
    """Give codes their meaning."""
    metadata, raw = _metadata(header), header["kind"] == "raw"
    if raw:
        coding, shown = color.LINEAR, color.NEUTRAL
    else:
        coding = shown = _curve(metadata.icc, floats=codes.dtype.kind == "f")
    return Frame(
        pixels=StoredCodes(codes, coding, header["black"]),
        curve=shown,
        metadata=metadata,
        path=path,
        raw=raw,
        white_balance=tuple(header["white_balance"]),
    )


def _curve(icc: bytes, *, floats: bool) -> Curve:
    """Return the profile's curve; without one, floats are linear and whole numbers sRGB."""
    curve = curve_of(icc) if icc else None
    return curve or (color.LINEAR if floats else color.SRGB)


def _metadata(header: wire.Header) -> Metadata:
    facts = Facts.from_json(header["facts"])
    return Metadata(
        exposure_s=facts.exposure_s,
        iso=facts.iso,
        aperture=facts.aperture,
        focal_length_mm=facts.focal_length_mm,
        camera=facts.camera,
        lens=facts.lens,
        taken=datetime.fromisoformat(facts.taken) if facts.taken else None,
        burst_id=facts.burst_id,
        noise=(facts.noise[0], facts.noise[1]) if facts.noise else None,
        exif=facts.exif,
        icc=facts.icc or profile_of_points(facts.gamma, facts.chromaticities),
    )


def _entered(pool: Pool | None, paths: Sequence[Path]) -> AbstractContextManager[Pool]:
    """Return the pool given, which stays open; else one that ends with its block."""
    return nullcontext(pool) if pool else decoders(paths)


def _at_once(paths: Sequence[Path], memory: int) -> int:
    """Return how many files to decode at once, at least one: few where they are huge."""
    largest = max((path.stat().st_size for path in paths if path.is_file()), default=0)
    return max(1, max(memory, _CHEAP_PEAK) // max(largest * _PEAK_PER_BYTE, 1))


def _differ(gains: tuple[float, ...], others: tuple[float, ...]) -> bool:
    if len(gains) != len(others):
        return bool(gains)  # a frame without gains is no raw file, and cannot be balanced again
    return any(abs(a - b) > _SAME_GAIN * b for a, b in zip(gains, others, strict=True))
