"""The mean counts what was seen, and nothing else."""

import torch

from burstfix.backends.base import plain_descriptor
from burstfix.backends.mean import BACKEND


def test_frames_count_only_where_they_saw() -> None:
    burst = torch.stack([torch.full((3, 4, 4), value) for value in (0.2, 0.4, 0.9)])[None]
    seen = torch.ones(1, 3, 1, 4, 4)
    seen[:, 2, :, :2] = 0
    result = BACKEND.build()(burst, seen, plain_descriptor(3))[0]
    torch.testing.assert_close(result[:, :2], torch.full((3, 2, 4), 0.3))
    torch.testing.assert_close(result[:, 2:], torch.full((3, 2, 4), 0.5))


def test_what_no_frame_saw_keeps_the_reference() -> None:
    burst = torch.rand(1, 3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    result = BACKEND.build()(burst, torch.zeros(1, 3, 1, 4, 4), plain_descriptor(3))
    assert torch.equal(result, burst[:, 0])
