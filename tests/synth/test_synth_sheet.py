import torch

from burstfix.synth.burst import SyntheticBurst
from burstfix.synth.sheet import GAP, contact_sheet


def test_a_sheet_has_a_row_a_burst_with_the_truth_first() -> None:
    psfs = torch.zeros(2, 3, 9, 9)
    psfs[..., 4, 4] = 1
    bursts = SyntheticBurst(
        frames=torch.full((2, 3, 3, 32, 32), 0.5),
        truth=torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 32, 32),
        seen=torch.ones(2, 3, 1, 32, 32),
        descriptor=torch.zeros(2, 3, 4),
        psfs=psfs,
        source_from_reference=torch.eye(3).expand(2, 3, 3, 3),
    )

    sheet = contact_sheet(bursts)

    assert sheet.shape == (3, 2 * (32 + GAP), 4 * (32 + GAP))
    assert (sheet[:, :32, :32] == 0).all()
    assert (sheet[:, 36:68, :32] - 1).abs().max() < 1e-6
    assert ((sheet[:, :16, 36:52] - 0.7354).abs() < 1e-3).all()  # sRGB code of linear 0.5
    assert (sheet[:, 27, 36 + 27] == 1).all()  # the peak of the inset blur
    assert (sheet[:, 24, 36 + 24] == 0).all()


def test_a_sheet_leaves_its_burst_as_it_was() -> None:
    frames = torch.rand(1, 2, 3, 32, 32)
    before = frames.clone()
    bursts = SyntheticBurst(
        frames=frames,
        truth=frames[:, 0],
        seen=torch.zeros(1, 2, 1, 32, 32),
        descriptor=torch.zeros(1, 2, 4),
        psfs=torch.full((1, 2, 5, 5), 0.04),
        source_from_reference=torch.eye(3).expand(1, 2, 3, 3),
    )

    contact_sheet(bursts)

    assert torch.equal(frames, before)
