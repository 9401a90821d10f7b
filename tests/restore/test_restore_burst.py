"""A burst from files to a file, by the Python API."""

import json
import os
import shutil
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from made import MadeBurst
from PIL import Image

from burstfix import Options, align_frames, read_frame, restore_burst
from burstfix.backends import find
from burstfix.errors import DeviceError, InputError, OutputError, UsageError
from burstfix.frame import Metadata, TensorPixels
from burstfix.restore.burst import plan_burst
from burstfix.restore.report import Reporter
from burstfix.weights import Card, save


class Messages(Reporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.stages: list[tuple[str, int]] = []
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)

    def stage(self, name: str, steps: int) -> None:
        self.stages.append((name, steps))

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def test_a_bad_frame_fails_the_run_or_is_skipped_and_named(
    made_burst: MadeBurst, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(made_burst.paths[0].read_bytes()[:5000])
    paths = [bad, *made_burst.paths]
    with pytest.raises(InputError, match=r"bad\.png"):
        restore_burst(paths, tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()
    messages = Messages()
    report = restore_burst(paths, tmp_path / "out.png", Options(skip_bad=True), messages)
    assert report.used == 5
    assert [frame.path for frame in report.frames if not frame.used] == [str(bad)]
    assert "bad.png" in messages.warnings[0]
    assert report.warnings == messages.warnings


def test_the_reference_is_the_file_that_was_chosen_whatever_was_skipped(
    made_burst: MadeBurst, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nothing")
    paths = [bad, *made_burst.paths]
    options = Options(backend="mean", skip_bad=True, reference=3)
    assert restore_burst(paths, tmp_path / "a.png", options).reference == str(paths[2])
    for act in (restore_burst, plan_burst):
        with pytest.raises(InputError, match=r"bad\.png was chosen as the reference"):
            act(paths, tmp_path / "b.png", replace(options, reference="first"))
        with pytest.raises(UsageError, match="names no frame"):
            act(paths, tmp_path / "b.png", replace(options, reference=7))
    planned = plan_burst(paths, tmp_path / "b.png", options)
    assert [frame.path for frame in planned.frames if not frame.used] == [str(bad)]


def test_a_plan_refuses_what_the_run_would(tmp_path: Path) -> None:
    for name, size in (("a", (120, 160)), ("b", (120, 160)), ("c", (160, 120))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((*size, 3), 90, np.uint8))
    paths = sorted(tmp_path.glob("*.png"))
    for act in (plan_burst, restore_burst):
        with pytest.raises(InputError, match="turned by 90 degrees"):
            act(paths, tmp_path / "out.png", Options(backend="mean"))
    (tmp_path / "there.png").write_bytes(b"")
    for act in (plan_burst, restore_burst):
        there = act(paths, tmp_path / "there.png", Options(backend="mean", on_exists="skip"))
        assert there.status == "skipped"


def test_stages_are_told_in_order(made_burst: MadeBurst, tmp_path: Path) -> None:
    messages = Messages()
    restore_burst(made_burst.paths, tmp_path / "out.png", reporter=messages)
    assert [name for name, _ in messages.stages] == ["decode", "align", "fuse", "write"]
    assert messages.stages[0][1] == 5


def test_sizes_are_looked_up_and_frames_decoded_by_the_same_processes(
    made_burst: MadeBurst, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    started = []
    popen = subprocess.Popen

    def count(*command: object, **options: object) -> object:
        started.append(popen(*command, **options))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", count)
    restore_burst(made_burst.paths, tmp_path / "out.png", Options(backend="mean"))
    assert len(started) == 2
    assert all(process.poll() is not None for process in started)


def test_what_becomes_of_an_odd_number_of_frames_is_told(
    made_burst: MadeBurst, tmp_path: Path
) -> None:
    backend = find("wieschollek")
    config = backend.config(hidden=0.01, stride=16)
    weights = tmp_path / "w.safetensors"
    save(backend.build(config), Card(backend="wieschollek", config=asdict(config)), weights)
    messages = Messages()
    options = Options(weights=weights, settings={"stride": "11"})
    report = restore_burst(made_burst.paths, tmp_path / "out.png", options, messages)
    assert report.backend == "wieschollek"
    assert "5 frames are repeated to make 14." in messages.notes
    assert b"stride=11" in (tmp_path / "out.png").read_bytes()  # in the XMP


def test_report_and_xmp_tell_what_was_computed_in_and_what_was_set(
    made_burst: MadeBurst, tmp_path: Path
) -> None:
    output = tmp_path / "out.png"
    options = Options(backend="fba", settings={"p": "7"}, strength=0.5)
    planned = plan_burst(made_burst.paths, output, options)
    report = restore_burst(made_burst.paths, output, options)
    for told in (planned, report):
        assert (told.precision, told.settings, told.strength) == ("fp32", {"p": "7"}, 0.5)
    assert b"<burstfix:precision>fp32<" in output.read_bytes()


def test_a_frame_at_half_the_exposure_is_matched(made_burst: MadeBurst, tmp_path: Path) -> None:
    codes = np.asarray(Image.open(made_burst.paths[1])) / 255
    light = np.where(codes > 0.04045, ((codes + 0.055) / 1.055) ** 2.4, codes / 12.92) / 2
    dark = np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, light * 12.92)
    path = tmp_path / "dark.png"
    Image.fromarray(np.round(dark * 255).astype(np.uint8)).save(path)
    frames = [read_frame(file) for file in (made_burst.paths[0], path)]
    aligned = align_frames(frames, Options(reference="first"))
    assert aligned.gain[1] == pytest.approx(2, rel=0.03)
    assert aligned.descriptor[0, 1, 1] == pytest.approx(1, abs=0.05)


def test_noise_that_a_raw_file_tells_of_grows_with_the_gain(made_burst: MadeBurst) -> None:
    bright, dark = (read_frame(file) for file in made_burst.paths[:2])
    told = Metadata(noise=(1e-3, 1e-5))
    bright = replace(bright, raw=True, metadata=told)
    dark = replace(dark, raw=True, metadata=told, pixels=TensorPixels(dark.whole() / 2))
    aligned = align_frames([bright, dark], Options(reference="first"))
    gain = aligned.gain[1]
    assert gain == pytest.approx(2, rel=0.03)
    expected = [[1e-3, 1e-5], [1e-3 * gain, 1e-5 * gain**2]]
    np.testing.assert_allclose(aligned.descriptor[0, :, 2:], expected, rtol=1e-5)
    plain = align_frames([replace(bright, raw=False), dark], Options(reference="first"))
    assert plain.descriptor[0, 0, 2:].isnan().all()


def test_too_little_memory_is_said_before_work(made_burst: MadeBurst, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="--memory"):
        restore_burst(made_burst.paths, tmp_path / "out.png", Options(memory=100 << 20))


def test_a_disk_without_room_for_the_picture_is_said_before_work(
    made_burst: MadeBurst, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(total=1 << 20, used=0, free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    messages = Messages()
    with pytest.raises(OutputError, match="lacks"):
        restore_burst(made_burst.paths, tmp_path / "out.tif", reporter=messages)
    assert messages.stages == []
    restore_burst(made_burst.paths, tmp_path / "out.jpg", Options(backend="mean"))


def test_little_memory_gives_the_same_picture(
    made_burst: MadeBurst, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, spilled = tmp_path / "plain.png", tmp_path / "spilled.png"
    restore_burst(made_burst.paths, plain, Options(backend="fba", keep_metadata=False))
    monkeypatch.setattr("burstfix.restore.budget.LEAST_TILES_BYTES", 1 << 20)
    memory = (450 << 20) + (2 << 20)
    tight = Options(backend="fba", keep_metadata=False, memory=memory, tile=64)
    restore_burst(made_burst.paths, spilled, tight)
    one, other = (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in (plain, spilled))
    assert np.abs(one.astype(int) - other.astype(int)).max() <= 1  # of 65535


def test_linear_output_is_the_light_itself(made_burst: MadeBurst, tmp_path: Path) -> None:
    output = tmp_path / "out.tif"
    options = Options(linear=True, backend="mean", reference="first")
    restore_burst(made_burst.paths, output, options)
    light = cv2.imread(str(output), cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert light.dtype == np.float32
    truth = np.where(
        made_burst.truth > 0.04045, ((made_burst.truth + 0.055) / 1.055) ** 2.4, made_burst.truth
    )
    inside = np.s_[12:-12, 12:-12]
    assert abs(float(np.median(light[inside] - truth[inside]))) < 0.01


def test_provenance_names_inputs_and_backend(made_burst: MadeBurst, tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    report = restore_burst(made_burst.paths, output, Options(backend="mean"))
    content = output.read_bytes()
    assert b"frame 3.png" in content
    assert b"mean" in content
    json.dumps(report.as_json())  # plain values only


def test_one_frame_comes_back_to_the_bit_with_a_warning(
    made_burst: MadeBurst, tmp_path: Path
) -> None:
    messages = Messages()
    output = tmp_path / "out.png"
    options = Options(backend="mean", bit_depth=8)
    restore_burst(made_burst.paths[:1], output, options, messages)
    one, other = (cv2.imread(str(path)) for path in (output, made_burst.paths[0]))
    assert np.array_equal(one, other)
    assert "one frame" in messages.warnings[0]
