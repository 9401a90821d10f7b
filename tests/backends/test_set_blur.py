import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from burstfix.backends.base import plain_descriptor
from burstfix.backends.set import Config, SetNetwork
from burstfix.backends.set.blur import PSF_SIDE, lag_maps
from burstfix.backends.set.cells import CELL, FADE, cut, join
from burstfix.backends.set.wiener import MARGIN, deblur, transfer_function
from burstfix.tiling import TensorSource, run_whole

SMALL = Config(
    frame_widths=(8, 8, 8, 8),
    frame_blocks=(0, 0, 0, 0),
    trunk_widths=(8, 8, 8, 8),
    trunk_blocks=(0, 0, 0, 0),
    trunk_up_blocks=(0, 0, 0),
    heads=1,
    blur_widths=(8, 8, 8, 8),
)


def small_network() -> SetNetwork:
    """Return a small network that estimates blur, with no weight at zero, as after training."""
    torch.manual_seed(0)
    network = SetNetwork(SMALL)
    for parameter in network.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return network.eval()


def random_burst(frames: int, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    burst = torch.rand(1, frames, 3, *size, generator=generator)
    return burst, torch.ones(1, frames, 1, *size), plain_descriptor(frames)


def streak(*, rows: int = 1, columns: int = 1) -> Tensor:
    """Return a centred bar; (k, k)."""
    psf = torch.zeros(PSF_SIDE, PSF_SIDE)
    top, left = (PSF_SIDE - rows) // 2, (PSF_SIDE - columns) // 2
    psf[top : top + rows, left : left + columns] = 1 / (rows * columns)
    return psf


def blurred(picture: Tensor, psfs: Tensor) -> Tensor:
    """Blur a picture (3, h, w) by each of F symmetric PSFs, without its borders."""
    kernel = psfs[:, None]
    return torch.stack([F.conv2d(channel[None, None], kernel)[0] for channel in picture], dim=1)


def inside(pieces: Tensor) -> Tensor:
    """Take what reaches beyond the cell away; (1, R, 3, t, t) to (1, R, 3, CELL, CELL)."""
    return pieces[..., FADE:-FADE, FADE:-FADE]


def smooth_picture(size: int) -> Tensor:
    noise = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(5))
    return F.avg_pool2d(noise, 3, stride=1, padding=1)[0]


@pytest.mark.parametrize("size", [(1, 1), (CELL, CELL), (100, 300), (192, 129)])
def test_cells_join_to_the_picture_they_were_cut_from(size: tuple[int, int]) -> None:
    picture = torch.randn(2, 3, *size)
    joined = join(cut(picture, FADE), size)
    torch.testing.assert_close(joined, picture, atol=1e-5, rtol=1e-5)


def test_a_cell_shows_its_place_and_mirrors_what_lies_outside() -> None:
    picture = torch.arange(2 * CELL).float().expand(1, CELL, 2 * CELL)
    cells = cut(picture, 2)
    assert cells.shape == (1, 2, CELL + 4, CELL + 4)
    assert cells[0, 0, 5, :4].tolist() == [2, 1, 0, 1]
    assert cells[0, 1, 5, :3].tolist() == [CELL - 2, CELL - 1, CELL]


def test_a_transfer_function_does_not_know_where_its_psf_lies() -> None:
    psf = streak(rows=3, columns=7)
    moved = psf.roll((4, -6), dims=(0, 1))
    expected = transfer_function(psf[None], 96)
    torch.testing.assert_close(transfer_function(moved[None], 96), expected, atol=1e-5, rtol=0)
    assert expected.imag.abs().max() < 1e-5
    assert expected[0, 0, 0].real.item() == pytest.approx(1)


def test_two_streaks_across_each_other_are_undone() -> None:
    psfs = torch.stack([streak(columns=15), streak(rows=15)])
    floors = torch.tensor([[1e-4, 10.0]])
    picture = smooth_picture(CELL + 2 * (PSF_SIDE // 2))
    half = PSF_SIDE // 2
    truth = picture[:, half:-half, half:-half]
    burst = blurred(picture, psfs)[None]
    result = inside(deblur(cut(burst, MARGIN)[0], psfs[None], torch.ones(1, 2), floors))
    assert result.shape == (1, 2, 3, CELL, CELL)
    inner = (..., slice(32, -32), slice(32, -32))
    error = (result[0, 0] - truth)[inner].square().mean().sqrt()
    before = (burst[0].mean(dim=0) - truth)[inner].square().mean().sqrt()
    assert error < 0.5 * before  # what both streaks erase, and what lay outside, is lost
    assert result[0, 1].std() < result[0, 0].std()  # a high floor leaves little


def test_a_frame_without_weight_is_not_fused() -> None:
    psfs = streak().expand(1, 2, -1, -1)
    burst = torch.rand(1, 2, 3, CELL, CELL, generator=torch.Generator().manual_seed(1))
    burst[:, 0] -= burst[:, 0].mean() - burst.mean()
    burst[:, 1] -= burst[:, 1].mean() - burst.mean()
    weights, floors = torch.tensor([[1.0, 0.0]]), torch.tensor([[1e-6]])
    result = inside(deblur(cut(burst, MARGIN)[0], psfs, weights, floors))
    inner = (..., slice(8, -8), slice(8, -8))
    torch.testing.assert_close(result[0, 0][inner], burst[0, 0][inner], atol=2e-3, rtol=0)


def test_lag_maps_show_how_far_a_frame_is_displaced() -> None:
    picture = smooth_picture(CELL + 20).mean(dim=0)
    frames = torch.stack([picture[10:-10, 10:-10], picture[6:-14, 13:-7]])  # moved by (-3, +4)
    maps = lag_maps(frames[None])
    assert maps.shape == (1, 2, 6, 64, 64)
    for plane in (1, 4):
        row, column = divmod(int(maps[0, 1, plane].argmax()), 64)
        assert (row - 32, column - 32) == (4, -3)
    assert maps[0, 0, 0, 32, 32].item() == pytest.approx(1, abs=0.1)


def test_dark_flat_frames_give_finite_maps_and_pictures() -> None:
    assert torch.isfinite(lag_maps(torch.zeros(1, 2, CELL, CELL))).all()
    burst, seen, descriptor = random_burst(2, (CELL, CELL))
    with torch.inference_mode():
        assert torch.isfinite(small_network()(torch.zeros_like(burst), seen, descriptor)).all()


def test_no_bit_changes_over_permutations_where_blur_is_estimated() -> None:
    network = small_network()
    burst, seen, descriptor = random_burst(5, (CELL, CELL))
    with torch.inference_mode():
        wanted = network(burst, seen, descriptor)
        for seed in range(6):
            order = torch.randperm(4, generator=torch.Generator().manual_seed(seed)) + 1
            order = torch.cat([torch.tensor([0]), order])
            result = network(burst[:, order], seen[:, order], descriptor[:, order])
            assert torch.equal(result, wanted)


def test_psfs_sum_to_one_and_come_in_the_order_of_the_frames() -> None:
    network = small_network()
    burst, seen, descriptor = random_burst(3, (CELL, 2 * CELL))
    order = [0, 2, 1]
    with torch.inference_mode():
        _, found = network.restore_and_explain(burst, seen, descriptor)
        _, swapped = network.restore_and_explain(burst[:, order], seen, descriptor)
    assert found is not None
    assert swapped is not None
    assert found.log_psfs.shape == (1, 2, 3, PSF_SIDE, PSF_SIDE)
    torch.testing.assert_close(found.log_psfs.exp().sum(dim=(-2, -1)), torch.ones(1, 2, 3))
    torch.testing.assert_close(swapped.log_psfs, found.log_psfs[:, :, order], atol=1e-3, rtol=0)
    assert not torch.allclose(swapped.log_psfs, found.log_psfs, atol=1e-3)


def test_without_blur_widths_nothing_is_told() -> None:
    network = SetNetwork(Config(frame_widths=(8,) * 4, trunk_widths=(8,) * 4)).eval()
    burst, seen, descriptor = random_burst(2, (32, 32))
    with torch.inference_mode():
        result, found = network.restore_and_explain(burst, seen, descriptor)
    assert found is None
    assert result.shape == (1, 3, 32, 32)


def test_no_pixel_beyond_the_declared_radius_is_looked_at() -> None:
    network = small_network()
    radius = network.contract.receptive_radius + FADE + CELL + MARGIN  # and the first pass
    cells = 2 * math.ceil(radius / CELL) + 1
    burst, seen, descriptor = random_burst(2, (CELL, cells * CELL))
    column = cells // 2 * CELL + 3
    burst[0, 1, :, 3, column] = math.nan
    with torch.inference_mode():
        reached = network(burst, seen, descriptor)[0].isnan().any(dim=0).any(dim=0).nonzero()
    first, last = int(reached.min()) // CELL, int(reached.max()) // CELL
    assert column - (first + 1) * CELL < radius
    assert last * CELL - column <= radius


def test_tiles_give_the_whole_picture() -> None:
    network = small_network()
    burst, seen, descriptor = random_burst(2, (2 * CELL - 20, 7 * CELL - 60))
    source = TensorSource(burst[0], seen[0])
    settings = {"descriptor": descriptor, "device": torch.device("cpu"), "precision": "fp32"}
    whole = run_whole(network, source, tile=4096, **settings)
    radius = network.contract.receptive_radius
    tiled = run_whole(network, source, tile=80, halo=radius, **settings)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1 / 65535)
    rows = slice(0, whole.shape[1] // 16 * 16)
    columns = slice(0, whole.shape[2] // 16 * 16)
    part = (..., rows, columns)
    with torch.inference_mode():
        one_pass = network.restore_light(burst[part], seen[part], descriptor)[0]
    cropped = TensorSource(burst[0][part], seen[0][part])
    two_passes = run_whole(network, cropped, tile=144, halo=radius, **settings)
    torch.testing.assert_close(two_passes, one_pass, rtol=0, atol=1 / 65535)


def test_every_weight_gets_a_gradient_where_blur_is_estimated() -> None:
    network = small_network().train()
    burst, seen, descriptor = random_burst(3, (CELL, CELL))
    result, found = network.restore_and_explain(burst, seen, descriptor)
    assert found is not None
    (result.square().mean() + found.log_psfs.square().mean()).backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


def test_weights_without_blur_grow_and_restore_nearly_as_before() -> None:
    torch.manual_seed(1)
    plain = SetNetwork(replace(SMALL, blur_widths=())).eval()
    for parameter in plain.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    grown = SetNetwork(SMALL).eval()
    grown.adopt(plain.state_dict())
    burst, seen, descriptor = random_burst(4, (CELL, CELL))
    with torch.inference_mode():
        before, after = plain(burst, seen, descriptor), grown(burst, seen, descriptor)
        _, found = grown.restore_and_explain(burst, seen, descriptor)
    assert found is not None
    farthest = (found.pictures[:, :] - before[:, None]).abs().amax()
    assert (after - before).abs().amax() < 0.1 * farthest + 1e-4


def test_a_network_of_other_widths_takes_what_estimates_blur_and_begins_anew_with_the_rest() -> (
    None
):
    other = SetNetwork(replace(SMALL, frame_widths=(16, 8, 8, 8), trunk_blocks=(1, 0, 0, 0)))
    own = SetNetwork(SMALL)
    before = {name: value.clone() for name, value in own.state_dict().items()}
    own.adopt(other.state_dict())
    for name, value in own.state_dict().items():
        source = other.state_dict() if name.startswith("blur.") else before
        assert torch.equal(value, source[name]), name


@pytest.mark.parametrize("blur_widths", [(), (8, 8, 16, 8)])
def test_weights_of_other_widths_whose_blur_does_not_fit_are_refused(
    blur_widths: tuple[int, ...],
) -> None:
    other = SetNetwork(replace(SMALL, frame_widths=(16, 8, 8, 8), blur_widths=blur_widths))
    with pytest.raises(RuntimeError):
        SetNetwork(SMALL).adopt(other.state_dict())


def test_of_weights_of_a_deeper_network_all_but_its_last_blocks_are_taken() -> None:
    deeper = SetNetwork(replace(SMALL, frame_blocks=(0, 2, 1, 1), trunk_blocks=(1, 1, 1, 3)))
    own = SetNetwork(SMALL)
    own.adopt(deeper.state_dict())
    for name, value in own.state_dict().items():
        assert torch.equal(value, deeper.state_dict()[name]), name


def test_blur_is_told_alone_as_it_is_beside_a_picture() -> None:
    network = small_network()
    burst, seen, descriptor = random_burst(3, (CELL + 32, 2 * CELL))
    with torch.inference_mode():
        _, explained = network.restore_and_explain(burst, seen, descriptor)
        told = network.find_blur(burst, seen, descriptor)
    assert explained is not None
    torch.testing.assert_close(told, explained.log_psfs)
