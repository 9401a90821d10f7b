"""One picture from a burst: read, align, fuse, write."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from burstfix.errors import InputError
from burstfix.frame import Frame
from burstfix.restore.alignment import Aligned, align_frames, check_reference
from burstfix.restore.network import Loaded
from burstfix.restore.options import Options
from burstfix.restore.recorder import Recorder
from burstfix.restore.report import Report, Reporter
from burstfix.restore.steps import Steps, plan, restore


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
    options = options or Options()
    burst = _Burst(paths, check_reference(options.reference, len(paths)))
    return restore(Steps(task="burst", align=burst.align), paths, output, options, reporter)


def plan_burst(paths: Sequence[Path], output: Path, options: Options | None = None) -> Report:
    """Check what can be checked without decoding pixels, and tell what would be done.

    Raises:
        BurstfixError: what `restore_burst` would raise for the same reasons.
    """
    options = options or Options()
    chosen = check_reference(options.reference, len(paths))
    report, looks = plan("burst", paths, output, options)
    if chosen is not None and looks and paths[chosen] not in {look.path for look in looks}:
        raise _unread(paths[chosen])
    return report


@dataclass(frozen=True)
class _Burst:
    """A burst on its way.

    Args:
        paths: the files, as they were named.
        reference: index of the one that was chosen; None is auto.
    """

    paths: Sequence[Path]
    reference: int | None

    def align(
        self, frames: list[Frame], loaded: Loaded, options: Options, recorder: Recorder
    ) -> Aligned:
        """Align frames to the one chosen, or to the sharpest."""
        del loaded  # any network takes a burst as it is
        if self.reference is None:
            return align_frames(frames, options, recorder)
        chosen = self.paths[self.reference]
        for number, frame in enumerate(frames, start=1):
            if frame.path == chosen:  # files that were skipped do not count
                return align_frames(frames, replace(options, reference=number), recorder)
        raise _unread(chosen)


def _unread(chosen: Path) -> InputError:
    return InputError(
        f"{chosen} was chosen as the reference, and cannot be read.",
        "Choose another with --reference, or leave the choice to burstfix.",
    )
