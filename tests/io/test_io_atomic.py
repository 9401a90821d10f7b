import errno
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
import torch

from burstfix import color
from burstfix.errors import OutputError
from burstfix.frame import Metadata
from burstfix.io.atomic import replacing, resolve_output
from burstfix.io.write import Canvas, format_for, save


def made(path: Path, text: str = "old") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_output_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "雪 [1] фото.png"
    assert resolve_output(path, on_exists="fail") == path
    assert entries(tmp_path) == []


def test_a_missing_folder_is_made_only_when_writing(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.png"
    assert resolve_output(path, on_exists="fail") == path
    assert entries(tmp_path) == []
    with replacing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_an_existing_output_is_refused_with_a_mend(tmp_path: Path) -> None:
    path = made(tmp_path / "a.png")
    with pytest.raises(OutputError, match="exists") as caught:
        resolve_output(path, on_exists="fail")
    assert "--on-exists" in caught.value.mend
    assert caught.value.exit_code == 7


def test_skip_overwrite_and_rename_do_as_they_say(tmp_path: Path) -> None:
    path = made(tmp_path / "a.b.png")
    made(tmp_path / "a.b-1.png")
    assert resolve_output(path, on_exists="skip") is None
    assert resolve_output(path, on_exists="overwrite") == path
    assert resolve_output(path, on_exists="rename") == tmp_path / "a.b-2.png"


@pytest.mark.parametrize("on_exists", ["fail", "skip", "overwrite"])
@pytest.mark.parametrize("way", ["same", "dots", "symlink", "hardlink", "linked folder"])
def test_an_input_is_never_an_output(
    tmp_path: Path, way: str, on_exists: Literal["fail", "skip", "overwrite"]
) -> None:
    source = made(tmp_path / "in" / "a.png")
    path = tmp_path / "out.png"
    if way == "same":
        path = source
    elif way == "dots":
        path = tmp_path / "in" / ".." / "in" / "a.png"
    elif way == "symlink":
        path.symlink_to(source)
    elif way == "hardlink":
        path.hardlink_to(source)
    else:
        (tmp_path / "link").symlink_to(source.parent)
        path = tmp_path / "link" / "a.png"
    with pytest.raises(OutputError, match="never replaced"):
        resolve_output(path, on_exists=on_exists, inputs=[tmp_path / "missing.png", source])


def test_renaming_away_from_an_input_is_allowed(tmp_path: Path) -> None:
    source = made(tmp_path / "a.png")
    renamed = resolve_output(source, on_exists="rename", inputs=[source])
    assert renamed == tmp_path / "a-1.png"


def test_a_folder_is_no_output(tmp_path: Path) -> None:
    for path in (tmp_path, Path(), Path("/")):
        with pytest.raises(OutputError, match="is a folder"):
            resolve_output(path, on_exists="overwrite")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    made(tmp_path / "file")
    with pytest.raises(OutputError, match="not a folder"):
        resolve_output(tmp_path / "file" / "a.png", on_exists="fail")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes with names in folders")
def test_a_device_is_no_output(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(OutputError, match="ordinary"):
        resolve_output(tmp_path / "pipe.png", on_exists="overwrite")


def test_a_folder_without_permission_is_refused_before_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # permissions do not bind root
    with pytest.raises(OutputError, match="cannot be written"):
        resolve_output(tmp_path / "a.png", on_exists="fail")


def test_a_full_disk_is_refused_before_work(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="MB"):
        resolve_output(tmp_path / "a.png", on_exists="fail", needed_bytes=10**18)


def test_the_target_changes_only_at_the_end(tmp_path: Path) -> None:
    path = made(tmp_path / "a.png")
    with replacing(path, replace=True) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_bytes() == b"new"
    assert entries(tmp_path) == ["a.png"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), ValueError("bug"), SystemExit(1)])
def test_whatever_breaks_off_leaves_the_old_file_alone(
    tmp_path: Path, failure: BaseException
) -> None:
    path = made(tmp_path / "a.png")
    with pytest.raises(type(failure)), replacing(path, replace=True) as file:
        file.write(b"half")
        raise failure
    assert path.read_text() == "old"
    assert entries(tmp_path) == ["a.png"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_a_system_error_becomes_an_output_error_with_a_mend(tmp_path: Path, code: int) -> None:
    path = made(tmp_path / "a.png")
    with (
        pytest.raises(OutputError, match=os.strerror(code)) as caught,
        replacing(path, replace=True) as file,
    ):
        file.write(b"half")
        raise OSError(code, os.strerror(code))
    assert caught.value.mend
    assert path.read_text() == "old"
    assert entries(tmp_path) == ["a.png"]


def test_a_disk_that_fills_up_while_syncing_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    canvas = Canvas((4, 4), format_for(tmp_path / "a.jpg"), color.SRGB)
    with pytest.raises(OutputError, match="space") as caught:
        save(canvas, tmp_path / "a.jpg", metadata=Metadata(), provenance={})
    assert "Free some space" in caught.value.mend
    assert entries(tmp_path) == []


@pytest.mark.parametrize("links", [True, False])
def test_an_output_that_appears_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", _no_links)
    path = tmp_path / "a.png"
    with pytest.raises(OutputError, match="exists"), replacing(path) as file:
        file.write(b"new")
        made(path, "of another program")
    assert path.read_text() == "of another program"
    assert entries(tmp_path) == ["a.png"]


def test_a_file_system_without_links_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "hardlink_to", _no_links)
    with replacing(tmp_path / "a.png") as file:
        file.write(b"new")
    assert entries(tmp_path) == ["a.png"]


def _no_links(*_: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_permissions_are_those_of_an_ordinary_new_file_or_of_the_old(tmp_path: Path) -> None:
    ordinary = made(tmp_path / "ordinary")
    with replacing(tmp_path / "a.png") as file:
        file.write(b"new")
    assert (tmp_path / "a.png").stat().st_mode == ordinary.stat().st_mode
    ordinary.chmod(0o640)
    with replacing(ordinary, replace=True) as file:
        file.write(b"new")
    assert stat.S_IMODE(ordinary.stat().st_mode) == 0o640


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    real = made(tmp_path / "real.png")
    link = tmp_path / "link.png"
    link.symlink_to(real)
    with replacing(link, replace=True) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


ENDLESS = """
import sys
from pathlib import Path
import torch
from burstfix import color
from burstfix.frame import Metadata
from burstfix.io.write import Canvas, format_for, save

torch.set_num_threads(1)
path = Path(sys.argv[1])
canvases = []
for level in (0.2, 0.7):
    canvas = Canvas((300, 400), format_for(path), color.SRGB)
    canvas.put(0, 0, torch.full((3, 300, 400), level))
    canvases.append(canvas)
print("ready", flush=True)
while True:
    for canvas in canvases:
        save(canvas, path, metadata=Metadata(), provenance={}, replace=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg"])
@pytest.mark.parametrize("blow", [signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)])
def test_a_killed_writer_leaves_a_whole_file(
    tmp_path: Path, name: str, blow: signal.Signals
) -> None:
    path = tmp_path / name
    writer = [sys.executable, "-c", ENDLESS, str(path)]
    for attempt in range(2):
        with subprocess.Popen(writer, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(random.Random(f"{name}{attempt}").uniform(0, 0.1))
            child.send_signal(blow)
            child.wait()
        if path.exists():
            assert_whole(path)


def assert_whole(path: Path) -> None:
    picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    top = np.iinfo(picture.dtype).max
    expected = color.encode(torch.tensor([0.2, 0.7]), color.SRGB).numpy() * top
    assert picture.shape == (300, 400, 3)
    assert np.ptp(picture) <= 0.01 * top
    assert np.abs(expected - float(picture.mean())).min() <= 0.01 * top


MANY = """
import sys
from pathlib import Path
from burstfix.io.atomic import replacing

path = Path(sys.argv[1])
print("ready", flush=True)
while True:
    for letter in (b"a", b"b"):
        with replacing(path, replace=True) as file:
            for _ in range(20):
                file.write(letter * 4096)
"""


def test_twenty_kills_leave_the_old_file_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "out"
    chance = random.Random(5)
    found = set()
    for _ in range(20):
        with subprocess.Popen(
            [sys.executable, "-c", MANY, str(path)], stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(chance.uniform(0, 0.03))
            child.kill()
            child.wait()
        if path.exists():
            data = path.read_bytes()
            assert len(data) == 20 * 4096
            assert len(set(data)) == 1
            found.add(data[:1])
    assert found
    leftovers = [entry for entry in entries(tmp_path) if entry != "out"]
    assert all(entry.startswith(".burstfix-") and entry.endswith(".tmp") for entry in leftovers)


HALF = """
import sys, time
from pathlib import Path
from burstfix.io.atomic import replacing

with replacing(Path(sys.argv[1]), replace=True) as file:
    file.write(bytes(1 << 20))
    file.flush()
    print("half", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="files without a name are Linux's")
@pytest.mark.parametrize("old", [True, False])
def test_a_process_killed_while_writing_leaves_nothing_behind(tmp_path: Path, *, old: bool) -> None:
    path = tmp_path / "out"
    if old:
        made(path)
    if not _has_nameless_files(tmp_path):
        pytest.skip("this file system has no files without a name")
    with subprocess.Popen([sys.executable, "-c", HALF, str(path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.kill()
        child.wait()
    assert entries(tmp_path) == (["out"] if old else [])
    assert not old or path.read_text() == "old"


def _has_nameless_files(folder: Path) -> bool:
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY))
    except OSError:
        return False
    return True


def test_a_file_system_without_nameless_files_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    path = made(tmp_path / "a.png")
    with replacing(path, replace=True) as file:
        file.write(b"new")
        assert len(entries(tmp_path)) == 2
    assert path.read_bytes() == b"new"
    assert entries(tmp_path) == ["a.png"]
