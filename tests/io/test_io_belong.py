"""Frames that do not belong together are named, with the mend."""

from pathlib import Path

import pytest
import torch

from burstfix import color
from burstfix.errors import InputError
from burstfix.frame import Frame, Metadata, TensorPixels
from burstfix.io.decode import check_same_kind


def frame(
    name: str, height: int = 20, width: int = 30, camera: str = "", raw: bool = False
) -> Frame:
    return Frame(
        pixels=TensorPixels(torch.zeros(3, height, width)),
        curve=color.SRGB,
        metadata=Metadata(camera=camera),
        path=Path(name),
        raw=raw,
    )


def test_like_frames_and_unknown_cameras_pass() -> None:
    check_same_kind([frame("a", camera="X"), frame("b"), frame("c", camera="X")])


def test_no_frame_at_all_is_an_error() -> None:
    with pytest.raises(InputError, match="no frame"):
        check_same_kind([])


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (frame("odd", 20, 31), "31x20"),
        (frame("odd", 30, 20), "turned by 90 degrees"),
        (frame("odd", camera="Other"), "Other"),
        (frame("odd", raw=True), "raw"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_odd_frame_is_named_wherever_it_stands(odd: Frame, reason: str, place: int) -> None:
    frames = [frame("like 1", camera="X"), frame("like 2", camera="X")]
    frames.insert(place, odd)
    with pytest.raises(InputError, match=reason) as caught:
        check_same_kind(frames)
    assert caught.value.what.startswith("odd")
