"""Fuse a burst of hand-held photographs into one sharp, clean picture."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from burstfix.errors import BurstfixError
    from burstfix.frame import Frame
    from burstfix.io.decode import read_frame
    from burstfix.restore.alignment import align_frames
    from burstfix.restore.burst import restore_burst
    from burstfix.restore.options import Options
    from burstfix.restore.pair import restore_pair
    from burstfix.restore.report import Report, Reporter, VideoReport
    from burstfix.restore.single import restore_single
    from burstfix.restore.video import restore_video
    from burstfix.restore.video_options import VideoOptions

__version__ = "0.1.0"

# Looked up on first use: `burstfix --help` must not wait for torch.
_HOMES = {
    "BurstfixError": "burstfix.errors",
    "Frame": "burstfix.frame",
    "Options": "burstfix.restore.options",
    "Report": "burstfix.restore.report",
    "Reporter": "burstfix.restore.report",
    "VideoOptions": "burstfix.restore.video_options",
    "VideoReport": "burstfix.restore.report",
    "align_frames": "burstfix.restore.alignment",
    "read_frame": "burstfix.io.decode",
    "restore_burst": "burstfix.restore.burst",
    "restore_pair": "burstfix.restore.pair",
    "restore_single": "burstfix.restore.single",
    "restore_video": "burstfix.restore.video",
}

__all__ = [
    "BurstfixError",
    "Frame",
    "Options",
    "Report",
    "Reporter",
    "VideoOptions",
    "VideoReport",
    "__version__",
    "align_frames",
    "read_frame",
    "restore_burst",
    "restore_pair",
    "restore_single",
    "restore_video",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 a module's attributes are of any type
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'burstfix' has no attribute {name!r}")
