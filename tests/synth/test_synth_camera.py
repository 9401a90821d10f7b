import cv2
import numpy as np
import pytest
import torch

from burstfix.synth import camera


def smooth_picture() -> torch.Tensor:
    seeds = torch.rand(2, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(seeds, size=(96, 128), mode="bilinear")


def mean_error(codes: torch.Tensor, quality: float, *, subsample: bool = False) -> float:
    qualities = torch.full((len(codes),), quality)
    changed = camera.compress(codes, qualities, subsample=subsample)
    return float((changed - codes).abs().mean())


def test_luma_and_chroma_give_the_colours_back() -> None:
    codes = smooth_picture()

    torch.testing.assert_close(camera.from_ycc(camera.to_ycc(codes)), codes)


def test_grey_has_no_chroma() -> None:
    grey = smooth_picture()[:, :1].expand(-1, 3, -1, -1)

    ycc = camera.to_ycc(grey)

    torch.testing.assert_close(ycc[:, :1], grey[:, :1])
    torch.testing.assert_close(ycc[:, 1:], torch.zeros_like(ycc[:, 1:]), atol=1e-6, rtol=0)


def test_jpeg_changes_little_at_quality_95_and_more_at_50() -> None:
    codes = smooth_picture()

    assert mean_error(codes, 95) < 1.5 / 255
    assert mean_error(codes, 50) > 1.5 * mean_error(codes, 95)


def test_subsampling_changes_more() -> None:
    codes = smooth_picture()

    assert mean_error(codes, 95, subsample=True) > mean_error(codes, 95)


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_jpeg_is_what_libjpeg_makes(quality: int) -> None:
    codes = camera.to_8_bits(smooth_picture()[:1])
    pixels = (codes[0] * 255).round().to(torch.uint8).permute(1, 2, 0).flip(-1).numpy()
    sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    written, buffer = cv2.imencode(".jpg", pixels, options)
    assert written
    decoded = cv2.imdecode(buffer, cv2.IMREAD_COLOR)[..., ::-1].copy()

    ours = camera.compress(codes, torch.tensor([float(quality)]))[0].permute(1, 2, 0) * 255

    original = pixels[..., ::-1].astype(float)
    lost, lost_by_libjpeg = np.abs(ours.numpy() - original), np.abs(decoded - original)
    assert lost.mean() == pytest.approx(lost_by_libjpeg.mean(), rel=0.15)
    # libjpeg rounds luma and chroma to whole codes in between, which tips some coefficients.
    assert np.abs(ours.numpy() - decoded).mean() < 0.4 * lost_by_libjpeg.mean() + 0.4


def test_codes_come_out_as_whole_8_bit_levels() -> None:
    codes = camera.compress(smooth_picture() * 1.4 - 0.2, torch.tensor([80.0, 90.0]))

    levels = codes * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
    assert codes.min() >= 0
    assert codes.max() <= 1


def test_cleaning_takes_noise_but_leaves_edges() -> None:
    step = torch.zeros(1, 3, 32, 32)
    step[..., 16:] = 0.5
    noise = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    noisy = camera.to_ycc(step + 0.01 * noise)

    cleaned = camera.clean(noisy, torch.tensor([0.03]), torch.tensor([0.5]))

    flat = (slice(None), slice(None), slice(4, 28), slice(2, 12))
    assert cleaned[flat].std(dim=(2, 3)).max() < 0.7 * noisy[flat].std(dim=(2, 3)).max()
    rise = cleaned[0, 0, :, 16] - cleaned[0, 0, :, 15]
    assert rise.mean() > 0.4


def test_no_cleaning_and_no_sharpening_change_nothing() -> None:
    ycc = camera.to_ycc(smooth_picture())
    none = torch.zeros(2)

    torch.testing.assert_close(camera.clean(ycc, none, none), ycc, atol=1e-3, rtol=0)
    torch.testing.assert_close(camera.sharpen(ycc, none), ycc)


def test_sharpening_steepens_luma_alone() -> None:
    codes = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    ycc = camera.to_ycc(codes)

    sharp = camera.sharpen(ycc, torch.tensor([1.0, 1.0]))

    assert sharp[:, 0].diff(dim=-1).abs().mean() > 1.3 * ycc[:, 0].diff(dim=-1).abs().mean()
    assert torch.equal(sharp[:, 1:], ycc[:, 1:])


def test_smooth_chroma_fades_noise_but_not_edges() -> None:
    generator = torch.Generator().manual_seed(0)
    edge = (torch.arange(64) >= 32).float().expand(64, 64)
    still = torch.stack([0.3 + 0.4 * edge, 0.2 * edge, -0.1 * edge]).unsqueeze(0)
    noise = 0.02 * torch.randn(1, 3, 64, 64, generator=generator)

    smooth = camera.smooth_chroma(still + noise, torch.tensor([0.02]), torch.ones(1))

    assert torch.equal(smooth[:, 0], (still + noise)[:, 0])
    assert (smooth - still)[:, 1:].std() < 0.25 * noise[:, 1:].std()
    torch.testing.assert_close(smooth[:, 1:], still[:, 1:], atol=0.03, rtol=0)
