import pytest
import torch

from burstfix.backends.pyramid import halve, pyramid


def test_an_even_picture_stays_as_it_is() -> None:
    torch.testing.assert_close(halve(torch.full((1, 3, 6, 8), 0.3)), torch.full((1, 3, 3, 4), 0.3))


def test_pixels_stand_in_the_middle_of_their_cells() -> None:
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(12.0), indexing="ij")
    halved = halve(torch.stack([rows, columns])[None])[0]
    inner = (slice(1, -1), slice(1, -1))
    torch.testing.assert_close(
        halved[0][inner], (2 * torch.arange(8.0)[1:-1, None] + 0.5).expand(-1, 4)
    )
    torch.testing.assert_close(halved[1][inner], (2 * torch.arange(6.0)[1:-1] + 0.5).expand(6, -1))


def test_a_checkerboard_vanishes() -> None:
    board = (torch.arange(8)[:, None] + torch.arange(8)).remainder(2).float()
    halved = halve(board[None, None])
    torch.testing.assert_close(halved[..., 1:-1, 1:-1], torch.full((1, 1, 2, 2), 0.5))


@pytest.mark.parametrize("levels", [1, 3])
def test_a_pyramid_halves_level_by_level(levels: int) -> None:
    pictures = torch.rand(2, 3, 8, 12)
    scales = pyramid(pictures, levels)
    assert [scale.shape[-2:] for scale in scales] == [(8, 12), (4, 6), (2, 3)][:levels]
    assert torch.equal(scales[0], pictures)
