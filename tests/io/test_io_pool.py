"""Decoding processes that die, hang or print take nothing with them."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from burstfix.errors import InputError
from burstfix.io import pool
from burstfix.io.decode import read_frame, read_frames

# A worker that does what a broken codec would, by the file's name.
BROKEN = """
import ctypes, os, sys, time
from burstfix.io import worker
decode = worker._decode
def broken(path, with_pixels, gains):
    if "abort" in path.name: os.abort()
    if "hang" in path.name: time.sleep(60)
    if "print" in path.name: os.write(1, b"codec says hello" * 100); print("hello")
    if "eat" in path.name: bytearray(1 << 44)
    return decode(path, with_pixels, gains)
worker._decode = broken
worker.main()
"""


@pytest.fixture
def broken_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "COMMAND", (sys.executable, "-c", BROKEN))


def pictures(folder: Path, *names: str) -> list[Path]:
    paths = [folder / f"{name}.png" for name in names]
    for shade, path in enumerate(paths):
        Image.fromarray(np.full((6, 9, 3), shade * 20, np.uint8)).save(path)
    return paths


@pytest.mark.usefixtures("broken_worker")
def test_a_dying_decoder_is_an_error_and_other_files_still_decode(tmp_path: Path) -> None:
    paths = pictures(tmp_path, "one", "abort", "two", "abort again", "three")
    frames, errors = read_frames(paths, skip_bad=True)
    assert [frame.name for frame in frames] == ["one.png", "two.png", "three.png"]
    assert ["abort.png" in errors[0].what, "abort again.png" in errors[1].what] == [True, True]
    with pytest.raises(InputError, match=r"abort\.png"):
        read_frames(paths)


@pytest.mark.usefixtures("broken_worker")
def test_a_hanging_decoder_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_BASE_LIMIT_S", 1.5)
    began = time.monotonic()
    frames, errors = read_frames(pictures(tmp_path, "hang", "well"), skip_bad=True)
    assert time.monotonic() - began < 20
    assert [frame.name for frame in frames] == ["well.png"]
    assert "hang.png was not decoded within" in errors[0].what


@pytest.mark.usefixtures("broken_worker")
def test_what_a_codec_prints_does_not_reach_the_pixels(tmp_path: Path) -> None:
    (path,) = pictures(tmp_path, "print")
    assert read_frame(path).whole().abs().max() == 0


@pytest.mark.usefixtures("broken_worker")
def test_a_decoder_that_eats_all_memory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="memory"):
        read_frame(*pictures(tmp_path, "eat"))


@pytest.mark.parametrize(("most", "reached"), [(1, 1), (None, 2)])
def test_no_more_files_are_decoded_at_once_than_asked_for(most: int | None, reached: int) -> None:
    lock, running, counts = threading.Lock(), set[int](), list[int]()

    def work(_: pool.Worker, item: int) -> None:
        with lock:
            running.add(item)
            counts.append(len(running))
        time.sleep(0.2)
        with lock:
            running.remove(item)

    with pool.Pool(2) as two:
        for future in two.run(work, range(4), most):
            future.result()
    assert max(counts) == reached


def test_no_process_outlives_the_pool() -> None:
    with pool.Pool(2) as two:
        processes = [worker._process for worker in two._all]
        assert all(process and process.poll() is None for process in processes)
    assert all(process and process.poll() is not None for process in processes)


def test_the_worker_never_imports_torch(tmp_path: Path) -> None:
    (path,) = pictures(tmp_path, "one")
    code = (
        "import sys; from burstfix.io import worker;"
        f"header, _ = worker.answer({{'path': {str(path)!r}, 'pixels': True, 'gains': None}});"
        "import burstfix.io.raw; print('error' in header, 'torch' in sys.modules)"
    )
    with (tmp_path / "complaints").open("w+") as complaints:
        done = subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=pool._environment(1),
        )
    assert done.stdout.split() == [b"False", b"False"]


def test_files_beside_the_photographs_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = pictures(tmp_path, "one")
    for name in ("cv2", "numpy", "queue"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert read_frame(path).size == (6, 9)


def test_a_script_without_a_main_guard_works(tmp_path: Path) -> None:
    (path,) = pictures(tmp_path, "one")
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\nfrom burstfix.io.decode import read_frame\n"
        f"print(tuple(read_frame(Path({str(path)!r})).size))\n"
    )
    done = subprocess.run(
        [sys.executable, script], check=True, stdout=subprocess.PIPE, env=dict(pool._environment(1))
    )
    assert done.stdout.strip() == b"(6, 9)"
