"""One decoding process that stays, and decodes the next file while the last one is in use."""

from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from burstfix.frame import Frame, Size
from burstfix.io.decode import Keeps, Probe, ask_frame, ask_probe
from burstfix.io.pool import Pool, Worker

__all__ = ["AheadReader", "Keeps", "most_code_bytes"]

PIXEL_BYTES = 6  # of codes at most: three of 16 bits


@dataclass(frozen=True)
class _Looked:
    """What was found in a file: its pixels too, where they fit into memory."""

    probe: Probe
    frame: Frame | None


class AheadReader:
    """Reads photographs one after the other.

    Decoding ahead holds a picture twice: here, and in the process, whose copy goes with its
    next request.
    """

    def __init__(self) -> None:
        self._pool = Pool(1)
        self._path: Path | None = None
        self._found: Future[_Looked] | None = None

    def __enter__(self) -> "AheadReader":
        self._pool.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.__exit__(kind, error, trace)

    def probe(self, path: Path) -> Probe:
        """Look at a file without decoding it.

        Raises:
            InputError: the file is missing, damaged, or no photograph.
        """
        if path == self._path and self._found:
            return self._found.result().probe
        return next(self._pool.run(ask_probe, [path])).result()

    def read(self, path: Path, memory: int, gains: tuple[float, ...] | None = None) -> Frame:
        """Decode a file, or return it where it was decoded ahead.

        Args:
            path: the file.
            memory: bytes that its codes may take; beyond that they are kept in a file.
            gains: white balance of a raw file; None takes its own.

        Raises:
            InputError: the file is missing, damaged, or no photograph.
        """
        found, self._found = self._found if path == self._path else None, None
        if found and (frame := found.result().frame):
            return frame

        def ask(worker: Worker, path: Path) -> Frame:
            return ask_frame(worker, path, lambda count: count <= memory, gains)

        return next(self._pool.run(ask, [path])).result()

    def begin(self, path: Path, spare: int, gains: tuple[float, ...] | None = None) -> None:
        """Begin to decode a file that will be read next, and return at once.

        Args:
            path: the file.
            spare: bytes that this may take; a larger picture is looked at, and decoded when it
                is read.
            gains: as `read` will be given them.
        """

        def ask(worker: Worker, path: Path) -> _Looked:
            probe = ask_probe(worker, path)
            fits = 2 * most_code_bytes(probe.size) <= spare
            frame = ask_frame(worker, path, lambda _: True, gains) if fits else None
            return _Looked(probe, frame)

        self._path, self._found = path, next(self._pool.run(ask, [path]))


def most_code_bytes(size: Size) -> int:
    """Return how many bytes the codes of a picture of (height, width) take at most."""
    return size[0] * size[1] * PIXEL_BYTES
