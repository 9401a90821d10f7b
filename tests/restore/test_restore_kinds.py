"""Which frames of a pair are noisy, and which blurry."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from made import scene, to_light

from burstfix.color import SRGB
from burstfix.errors import InputError, UsageError
from burstfix.frame import Frame, Metadata, TensorPixels
from burstfix.restore.kinds import (
    Kinds,
    Named,
    find_kinds,
    kinds_by_name,
    kinds_by_time,
    kinds_told,
)

LIGHT = to_light(scene(160, 200)).astype(np.float32)


def frame(light: np.ndarray, *, noise: float = 0.0, time_s: float | None = None) -> Frame:
    random = np.random.default_rng(3)
    noisy = light + random.normal(0, noise, light.shape).astype(np.float32)
    pixels = TensorPixels(torch.from_numpy(noisy).permute(2, 0, 1).contiguous())
    return Frame(pixels=pixels, curve=SRGB, metadata=Metadata(exposure_s=time_s))


def shaken(light: np.ndarray) -> np.ndarray:
    return cv2.blur(light, (15, 3))


def test_the_shorter_exposure_is_noisy_even_where_its_iso_makes_it_brighter() -> None:
    metadata = [Metadata(exposure_s=1 / 4, iso=100), Metadata(exposure_s=1 / 30, iso=3200)]
    assert kinds_by_time(metadata) == Kinds((1,), (0,), "exposure time")


def test_several_frames_are_parted_at_the_widest_gap() -> None:
    times = [1 / 60, 1 / 2, 1 / 50, 1 / 3, 1 / 60]
    kinds = kinds_by_time([Metadata(exposure_s=time) for time in times])
    assert kinds is not None
    assert (kinds.noisy, kinds.blurry) == ((0, 2, 4), (1, 3))
    assert kinds.named() == ("noisy", "blurry", "noisy", "blurry", "noisy")


def test_times_that_are_alike_or_missing_tell_nothing() -> None:
    assert kinds_by_time([Metadata(exposure_s=1 / 60), Metadata(exposure_s=1 / 55)]) is None
    assert kinds_by_time([Metadata(exposure_s=1 / 60), Metadata()]) is None


def test_noise_against_the_light_tells_whatever_the_exposure() -> None:
    for gain in (0.1, 1.0):
        short = frame(LIGHT * gain, noise=0.04 * gain)
        assert find_kinds([frame(shaken(LIGHT)), short], Named()) == Kinds((1,), (0,), "noise")


def test_where_noise_is_alike_the_sharper_frame_counts_as_the_short_one() -> None:
    frames = [frame(shaken(LIGHT), noise=0.02), frame(LIGHT, noise=0.02)]
    assert find_kinds(frames, Named()) == Kinds((1,), (0,), "sharpness")


def test_time_goes_before_pixels() -> None:
    frames = [frame(LIGHT, noise=0.04, time_s=2), frame(shaken(LIGHT), time_s=0.1)]
    assert find_kinds(frames, Named()).noisy == (1,)


def test_frames_that_are_alike_and_a_single_frame_are_no_pair() -> None:
    with pytest.raises(InputError, match="no pair"):
        find_kinds([frame(LIGHT, noise=0.02), frame(LIGHT, noise=0.021)], Named())
    with pytest.raises(InputError, match="two frames"):
        find_kinds([frame(LIGHT)], Named())


PATHS = [Path("a"), Path("b"), Path("c")]


def test_what_is_not_named_is_of_the_other_kind() -> None:
    assert kinds_by_name(PATHS, Named()) is None
    assert kinds_by_name(PATHS, Named(noisy=[PATHS[1]])) == Kinds((1,), (0, 2), "options")
    assert kinds_by_name(PATHS, Named(blurry=[PATHS[1]])) == Kinds((0, 2), (1,), "options")


def test_a_file_may_be_named_by_another_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = Named(noisy=[tmp_path / "b"])
    assert kinds_by_name(PATHS, named) == Kinds((1,), (0, 2), "options")
    assert kinds_told(PATHS, [Metadata()] * 3, named) == Kinds((1,), (0, 2), "options")


@pytest.mark.parametrize(
    "named",
    [
        Named(noisy=[Path("a")], blurry=[Path("a"), Path("b"), Path("c")]),
        Named(noisy=[Path("a")], blurry=[Path("b")]),  # and c?
        Named(noisy=PATHS),
        Named(noisy=[Path("z")]),
    ],
)
def test_names_that_contradict_each_other_are_refused(named: Named) -> None:
    with pytest.raises(UsageError):
        kinds_by_name(PATHS, named)
