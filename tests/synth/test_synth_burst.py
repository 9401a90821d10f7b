from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from burstfix import color
from burstfix.synth.burst import SyntheticBurst, photo_side, synthesize
from burstfix.synth.plan import BurstSettings, draw_plan
from burstfix.synth.psf import convolve
from burstfix.synth.resample import pixel_grid, spline_sample, transform

STILL = BurstSettings(  # nothing happens
    crop=64,
    psf_size=31,
    sharp_share=1,
    defocus=(0, 0),
    disc_share=0,
    matern_share=0,
    rotating_share=0,
    leftover_px=0,
    parallax_px=0,
    moving_share=0,
    ruined_share=0,
    edge_share=0,
    highlight_share=0,
    brightness_ev=(0, 0),
    bracket_share=0,
    exposure_ev=0,
    gain_error=0,
    white_balance=(1, 1),
    white_balance_drift=0,
    noise=(1e-9, 1e-8),
    correlated_share=0,
    full_colour_share=0,
    pedestal=(1, 1),
    hot_share=0,
    jpeg_share=0,
    unknown_noise_share=0,
)
EVERYTHING = replace(
    BurstSettings(crop=64, psf_size=31),
    rotating_share=0.5,
    moving_share=0.5,
    ruined_share=0.5,
    edge_share=0.3,
    bracket_share=0.5,
    correlated_share=0.5,
    hot_share=0.5,
)
UNSHAKEN = 0.05  # extents of 1.5 px at most lie within this, on smooth photographs


def smooth_photos(count: int = 4, side: int = 160) -> torch.Tensor:
    """Photographs that demosaicing and small shakes hardly change; linear, 0.1 to 0.9."""
    seeds = torch.rand(count, 3, 10, 10, generator=torch.Generator().manual_seed(1))
    big = torch.nn.functional.interpolate(seeds, size=(side, side), mode="bicubic")
    return 0.1 + 0.8 * big.clamp(0, 1)


def make(
    settings: BurstSettings, *, seed: int = 0, frames: int = 5, **photos: int
) -> SyntheticBurst:
    generator = torch.Generator().manual_seed(seed)
    return synthesize(smooth_photos(**photos), settings, generator, frames)


def test_shapes_and_finite_light_whatever_happens() -> None:
    for seed in range(6):
        burst = make(EVERYTHING, seed=seed)

        assert burst.frames.shape == (4, 5, 3, 64, 64)
        assert burst.truth.shape == (4, 3, 64, 64)
        assert burst.seen.shape == (4, 5, 1, 64, 64)
        assert burst.descriptor.shape == (4, 5, 4)
        assert burst.psfs.shape == (4, 5, 31, 31)
        assert burst.source_from_reference.shape == (4, 5, 3, 3)
        assert torch.isfinite(burst.frames).all()
        assert burst.truth.min() >= 0
        assert burst.truth.max() <= 1
        assert (burst.seen[:, 0] == 1).all()


def test_a_sensor_without_a_pedestal_cuts_noise_at_black_and_nobody_tells_of_that_noise() -> None:
    noisy = replace(STILL, noise=(0.05, 0.05), shot_part=(0, 0), brightness_ev=(-20, -20))
    whole = make(replace(noisy, pedestal=(1, 1)))
    cut = make(replace(noisy, pedestal=(0, 0)))
    assert whole.frames.mean().abs() < 0.002
    assert cut.frames.mean() > 0.3 * 0.05  # half a Gaussian has a mean of 0.4 deviations
    assert not whole.descriptor[..., 2:].isnan().any()
    assert cut.descriptor[..., 2:].isnan().all()


def test_the_same_seed_gives_the_same_burst_to_the_bit_and_another_does_not() -> None:
    first, again, other = (make(EVERYTHING, seed=seed) for seed in (3, 3, 4))

    for field in fields(first):
        a, b = getattr(first, field.name), getattr(again, field.name)
        assert torch.equal(a.nan_to_num(7), b.nan_to_num(7)), field.name
    assert not torch.equal(first.frames, other.frames)


def test_photographs_are_not_changed() -> None:
    photos = smooth_photos()
    before = photos.clone()

    synthesize(photos, EVERYTHING, torch.Generator().manual_seed(0), 4)

    assert torch.equal(photos, before)


@pytest.mark.parametrize("frames", [1, 2, 16])
def test_where_nothing_happens_every_frame_is_the_truth(frames: int) -> None:
    burst = make(STILL, frames=frames)

    error = (burst.frames - burst.truth.unsqueeze(1)).abs()
    assert error.max() < UNSHAKEN
    assert error.mean() < 0.004


def test_blurring_the_truth_gives_the_reference() -> None:
    hard = replace(STILL, sharp_share=0, hard_share=1, hard_extent=(8, 14))
    photos = torch.rand(3, 3, 160, 160, generator=torch.Generator().manual_seed(5))
    grey = photos[:, :1].expand(-1, 3, -1, -1)  # grey: demosaicing takes less away
    burst = synthesize(grey, hard, torch.Generator().manual_seed(0), 3)

    blurred = convolve(burst.truth, burst.psfs[:, 0])
    inner = slice(16, -16)
    difference = (blurred - burst.frames[:, 0])[..., inner, inner]
    sharp = (burst.truth - burst.frames[:, 0])[..., inner, inner]
    assert difference.std() < 0.1 * sharp.std()


def test_frames_warped_back_by_their_homographies_are_the_truth() -> None:
    burst = make(replace(STILL, leftover_px=1.0), seed=2)
    grid = pixel_grid((64, 64))

    for frames, truth, homographies in zip(
        burst.frames, burst.truth, burst.source_from_reference, strict=True
    ):
        points = transform(homographies.double(), grid)
        back = spline_sample(frames, points)
        inner = slice(14, -14)
        error = (back - truth)[..., inner, inner].abs().mean(dim=(1, 2, 3))
        without = (frames - truth)[..., inner, inner].abs().mean(dim=(1, 2, 3))
        assert error.max() < 0.006
        assert without[1:].max() > 2 * error.max()


@pytest.mark.parametrize("jpeg", [False, True])
def test_blur_comes_before_saturation(jpeg: bool) -> None:
    """A clipped light leaves a streak that is as white as the light itself."""
    photos = torch.full((2, 3, 160, 160), 0.05)
    photos[..., 78:82, 78:82] = 1
    settings = replace(
        STILL,
        sharp_share=0,
        hard_share=1,
        hard_extent=(10, 12),
        highlight_share=1,
        highlight=(400, 400),
        jpeg_share=float(jpeg),
        quality=(98, 98),
        subsample_share=0,
        clean_luma=(0, 0),
        clean_chroma=(0, 0),
        sharpen=(0, 0),
        crop=64,
    )

    burst = synthesize(photos, settings, torch.Generator().manual_seed(0), 2)

    white = (burst.frames > 0.97).all(dim=2).sum(dim=(2, 3))
    assert (white > 30).all()  # the light itself has 16 px
    assert burst.frames[:, 0].max() <= 1 + 1e-5  # others overshoot where they are resampled
    assert (burst.truth.amax(dim=(1, 2, 3)) == 1).all()


def test_clipped_light_has_no_noise_on_it() -> None:
    photos = torch.full((2, 3, 160, 160), 6.0)

    burst = synthesize(
        photos, replace(STILL, noise=(0.05, 0.05)), torch.Generator().manual_seed(0), 2
    )

    torch.testing.assert_close(burst.frames, torch.ones_like(burst.frames), atol=1e-5, rtol=0)


def test_a_tone_curve_is_laid_on_noisy_frames_and_on_truth_alike() -> None:
    photos = torch.full((2, 3, 160, 160), 0.18)
    settings = replace(
        STILL, jpeg_share=1, gamma=(1.6, 1.6), quality=(98, 98), clean_luma=(0, 0), sharpen=(0, 0)
    )

    burst = synthesize(photos, settings, torch.Generator().manual_seed(0), 2)

    expected = color.decode(torch.tensor(0.18).pow(1 / 1.6), color.SRGB)
    torch.testing.assert_close(burst.truth, expected.expand_as(burst.truth))
    torch.testing.assert_close(burst.frames, expected.expand_as(burst.frames), atol=0.004, rtol=0)


def test_eight_bits_cut_noise_at_black_and_leave_the_truth() -> None:
    photos = torch.full((2, 3, 160, 160), 0.01)
    settings = replace(STILL, noise=(0.1, 0.1), eight_bit_share=1)

    burst = synthesize(photos, settings, torch.Generator().manual_seed(0), 2)

    reference = burst.frames[:, 0]  # not resampled
    codes = color.encode(reference, color.SRGB) * 255
    torch.testing.assert_close(codes, codes.round(), atol=0.01, rtol=0)
    assert (reference == 0).float().mean() > 0.2
    assert reference.mean() > 0.02  # cutting lifts the mean, which the network is to undo
    torch.testing.assert_close(burst.truth, torch.full_like(burst.truth, 0.01))
    assert burst.descriptor[..., 2:].isnan().all()


def test_noise_after_demosaicing_is_as_the_descriptor_says() -> None:
    photos = torch.full((4, 3, 192, 192), 0.18)
    settings = replace(STILL, crop=128, noise=(0.02, 0.05), exposure_ev=0.5)

    burst = synthesize(photos, settings, torch.Generator().manual_seed(0), 6)

    # The green of green pixels is measured, not interpolated; the reference is not resampled.
    noise = burst.frames[:, 0, 1] - 0.18
    greens = [noise[:, i::2, j::2].var(dim=(1, 2)) for i, j in ((0, 0), (0, 1), (1, 0), (1, 1))]
    measured = torch.stack(greens).sort(dim=0).values[2:].mean(dim=0)  # interpolation averages
    _, _, shot, read = burst.descriptor[:, 0].unbind(-1)
    torch.testing.assert_close(measured, 0.18 * shot + read, rtol=0.1, atol=0)


def test_noise_of_a_full_colour_sensor_is_white() -> None:
    settings = replace(STILL, full_colour_share=1.0, noise=(0.05, 0.05))
    burst = make(settings)

    noise = burst.frames[:, 0] - burst.truth
    beside = (noise[..., 1:] * noise[..., :-1]).mean() / noise.square().mean()
    across = (noise[:, 0] * noise[:, 1]).mean() / noise.square().mean()
    assert abs(float(beside)) < 0.1
    assert abs(float(across)) < 0.1


def test_a_sensor_that_mixes_colours_gives_the_scene_back_with_more_noise() -> None:
    mixed = replace(STILL, mixed_share=1.0, full_colour_share=1.0)
    burst = make(mixed)
    assert (burst.frames[:, 0] - burst.truth).abs().max() < UNSHAKEN
    assert (burst.frames[:, 0] - burst.truth).abs().mean() < 0.001

    plain, loud = (
        make(replace(settings, noise=(0.05, 0.05)))
        for settings in (replace(mixed, mixed_share=0.0), mixed)
    )
    noise = [each.frames[:, 0] - each.truth for each in (plain, loud)]
    assert noise[1].var() > 1.3 * noise[0].var()
    across = (noise[1][:, 0] * noise[1][:, 1]).mean() / noise[1].square().mean()
    assert across < -0.1  # parting colours subtracts one from the other


@pytest.mark.parametrize("jpeg", [False, True])
def test_what_a_longer_exposure_clipped_was_not_seen(jpeg: bool) -> None:
    photos = torch.full((12, 3, 160, 160), 0.97)
    settings = replace(
        STILL, bracket_share=1, bracket_ev=2, jpeg_share=float(jpeg), gamma=(1.5, 2.5)
    )
    burst = synthesize(photos, settings, torch.Generator().manual_seed(0), 6)
    longer = burst.descriptor[..., 1] < -0.5
    assert longer.sum() > 10
    assert burst.seen.mean(dim=(2, 3, 4))[longer].max() == 0


def test_exposures_are_matched_and_noted() -> None:
    photos = torch.full((3, 3, 160, 160), 0.2)
    settings = replace(STILL, bracket_share=1, bracket_ev=2)

    burst = synthesize(photos, settings, torch.Generator().manual_seed(0), 6)

    gain_ev = burst.descriptor[..., 1]
    assert gain_ev.abs().max() > 1
    assert (gain_ev[:, 0] == 0).all()
    levels = burst.frames.mean(dim=(2, 3, 4))
    torch.testing.assert_close(levels, torch.full_like(levels, 0.2), atol=1e-3, rtol=0)


def test_unknown_noise_is_nan_and_known_noise_is_not() -> None:
    raw = make(STILL).descriptor
    jpeg = make(replace(STILL, jpeg_share=1)).descriptor

    assert not raw.isnan().any()
    assert jpeg[..., 2:].isnan().all()
    assert not jpeg[..., :2].isnan().any()
    assert torch.equal(raw[..., 0], torch.tensor([[1.0, 0, 0, 0, 0]]).expand(4, -1))


def test_what_was_not_seen_repeats_the_reference() -> None:
    burst = make(replace(STILL, edge_share=1, noise=(0.05, 0.05)))

    unseen = (burst.seen == 0).expand_as(burst.frames)
    assert unseen[:, 1:].float().mean() > 0.05
    reference = burst.frames[:, :1].expand_as(burst.frames)
    assert torch.equal(burst.frames[unseen], reference[unseen])
    assert not torch.equal(burst.frames, reference)


def test_one_frame_of_a_ruined_burst_shows_something_else_and_never_the_reference() -> None:
    burst = make(replace(STILL, ruined_share=1), frames=6)

    errors = (burst.frames - burst.truth.unsqueeze(1)).abs().mean(dim=(2, 3, 4))
    assert ((errors > 0.03).sum(dim=1) == 1).all()
    assert (errors[:, 0] < 0.01).all()


def test_a_moving_thing_is_at_the_truths_place_in_the_reference() -> None:
    photos = torch.full((8, 3, 160, 160), 0.1)
    photos[::2] = 0.8
    burst = synthesize(photos, replace(STILL, moving_share=1), torch.Generator().manual_seed(1), 4)

    errors = (burst.frames - burst.truth.unsqueeze(1)).abs().mean(dim=(2, 3, 4))
    assert (errors[:, 1:].amax(dim=1) > 2 * errors[:, 0]).float().mean() >= 0.75
    contrast = burst.truth.amax(dim=(1, 2, 3)) - burst.truth.amin(dim=(1, 2, 3))
    assert (contrast > 0.5).float().mean() >= 0.5  # else the thing stands outside the crop


def test_a_turning_camera_leaves_the_scene_in_place() -> None:
    hard = replace(STILL, sharp_share=0, hard_share=1, hard_extent=(6, 8))
    burst = make(replace(hard, rotating_share=1))

    middle = slice(24, 40)
    error = (burst.frames - burst.truth.unsqueeze(1))[..., middle, middle].mean(dim=(2, 3, 4))
    assert error.abs().max() < 0.03


def test_extents_keep_what_the_kind_of_burst_promises() -> None:
    generator = torch.Generator().manual_seed(0)
    hard = draw_plan(200, 8, replace(STILL, sharp_share=0, hard_share=1), generator).extent
    lucky_only = replace(STILL, sharp_share=0, hard_share=0, lucky_share=1)
    lucky = draw_plan(200, 8, lucky_only, generator).extent
    sharp = draw_plan(200, 8, STILL, generator).extent

    assert hard.min() >= 9
    assert hard.max() <= 25
    assert ((lucky < 2).sum(dim=1) == 1).all()
    assert sharp.max() <= 1.5


def test_the_reference_is_the_sharpest_as_often_as_asked() -> None:
    settings = replace(BurstSettings(), reference_sharpest_share=0.7)
    extent = draw_plan(2000, 8, settings, torch.Generator().manual_seed(0)).extent

    share = (extent.argmin(dim=1) == 0).float().mean()
    assert share == pytest.approx(0.7 + 0.3 / 8, abs=0.04)


def test_photographs_too_small_are_refused() -> None:
    side = photo_side(STILL) - 1

    with pytest.raises(ValueError, match="px a side"):
        make(STILL, side=side)


def test_crops_that_jpeg_blocks_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 16"):
        BurstSettings(crop=100)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_makes_bursts_too() -> None:
    generator = torch.Generator("cuda").manual_seed(0)
    burst = synthesize(smooth_photos().cuda(), EVERYTHING, generator, 4)

    assert burst.frames.is_cuda
    assert torch.isfinite(burst.frames).all()


def test_a_camera_that_denoises_leaves_coarse_grey_grain() -> None:
    """Neighbours alike and colours alike, as in dark frames of phones."""
    photos = torch.full((2, 3, 160, 160), 0.18)
    noisy = replace(
        STILL,
        jpeg_share=1,
        gamma=(2, 2),
        noise=(0.05, 0.05),
        clean_chroma=(0, 0),
        quality=(98, 98),
    )
    cleaned = replace(noisy, clean_noise=(3, 3), smooth_chroma_share=1)
    bursts = [
        synthesize(photos, settings, torch.Generator().manual_seed(0), 2)
        for settings in (noisy, cleaned)
    ]

    plain, grain = (burst.frames - burst.truth.unsqueeze(1) for burst in bursts)

    torch.testing.assert_close(bursts[0].truth, bursts[1].truth)  # only the cleaning differs
    assert 0.2 * plain.std() < grain.std() < 0.8 * plain.std()
    assert _correlation(grain[..., 1:], grain[..., :-1]) > 0.6
    assert _correlation(plain[..., 1:], plain[..., :-1]) < 0.4
    assert _correlation(grain[:, :, 0], grain[:, :, 2]) > 0.9
    assert _correlation(plain[:, :, 0], plain[:, :, 2]) < 0.8


def _correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])
