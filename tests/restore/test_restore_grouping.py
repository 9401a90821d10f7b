"""Photographs of one card become bursts."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image

from burstfix.errors import InputError
from burstfix.restore.grouping import Groups, split_bursts
from burstfix.restore.inputs import BurstFiles
from burstfix.restore.report import Reporter

NOON = datetime(2024, 5, 1, 12)


def photo(
    folder: Path,
    name: str,
    at_s: float | None,
    *,
    exposure_s: float = 0.01,
    camera: str = "One",
    size: tuple[int, int] = (24, 32),
    fractions: bool = True,
) -> Path:
    """Write a photograph taken so long after noon; without a time where `at_s` is None."""
    exif = Image.Exif()
    exif[272] = camera
    inner = exif.get_ifd(34665)
    inner[33434] = exposure_s
    if at_s is not None:
        moment = NOON + timedelta(seconds=at_s)
        inner[36867] = moment.strftime("%Y:%m:%d %H:%M:%S")
        if fractions:
            inner[37521] = f"{moment.microsecond:06}"
    path = folder / name
    Image.fromarray(np.zeros((*size, 3), np.uint8)).save(path, exif=exif)
    return path


def split(paths: Sequence[Path], gap_s: float = 2) -> Groups:
    return split_bursts(BurstFiles(files=tuple(paths)), gap_s)


def names(groups: Groups) -> list[list[str]]:
    return [[path.stem for path in burst.files] for burst in groups.bursts]


def test_a_pause_parts_bursts_and_a_single_photograph_is_none(tmp_path: Path) -> None:
    times = [0, 0.3, 0.6, 10, 20, 20.25]
    paths = [photo(tmp_path, f"{n}.jpg", at) for n, at in enumerate(times)]
    groups = split(paths[::-1])
    assert names(groups) == [["0", "1", "2"], ["4", "5"]]
    assert [path.stem for path in groups.alone] == ["3"]
    assert names(split(paths, gap_s=15)) == [["0", "1", "2", "3", "4", "5"]]


def test_a_pause_begins_when_the_exposure_ends(tmp_path: Path) -> None:
    paths = [photo(tmp_path, f"{n}.jpg", 31 * n, exposure_s=30) for n in range(3)]
    assert names(split(paths)) == [["0", "1", "2"]]


def test_times_in_whole_seconds_are_given_the_second_they_may_be_off(tmp_path: Path) -> None:
    for fractions, expected in ((False, [["0", "1"]]), (True, None)):
        paths = [photo(tmp_path, f"{n}.jpg", 2.9 * n, fractions=fractions) for n in range(2)]
        if expected:
            assert names(split(paths)) == expected
        else:
            with pytest.raises(InputError, match="--gap"):
                split(paths)


def test_photographs_of_another_camera_or_size_are_another_burst(tmp_path: Path) -> None:
    paths = [
        photo(tmp_path, f"{n}.jpg", n / 10, camera=camera, size=size)
        for n, (camera, size) in enumerate(
            [("One", (24, 32)), ("Two", (24, 32)), ("One", (32, 24))] * 2
        )
    ]
    assert names(split(paths)) == [["0", "3"], ["1", "4"], ["2", "5"]]


def test_what_cannot_be_read_is_left_out_and_told_if_that_was_asked_for(tmp_path: Path) -> None:
    paths = [photo(tmp_path, f"{n}.jpg", 0.3 * n) for n in range(3)]
    paths[1].write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"1\.jpg"):
        split(paths)
    groups = split_bursts(BurstFiles(files=tuple(paths)), skip_bad=True)
    assert names(groups) == [["0", "2"]]
    assert groups.unread == (paths[1],)


def test_the_name_of_a_burst_outranks_its_times(tmp_path: Path) -> None:
    paths = [photo(tmp_path, f"IMG_{n // 2}_BURST{n:03}.jpg", None) for n in range(4)]
    stems = [path.stem for path in paths]
    assert names(split(paths)) == [stems[:2], stems[2:]]


def test_a_photograph_without_a_time_is_left_alone_and_the_reason_told(tmp_path: Path) -> None:
    paths = [photo(tmp_path, f"{n}.jpg", 0.3 * n) for n in range(2)]
    paths.append(photo(tmp_path, "edited.jpg", None))
    with patch.object(Reporter, "warn") as warn:
        groups = split_bursts(BurstFiles(files=tuple(paths)), reporter=Reporter())
    assert names(groups) == [["0", "1"]]
    assert groups.alone == (paths[2],)
    assert groups.unread == ()
    (warning,) = (call.args[0] for call in warn.call_args_list)
    assert "edited.jpg does not tell when it was taken" in warning


def test_where_there_is_no_burst_a_photograph_without_a_time_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"b\.jpg does not tell when"):
        split([photo(tmp_path, "a.jpg", 0), photo(tmp_path, "b.jpg", None)])
