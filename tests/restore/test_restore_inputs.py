"""From what was typed to bursts, and from bursts to output names."""

import os
from pathlib import Path

import pytest
from PIL import Image

from burstfix.errors import InputError, UsageError
from burstfix.io import decode
from burstfix.io.decode import probe
from burstfix.io.exif import xmp_packet
from burstfix.io.pool import Pool
from burstfix.restore.inputs import (
    BurstFiles,
    fill_names,
    find_bursts,
    name_outputs,
    natural_key,
    pictures_in,
)
from burstfix.restore.report import Reporter

RESULT = xmp_packet({"version": "1", "command": "burst"})


class Told(Reporter):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def touch(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in names]
    for path in paths:
        path.write_bytes(b"")
    return paths


def test_nine_comes_before_ten() -> None:
    names = [Path(name) for name in ("IMG_10.jpg", "IMG_9.jpg", "img_1.jpg")]
    assert [path.name for path in sorted(names, key=natural_key)] == [
        "img_1.jpg",
        "IMG_9.jpg",
        "IMG_10.jpg",
    ]


def test_files_are_one_burst_and_each_folder_is_another(tmp_path: Path) -> None:
    loose = touch(tmp_path, "a.jpg", "b.jpg")
    touch(tmp_path / "night", "2.png", "10.png", "notes.txt", ".hidden.png")
    bursts = find_bursts([*loose, tmp_path / "night"])
    assert [burst.files for burst in bursts] == [
        tuple(loose),
        (tmp_path / "night" / "2.png", tmp_path / "night" / "10.png"),
    ]


def test_globs_are_expanded_and_brackets_are_literal_where_the_file_exists(tmp_path: Path) -> None:
    touch(tmp_path, "a[1].jpg", "a1.jpg", "b.jpg")
    (burst,) = find_bursts([str(tmp_path / "a[1].jpg")])
    assert burst.files == (tmp_path / "a[1].jpg",)
    (burst,) = find_bursts([str(tmp_path / "*.jpg")])
    assert len(burst.files) == 3


def test_a_raw_file_stands_for_the_jpeg_beside_it(tmp_path: Path) -> None:
    touch(tmp_path, "1.dng", "1.jpg", "2.DNG", "2.jpg")
    told = Told()
    (burst,) = find_bursts([tmp_path], told)
    assert [path.name for path in burst.files] == ["1.dng", "2.DNG"]
    assert "2 pictures" in told.notes[0]


def test_an_edit_beside_a_raw_file_is_a_picture_but_no_frame_of_its_burst(tmp_path: Path) -> None:
    touch(tmp_path, "1.dng", "1.tif", "1.png", "1.HIF", "1.JPEG")
    assert [path.name for path in pictures_in(tmp_path).files] == ["1.dng", "1.png", "1.tif"]
    told = Told()
    (burst,) = find_bursts([tmp_path], told)
    assert [path.name for path in burst.files] == ["1.dng"]
    assert "2 pictures" in told.notes[0]
    assert told.warnings[0].endswith("not what was made of them: 1.png, 1.tif.")


def test_what_cannot_be_read_in_a_folder_is_told_with_its_mend(tmp_path: Path) -> None:
    touch(tmp_path / "a", "1.jpg", "2.HEIC", "3.heif", "4.heic", "5.jxl", "6.psd", "notes.txt")
    told = Told()
    (burst,) = find_bursts([tmp_path / "a"], told)
    assert [path.name for path in burst.files] == ["1.jpg"]
    assert len(told.warnings) == 3
    assert "3 HEIC files left out" in told.warnings[0]
    assert "Convert them to JPEG or TIFF" in told.warnings[0]
    assert "1 JPEG XL file left out" in told.warnings[1]
    touch(tmp_path / "b", "1.heic", "2.gif")
    with pytest.raises(InputError, match=r"no picture but 1 HEIC file and 1 GIF file.*Convert"):
        find_bursts([tmp_path / "b"])


def test_the_mend_is_that_of_a_file_that_was_named(tmp_path: Path) -> None:
    (tmp_path / "1.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    with pytest.raises(InputError) as of_file:
        probe([tmp_path / "1.heic"])
    with pytest.raises(InputError) as of_folder:
        find_bursts([tmp_path])
    assert of_folder.value.mend == of_file.value.mend.replace("it", "them", 1)


def test_nothing_found_is_an_input_error_that_names_it(tmp_path: Path) -> None:
    for argument in ("missing.jpg", "*.dng", "."):
        with pytest.raises(InputError, match=r"missing|\*\.dng|holds no picture"):
            find_bursts([tmp_path / argument])


def test_the_same_frame_twice_is_refused(tmp_path: Path) -> None:
    (path,) = touch(tmp_path, "a.jpg")
    with pytest.raises(UsageError, match="2 times"):
        find_bursts([path, tmp_path / "." / "a.jpg"])


def test_a_folders_earlier_results_are_no_frames_unless_they_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "mean.png").write_bytes(RESULT)
    told = Told()
    (burst,) = find_bursts([tmp_path], told, output=tmp_path / "fba.png")
    assert [path.name for path in burst.files] == ["1.jpg", "2.jpg"]
    assert "pictures that burstfix restored are left out (1)" in told.notes[0]
    (named,) = find_bursts([tmp_path / "*.*"], output=tmp_path / "fba.png")
    assert [path.name for path in named.files] == ["1.jpg", "2.jpg", "mean.png"]
    (film,) = find_bursts([tmp_path])
    assert len(film.files) == 3


def test_a_folder_of_results_is_no_burst(tmp_path: Path) -> None:
    touch(tmp_path / "a", "1.jpg", "2.jpg")
    touch(tmp_path / "old")
    (tmp_path / "old" / "a.png").write_bytes(RESULT)
    told = Told()
    (burst,) = find_bursts([tmp_path / "*/"], told, output=tmp_path / "new")
    assert burst.folder == tmp_path / "a"
    assert f"{tmp_path / 'old'} is left out" in told.warnings[0]
    with pytest.raises(InputError, match="no picture but those that burstfix restored"):
        find_bursts([tmp_path / "old"], output=tmp_path / "new")


def test_where_results_go_is_no_burst_beside_others(tmp_path: Path) -> None:
    touch(tmp_path / "a", "1.jpg", "2.jpg")
    touch(tmp_path / "restored", "a.png")  # its labels were left out
    told = Told()
    (burst,) = find_bursts([tmp_path / "*/"], told, output=tmp_path / "restored")
    assert burst.folder == tmp_path / "a"
    assert f"{tmp_path / 'restored'} is left out" in told.warnings[0]
    assert len(find_bursts([tmp_path / "a"], output=tmp_path / "a")) == 1
    both = [tmp_path / "a", tmp_path / "restored"]  # named, and results only lie beside its frames
    assert len(find_bursts(both, output=tmp_path / "a" / "{stem}-restored.png")) == 2


def test_names_are_filled_from_the_burst() -> None:
    burst = BurstFiles(files=(Path("x/IMG_1.dng"), Path("x/IMG_8.dng")), folder=Path("x"))
    (output,) = name_outputs(Path("out/{stem}-{first}-{last}-{n}-{backend}.tif"), [burst], "fba")
    assert output == Path("out/x-IMG_1-IMG_8-2-fba.tif")


def test_a_folder_takes_one_picture_a_burst() -> None:
    bursts = [BurstFiles(files=(Path(name) / "1.jpg",), folder=Path(name)) for name in "ab"]
    assert name_outputs(Path("out"), bursts, "fba") == [Path("out/a.png"), Path("out/b.png")]


def test_two_bursts_on_one_name_are_refused_before_work() -> None:
    bursts = [BurstFiles(files=(Path(f"{n}/1.jpg"),), folder=Path(f"{n}/Night")) for n in "ab"]
    with pytest.raises(UsageError, match=r"a.Night and b.Night .* same file, out.Night\.png"):
        name_outputs(Path("out"), bursts, "fba")


def test_names_whose_accents_are_composed_in_two_ways_are_one_name() -> None:
    names = ("\u00c9t\u00e9", "e\u0301te\u0301")
    bursts = [BurstFiles(files=(Path(name) / "1.jpg",), folder=Path(name)) for name in names]
    with pytest.raises(UsageError, match="same file"):
        name_outputs(Path("out"), bursts, "fba")


def test_the_usual_extension_is_taken_in_a_folder_and_by_its_field() -> None:
    burst = BurstFiles(files=(Path("a/1.jpg"),), folder=Path("a"))
    for template in ("out", "out/{stem}.{ext}"):
        assert name_outputs(Path(template), [burst], "set", usual="tif") == [Path("out/a.tif")]


def test_the_extension_is_png_where_it_is_asked_for_by_its_field() -> None:
    burst = BurstFiles(files=(Path("a/IMG_1.jpg"),))
    assert fill_names(Path("{stem}.{ext}"), [burst], "set") == [Path("IMG_1.png")]
    assert fill_names(Path("{stem}-{ext}.tif"), [burst], "set") == [Path("IMG_1-tif.tif")]


def test_a_file_that_tells_no_date_is_named_undated_and_stops_no_other(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(34665)[36867] = "2024:05:01 12:00:00"
    Image.new("RGB", (32, 24)).save(tmp_path / "dated.jpg", exif=exif)
    Image.new("RGB", (32, 24)).save(tmp_path / "edited.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    names = ("broken.jpg", "dated.jpg", "edited.jpg")
    bursts = [BurstFiles(files=(tmp_path / name,)) for name in names]
    told = Told()
    outputs = name_outputs(Path("o/{date}-{stem}.png"), bursts, "set", told)
    assert [path.name for path in outputs] == [
        "undated-broken.png",
        "2024-05-01-dated.png",
        "undated-edited.png",
    ]
    assert [warning.split()[0] for warning in told.warnings] == ["broken.jpg", "edited.jpg"]


def test_dates_of_all_files_are_looked_up_by_one_pool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = []
    monkeypatch.setattr(decode, "Pool", lambda size: pools.append(size) or Pool(size))
    for number in range(5):
        Image.new("RGB", (32, 24)).save(tmp_path / f"{number}.png")
    bursts = [BurstFiles(files=(tmp_path / f"{number}.png",)) for number in range(5)]
    name_outputs(Path("{date}-{stem}.png"), bursts, "set")
    assert len(pools) == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_a_folder_that_may_not_be_read_is_an_input_error(tmp_path: Path) -> None:
    touch(tmp_path / "shut", "a.jpg")
    (tmp_path / "shut").chmod(0)
    for argument in (tmp_path / "shut", tmp_path / "shut" / "a.jpg"):
        with pytest.raises(InputError, match="cannot be looked into"):
            find_bursts([argument])
    (tmp_path / "shut").chmod(0o700)


def test_a_folder_that_cannot_be_listed_is_an_input_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / "shut", "a.jpg")

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError, match="cannot be looked into: Permission denied"):
        find_bursts([tmp_path / "shut"])


def test_an_unknown_field_lists_the_known_ones() -> None:
    for name in ("{camera}.png", "{stem.tif}"):
        with pytest.raises(UsageError, match=r"\{stem\}"):
            name_outputs(Path(name), [BurstFiles(files=(Path("1.jpg"),))], "fba")
