"""Where a restoration gets its network and its frames from."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from burstfix.backends.base import Task
from burstfix.errors import InputError
from burstfix.frame import Frame, Size
from burstfix.io.decode import Probe, decoders, probe, read_frames
from burstfix.io.pool import Pool
from burstfix.restore.budget import expected_size
from burstfix.restore.network import Loaded, load_network
from burstfix.restore.options import Options


class Supply:
    """Fetches all anew; what restores several pictures can keep what they share."""

    reserve = 0  # bytes that are taken, whatever the picture
    _pool: Pool | None = None

    def decoding(self, paths: Sequence[Path]) -> AbstractContextManager[None]:
        """Start decoding processes, which load meanwhile; `size` and `frames` then use them."""
        return self._decoding(paths)

    @contextmanager
    def _decoding(self, paths: Sequence[Path]) -> Iterator[None]:
        with decoders(paths) as pool:
            self._pool = pool
            try:
                yield
            finally:
                self._pool = None

    def network(self, task: Task, options: Options) -> Loaded:
        """Return the network asked for, as `load_network`."""
        return load_network(task, options)

    def probe(self, paths: Sequence[Path], options: Options) -> list[Probe]:
        """Look at files without decoding them, as `io.decode.probe`."""
        return probe(paths, skip_bad=options.skip_bad)

    def size(self, paths: Sequence[Path], options: Options) -> Size:
        """Look up how large the picture will be, as `expected_size`."""
        return expected_size(paths, options, self._pool)

    def frames(
        self, paths: Sequence[Path], memory: int, options: Options, on_frame: Callable[[], None]
    ) -> tuple[list[Frame], list[InputError]]:
        """Decode files, as `io.decode.read_frames`; `on_frame` is called after each."""
        return read_frames(
            paths,
            memory=memory,
            skip_bad=options.skip_bad,
            on_frame=lambda _: on_frame(),
            pool=self._pool,
        )
