from pathlib import Path

import cv2
import numpy as np
import pytest

from burstfix.errors import InputError
from burstfix.io.clips import LEAST_FRAMES, read_clips


def write_clip(folder: Path, frames: int, side: int = 24) -> None:
    folder.mkdir(parents=True)
    for number in range(frames):
        cv2.imwrite(str(folder / f"{number:03}.png"), np.full((side, side, 3), number, np.uint8))


def test_stretches_hold_the_frames_that_follow_in_the_order_of_names(tmp_path: Path) -> None:
    write_clip(tmp_path / "street", LEAST_FRAMES + 2)
    write_clip(tmp_path / "park", LEAST_FRAMES)
    clips = read_clips(tmp_path)
    assert [clip.name for clip in clips] == ["park@000", *(f"street@{n:03}" for n in range(3))]
    last = clips[-1]
    shown = [int(last.frame(number)[0, 0, 0]) for number in range(len(last.later) + 1)]
    assert shown == list(range(2, LEAST_FRAMES + 2))


@pytest.mark.parametrize("frames", [0, LEAST_FRAMES - 1])
def test_a_folder_without_a_whole_clip_is_refused(tmp_path: Path, frames: int) -> None:
    write_clip(tmp_path / "clips" / "short", frames)
    with pytest.raises(InputError, match="No clips" if not frames else f"only {frames} frames"):
        read_clips(tmp_path / "clips")


def test_a_film_is_refused_with_the_way_to_its_frames(tmp_path: Path) -> None:
    film = tmp_path / "clip.mp4"
    film.write_bytes(b"film")
    with pytest.raises(InputError) as caught:
        read_clips(film)
    assert "ffmpeg" in caught.value.mend


def test_frames_of_several_sizes_are_refused(tmp_path: Path) -> None:
    write_clip(tmp_path / "clips" / "street", LEAST_FRAMES)
    other = np.zeros((30, 30, 3), np.uint8)
    for number in range(LEAST_FRAMES):
        cv2.imwrite(str(tmp_path / "clips" / "street" / f"9{number}.png"), other)
    with pytest.raises(InputError, match="differ in size"):
        read_clips(tmp_path / "clips")
