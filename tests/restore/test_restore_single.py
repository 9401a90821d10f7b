"""One photograph, or several with one network, by the Python API."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from made import scene, small_weights
from PIL import Image
from torch import Tensor

from burstfix import Options, Report, restore_single
from burstfix.errors import DeviceError, InputError, UsageError, WeightsError
from burstfix.io import ahead
from burstfix.restore import single
from burstfix.restore.budget import LEAST_TILES_BYTES, RESERVE_BYTES
from burstfix.restore.report import Reporter
from burstfix.restore.single import DECODER_BYTES, Singles
from burstfix.tiling.runner import Runner


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_weights(tmp_path_factory.mktemp("weights") / "single.safetensors")


def make_photographs(folder: Path, count: int = 3) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        Image.fromarray(np.round(scene(80, 110, number) * 255).astype(np.uint8)).save(path)
    return paths


def codes(path: Path) -> np.ndarray:
    read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert read is not None
    return read.astype(int)


def test_strength_mixes_input_and_result_in_linear_light(tmp_path: Path, weights: Path) -> None:
    (path,) = make_photographs(tmp_path / "in", 1)

    def light(strength: float) -> np.ndarray:
        output = tmp_path / f"{strength}.tif"
        restore_single(path, output, Options(weights=weights, linear=True, strength=strength))
        return cv2.imread(str(output), cv2.IMREAD_UNCHANGED)

    none, third, whole = light(0), light(1 / 3), light(1)
    assert np.abs(whole - none).max() > 0.01  # else this tests nothing
    np.testing.assert_allclose(third, none + (whole - none) / 3, atol=1e-6)


def test_strength_0_gives_the_pixels_back_to_the_bit(tmp_path: Path, weights: Path) -> None:
    (path,) = make_photographs(tmp_path / "in", 1)
    output = tmp_path / "out.png"
    restore_single(path, output, Options(weights=weights, strength=0, bit_depth=8, tile=64))
    assert np.array_equal(codes(output), codes(path))


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_what_is_not_restored_is_not_compressed_again(
    tmp_path: Path, weights: Path, ending: str
) -> None:
    photo = tmp_path / f"photo.{ending}"
    cv2.imwrite(str(photo), np.random.default_rng(1).integers(0, 255, (96, 128, 3), np.uint8))
    left = replace(Options(weights=weights), strength=0.0)
    restore_single(photo, tmp_path / f"out.{ending}", left)
    assert (tmp_path / f"out.{ending}").read_bytes() == photo.read_bytes()
    for changed in (replace(left, quality=60), replace(left, keep_metadata=False)):
        restore_single(photo, tmp_path / f"out.{ending}", replace(changed, on_exists="overwrite"))
        assert (tmp_path / f"out.{ending}").read_bytes() != photo.read_bytes()


def test_what_is_lost_in_writing_is_told_to_who_waits(tmp_path: Path, weights: Path) -> None:
    photo = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 65535  # other colours than sRGB's, and no profile
    Image.new("RGB", (128, 96), (90, 120, 40)).save(photo, exif=exif)
    told: list[str] = []

    class Told(Reporter):
        def warn(self, message: str) -> None:
            told.append(message)

    report = restore_single(photo, tmp_path / "out.png", Options(weights=weights), Told())
    assert len(told) == 1
    assert "sRGB is assumed" in told[0]
    assert report.warnings == told


def test_strength_1_is_what_the_network_makes(tmp_path: Path, weights: Path) -> None:
    (path,) = make_photographs(tmp_path / "in", 1)
    for name, options in (
        ("a", Options(weights=weights, keep_metadata=False)),
        ("b", Options(weights=weights, keep_metadata=False, strength=1)),
    ):
        restore_single(path, tmp_path / f"{name}.png", options)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert not np.array_equal(codes(tmp_path / "a.png") // 257, codes(path))


def test_a_strength_beyond_1_is_refused() -> None:
    with pytest.raises(UsageError, match="strength"):
        Options(strength=1.5)


def test_there_is_no_warning_of_one_frame_and_the_report_tells_all(
    tmp_path: Path, weights: Path
) -> None:
    (path,) = make_photographs(tmp_path / "in", 1)
    report = restore_single(path, tmp_path / "out.png", Options(weights=weights))
    assert report.warnings == []
    assert report.task == "single"
    assert report.size == (80, 110)
    assert [(frame.path, frame.weight) for frame in report.frames] == [(str(path), 1.0)]


def test_fp32_that_took_over_from_half_precision_is_warned_of_and_told(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = make_photographs(tmp_path / "in", 1)
    output, options = tmp_path / "out.png", Options(weights=weights, precision="bf16")
    compute = Runner._compute

    def overflow(*arguments: Any) -> Tensor:  # noqa: ANN401
        restored = compute(*arguments)
        return restored * torch.inf if arguments[-1] == torch.bfloat16 else restored

    assert restore_single(path, tmp_path / "half.png", options).precision == "bf16"
    monkeypatch.setattr(Runner, "_compute", overflow)
    report = restore_single(path, output, options)
    assert report.precision == "fp32"
    assert ["overflow in bf16" in warning for warning in report.warnings] == [True]
    assert b"<burstfix:precision>fp32<" in output.read_bytes()


def restore_all(paths: list[Path], folder: Path, options: Options) -> list[Report]:
    work = [(path, folder / path.name) for path in paths]
    with Singles(work, options) as singles:
        return [singles.restore(*one, Reporter()) for one in work]


def test_the_network_is_loaded_once_and_the_next_is_decoded_ahead(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = make_photographs(tmp_path / "in")
    loads: list[str] = []
    begun: list[Path] = []
    load, begin = single.load_network, ahead.AheadReader.begin

    def counted(task: str, options: Options) -> object:
        loads.append(task)
        return load("single", options)

    def noted(reader: ahead.AheadReader, path: Path, spare: int) -> None:
        begun.append(path)
        begin(reader, path, spare)

    monkeypatch.setattr(single, "load_network", counted)
    monkeypatch.setattr(ahead.AheadReader, "begin", noted)
    restore_all(paths, tmp_path / "out", Options(weights=weights))
    assert loads == ["single"]
    assert begun == paths[1:]


def test_many_give_what_each_gives_alone_also_with_little_memory(
    tmp_path: Path, weights: Path
) -> None:
    paths = make_photographs(tmp_path / "in")
    options = Options(weights=weights, keep_metadata=False)
    restore_all(paths, tmp_path / "out", options)
    # No picture fits: each is kept in a file, and none decoded ahead.
    least = RESERVE_BYTES + DECODER_BYTES + LEAST_TILES_BYTES
    little = Options(weights=weights, keep_metadata=False, memory=least + 100_000)
    restore_all(paths, tmp_path / "little", little)
    for path in paths:
        restore_single(path, tmp_path / "alone.png", options)
        alone = (tmp_path / "alone.png").read_bytes()
        (tmp_path / "alone.png").unlink()
        assert (tmp_path / "out" / path.name).read_bytes() == alone
        assert (tmp_path / "little" / path.name).read_bytes() == alone


def test_a_bad_photograph_that_was_decoded_ahead_fails_in_its_turn(
    tmp_path: Path, weights: Path
) -> None:
    paths = make_photographs(tmp_path / "in")
    paths[1].write_bytes(paths[0].read_bytes()[:3000])
    work = [(path, tmp_path / "out" / path.name) for path in paths]
    with Singles(work, Options(weights=weights)) as singles:
        singles.restore(*work[0])
        with pytest.raises(InputError, match=r"1\.png"):
            singles.restore(*work[1])
        singles.restore(*work[2])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "2.png"]


def test_what_no_photograph_can_do_with_is_told_at_once(tmp_path: Path, weights: Path) -> None:
    work = [(path, tmp_path / "out" / path.name) for path in make_photographs(tmp_path / "in")]
    for options, error in (
        (Options(weights=tmp_path / "none.safetensors"), WeightsError),
        (Options(weights=weights, device="cuda:7"), DeviceError),
        (Options(backend="fba"), UsageError),
    ):
        with pytest.raises(error), Singles(work, options):
            pass


def test_too_little_memory_is_said_before_work(tmp_path: Path, weights: Path) -> None:
    (path,) = make_photographs(tmp_path / "in", 1)
    with pytest.raises(DeviceError, match="--memory"):
        restore_single(path, tmp_path / "out.png", Options(weights=weights, memory=100 << 20))
