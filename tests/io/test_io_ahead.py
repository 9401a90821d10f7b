"""Reading one photograph after the other, the next decoded ahead where memory allows."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from burstfix.errors import InputError
from burstfix.frame import Frame
from burstfix.io import ahead
from burstfix.io.ahead import AheadReader, most_code_bytes
from burstfix.io.decode import read_frame
from burstfix.io.pool import Worker
from burstfix.io.store import StoredCodes

SIZE = (40, 60)
ENOUGH = 2 * most_code_bytes(SIZE)


def pictures(folder: Path, count: int) -> list[Path]:
    random = np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(count)]
    for path in paths:
        Image.fromarray(random.integers(0, 255, (*SIZE, 3), np.uint8)).save(path)
    return paths


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose pixels were asked for, in order."""
    asked: list[Path] = []
    ask_frame = ahead.ask_frame

    def noted(
        worker: Worker, path: Path, in_memory: ahead.Keeps, gains: tuple[float, ...] | None
    ) -> Frame:
        asked.append(path)
        return ask_frame(worker, path, in_memory, gains)

    monkeypatch.setattr(ahead, "ask_frame", noted)
    return asked


def test_what_is_begun_is_decoded_once_and_gives_the_same_pixels(
    tmp_path: Path, decoded: list[Path]
) -> None:
    first, second = pictures(tmp_path, 2)
    with AheadReader() as reader:
        reader.begin(second, ENOUGH)
        assert reader.probe(second).size == SIZE
        frame = reader.read(second, 0)  # it is here already: no file is needed
        assert decoded == [second]
        assert torch.equal(frame.whole(), read_frame(second).whole())
        assert torch.equal(reader.read(first, ENOUGH).whole(), read_frame(first).whole())
        reader.read(second, ENOUGH)
        assert decoded == [second, first, second]  # nothing was kept


def test_what_does_not_fit_is_decoded_when_it_is_read(tmp_path: Path, decoded: list[Path]) -> None:
    (path,) = pictures(tmp_path, 1)
    with AheadReader() as reader:
        reader.begin(path, ENOUGH - 1)
        assert reader.probe(path).size == SIZE
        assert decoded == []
        frame = reader.read(path, 100)
        assert isinstance(frame.pixels, StoredCodes)
        assert frame.pixels.spilled
        assert torch.equal(frame.whole(), read_frame(path).whole())


def test_another_file_than_the_one_begun_is_read_all_the_same(
    tmp_path: Path, decoded: list[Path]
) -> None:
    first, second = pictures(tmp_path, 2)
    with AheadReader() as reader:
        reader.begin(first, ENOUGH)
        assert torch.equal(reader.read(second, ENOUGH).whole(), read_frame(second).whole())
    assert set(decoded) == {first, second}


def test_a_bad_file_is_told_when_it_is_read_and_the_process_lives_on(tmp_path: Path) -> None:
    good, bad = pictures(tmp_path, 2)
    bad.write_bytes(bad.read_bytes()[:900])
    with AheadReader() as reader:
        reader.begin(bad, ENOUGH)
        for ask in (reader.probe, lambda path: reader.read(path, ENOUGH)):
            with pytest.raises(InputError, match=r"1\.png"):
                ask(bad)
        assert reader.read(good, ENOUGH).size == SIZE
