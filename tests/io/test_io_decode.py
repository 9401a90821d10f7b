"""Reading frames: order, names, memory, white balance, and every hostile file at hand."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_io_raw import expose, make_dng, quantise
from torch.nn import functional

from burstfix import color
from burstfix.errors import BurstfixError, InputError
from burstfix.frame import Frame
from burstfix.io.decode import Probe, probe, read_frame, read_frames, rebalance
from burstfix.io.store import StoredCodes

NAMES = ["ночь [1] (a).png", "夜景 #2.png", "with space%20.png", "-o.png", "été~$HOME.png"]


def picture(path: Path, seed: int, size: tuple[int, int] = (40, 30)) -> Path:
    codes = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(codes).save(path)
    return path


def test_names_in_any_script_are_read_in_order(tmp_path: Path) -> None:
    paths = [picture(tmp_path / name, seed) for seed, name in enumerate(NAMES)]
    seen: list[Path] = []
    frames, errors = read_frames(paths, on_frame=seen.append)
    assert [frame.path for frame in frames] == paths == seen
    assert errors == []
    for seed, frame in enumerate(frames):
        codes = np.random.default_rng(seed).integers(0, 256, (40, 30, 3), dtype=np.uint8)
        again = (color.encode(frame.whole(), frame.curve) * 255).round().byte()
        np.testing.assert_array_equal(again.permute(1, 2, 0).numpy(), codes)


def test_frames_beyond_the_memory_limit_are_spilled_and_read_the_same(tmp_path: Path) -> None:
    paths = [picture(tmp_path / f"{seed}.png", seed) for seed in range(4)]
    kept, _ = read_frames(paths)
    some, _ = read_frames(paths, memory=2 * 40 * 30 * 3)
    places = [isinstance(f.pixels, StoredCodes) and f.pixels.spilled for f in some]
    assert sum(places) == 2
    for one, other in zip(kept, some, strict=True):
        assert torch.equal(one.whole(), other.whole())


def test_a_bad_file_fails_the_run_unless_it_may_be_skipped(tmp_path: Path) -> None:
    good, bad = picture(tmp_path / "good.jpg", 1), picture(tmp_path / "bad.jpg", 2)
    bad.write_bytes(bad.read_bytes()[:-40])
    missing = tmp_path / "missing.jpg"
    with pytest.raises(InputError, match=r"bad\.jpg ends early"):
        read_frames([good, bad, good])
    frames, errors = read_frames([good, bad, missing, tmp_path, good], skip_bad=True)
    assert [frame.path for frame in frames] == [good, good]
    named = [str(bad), str(missing), str(tmp_path)]
    assert [name in error.what for name, error in zip(named, errors, strict=True)] == [True] * 3


def test_an_empty_file_and_no_files() -> None:
    assert read_frames([]) == ([], [])
    assert probe([]) == []


def test_probe_tells_size_kind_and_moment_without_decoding(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274], exif[306] = 6, "2024:01:02 03:04:05"
    turned, plain = tmp_path / "turned.jpg", picture(tmp_path / "plain.png", 3)
    Image.fromarray(np.zeros((40, 30, 3), np.uint8)).save(turned, exif=exif)
    raw = tmp_path / "raw.dng"
    raw.write_bytes(make_dng(quantise(expose(np.full((64, 96, 3), 0.3)))))
    found = probe([turned, plain, raw])
    assert [(one.kind, one.size) for one in found] == [
        ("JPEG", (30, 40)),
        ("PNG", (40, 30)),
        ("raw", (64, 96)),
    ]
    assert str(found[0].metadata.taken) == "2024-01-02 03:04:05"
    assert isinstance(found[2], Probe)
    assert found[2].metadata.camera == "Made Up"


def test_frames_are_balanced_like_the_reference(tmp_path: Path) -> None:
    data = quantise(expose(np.full((64, 64, 3), 0.2)))
    paths = [tmp_path / f"{number}.dng" for number in range(3)]
    for path, gains in zip(paths, [(2.0, 1.0, 1.5), (1.6, 1.0, 2.0), (2.0, 1.0, 1.5)], strict=True):
        path.write_bytes(make_dng(data, gains=gains))
    frames, _ = read_frames(paths)
    means = [frame.whole().mean(dim=(1, 2)) for frame in frames]
    assert (means[0] - means[1]).abs().max() > 0.02
    balanced = rebalance(frames, 0)
    torch.testing.assert_close(balanced[1].whole().mean(dim=(1, 2)), means[0], rtol=0, atol=1e-3)
    assert (balanced[0], balanced[2]) == (frames[0], frames[2])  # nothing was decoded twice
    assert balanced[1].white_balance == frames[0].white_balance
    assert balanced[1].raw


def test_pictures_that_are_not_raw_need_no_balance(tmp_path: Path) -> None:
    frame = read_frame(picture(tmp_path / "a.png", 1))
    assert rebalance([frame], 0) == [frame]


def test_a_profile_gives_the_curve_and_stays_with_the_frame(tmp_path: Path) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / "profiled.png"
    Image.fromarray(np.full((5, 5, 3), 128, np.uint8)).save(path, icc_profile=profile)
    frame = read_frame(path)
    assert frame.metadata.icc == profile
    assert frame.whole().mean() == pytest.approx(0.2158, abs=1e-3)


def test_orientations_1_to_8_show_the_same_picture(shared: Path) -> None:
    frames, _ = read_frames([shared / "orientation" / f"{number}.jpg" for number in range(1, 9)])
    small = [
        functional.interpolate(frame.whole()[None], (40, 30), mode="area")[0] for frame in frames
    ]
    first = small[0]
    for frame, view in zip(frames, small, strict=True):
        assert frame.size[0] / frame.size[1] == pytest.approx(4 / 3, abs=0.01)
        likeness = _correlation(view, first)  # the files differ in size, colour and one numeral
        assert likeness > 0.9
        for sides in ((1,), (2,), (1, 2)):
            assert _correlation(view.flip(sides), first) < likeness - 0.2


def _correlation(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])


@pytest.mark.timeout(240)
@pytest.mark.parametrize("folder", ["damaged", "raw"])
def test_every_hostile_file_gives_a_picture_or_a_clean_error(shared: Path, folder: str) -> None:
    paths = sorted(path for path in (shared / folder).rglob("*") if path.is_file())
    gaps: list[float] = []
    last = time.monotonic()

    def note(_: Path) -> None:
        nonlocal last
        gaps.append(time.monotonic() - last)
        last = time.monotonic()

    frames, errors = read_frames(paths, skip_bad=True, on_frame=note, memory=1 << 20)
    assert len(frames) + len(errors) == len(paths)
    assert max(gaps) < 30
    for frame in frames:
        assert isinstance(frame, Frame)
        assert torch.isfinite(frame.whole()).all()
    named = [str(path) for path in paths if path not in {frame.path for frame in frames}]
    for name, error in zip(named, errors, strict=True):
        assert isinstance(error, BurstfixError)
        assert error.what.startswith((name, f"Cannot read {name}"))
        assert error.mend
        assert "Traceback" not in error.what
