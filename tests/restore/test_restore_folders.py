"""From what was typed to photographs, and from them to the names of their pictures."""

import os
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from burstfix.errors import InputError, OutputError, UsageError
from burstfix.restore.folders import Photograph, check_outputs, find_photographs, place
from burstfix.restore.options import Options
from burstfix.restore.report import Reporter


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def placed(
    arguments: list[Path], output: Path, ending: str | None = None
) -> tuple[list[str], list[Path]]:
    """Return the photographs' names and their outputs."""
    photographs = find_photographs(arguments, output)
    outputs = place(photographs, output, ending, "png", "set")
    check_outputs(photographs, outputs, Options())
    return [photograph.path.name for photograph in photographs], outputs


def test_a_folder_is_mirrored_and_hidden_and_other_files_stay_out(tmp_path: Path) -> None:
    touch(tmp_path / "in", "10.jpg", "9.jpg", "day/a.TIF", "notes.txt", ".x.jpg", ".thumbs/b.jpg")
    names, outputs = placed([tmp_path / "in"], tmp_path / "out")
    assert names == ["9.jpg", "10.jpg", "a.TIF"]
    assert outputs == [tmp_path / "out" / name for name in ("9.png", "10.png", "day/a.png")]


def test_several_folders_each_keep_their_name_and_loose_files_go_straight_in(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "a/1.jpg", "b/1.jpg", "2.jpg")
    named = [tmp_path / "a", tmp_path / "b", tmp_path / "2.jpg"]
    _, outputs = placed(named, tmp_path / "out")
    assert outputs == [tmp_path / "out" / name for name in ("a/1.png", "b/1.png", "2.png")]


def test_keep_keeps_what_can_be_written(tmp_path: Path) -> None:
    touch(tmp_path / "in", "a.JPG", "b.webp", "c.dng", "d.bmp")
    _, outputs = placed([tmp_path / "in"], tmp_path / "out", "keep")
    assert [path.name for path in outputs] == ["a.JPG", "b.webp", "c.png", "d.png"]


def test_results_in_the_folder_are_not_restored_again(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "restored/1.png", "restored/day/2.png")
    assert placed([tmp_path], tmp_path / "restored")[0] == ["1.jpg"]
    assert placed([tmp_path], tmp_path / "restored" / "{stem}.png")[0] == ["1.jpg"]


@pytest.mark.parametrize(
    "names", [("a.jpg", "a.png"), ("É.jpg", "e\u0301.png"), ("b.jpg", "B.jpg")]
)
def test_two_photographs_on_one_name_are_refused_before_work(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    photographs = [Photograph(path=tmp_path / name, folder=tmp_path) for name in names]
    with pytest.raises(UsageError, match="both be written"):
        place(photographs, tmp_path / "out", None, "png", "set")


@pytest.mark.parametrize(
    ("names", "keeps"),
    [(("a.jpg", "a.png"), True), (("a.JPG", "A.jpg"), False), (("a.dng", "a.png"), False)],
)
def test_keep_is_named_as_a_mend_where_it_is_one(
    tmp_path: Path, names: tuple[str, str], keeps: bool
) -> None:
    photographs = [Photograph(path=tmp_path / name, folder=tmp_path) for name in names]
    with pytest.raises(UsageError) as told:
        place(photographs, tmp_path / "out", None, "png", "set")
    assert ("--format keep" in told.value.mend) == keeps
    with pytest.raises(UsageError) as filled:  # --format is refused beside fields
        place(photographs, tmp_path / "x-{n}.png", None, "png", "set")
    assert "--format" not in filled.value.mend
    if not keeps:
        with pytest.raises(UsageError):
            place(photographs, tmp_path / "out", "keep", "png", "set")


def test_a_folder_that_is_not_there_and_has_a_dot_in_its_name_is_told_apart(tmp_path: Path) -> None:
    touch(tmp_path, "in/1.jpg")
    with pytest.raises(UsageError, match="make the folder first"):
        placed([tmp_path / "in" / "1.jpg"], tmp_path / "2024.01.05")
    (tmp_path / "2024.01.05").mkdir()
    _, outputs = placed([tmp_path / "in" / "1.jpg"], tmp_path / "2024.01.05")
    assert outputs == [tmp_path / "2024.01.05" / "1.png"]


def test_a_raw_file_stands_for_the_jpeg_beside_it(tmp_path: Path) -> None:
    touch(tmp_path / "in", "1.dng", "1.jpg", "day/2.jpg")
    assert placed([tmp_path / "in"], tmp_path / "out")[0] == ["1.dng", "2.jpg"]


def test_what_cannot_be_read_is_told_once_for_all_folders(tmp_path: Path) -> None:
    touch(tmp_path / "in", "1.jpg", "2.heic", "day/3.heic")
    with patch.object(Reporter, "warn") as warn:
        find_photographs([tmp_path / "in"], tmp_path / "out", Reporter())
    (warning,) = (call.args[0] for call in warn.call_args_list)
    assert "2 HEIC files left out" in warning
    touch(tmp_path / "phone", "day/3.heic")
    with pytest.raises(InputError, match="1 HEIC file, which burstfix cannot read"):
        find_photographs([tmp_path / "phone"], tmp_path / "out")


def test_an_input_is_never_an_output_by_whatever_name(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.png")
    (tmp_path / "out").mkdir()
    os.link(tmp_path / "in" / "a.png", tmp_path / "out" / "a.png")
    with pytest.raises(OutputError, match="never replaced"):
        placed([tmp_path / "in"], tmp_path / "out")
    with pytest.raises(OutputError, match="never replaced"):
        placed([tmp_path / "in" / "a.png"], tmp_path / "in")


def test_results_among_the_photographs_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "a/day/2.jpg")
    for output in (tmp_path / "a", tmp_path / "a" / "{stem}-sharp.png"):
        with pytest.raises(OutputError, match="among the photographs"):
            placed([tmp_path / "a"], output)


@pytest.mark.parametrize(
    ("names", "output", "ending", "words"),
    [
        (["1.jpg", "2.jpg"], "out.png", None, "one file"),
        (["1.jpg"], "out.png", "jpg", "--format is for folders"),
        (["1.jpg"], "out.gif", None, "extension"),
        (["1.jpg"], "{camera}.png", None, "field"),
    ],
)
def test_what_contradicts_itself_is_refused(
    tmp_path: Path, names: list[str], output: str, ending: str | None, words: str
) -> None:
    touch(tmp_path, *names)
    with pytest.raises(UsageError, match=words):
        placed([tmp_path / name for name in names], tmp_path / output, ending)


def test_fields_name_the_pictures_of_several_files(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "2.jpg")
    _, outputs = placed([tmp_path / "*.jpg"], tmp_path / "{stem}-sharp.tif")
    assert [path.name for path in outputs] == ["1-sharp.tif", "2-sharp.tif"]


def test_one_photograph_goes_into_a_folder_or_a_file(tmp_path: Path) -> None:
    touch(tmp_path, "in/1.jpg")
    one = tmp_path / "in" / "1.jpg"
    assert placed([one], tmp_path / "out")[1] == [tmp_path / "out" / "1.png"]
    assert placed([one], tmp_path / "sharp.tif")[1] == [tmp_path / "sharp.tif"]


def test_a_folder_without_a_picture_is_an_input_error(tmp_path: Path) -> None:
    touch(tmp_path, "in/notes.txt")
    with pytest.raises(InputError, match="no picture"):
        placed([tmp_path / "in"], tmp_path / "out")


@pytest.mark.skipif(sys.platform == "win32" or os.getuid() == 0, reason="rights bind no root")
def test_a_folder_that_cannot_be_listed_is_told_before_work(tmp_path: Path) -> None:
    touch(tmp_path, "in/1.jpg", "in/locked/2.jpg")
    (tmp_path / "in" / "locked").chmod(0)
    try:
        with pytest.raises(InputError, match="cannot be listed"):
            placed([tmp_path / "in"], tmp_path / "out")
    finally:
        (tmp_path / "in" / "locked").chmod(0o755)
