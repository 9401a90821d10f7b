"""One photograph at a time: restore it by itself, or many with one network."""

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from itertools import pairwise
from pathlib import Path
from types import TracebackType

import numpy as np

from burstfix import device
from burstfix.align.warp import AlignedBurst
from burstfix.backends.base import Task
from burstfix.errors import InputError
from burstfix.frame import Frame, Size
from burstfix.io.ahead import AheadReader, most_code_bytes
from burstfix.io.decode import Probe
from burstfix.restore import sharp
from burstfix.restore.alignment import Aligned, describe_frames
from burstfix.restore.network import Loaded, load_network
from burstfix.restore.options import Options
from burstfix.restore.recorder import Recorder
from burstfix.restore.report import Report, Reporter
from burstfix.restore.steps import Steps, plan, restore
from burstfix.restore.supply import Supply

DECODER_BYTES = 120 << 20  # of the decoding process, which stays; without the pixels


def restore_single(
    path: Path, output: Path, options: Options | None = None, reporter: Reporter | None = None
) -> Report:
    """Restore one photograph and write it.

    Args:
        path: the photograph.
        output: the picture to write; its extension chooses the format.
        options: None takes the defaults. `reference` and `skip_bad` are not heeded.
        reporter: receives progress and messages; None is silent.

    Raises:
        BurstfixError: whatever keeps the picture from being made; nothing is then written.
    """
    with Singles([(path, output)], options) as singles:
        return singles.restore(path, output, reporter)


class Singles:
    """Restores photographs with one network, the next decoded while the last is computed.

    Args:
        work: the photographs and where they go, in the order in which they will be restored.
        options: as `restore_single` takes them.

    Entering raises UsageError, WeightsError or DeviceError where no photograph could be restored.
    """

    def __init__(self, work: Sequence[tuple[Path, Path]], options: Options | None = None) -> None:
        self.options = options or Options()
        skips = self.options.on_exists == "skip"
        self._open = [path for path, output in work if not (skips and os.path.lexists(output))]
        self._supply = _Kept(self._open)
        self._stack = ExitStack()

    def __enter__(self) -> "Singles":
        if self._open:
            device.choose(self.options.device)
            self._supply.network("single", self.options)
        self._stack.enter_context(self._supply.reader)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def restore(self, path: Path, output: Path, reporter: Reporter | None = None) -> Report:
        """Restore one of the photographs; as `restore_single`."""
        warranted = None if self.options.even_sharp else sharp.warranted
        steps = Steps(task="single", align=_align, warranted=warranted)
        return restore(steps, [path], output, self.options, reporter, self._supply)

    def plan(self, path: Path, output: Path) -> Report:
        """Check what can be checked without decoding pixels, and tell what would be done.

        Raises:
            BurstfixError: what `restore` would raise for the same reasons.
        """
        return plan("single", [path], output, self.options, self._supply)[0]


class _Kept(Supply):
    """Keeps the network, and one decoding process that is a photograph ahead."""

    reserve = DECODER_BYTES

    def __init__(self, paths: Sequence[Path]) -> None:
        self.reader = AheadReader()
        self._following = dict(pairwise(paths))
        self._loaded: Loaded | None = None

    def decoding(self, paths: Sequence[Path]) -> AbstractContextManager[None]:
        """Return nothing to start: the process that stays serves all."""
        del paths
        return nullcontext()

    def network(self, task: Task, options: Options) -> Loaded:
        """Return the network, which is loaded once."""
        self._loaded = self._loaded or load_network(task, options)
        return self._loaded

    def probe(self, paths: Sequence[Path], options: Options) -> list[Probe]:
        """Look at files without decoding them."""
        del options
        return [self.reader.probe(path) for path in paths]

    def size(self, paths: Sequence[Path], options: Options) -> Size:
        """Look up the photograph's size."""
        return self.probe(paths, options)[0].size

    def frames(
        self, paths: Sequence[Path], memory: int, options: Options, on_frame: Callable[[], None]
    ) -> tuple[list[Frame], list[InputError]]:
        """Decode one photograph, and begin with the one after it where memory allows."""
        del options
        (path,) = paths
        frame = self.reader.read(path, memory)
        on_frame()
        if following := self._following.get(path):
            self.reader.begin(following, memory - most_code_bytes(frame.size))
        return [frame], []


def _align(frames: list[Frame], loaded: Loaded, options: Options, recorder: Recorder) -> Aligned:
    """Tell what is known of the photograph; there is nothing to align it to."""
    del loaded, options, recorder
    return Aligned(
        source=AlignedBurst(frames, [np.eye(3)], [1.0]),
        descriptor=describe_frames(frames, [1.0]),
        order=(0,),
        sharpness=(),
        correlation=(),
        gain=(),
        dropped={},
    )
