"""What is painted, and what is corrected."""

import torch

from burstfix.backends.pairs.picture import Painter

GIVEN = torch.rand(1, 2, 3, 4, 5, generator=torch.Generator().manual_seed(0))


def decoded(share: float, channels: int) -> torch.Tensor:
    """Return no codes, and the logit of a share."""
    result = torch.zeros(1, channels, 4, 5)
    result[:, 3:] = torch.tensor(share).logit()
    return result


def test_painting_from_nothing_turns_standardised_codes_into_display_codes() -> None:
    codes = torch.randn(1, 3, 4, 5)
    painter = Painter(2, residual=False)
    assert painter.channels == 3
    torch.testing.assert_close(painter(codes, GIVEN), 0.5 + 0.25 * codes)


def test_no_correction_of_one_picture_leaves_it_as_it_is() -> None:
    painter = Painter(1, residual=True)
    assert torch.equal(painter(decoded(0.5, painter.channels), GIVEN[:, :1]), GIVEN[:, 0])


def test_two_pictures_are_mixed_in_the_share_of_the_second() -> None:
    painter = Painter(2, residual=True)
    for share in (0.0, 0.25, 1.0):
        expected = (1 - share) * GIVEN[:, 0] + share * GIVEN[:, 1]
        result = painter(decoded(share, painter.channels), GIVEN)
        torch.testing.assert_close(result, expected)


def test_a_correction_is_added_in_display_codes() -> None:
    painter = Painter(2, residual=True)
    channels = decoded(0.0, painter.channels)
    channels[:, 1] = 4.0
    moved = painter(channels, GIVEN) - GIVEN[:, 0]
    torch.testing.assert_close(moved[:, 1], torch.full((1, 4, 5), 0.1))
    torch.testing.assert_close(moved[:, 0], torch.zeros(1, 4, 5))
