import pytest
import torch

from burstfix.synth import sensor


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_mosaic_is_rggb() -> None:
    rgb = torch.rand(2, 3, 6, 8, generator=seeded())

    bayer = sensor.mosaic(rgb)[:, 0]

    assert torch.equal(bayer[:, ::2, ::2], rgb[:, 0, ::2, ::2])
    assert torch.equal(bayer[:, ::2, 1::2], rgb[:, 1, ::2, 1::2])
    assert torch.equal(bayer[:, 1::2, ::2], rgb[:, 1, 1::2, ::2])
    assert torch.equal(bayer[:, 1::2, 1::2], rgb[:, 2, 1::2, 1::2])


def test_demosaicing_reproduces_a_constant_colour() -> None:
    colour = torch.tensor([0.8, 0.3, 0.1]).view(1, 3, 1, 1).expand(1, 3, 12, 16)

    torch.testing.assert_close(sensor.demosaic(sensor.mosaic(colour)), colour)


def test_demosaicing_keeps_a_grey_ramp() -> None:
    x, y = torch.meshgrid(torch.arange(24.0), torch.arange(16.0), indexing="xy")
    ramp = (0.02 * x + 0.01 * y).expand(1, 3, 16, 24)

    result = sensor.demosaic(sensor.mosaic(ramp))

    inner = (slice(None), slice(None), slice(3, -3), slice(3, -3))
    torch.testing.assert_close(result[inner], ramp[inner])


def test_demosaicing_keeps_every_pixels_own_colour() -> None:
    bayer = torch.rand(3, 1, 10, 14, generator=seeded())

    torch.testing.assert_close(sensor.mosaic(sensor.demosaic(bayer)), bayer)


@pytest.mark.parametrize("level", [0.0, 0.18, 0.9])
@pytest.mark.parametrize(("shot", "read"), [(2e-3, 1e-6), (0.0, 1e-3), (1e-2, 4e-4)])
def test_noise_has_the_variance_of_its_model(level: float, shot: float, read: float) -> None:
    light = torch.full((1, 1, 400, 500), level)

    noise = sensor.add_noise(light, torch.tensor([shot]), torch.tensor([read]), seeded()) - light

    assert noise.var().item() == pytest.approx(shot * level + read, rel=0.02)
    assert abs(noise.mean().item()) < 4 * (shot * level + read) ** 0.5 / 447


def test_each_frame_has_its_own_noise_level() -> None:
    light = torch.zeros(2, 1, 300, 300)
    read = torch.tensor([1e-4, 1e-2])

    noisy = sensor.add_noise(light, torch.zeros(2), read, seeded())

    torch.testing.assert_close(noisy.var(dim=(1, 2, 3)), read, rtol=0.03, atol=0)


def test_hot_pixels_are_as_many_as_asked_and_never_darken() -> None:
    bayer = torch.full((1, 1, 400, 400), 0.2)

    hot = sensor.add_hot_pixels(bayer, 0.01, seeded())

    assert (hot >= bayer).all()
    assert (hot > bayer).float().mean().item() == pytest.approx(0.008, rel=0.1)  # a fifth is darker
    assert hot.max() <= 1


def test_restored_highlights_leave_all_but_clipped_light_alone() -> None:
    photo = torch.full((1, 3, 8, 8), 0.5)
    photo[..., 4:] = 1
    other = torch.rand(1, 3, 8, 8, generator=seeded())

    light = sensor.restore_highlights(photo, other, torch.tensor([4.0]))

    assert torch.equal(light[..., :4], photo[..., :4])
    torch.testing.assert_close(light[..., 4:], 1 + 4 * other[..., 4:])


def test_correlated_noise_is_standard_in_each_picture_and_grainy() -> None:
    fields = torch.stack(
        [sensor.correlated_noise((4, 3, 64, 64), seeded(seed)) for seed in range(20)]
    ).flatten(0, 1)

    flat = fields.flatten(1)
    torch.testing.assert_close(fields.mean((2, 3)), torch.zeros(80, 3), atol=1e-4, rtol=0)
    torch.testing.assert_close(flat.std(1), torch.ones(80), atol=1e-3, rtol=0)
    centred = fields - fields.mean(dim=(2, 3), keepdim=True)
    neighbours = (centred[..., 1:] * centred[..., :-1]).mean(dim=(1, 2, 3))
    assert neighbours.abs().mean() > 0.1  # white noise: 0.01


def test_the_grain_of_all_pictures_has_one_cause_but_is_not_the_same() -> None:
    for seed in range(10):
        fields = sensor.correlated_noise((2, 3, 128, 128), seeded(seed))
        assert (fields[0] * fields[1]).mean().abs() < 0.1  # of deviation 1 each
        colours = fields.square().mean(dim=(2, 3))
        torch.testing.assert_close(colours[0], colours[1], atol=0.05, rtol=0.1)
        neighbours = (fields[..., 1:] * fields[..., :-1]).mean(dim=(2, 3))
        torch.testing.assert_close(neighbours[0], neighbours[1], atol=0.1, rtol=0.1)
