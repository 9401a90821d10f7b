from dataclasses import fields, replace

import pytest
import torch
import torch.nn.functional as F

from burstfix import metrics
from burstfix.synth.burst import SyntheticBurst, clip_side, photo_side
from burstfix.synth.psf import centroids
from burstfix.synth.single import Kind, SingleSettings, singles_of_clips, synthesize_singles

CROP = 64
PLAIN = SingleSettings(  # one exposure of a still scene, and nothing else
    crop=CROP,
    noise=(1e-9, 2e-9),
    unknown_noise_share=0,
    permutes=False,
    saturation=(1, 1),
    rotating_share=0,
    depth_share=0,
    moving_share=0,
    highlight_share=0,
    brightness_ev=(0, 0),
    white_balance=(1, 1),
    correlated_share=0,
    full_colour_share=1,
    pedestal=(1, 1),
    hot_share=0,
    jpeg_share=0,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photos(count: int = 4, grain: int = 40) -> torch.Tensor:
    """Photographs with detail about as fine as `grain` cells a side; linear, 0.1 to 0.9."""
    seeds = torch.rand(count, 3, grain, grain, generator=seeded(1))
    side = photo_side(PLAIN)
    return 0.1 + 0.8 * F.interpolate(seeds, size=(side, side), mode="bicubic").clamp(0, 1)


def make(settings: SingleSettings, *, seed: int = 0, count: int = 4) -> SyntheticBurst:
    return synthesize_singles(photos(count), settings, seeded(seed))


def loss_db(frames: SyntheticBurst) -> torch.Tensor:
    return metrics.psnr(frames.frames[:, 0].clamp(0, 1), frames.truth)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    settings = SingleSettings(crop=CROP)
    first, same, other = make(settings), make(settings), make(settings, seed=1)
    for field in fields(first):
        a, b = getattr(first, field.name), getattr(same, field.name)
        assert torch.equal(a.nan_to_num(9), b.nan_to_num(9)), field.name
    assert first.frames.shape == (4, 1, 3, CROP, CROP)
    assert not torch.equal(first.frames, other.frames)


def test_clean_frames_are_the_truth_but_for_jpeg() -> None:
    settings = SingleSettings(crop=CROP, kinds=("clean",), noise=(0.1, 0.1))
    raw = make(replace(settings, jpeg_share=0))
    torch.testing.assert_close(raw.frames[:, 0], raw.truth, atol=1e-5, rtol=1e-5)
    coded = make(replace(settings, jpeg_share=1, quality=(95, 95), subsample_share=0))
    difference = (coded.frames[:, 0] - coded.truth).abs()
    assert 0 < float(difference.mean()) < 0.01
    smoothing = replace(settings, jpeg_share=1, quality=(95, 95), subsample_share=0)
    smoothed = make(replace(smoothing, smooth_chroma_share=1, clean_noise=(3, 3)))
    assert (smoothed.frames - smoothed.truth[:, None]).abs().mean() < 1.1 * difference.mean()


@pytest.mark.parametrize("kind", ["film", "shake", "defocus", "soft"])
def test_blur_is_what_the_point_spread_function_says_about_where_the_truth_lies(
    kind: Kind,
) -> None:
    far = replace(PLAIN, focal=(3000, 3000), off_axis=0, translation=(0, 0))  # even blur
    frames = make(replace(far, kinds=(kind,), extent=(8, 12), defocus=(0, 0)))
    assert float(centroids(frames.psfs[:, 0]).abs().max()) < 0.02
    kernel = frames.psfs[:, 0].flip(-1, -2).repeat_interleave(3, 0).unsqueeze(1)
    truth = F.conv2d(frames.truth.reshape(1, -1, CROP, CROP), kernel, groups=len(kernel))
    inner = slice(25, -25)
    seen = frames.frames[:, 0, :, inner, inner].reshape(truth.shape)
    still = frames.truth[:, :, inner, inner].reshape(truth.shape)
    off, moved = (seen - truth).abs().mean(), (seen - still).abs().mean()
    assert float(off) < (0.3 if kind == "soft" else 0.2) * float(moved)


def test_a_film_can_be_left_where_it_was_filmed() -> None:
    settings = replace(PLAIN, kinds=("film",), extent=(12, 12))
    here, there = (make(replace(settings, off_centre=share), seed=3) for share in (0, 1))
    assert torch.equal(here.truth, there.truth)
    assert torch.allclose(here.psfs, there.psfs, atol=1e-5)
    left, centred = there.frames[:, 0].clamp(0, 1), here.frames[:, 0].clamp(0, 1)
    shifted = metrics.shift_compensated_psnr(left, centred)
    assert float((shifted - metrics.psnr(left, centred)).median()) > 6


def test_noisy_frames_have_no_blur_and_the_noise_that_is_told() -> None:
    frames = make(replace(PLAIN, kinds=("noisy",), noise=(0.05, 0.05), shot_part=(0.5, 0.5)))
    shot, read = frames.descriptor[:, 0, 2:].unbind(-1)
    deviation = (shot.view(-1, 1, 1, 1) * frames.truth + read.view(-1, 1, 1, 1)).sqrt()
    normal = (frames.frames[:, 0] - frames.truth) / deviation
    assert 0.9 < float(normal[frames.truth < 0.7].std()) < 1.1
    assert torch.equal(frames.psfs.flatten(1).amax(1), torch.ones(4))


def test_kinds_come_as_often_as_they_are_named() -> None:
    small = replace(PLAIN, crop=16, kinds=("clean", "noisy", "noisy", "shake"), extent=(9, 9))
    frames = synthesize_singles(photos(200, 20)[..., :80, :80], small, seeded(5))
    point = frames.psfs.flatten(1).amax(1) > 0.99
    clean = (frames.descriptor[:, 0, 2].isnan()) & point
    assert abs(int(clean.sum()) - 50) < 20
    assert abs(int((~point).sum()) - 50) < 20
    with pytest.raises(ValueError, match="kinds"):
        SingleSettings(kinds=("sharp",))  # type: ignore[arg-type]


def test_things_that_move_are_smeared_and_stand_in_the_truth_where_they_are_halfway() -> None:
    still = make(replace(PLAIN, kinds=("film",), extent=(0.01, 0.02)))
    moving = make(
        replace(PLAIN, kinds=("film",), extent=(0.01, 0.02), moving_share=1, streak=(12, 12))
    )
    assert float(loss_db(moving).mean()) < float(loss_db(still).mean()) - 3


def test_clips_are_averaged_as_light_about_their_middle_frame() -> None:
    side = clip_side(PLAIN)
    base = photos(3)[..., :side, :side]
    clips = torch.stack([base.roll(step, -1) for step in (-2, -1, 0, 1, 2)], dim=1)
    frames = singles_of_clips(clips, replace(PLAIN, kinds=("film",)), seeded())
    inner = slice(8, 8 + CROP)
    torch.testing.assert_close(frames.truth, base[..., inner, inner], atol=1e-5, rtol=1e-5)
    mean = clips.mean(dim=1)[..., inner, inner]
    torch.testing.assert_close(frames.frames[:, 0], mean, atol=1e-5, rtol=1e-5)
    assert not frames.psfs.any()  # nobody knows
    sharp = singles_of_clips(clips, replace(PLAIN, kinds=("clean",)), seeded())
    torch.testing.assert_close(sharp.frames[:, 0], sharp.truth, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="middle"):
        singles_of_clips(clips[:, :4], PLAIN, seeded())


def test_the_noise_of_the_paper_is_added_to_display_codes() -> None:
    plain = make(replace(PLAIN, kinds=("clean",)))
    noisy = make(replace(PLAIN, kinds=("clean",), display_noise=0.05))
    assert torch.equal(plain.truth, noisy.truth)
    assert float((noisy.frames - plain.frames).std()) > 0.005
