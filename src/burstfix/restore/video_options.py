"""How to restore a film; the defaults are the command line's."""

from dataclasses import dataclass
from fractions import Fraction

from burstfix.errors import UsageError
from burstfix.io.video import Codec
from burstfix.restore.options import Options


@dataclass(frozen=True, kw_only=True)
class VideoOptions(Options):
    """How to restore a film.

    Args:
        codec: of the output; auto is H.264, or HEVC where the source has more than 8 bits.
        crf: quality of H.264 and HEVC, 0 (best) to 51; None takes the codec's default.
        start_s: where to begin, counted from the first frame; None is there.
        end_s: where to end; None is with the film.
        rate: frames in a second, of a folder of pictures.
        audio: whether sound is copied.
        subtitles: whether subtitles are copied.
        resume: whether to go on from the last finished segment of a killed run.
        segment: frames of a segment, the most that a killed run loses.
    """

    codec: Codec = "auto"
    crf: int | None = None
    start_s: float | None = None
    end_s: float | None = None
    rate: Fraction = Fraction(30)
    audio: bool = True
    subtitles: bool = True
    resume: bool = False
    segment: int = 60

    def __post_init__(self) -> None:
        start, end = self.start_s or 0, self.end_s
        if start < 0 or (end is not None and end <= start):
            raise UsageError(
                f"Nothing lies between {start} s and {end} s.", "Give --start below --end."
            )
