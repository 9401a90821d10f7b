"""Check that frames belong to one burst before any work is done on them."""

from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Protocol

from burstfix.errors import InputError
from burstfix.frame import Metadata, Size


class Look(Protocol):
    """What a frame tells, decoded or not."""

    @property
    def path(self) -> Path | None:
        """Its file."""

    @property
    def size(self) -> Size:
        """(height, width)."""

    @property
    def raw(self) -> bool:
        """Whether its file is a raw file."""

    @property
    def metadata(self) -> Metadata:
        """What its file says of the exposure."""


def check_same_kind(frames: Sequence[Look]) -> None:
    """Raise where there is no frame, or one of another size, orientation, kind or camera.

    Raises:
        InputError: names the first frame that is unlike most others.
    """
    if not frames:
        raise InputError(
            "There is no frame to restore.", "Name at least one picture, or a folder with some."
        )
    _check_sizes(frames)
    odd = _odd_one(frames, [frame.raw for frame in frames])
    if odd:
        kind, others = ("a raw file", "are not") if odd[0].raw else ("no raw file", "are")
        raise InputError(
            f"{odd[0].path} is {kind}; the other frames {others}.",
            "Give either the raw files or the JPEG files of a burst, not both.",
        )
    known = [frame for frame in frames if frame.metadata.camera]
    odd = _odd_one(known, [frame.metadata.camera for frame in known])
    if odd:
        raise InputError(
            f"{odd[0].path} was taken with a {odd[0].metadata.camera}, "
            f"the other frames with a {odd[1].metadata.camera}.",
            "Leave it out: a burst is of one camera.",
        )


def _check_sizes(frames: Sequence[Look]) -> None:
    odd = _odd_one(frames, [frame.size for frame in frames])
    if not odd:
        return
    frame, other = odd
    if frame.size == other.size[::-1]:
        raise InputError(
            f"{frame.path} is turned by 90 degrees against the other frames "
            f"({_shown(frame.size)}, they are {_shown(other.size)}).",
            "Turn it like the others, or leave it out.",
        )
    raise InputError(
        f"{frame.path} is {_shown(frame.size)} pixels, the other frames are {_shown(other.size)}.",
        "Leave it out, or give frames of one size, straight from the camera.",
    )


def _odd_one(frames: Sequence[Look], traits: Sequence[Hashable]) -> tuple[Look, Look] | None:
    """Return the first frame whose trait is not the commonest, and one whose trait is."""
    if len(set(traits)) < 2:
        return None
    common = Counter(traits).most_common(1)[0][0]
    odd = next(frame for frame, trait in zip(frames, traits, strict=True) if trait != common)
    return odd, frames[traits.index(common)]


def _shown(size: Size) -> str:
    return f"{size[1]}x{size[0]}"
