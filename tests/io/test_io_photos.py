from pathlib import Path

import cv2
import numpy as np
import pytest

from burstfix.errors import InputError
from burstfix.io.photos import LONG_SIDE, pack_photos, read_photos


def write(path: Path, height: int = 40, width: int = 60) -> np.ndarray:
    """Write a photograph with a smooth ramp in each channel; return it as RGB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[..., 0] = np.linspace(0, 200, width)
    rgb[..., 1] = 40
    rgb[..., 2] = np.linspace(0, 255, height)[:, None]
    done, data = cv2.imencode(path.suffix, np.ascontiguousarray(rgb[..., ::-1]))
    assert done
    path.write_bytes(data.tobytes())
    return rgb


def test_a_folder_is_read_in_order_of_names_with_channels_in_order(tmp_path: Path) -> None:
    wanted = write(tmp_path / "b" / "été 2.png")
    write(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("no photograph")
    photos = read_photos(tmp_path)
    assert [photo.name for photo in photos] == ["a", "été 2"]
    assert np.array_equal(photos[1].pixels, wanted)


def test_a_pack_holds_the_photographs_of_its_folder(tmp_path: Path) -> None:
    for name in ("x.jpg", "y.png"):
        write(tmp_path / "photos" / name)
    pack = tmp_path / "photos.pack"
    assert pack_photos(tmp_path / "photos", pack, quality=95) == 2
    from_folder, from_pack = read_photos(tmp_path / "photos"), read_photos(pack)
    assert [photo.name for photo in from_pack] == ["x", "y"]
    for one, other in zip(from_folder, from_pack, strict=True):
        difference = one.pixels.astype(int) - other.pixels.astype(int)
        assert np.abs(difference).mean() < 4


def test_very_large_photographs_are_halved(tmp_path: Path) -> None:
    write(tmp_path / "large.png", 200, LONG_SIDE + 64)
    assert read_photos(tmp_path)[0].pixels.shape == (100, LONG_SIDE // 2 + 32, 3)


def test_detail_tells_flat_from_textured(tmp_path: Path) -> None:
    write(tmp_path / "flat.png")
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "rough.png"), noise)
    flat, rough = read_photos(tmp_path)
    assert flat.detail < 2
    assert rough.detail > 20


@pytest.mark.parametrize("damage", ["begin", "end", "index", "empty"])
def test_a_damaged_pack_is_refused_with_its_name(tmp_path: Path, damage: str) -> None:
    write(tmp_path / "photos" / "x.png")
    pack = tmp_path / "photos.pack"
    pack_photos(tmp_path / "photos", pack)
    data = pack.read_bytes()
    broken = {
        "begin": b"X" + data[1:],
        "end": data[:-5],
        "index": data[:24] + b"\xff" * 12 + data[36:],
        "empty": b"",
    }
    pack.write_bytes(broken[damage])
    with pytest.raises(InputError, match=r"photos\.pack"):
        read_photos(pack)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No photographs"):
        read_photos(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    with pytest.raises(InputError, match="broken"):
        read_photos(tmp_path)
    with pytest.raises(InputError, match="nowhere"):
        read_photos(tmp_path / "nowhere")
    (tmp_path / "broken.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"broken\.jpg is empty"):
        read_photos(tmp_path)


def test_a_strip_and_a_folder_with_a_pictures_name_do_no_harm(tmp_path: Path) -> None:
    write(tmp_path / "strip.png", 1, 4000)
    (tmp_path / "folder.jpg").mkdir()
    assert [photo.pixels.shape[0] for photo in read_photos(tmp_path)] == [1]
