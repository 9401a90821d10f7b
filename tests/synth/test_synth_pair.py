from dataclasses import fields, replace

import pytest
import torch

from burstfix import color
from burstfix.synth.burst import SyntheticBurst, clip_side, photo_side
from burstfix.synth.pair import (
    PairSettings,
    Timeline,
    draw_timeline,
    pairs_of_clips,
    publish,
    synthesize_pairs,
)

CROP = 64
CLEAN = PairSettings(  # two exposures of a still scene, and nothing else
    crop=CROP,
    noise=(1e-9, 2e-9),
    light=(0.125, 0.125),
    amplified_share=0,
    unknown_gain_share=0,
    unknown_noise_share=0,
    extent=(0.02, 0.03),
    centroid_miss=0,
    stranger_share=0,
    depth_share=0,
    moving_share=0,
    leftover_px=0,
    parallax_px=0,
    edge_share=0,
    highlight_share=0,
    brightness_ev=(0, 0),
    gain_error=0,
    white_balance=(1, 1),
    white_balance_drift=0,
    correlated_share=0,
    full_colour_share=0,
    pedestal=(1, 1),
    hot_share=0,
    jpeg_share=0,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth_photos(count: int = 4) -> torch.Tensor:
    """Photographs that demosaicing hardly changes; linear, 0.1 to 0.9."""
    seeds = torch.rand(count, 3, 10, 10, generator=seeded(1))
    side = photo_side(CLEAN)
    big = torch.nn.functional.interpolate(seeds, size=(side, side), mode="bicubic")
    return 0.1 + 0.8 * big.clamp(0, 1)


def make(settings: PairSettings, *, seed: int = 0, frames: int = 2) -> SyntheticBurst:
    return synthesize_pairs(smooth_photos(), settings, seeded(seed), frames)


def test_without_noise_and_shake_both_frames_are_the_truth() -> None:
    pairs = make(CLEAN)
    assert pairs.frames.shape == (4, 2, 3, CROP, CROP)
    for frame in pairs.frames.unbind(1):
        assert (frame - pairs.truth).abs().mean() < 0.003


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    settings = PairSettings(crop=CROP)
    first, same, other = make(settings), make(settings), make(settings, seed=1)
    for field in fields(first):
        a, b = getattr(first, field.name), getattr(same, field.name)
        assert torch.equal(a.nan_to_num(9), b.nan_to_num(9)), field.name
    assert not torch.equal(first.frames, other.frames)


def test_the_short_frame_is_noisy_and_the_long_one_blurry() -> None:
    pairs = make(replace(CLEAN, noise=(0.05, 0.05), shot_part=(0, 0), extent=(15, 15)))
    short, long = (pairs.frames - pairs.truth.unsqueeze(1)).unbind(1)
    assert 0.03 < float(short.std()) < 0.06  # demosaicing smooths some of it
    fine = lambda light: (light - light.roll(1, -1)).std()  # noqa: E731
    assert fine(pairs.frames[:, 0]) > 2 * fine(pairs.frames[:, 1])
    assert long.abs().mean() > 0.01


def test_descriptors_tell_the_gain_and_the_noise_that_the_frames_have() -> None:
    settings = replace(CLEAN, noise=(0.05, 0.05), shot_part=(0.5, 0.5), full_colour_share=1)
    pairs = make(settings)
    reference, gain_ev, shot, read = pairs.descriptor.unbind(-1)
    assert torch.equal(reference, torch.tensor([[1.0, 0.0]]).expand(4, 2))
    torch.testing.assert_close(gain_ev, torch.tensor([[3.0, 0.0]]).expand(4, 2))
    expected = shot.view(4, 2, 1, 1, 1) * pairs.truth.unsqueeze(1) + read.view(4, 2, 1, 1, 1)
    found = (pairs.frames - pairs.truth.unsqueeze(1)).square().mean((2, 3, 4))
    torch.testing.assert_close(found[:, 0], expected.mean((2, 3, 4))[:, 0], rtol=0.15, atol=1e-5)


def test_noise_that_files_do_not_tell_is_measured_beside_the_truth() -> None:
    jpegs = replace(
        CLEAN,
        noise=(0.05, 0.05),
        shot_part=(0.5, 0.5),
        full_colour_share=1,
        jpeg_share=1,
        gamma=(2.2, 2.2),
        quality=(98, 98),
        clean_luma=(0, 0),
        clean_chroma=(0, 0),
        sharpen=(0, 0),
        amplified_share=1,
    )
    assert make(jpegs).descriptor[..., 2:].isnan().all()
    pairs = make(replace(jpegs, measured_noise_share=1, measuring_error=0))
    shot, read = pairs.descriptor[:, 0, 2:].unbind(-1)
    assert pairs.descriptor[:, 1, 2:].isnan().all()
    expected = (shot.view(4, 1, 1, 1) * pairs.truth + read.view(4, 1, 1, 1)).mean((1, 2, 3))
    found = (pairs.frames[:, 0] - pairs.truth).square().mean((1, 2, 3))
    torch.testing.assert_close(expected, found, rtol=0.25, atol=0)
    missed = make(replace(jpegs, measured_noise_share=1, measuring_error=1)).descriptor[:, 0, 2:]
    ratio = missed.sum(-1) / pairs.descriptor[:, 0, 2:].sum(-1)
    assert ratio.max() > 1.5 * ratio.min()


def test_dark_places_of_short_jpegs_are_tinted_and_bright_ones_hardly() -> None:
    jpegs = replace(CLEAN, jpeg_share=1, quality=(98, 98), brightness_ev=(-2.5, 0))
    raws = make(replace(CLEAN, dark_cast=0.01)).frames - make(CLEAN).frames
    assert not raws.any()
    plain, tinted = make(jpegs).frames, make(replace(jpegs, dark_cast=0.01)).frames
    change = (tinted - plain).abs()
    assert not change[:, 1].any()
    dark, bright = plain[:, 0] < 0.04, plain[:, 0] > 0.15
    assert change[:, 0][dark].mean() > 3 * change[:, 0][bright].mean()


def test_long_jpegs_are_doubted_in_places_and_blend_there_into_the_short_one() -> None:
    jpegs = replace(CLEAN, jpeg_share=1, noise=(0.05, 0.05))
    certain, doubted = make(jpegs), make(replace(jpegs, doubt_share=1))
    assert (certain.seen == 1).all()
    assert (doubted.seen[:, 0] == 1).all()
    seen = doubted.seen[:, 1]
    assert seen.min() < 0.5
    assert 0.5 < seen.mean() < 0.99
    short, long = certain.frames.unbind(1)
    torch.testing.assert_close(doubted.frames[:, 1], torch.lerp(short, long, seen))
    raws = make(replace(CLEAN, doubt_share=1))
    assert (raws.seen == 1).all()


def test_unknown_gains_are_left_out() -> None:
    assert make(replace(CLEAN, unknown_gain_share=1)).descriptor[..., 1].isnan().all()


def test_a_stranger_shows_another_scene_in_the_long_frame_alone() -> None:
    error = (make(replace(CLEAN, stranger_share=1)).frames - make(CLEAN).truth[:, None]).abs()
    short, long = error.mean((0, 2, 3, 4))
    assert short < 0.003
    assert long > 0.1


def test_light_beyond_white_is_white_in_both_frames() -> None:
    pairs = make(replace(CLEAN, brightness_ev=(2, 2)))
    assert pairs.frames.amax() <= 1
    assert (pairs.truth == 1).float().mean() > 0.2


def test_psfs_are_as_wide_as_the_shake_and_the_short_frame_has_none() -> None:
    psfs = make(replace(CLEAN, extent=(16, 16))).psfs
    torch.testing.assert_close(psfs.sum((-2, -1)), torch.ones(4, 2))
    middle = psfs.shape[-1] // 2
    assert (psfs[:, 0, middle, middle] > 0.999).all()
    for psf in psfs[:, 1]:
        y, x = torch.nonzero(psf > 1e-4).float().unbind(-1)
        assert 10 < max(x.max() - x.min(), y.max() - y.min()) < 19


def test_an_unregistered_pair_keeps_the_drift_of_the_camera() -> None:
    shaken = replace(CLEAN, extent=(12, 12))
    kept, taken = (
        (pairs.frames[:, 1] - pairs.truth).abs().mean()
        for pairs in (make(replace(shaken, drift=1.0)), make(shaken))
    )
    assert kept > 1.3 * taken


@pytest.mark.parametrize("frames", [2, 3, 5])
def test_timelines_lose_frames_between_exposures_and_end_with_long_ones(frames: int) -> None:
    for seed in range(20):
        line = draw_timeline(frames, 9.3, PairSettings(gap=(1, 3)), seeded(seed))
        lengths = [len(moments) for moments in line.frames]
        assert len(lengths) == frames
        assert lengths == [1] * line.shorts + [10] * (frames - line.shorts)
        assert 1 <= line.shorts < frames
        assert line.times[0] == 0
        gaps = [
            abs(float(line.times[b[0]] - line.times[a[-1]])) - 1
            for a, b in zip(line.frames, line.frames[1:], strict=False)
        ]
        assert all(1 <= gap <= 3 for gap in gaps)


def test_published_noise_has_the_variances_of_the_paper() -> None:
    light = torch.full((2, 2, 3, 128, 128), 0.4)
    line = Timeline(times=torch.zeros(10), frames=(range(1), range(1, 10)), shorts=1)
    share = torch.tensor([0.35, 0.7])
    recorded = publish(light, share, line, seeded())
    codes = color.encode(recorded, color.SRGB)
    clean = color.encode(0.4 * share, color.SRGB)
    means, spreads = codes.mean((2, 3, 4)), codes.std((2, 3, 4))
    torch.testing.assert_close(means[:, 0], clean, atol=2e-3, rtol=0)
    poisson = (clean[0] / 256).sqrt()
    torch.testing.assert_close(spreads[0, 0], poisson, rtol=0.02, atol=0)
    assert 0.05 < spreads[1, 0] < 0.1
    torch.testing.assert_close(spreads[1, 1], spreads[1, 0] / 3, rtol=0.03, atol=0)


def test_one_frame_is_no_pair() -> None:
    with pytest.raises(ValueError, match="two frames"):
        make(CLEAN, frames=1)


def test_of_a_clip_the_first_frame_is_noisy_and_true_and_the_third_to_last_are_averaged() -> None:
    side = clip_side(CLEAN)
    levels = torch.tensor([0.1, 0.9, 0.2, 0.3, 0.7]).view(1, 5, 1, 1, 1)
    pairs = pairs_of_clips(levels.expand(2, 5, 3, side, side).clone(), CLEAN, seeded())
    torch.testing.assert_close(pairs.truth, torch.full((2, 3, CROP, CROP), 0.1))
    noisy, blurry = pairs.frames.mean((0, 2, 3, 4))
    torch.testing.assert_close(noisy, torch.tensor(0.1), atol=1e-3, rtol=0)
    torch.testing.assert_close(blurry, torch.tensor(0.4), atol=1e-3, rtol=0)
