"""The mean counts what was seen, and nothing else."""

import torch

from burstfix.backends.base import plain_descriptor
from burstfix.backends.mean import BACKEND, Config


def test_frames_count_only_where_they_saw() -> None:
    burst = torch.stack([torch.full((3, 4, 4), value) for value in (0.2, 0.4, 0.9)])[None]
    seen = torch.ones(1, 3, 1, 4, 4)
    seen[:, 2, :, :2] = 0
    result = BACKEND.build(Config(coded=False))(burst, seen, plain_descriptor(3))[0]
    torch.testing.assert_close(result[:, :2], torch.full((3, 2, 4), 0.3))
    torch.testing.assert_close(result[:, 2:], torch.full((3, 2, 4), 0.5))


def test_what_no_frame_saw_keeps_the_reference() -> None:
    burst = torch.rand(1, 3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    result = BACKEND.build()(burst, torch.zeros(1, 3, 1, 4, 4), plain_descriptor(3))
    assert torch.equal(result, burst[:, 0])


def test_noise_clipped_at_black_lifts_shadows_less_than_in_linear_light() -> None:
    generator = torch.Generator().manual_seed(1)
    codes = torch.full((1, 8, 3, 64, 64), 0.05) + 0.1 * torch.randn(
        (1, 8, 3, 64, 64), generator=generator
    )
    burst = codes.clamp(0, 1).square()  # as files code it, clipped, brought to linear light
    seen = torch.ones(1, 8, 1, 64, 64)
    lifted = {
        coded: float(BACKEND.build(Config(coded=coded))(burst, seen, plain_descriptor(8)).mean())
        for coded in (False, True)
    }
    assert lifted[True] < 0.7 * lifted[False]
