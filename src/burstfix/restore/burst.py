"""One picture from a burst: read, align, fuse, write."""

from collections.abc import Sequence
from pathlib import Path

from burstfix.frame import Frame
from burstfix.restore.alignment import Aligned, align_frames
from burstfix.restore.network import Loaded
from burstfix.restore.options import Options
from burstfix.restore.report import Report, Reporter
from burstfix.restore.steps import Recorder, Steps, plan, restore


def restore_burst(
    paths: Sequence[Path],
    output: Path,
    options: Options | None = None,
    reporter: Reporter | None = None,
) -> Report:
    """Restore one picture from a burst and write it.

    Args:
        paths: the frames' files, 1 to 64.
        output: the picture to write; its extension chooses the format.
        options: None takes the defaults.
        reporter: receives progress and messages; None is silent.

    Raises:
        BurstfixError: whatever keeps the picture from being made; nothing is then written.
    """
    return restore(Steps(task="burst", align=_align), paths, output, options, reporter)


def plan_burst(paths: Sequence[Path], output: Path, options: Options | None = None) -> Report:
    """Check what can be checked without decoding pixels, and tell what would be done.

    Raises:
        BurstfixError: what `restore_burst` would raise for the same reasons.
    """
    return plan("burst", paths, output, options or Options())[0]


def _align(frames: list[Frame], loaded: Loaded, options: Options, recorder: Recorder) -> Aligned:
    del loaded  # any network takes a burst as it is
    return align_frames(frames, options, recorder)
