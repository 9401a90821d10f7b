"""Frames of one kind become one frame."""

import torch

from burstfix.backends.base import DESCRIPTOR, plain_descriptor
from burstfix.frame import Box
from burstfix.restore.merged import Merged, merge_descriptor
from burstfix.tiling import TensorSource

BOX = Box(2, 3, 10, 12)


def make_source() -> TensorSource:
    generator = torch.Generator().manual_seed(0)
    return TensorSource(torch.rand(5, 3, 16, 16, generator=generator), torch.ones(5, 1, 16, 16))


def test_a_single_frame_passes_to_the_bit_and_more_are_averaged() -> None:
    source = make_source()
    burst, seen = Merged(source, (1, 4)).read(BOX)
    assert burst.shape == (2, 3, 8, 9)
    part = source.read(BOX)[0]
    assert torch.equal(burst[0], part[0])
    assert (burst[1] <= part[1:].amax(dim=0) + 1e-6).all()
    assert (burst[1] >= part[1:].amin(dim=0) - 1e-6).all()
    roots = part[1:].sqrt().mean(dim=0)  # averaged as square roots, as backend `mean` does
    torch.testing.assert_close(burst[1], roots.square(), atol=0.01, rtol=0)
    assert (seen == 1).all()


def test_what_one_frame_of_a_kind_saw_is_seen_and_alone_counts() -> None:
    source = make_source()
    source.seen[2:] = 0
    burst, seen = Merged(source, (1, 4)).read(BOX)
    torch.testing.assert_close(burst[1], source.read(BOX)[0][1])
    assert (seen == 1).all()
    source.seen[1] = 0
    assert (Merged(source, (1, 4)).read(BOX)[1][1] == 0).all()


def test_the_mean_of_n_frames_has_a_nth_of_the_noise() -> None:
    descriptor = plain_descriptor(5)
    noise = [DESCRIPTOR.index("shot"), DESCRIPTOR.index("read")]
    descriptor[..., noise] = 0.08
    merged = merge_descriptor(descriptor, (1, 4))
    assert merged[0, :, 0].tolist() == [1, 0]
    torch.testing.assert_close(merged[0, :, noise], torch.tensor([[0.08, 0.08], [0.02, 0.02]]))
