"""Where restored frames go: segments that become a film, or a folder of PNG files."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, Protocol

import torch
from torch import Tensor

from burstfix.errors import OutputError
from burstfix.frame import Curve, Metadata
from burstfix.io.atomic import move_into, replacing
from burstfix.io.video import ClipInfo, Encoding
from burstfix.io.video.encode import SegmentWriter
from burstfix.io.video.join import Extras, join
from burstfix.io.video.parts import Name, Parts
from burstfix.io.write import Canvas, Format, Provenance, save
from burstfix.restore.inputs import natural_key
from burstfix.restore.window import Moment

Restored = tuple[Moment, Tensor]  # a frame as it was, and its restored light, (3, H, W)


@dataclass(frozen=True)
class Done:
    """What an interrupted run has finished.

    Args:
        frames: how many.
        reread: from when the film must be read so that the next frame has its neighbours [ticks];
            None is from where it begins.
        last: time of the last finished frame [ticks]; None where that is told by `frames` alone.
    """

    frames: int = 0
    reread: int | None = None
    last: int | None = None


class Reel(Protocol):
    """Takes restored frames in order."""

    def done(self, radius: int) -> Done:
        """Tell what is finished; frames have `radius` neighbours on each side."""
        ...

    def write(self, frames: Iterator[Restored]) -> None:
        """Write frames, each while the next one is made."""
        ...

    def finish(self, target: Path, extras: Extras, *, replace: bool) -> None:
        """Make the output of all that was written, and give it its name."""
        ...


@dataclass(frozen=True)
class FilmReel:
    """Writes segments, and joins them.

    Args:
        parts: where segments go.
        encoding: how.
        info: of the source.
        segment: frames of each.
    """

    parts: Parts
    encoding: Encoding
    info: ClipInfo
    segment: int

    def done(self, radius: int) -> Done:
        """Tell what is finished; see `Reel`."""
        segments = self.parts.finished()
        if not segments:
            return Done()
        frames, reread = 0, None
        for part in reversed(segments):
            frames, reread = frames + part.frames, part.first
            if frames >= radius:
                break
        return Done(sum(part.frames for part in segments), reread, segments[-1].last)

    def write(self, frames: Iterator[Restored]) -> None:
        """Write frames; see `Reel`."""
        for first in frames:
            with self.parts.adding() as (file, name):
                self._write(chain([first], islice(frames, self.segment - 1)), file, name)

    def finish(self, target: Path, extras: Extras, *, replace: bool) -> None:
        """Join the segments; see `Reel`."""
        with replacing(target, replace=replace) as file:
            join(file, self.parts.finished(), self.encoding, self.info, extras)

    def _write(self, frames: Iterator[Restored], file: BinaryIO, name: Name) -> None:
        """Encode one segment."""
        writer: SegmentWriter | None = None
        times: list[int] = []
        with behind() as later:
            for moment, light in frames:
                if writer is None:
                    writer = SegmentWriter(file, self.encoding, moment.time)
                later(partial(writer.put, light, moment.time, moment.duration))
                times.append(moment.time)
        if writer:
            writer.close()
        name(times[0], times[-1], len(times))


@dataclass(frozen=True)
class StillsReel:
    """Writes a PNG file a frame, upright.

    Args:
        parts: where files lie until all are there.
        kind: how they are stored.
        curve: how light is coded.
        metadata: what labels them.
        provenance: how they came about.
        info: of the source.
        keep_metadata: whether the provenance is written.
    """

    parts: Parts
    kind: Format
    curve: Curve
    metadata: Metadata
    provenance: Provenance
    info: ClipInfo
    keep_metadata: bool = True

    def done(self, radius: int) -> Done:
        """Tell what is finished; see `Reel`."""
        del radius  # the film is read from where it begins
        return Done(len(self._files()))

    def write(self, frames: Iterator[Restored]) -> None:
        """Write frames; see `Reel`."""
        number = len(self._files())
        with behind() as later:
            for moment, light in frames:
                number += 1
                name = moment.name or f"{number:06}"
                later(partial(self._save, light, self.parts.folder / f"{name}.png"))

    def finish(self, target: Path, extras: Extras, *, replace: bool) -> None:
        """Give the files, or their folder, their name; see `Reel`."""
        del extras  # pictures have no sound
        if not target.exists():
            self.parts.rename(target)
            return
        if not replace and any(target.iterdir()):
            raise OutputError(
                f"The folder {target} is not empty any more.",
                f"Move the frames there by hand: all are in {self.parts.folder}.",
            )
        # The last first: if this is stopped, what is left is still where the film begins.
        move_into(target, self._files()[::-1])

    def _files(self) -> list[Path]:
        return sorted(self.parts.folder.glob("*.png"), key=natural_key)

    def _save(self, light: Tensor, path: Path) -> None:
        light = upright(light, self.info.turn)
        canvas = Canvas((light.shape[1], light.shape[2]), self.kind, self.curve)
        canvas.put(0, 0, light)
        save(
            canvas,
            path,
            metadata=self.metadata,
            provenance=self.provenance,
            keep_metadata=self.keep_metadata,
        )


def upright(light: Tensor, turn: tuple[int, ...]) -> Tensor:
    """Turn a picture as players do; turns by less than a quarter are left to them.

    Args:
        light: (3, H, W).
        turn: the display matrix, row by row: (x, y, 1) of the stored picture times it is shown.

    Returns:
        (3, H, W) or (3, W, H).
    """
    if not turn:
        return light
    a, b, _, c, d = turn[:5]
    if abs(a) + abs(d) >= abs(b) + abs(c):
        across, down = a < 0, d < 0
    else:
        light = light.transpose(1, 2)
        across, down = c < 0, b < 0
    axes = [axis for axis, flipped in ((2, across), (1, down)) if flipped]
    return torch.flip(light, axes).contiguous()


@contextmanager
def behind() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Have jobs done in order in a thread, the caller at most one ahead.

    Yields:
        What to call with a job; it raises what the job before raised.
    """
    pending: Future[None] | None = None

    def later(job: Callable[[], None]) -> None:
        nonlocal pending
        if pending:
            pending.result()
        pending = pool.submit(job)

    with ThreadPoolExecutor(max_workers=1) as pool:
        yield later
        if pending:
            pending.result()
