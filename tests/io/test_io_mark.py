"""Pictures that burstfix restored are told from others, whatever their format and size."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from burstfix import color
from burstfix.frame import Metadata
from burstfix.io.mark import is_result
from burstfix.io.write import Canvas, Provenance, format_for, save

RESTORED: Provenance = {"version": "1", "command": "burst", "inputs": ["1.jpg"] * 9}
NOISE = torch.rand(3, 700, 900, generator=torch.Generator().manual_seed(0))
FILES = ("a.png", "a.tif", "a.jpg", "a.webp")


def write(path: Path, provenance: Provenance, *, keep_metadata: bool = True) -> Path:
    """Write a picture of which far more than 256 KB are pixels."""
    canvas = Canvas((700, 900), format_for(path), color.SRGB)
    canvas.put(0, 0, NOISE)
    save(canvas, path, metadata=Metadata(), provenance=provenance, keep_metadata=keep_metadata)
    return path


@pytest.mark.parametrize("name", FILES)
def test_what_was_restored_is_known_again_unless_its_labels_were_left_out(
    tmp_path: Path, name: str
) -> None:
    path = write(tmp_path / name, RESTORED)
    assert path.stat().st_size > 512 << 10
    assert is_result(path)
    assert not is_result(write(tmp_path / f"bare-{name}", RESTORED, keep_metadata=False))


@pytest.mark.parametrize("name", FILES)
def test_made_frames_and_others_pictures_are_no_results(tmp_path: Path, name: str) -> None:
    assert not is_result(write(tmp_path / name, {"version": "1"}))
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / f"other-{name}")
    assert not is_result(tmp_path / f"other-{name}")


def test_what_is_cut_short_or_cannot_be_read_is_no_result(tmp_path: Path) -> None:
    for data in (b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"RIFF"):
        (tmp_path / "a").write_bytes(data)
        assert not is_result(tmp_path / "a")
    assert not is_result(tmp_path / "missing")
