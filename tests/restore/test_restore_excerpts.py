"""Excerpts of films come with the flow of whole frames."""

from pathlib import Path

import torch
from made_film import MadeFilm

from burstfix.backends.base import Contract
from burstfix.restore.excerpts import take_excerpts

STEP = (1, 3)  # (down, right) by which the view moves from frame to frame [px]


def test_flow_leads_from_the_frames_around_back_to_the_frame(tmp_path: Path) -> None:
    film = MadeFilm(frames=12, size=(96, 128), step=STEP).write(tmp_path / "film.mp4")
    contract = Contract(tasks=("video",), frames=1, alignment="none")
    triples = take_excerpts([[film]], contract, crop=64).learned
    assert triples.flows is not None
    assert triples.sure is not None
    assert triples.flows.shape == (len(triples), 2, 2, 64, 64)
    assert triples.sure.shape == (len(triples), 1, 64, 64)
    assert float(triples.sure.mean()) > 0.6
    sure = triples.sure[:, 0] > 0
    for number, sign in ((0, 1), (1, -1)):  # later, earlier
        right, down = (triples.flows[:, number, axis][sure] for axis in (0, 1))
        expected = torch.tensor([STEP[1], STEP[0]]) * sign
        found = torch.stack([right.median(), down.median()])
        torch.testing.assert_close(found, expected.float(), atol=0.3, rtol=0)
    some = triples.take([1])
    assert some.flows is not None
    assert torch.equal(some.flows[0], triples.flows[1])
