"""A pair from files to a file, by the Python API."""

from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from made import MadePair, make_pair, scene, to_light

from burstfix import read_frame, restore_pair
from burstfix.align.light import LightMatch
from burstfix.backends import find
from burstfix.backends.base import DESCRIPTOR
from burstfix.errors import AlignmentError, InputError, UsageError
from burstfix.frame import Box, Frame, Metadata, TensorPixels
from burstfix.io.dng import Sensor, write_dng
from burstfix.restore.alignment import Aligned
from burstfix.restore.kinds import Kinds
from burstfix.restore.options import Options
from burstfix.restore.pair import plan_pair
from burstfix.restore.pair_alignment import MatchedPixels, align_pair, measure_noise
from burstfix.restore.report import Reporter
from burstfix.weights import Card, save

INSIDE = np.s_[16:-16, 16:-16]
KINDS = Kinds((0,), (1,), "options")


@pytest.fixture(scope="module")
def made_pair(tmp_path_factory: pytest.TempPathFactory) -> MadePair:
    return make_pair(tmp_path_factory.mktemp("pair"), tint=(1.0, 0.8, 0.7))


def codes(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return picture[..., ::-1] / np.iinfo(picture.dtype).max


def psnr(picture: np.ndarray, truth: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((picture[INSIDE] - truth[INSIDE]) ** 2)))


def frames_of(pair: MadePair) -> list[Frame]:
    return [read_frame(path) for path in pair.paths]


def test_the_noisy_frame_is_brought_to_the_light_and_colour_of_the_blurry_one(
    made_pair: MadePair,
) -> None:
    aligned, match = align_pair(frames_of(made_pair), KINDS, Reporter())
    expected = 1 / (0.15 * np.array([1.0, 0.8, 0.7]))
    np.testing.assert_allclose(match.gains, expected, rtol=0.06)
    burst, seen = aligned.source.read(Box.whole(aligned.source.size))
    light = to_light(made_pair.truth).transpose(2, 0, 1)
    means = burst[:, :, 16:-16, 16:-16].mean(dim=(2, 3)).numpy()
    np.testing.assert_allclose(means[0], light[:, 16:-16, 16:-16].mean(axis=(1, 2)), rtol=0.03)
    np.testing.assert_allclose(means[0], means[1], rtol=0.03)
    assert (seen[0] == 1).all()
    gain_ev = aligned.descriptor[0, :, DESCRIPTOR.index("gain_ev")]
    assert gain_ev[0] == pytest.approx(np.log2(match.gain))
    assert gain_ev[1] == 0
    assert aligned.descriptor[0, :, 0].tolist() == [1, 0]


def test_the_blurry_frame_is_laid_onto_the_noisy_one_by_the_centre_of_its_shake(
    made_pair: MadePair,
) -> None:
    aligned, _ = align_pair(frames_of(made_pair), KINDS, Reporter())
    at = aligned.source.source_from_reference[1] @ np.array([100, 80, 1])
    assert at[:2] / at[2] == pytest.approx([103, 76], abs=0.6)  # moved by (3, -4) when made


def test_the_result_beats_both_frames_and_has_the_colour_of_the_long_one(
    made_pair: MadePair, tmp_path: Path
) -> None:
    output = tmp_path / "out.png"
    report = restore_pair(made_pair.paths, output)
    assert report.task == "pair"
    assert report.told_by == "noise"
    picture = codes(output)
    noisy = codes(made_pair.short) ** 2.2 / 0.15 / np.array([1.0, 0.8, 0.7])
    lifted = np.clip(noisy, 0, 1) ** (1 / 2.2)
    blurry = np.roll(codes(made_pair.long), (4, -3), axis=(0, 1))
    best = max(psnr(lifted, made_pair.truth), psnr(blurry, made_pair.truth))
    assert psnr(picture, made_pair.truth) > best + 2
    colour = picture[INSIDE].mean(axis=(0, 1)) - made_pair.truth[INSIDE].mean(axis=(0, 1))
    assert np.abs(colour).max() < 0.015


def test_what_is_not_restored_is_the_matched_frame_and_not_its_dark_file(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, times_s=(0.02, 0.25))  # JPEG files
    for ending in ("jpg", "png"):
        restore_pair(pair.paths, tmp_path / f"out.{ending}", Options(strength=0))
    as_jpeg, as_png = (codes(tmp_path / f"out.{ending}") for ending in ("jpg", "png"))
    assert as_jpeg.mean() == pytest.approx(as_png.mean(), abs=0.01)


def test_the_order_of_the_files_changes_no_bit(made_pair: MadePair, tmp_path: Path) -> None:
    one, other = tmp_path / "1.png", tmp_path / "2.png"
    plain = Options(keep_metadata=False)
    restore_pair(made_pair.paths, one, plain)
    restore_pair(made_pair.paths[::-1], other, plain)
    assert one.read_bytes() == other.read_bytes()


def test_one_frame_is_no_pair_and_what_was_said_of_skipped_ones_is_not_heeded(
    made_pair: MadePair, tmp_path: Path
) -> None:
    noisy, blurry = made_pair.paths
    for act in (plan_pair, restore_pair):
        with pytest.raises(InputError, match="A pair needs two frames"):
            act([noisy], tmp_path / "out.png")
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nothing")
    options = Options(skip_bad=True)
    planned = plan_pair([bad, noisy, blurry], tmp_path / "out.png", options, noisy=[bad, noisy])
    assert [frame.kind for frame in planned.frames] == ["", "noisy", "blurry"]
    report = restore_pair(
        [bad, noisy, blurry], tmp_path / "out.png", options, noisy=[bad, noisy], blurry=[blurry]
    )
    assert (report.told_by, report.used) == ("options", 2)
    with pytest.raises(InputError, match="None of the frames named as noisy can be read"):
        restore_pair([bad, noisy, blurry], tmp_path / "no.png", options, noisy=[bad])


def test_what_was_said_outranks_what_the_files_and_pixels_tell(
    made_pair: MadePair, tmp_path: Path
) -> None:
    report = restore_pair(made_pair.paths, tmp_path / "out.png", noisy=[made_pair.long])
    assert report.reference == str(made_pair.long)
    assert report.told_by == "options"
    assert [frame.kind for frame in report.frames] == ["blurry", "noisy"]
    with pytest.raises(UsageError):
        restore_pair(made_pair.paths, tmp_path / "new.png", noisy=made_pair.paths)


def test_several_of_each_kind_serve_and_are_merged_for_two_frames(
    made_pair: MadePair, tmp_path: Path
) -> None:
    second = make_pair(tmp_path / "again", tint=(1.0, 0.8, 0.7), ratio=0.1, noise=0.004)
    frames = [*frames_of(made_pair), *frames_of(second)]
    kinds = Kinds((0, 2), (1, 3), "options")
    aligned, _ = align_pair(frames, kinds, Reporter())
    assert {aligned.order[0], aligned.order[1]} == {0, 2}
    assert aligned.gain[2] / aligned.gain[0] == pytest.approx(1.5, rel=0.06)
    burst, _ = aligned.source.read(Box(40, 40, 120, 160))
    np.testing.assert_allclose(burst.mean(dim=(1, 2, 3)), float(burst[0].mean()), rtol=0.05)
    merged = replace(aligned, merged=(2, 2))
    assert merged.given.frames == merged.told.shape[1] == 2
    assert merged.by_number([0.6, 0.4]) == {n: 0.3 if n in (0, 2) else 0.2 for n in aligned.order}


def test_frames_of_different_scenes_are_refused(made_pair: MadePair, tmp_path: Path) -> None:
    foreign = make_pair(tmp_path, seed=5)
    with pytest.raises(AlignmentError, match=r"short\.png and long\.png"):
        restore_pair([foreign.short, made_pair.long], tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()


def test_two_frames_of_one_kind_are_refused(made_pair: MadePair, tmp_path: Path) -> None:
    again = tmp_path / "again.png"
    again.write_bytes(made_pair.short.read_bytes())
    with pytest.raises(InputError, match="no pair"):
        restore_pair([made_pair.short, again], tmp_path / "out.png")


def test_what_the_gain_lifts_beyond_white_or_the_short_frame_clipped_is_white() -> None:
    light = torch.tensor([0.0, 0.1, 0.5, 1.0]).expand(3, 1, 4)
    brighter = MatchedPixels(TensorPixels(light), LightMatch((4.0,) * 3, (0.0,) * 3))
    assert brighter.read(Box(0, 0, 1, 4))[0, 0].tolist() == pytest.approx([0, 0.4, 1, 1])
    darker = MatchedPixels(TensorPixels(light), LightMatch((0.5,) * 3, (0.0,) * 3))
    assert darker.read(Box(0, 0, 1, 4))[0, 0].tolist() == pytest.approx([0, 0.05, 0.25, 1])


def raw_pair(folder: Path, *, thing: bool = False) -> list[Path]:
    """Write a pair of DNG files; the camera took the short one for another white balance.

    Args:
        folder: where to.
        thing: whether a bright one stands in the long frame alone.
    """
    light = to_light(scene(200, 240))
    long = cv2.blur(light, (11, 3))
    if thing:
        long[50:110, 90:130] = (0.9, 0.05, 0.02)
    exposures = ((light, 0.2, 1 / 60, (0.4, 1.0, 0.5)), (long, 1.0, 0.25, None))
    paths = []
    for number, (seen, gain, time_s, neutral) in enumerate(exposures):
        camera = seen * gain * np.array([0.5, 1.0, 0.7])
        mosaic = np.empty(seen.shape[:2])
        for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
            mosaic[row::2, column::2] = camera[row::2, column::2, channel]
        sensor = Sensor(
            black_level=512,
            white_level=16383,
            as_shot_neutral=neutral or (0.5, 1.0, 0.7),
            color_matrix=np.linalg.inv(
                np.array(
                    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
                )
            ).tolist(),
            noise=(1e-4, 1e-6),
        )
        noise = np.random.default_rng(number).normal(0, np.sqrt(1e-4 * mosaic + 1e-6))
        path = folder / f"{number}.dng"
        numbers = np.clip(512 + 15871 * (mosaic + noise), 0, 16383).round().astype(np.uint16)
        write_dng(
            path, numbers, sensor=sensor, metadata=Metadata(exposure_s=time_s, iso=800, camera="C")
        )
        paths.append(path)
    return paths


def test_raw_frames_take_the_white_balance_of_the_long_one(tmp_path: Path) -> None:
    paths = raw_pair(tmp_path)
    frames = [read_frame(path) for path in paths]
    assert frames[0].white_balance != frames[1].white_balance
    aligned, match = align_pair(frames, KINDS, Reporter())
    assert aligned.reference.white_balance == frames[1].white_balance
    np.testing.assert_allclose(match.gains, 5, rtol=0.05)
    assert match.offsets == (0, 0, 0)
    noise = aligned.descriptor[0, :, 2:].numpy()
    expected = [[1e-4 * match.gain, 1e-6 * match.gain**2], [1e-4, 1e-6]]
    np.testing.assert_allclose(noise, expected, rtol=1e-4)


def test_a_thing_that_stands_only_in_a_long_raw_frame_counts_as_not_seen(tmp_path: Path) -> None:
    seen, light = [], []
    for thing in (False, True):
        folder = tmp_path / str(thing)
        folder.mkdir()
        frames = [read_frame(path) for path in raw_pair(folder, thing=thing)]
        aligned, _ = align_pair(frames, KINDS, Reporter())
        burst, share = aligned.source.read(Box.whole(aligned.source.size))
        light.append(burst[0])
        seen.append(share[1, 0, 16:-16, 16:-16])
    assert seen[0].mean() > 0.98
    assert seen[1][44:84, 79:109].max() < 0.1
    assert seen[1][:, :34].mean() > 0.95
    torch.testing.assert_close(light[0], light[1], rtol=0.05, atol=0.01)  # the short one's own


def test_noise_that_files_do_not_tell_is_measured_beside_the_long_frame(tmp_path: Path) -> None:
    pairs = [make_pair(tmp_path / str(noise), noise=noise) for noise in (0.004, 0.012)]
    told = []
    for pair in pairs:
        aligned, _ = align_pair(frames_of(pair), KINDS, Reporter())
        assert aligned.descriptor[..., 2:].isnan().all()
        descriptor = measure_noise(aligned).descriptor
        assert descriptor[0, 1, 2:].isnan().all()
        shot, read = descriptor[0, 0, 2:].tolist()
        burst, _ = aligned.source.read(Box.whole(aligned.source.size))
        error = burst[0].numpy() - to_light(pair.truth).transpose(2, 0, 1)
        told.append((shot * float(burst[0].mean()) + read) / error.var())
    assert told == pytest.approx([1, 1], rel=0.5)


def test_measured_noise_is_told_to_weights_that_learned_from_it(
    made_pair: MadePair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []

    def measure(aligned: Aligned) -> Aligned:
        told.append(aligned)
        return aligned

    monkeypatch.setattr("burstfix.restore.pair.measure_noise", measure)
    backend = find("deblur-merger")
    config = backend.config(width=0.1, residual=True)
    for share, times in ((0.0, 0), (0.9, 1)):
        card = Card(
            backend="deblur-merger",
            task="pair",
            config=asdict(config),
            recipe={"data": {"measured_noise_share": share}},
        )
        weights = tmp_path / f"{share}.safetensors"
        save(backend.build(config), card, weights)
        options = Options(backend="deblur-merger", weights=weights)
        restore_pair(made_pair.paths, tmp_path / f"{share}.png", options)
        assert len(told) == times


def test_noise_that_raw_files_tell_is_not_measured(tmp_path: Path) -> None:
    aligned, _ = align_pair([read_frame(path) for path in raw_pair(tmp_path)], KINDS, Reporter())
    assert measure_noise(aligned) is aligned


def test_a_thing_that_stands_only_in_the_long_frame_does_no_harm(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, noise=0.003)
    long = cv2.imread(str(pair.long))
    long[50:110, 90:130] = (40, 60, 190)
    cv2.imwrite(str(pair.long), long)
    output = tmp_path / "out.png"
    report = restore_pair(pair.paths, output)
    assert report.colour is not None
    gains = np.array(report.colour)
    lifted = np.clip(to_light(codes(pair.short)) * gains, 0, 1)
    noisy = np.where(lifted > 0.0031308, 1.055 * lifted ** (1 / 2.4) - 0.055, lifted * 12.92)
    assert psnr(codes(output), pair.truth) > psnr(noisy, pair.truth)
    there = np.s_[55:105, 90:120]
    errors = [np.abs(picture - pair.truth)[there].mean() for picture in (codes(output), noisy)]
    assert errors[0] < errors[1]


def test_a_network_of_two_frames_gets_the_mean_of_each_kind(
    made_pair: MadePair, tmp_path: Path
) -> None:
    again = make_pair(tmp_path / "again", tint=(1.0, 0.8, 0.7), ratio=0.1, noise=0.004)
    backend = find("deblur-merger")
    config = backend.config(width=0.1, residual=True)
    weights = tmp_path / "w.safetensors"
    card = Card(backend="deblur-merger", task="pair", config=asdict(config))
    save(backend.build(config), card, weights)
    paths = [*made_pair.paths, *again.paths]
    options = Options(backend="deblur-merger", weights=weights)
    report = restore_pair(
        paths, tmp_path / "out.png", options, noisy=[made_pair.short, again.short]
    )
    assert report.used == 4
    shares = [frame.weight for frame in report.frames]
    assert shares[0] == shares[2]
    assert shares[1] == shares[3]
    assert sum(share or 0 for share in shares) == pytest.approx(1, abs=1e-4)


def test_a_long_frame_that_clipped_nearly_all_is_refused(
    made_pair: MadePair, tmp_path: Path
) -> None:
    white = tmp_path / "white.png"
    cv2.imwrite(str(white), np.maximum(cv2.imread(str(made_pair.long)), 252))
    with pytest.raises(AlignmentError):
        restore_pair([made_pair.short, white], tmp_path / "out.png", noisy=[made_pair.short])
    assert not (tmp_path / "out.png").exists()
