"""Parts of a film wait beside its target until all are there."""

from pathlib import Path

import pytest

from burstfix.errors import OutputError, UsageError
from burstfix.io.video.parts import open_parts, parts_folder

PLAN = {"--crf": 18}


def leave_part(target: Path, content: bytes = b"coded") -> None:
    """Finish one part, and be interrupted."""
    with (
        pytest.raises(KeyboardInterrupt),
        open_parts(target, PLAN, resume=False) as parts,
    ):
        with parts.adding() as (file, name):
            file.write(content)
            name(-5, 20, 3)
        raise KeyboardInterrupt


def test_finished_parts_wait_and_half_ones_do_not(tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    leave_part(target)
    with (
        pytest.raises(KeyboardInterrupt),
        open_parts(target, PLAN, resume=True) as parts,
        parts.adding() as (file, _),
    ):
        file.write(b"half")
        raise KeyboardInterrupt
    with open_parts(target, PLAN, resume=True) as parts:
        (segment,) = parts.finished()
        assert segment.path.read_bytes() == b"coded"
        assert segment[1:] == (-5, 20, 3)
        assert len(list(parts.folder.iterdir())) == 2  # the plan, and the part
    assert not parts_folder(target).exists()


def test_parts_are_never_thrown_away_unasked(tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    leave_part(target)
    with pytest.raises(OutputError, match="1 finished"), open_parts(target, PLAN, resume=False):
        pass
    with pytest.raises(UsageError, match="--crf"), open_parts(target, {"--crf": 1}, resume=True):
        pass
    assert parts_folder(target).exists()


def test_a_run_that_was_killed_before_its_first_part_needs_no_resume(tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    parts_folder(target).mkdir()
    (parts_folder(target) / "plan.json").write_text("{}")
    with open_parts(target, PLAN, resume=False) as parts:
        assert parts.finished() == []


def test_an_error_before_the_first_part_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    with pytest.raises(ValueError, match="wrong"), open_parts(target, PLAN, resume=False):
        raise ValueError("wrong")
    assert not list(tmp_path.iterdir())
