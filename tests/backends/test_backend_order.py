import torch

from burstfix.backends.order import content_order, take


def test_any_order_of_the_same_frames_becomes_one() -> None:
    torch.manual_seed(0)
    frames = torch.randn(2, 5, 3, 8, 8)
    shuffle = torch.tensor([[3, 0, 4, 1, 2], [1, 2, 0, 4, 3]])
    shuffled = take(frames, shuffle)
    expected = take(frames, content_order(frames))
    assert not torch.equal(shuffled, frames)
    assert torch.equal(take(shuffled, content_order(shuffled)), expected)


def test_the_first_frames_keep_their_place() -> None:
    torch.manual_seed(0)
    frames, other = torch.randn(3, 6, 3, 4, 4), torch.randn(3, 6, 2)
    order = content_order(frames, other, first=2)
    assert torch.equal(order[:, :2], torch.tensor([[0, 1]]).expand(3, -1))
    assert torch.equal(order.sort(dim=1).values, torch.arange(6).expand(3, -1))


def test_frames_that_differ_only_in_a_second_part_have_an_order_too() -> None:
    frames, other = torch.zeros(1, 3, 3, 4, 4), torch.tensor([[[3.0], [1.0], [2.0]]])
    ordered = take(other, content_order(frames, other))
    shuffled = other[:, [2, 0, 1]]
    assert torch.equal(take(shuffled, content_order(frames, shuffled)), ordered)
