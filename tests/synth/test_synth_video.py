from dataclasses import fields, replace

import pytest
import torch
import torch.nn.functional as F

from burstfix import metrics
from burstfix.synth.burst import clip_side, photo_side
from burstfix.synth.psf import centroids
from burstfix.synth.video import FilmedClips, VideoSettings, clips_of_clips, film_clips

CROP = 80
PLAIN = VideoSettings(  # exposures of a still scene, and nothing else
    crop=CROP,
    extent=(8, 8),
    moments=(9, 9),
    missing_share=0,
    noise=(1e-9, 2e-9),
    depth_share=0,
    moving_share=0,
    focal=(3000, 3000),
    off_axis=0,
    translation=(0, 0),
    highlight_share=0,
    brightness_ev=(0, 0),
    white_balance=(1, 1),
    correlated_share=0,
    full_colour_share=1,
    pedestal=(1, 1),
    hot_share=0,
    jpeg_share=0,
    edge_share=0,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photos(settings: VideoSettings, count: int = 3) -> torch.Tensor:
    side = photo_side(settings)
    seeds = torch.rand(count, 3, side // 4, side // 4, generator=seeded(1))
    return 0.1 + 0.8 * F.interpolate(seeds, size=(side, side), mode="bicubic").clamp(0, 1)


def make(settings: VideoSettings, *, seed: int = 0, frames: int = 5) -> FilmedClips:
    return film_clips(photos(settings), settings, seeded(seed), frames)


def middle(settings: VideoSettings, pictures: torch.Tensor) -> torch.Tensor:
    inner = slice(settings.guard, settings.guard + settings.crop)
    return pictures[..., inner, inner]


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    settings = VideoSettings(crop=32)
    first, same, other = make(settings), make(settings), make(settings, seed=1)
    for field in fields(first):
        a, b = getattr(first, field.name), getattr(same, field.name)
        if field.name == "truths":  # were not asked for
            assert a is b is None
            continue
        assert torch.equal(torch.as_tensor(a), torch.as_tensor(b)), field.name
    assert first.frames.shape == (3, 5, 3, 64, 64)
    assert first.truth.shape == (3, 3, 32, 32)
    assert not torch.equal(first.frames, other.frames)


def test_the_truth_lies_where_the_middle_frames_blur_has_its_centroid() -> None:
    clips = make(PLAIN)
    assert float(centroids(clips.psfs.flatten(0, 1)).abs().max()) < 0.02
    kernel = clips.psfs[:, 0].flip(-1, -2).repeat_interleave(3, 0).unsqueeze(1)
    blurred = F.conv2d(clips.truth.reshape(1, -1, CROP, CROP), kernel, groups=len(kernel))
    margin = (CROP - blurred.shape[-1]) // 2
    seen = middle(PLAIN, clips.frames[:, 0])[..., margin:-margin, margin:-margin]
    still = clips.truth[..., margin:-margin, margin:-margin]
    off = (seen.reshape(blurred.shape) - blurred).abs().mean()
    assert float(off) < 0.25 * float((seen - still).abs().mean())


def test_frames_that_stay_as_filmed_drift_apart_and_others_hardly() -> None:
    fast = replace(PLAIN, duty=(0.3, 0.3), extent=(3, 3))
    drift = []
    for alignment in ("none", "flow"):
        settings = replace(fast, alignment=alignment)
        clips = make(settings, seed=2)
        whole = middle(settings, clips.frames)
        unlike = metrics.psnr(whole[:, 1], whole[:, 0])
        alike = metrics.shift_compensated_psnr(whole[:, 1], whole[:, 0])
        drift.append((float(unlike.mean()), float(alike.mean())))
    (unlike_none, alike_none), (_, alike_flow) = drift
    assert alike_flow > alike_none + 3
    assert alike_flow > unlike_none + 3


def test_frames_come_with_the_middle_one_first_and_the_others_in_the_order_of_the_film() -> None:
    side = clip_side(PLAIN)
    values = torch.linspace(0.1, 0.8, 15).view(1, 15, 1, 1, 1).expand(2, -1, 3, side, side)
    clips = clips_of_clips(values, 5, PLAIN, seeded())
    means = [float(values[0, 3 * n : 3 * n + 3].mean()) for n in (2, 0, 1, 3, 4)]
    torch.testing.assert_close(
        clips.frames.mean(dim=(0, 2, 3, 4)), torch.tensor(means), atol=1e-4, rtol=1e-3
    )
    torch.testing.assert_close(clips.truth, values[:, 7, :, :CROP, :CROP], atol=1e-5, rtol=1e-5)
    assert not clips.psfs.any()  # nobody knows
    with pytest.raises(ValueError, match="middle"):
        clips_of_clips(values[:, :10], 5, PLAIN, seeded())


def test_what_is_missing_lies_on_one_side_up_to_the_end_and_the_frame_itself_never() -> None:
    settings = replace(PLAIN, crop=16, moments=(1, 1), missing_share=1)
    clips = film_clips(photos(settings, 40), settings, seeded(3), 5)
    kinds = {tuple(row) for row in clips.there.tolist()}
    assert kinds == {
        (True, False, True, True, True),
        (True, False, False, True, True),
        (True, True, True, True, False),
        (True, True, True, False, False),
    }


def test_no_frame_is_shaken_farther_than_its_bitmap_holds() -> None:
    far = replace(PLAIN, extent=(20, 20), duty=(0.25, 0.25))
    clips = make(far, seed=5)
    torch.testing.assert_close(clips.psfs.sum(dim=(-1, -2)), torch.ones(3, 5))
    border = clips.psfs.clone()
    border[..., 2:-2, 2:-2] = 0
    assert not border.any()


@pytest.mark.parametrize(
    "wrong", [{"alignment": "affine"}, {"duty": (0.0, 0.5)}, {"moments": (9, 7)}]
)
def test_senseless_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"alignment|duty|moments"):
        VideoSettings(**wrong)
    with pytest.raises(ValueError, match="middle"):
        make(PLAIN, frames=4)
