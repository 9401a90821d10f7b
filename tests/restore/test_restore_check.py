"""What no frame supports shows, and what frames support does not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from made import MadeBurst
from PIL import Image
from torch import Tensor

from burstfix.backends.base import Contract, Explanation, Network, Survey, plain_descriptor
from burstfix.backends.mean import BACKEND as MEAN
from burstfix.errors import UsageError
from burstfix.frame import Box
from burstfix.restore.check import Check, check_picture
from burstfix.synth.psf import centroids, convolve
from burstfix.tiling import TensorSource

CPU = torch.device("cpu")
SIZE = (150, 290)
NOISE = 0.01


def psfs() -> Tensor:
    """Return a sharp frame's, a streak's with its centroid off the middle, and a disc's."""
    found = torch.zeros(3, 51, 51)
    found[0, 25, 25] = 1
    found[1, 25, 22:33] = 1
    found[2, 23:28, 23:28] = 1
    return found / found.sum(dim=(1, 2), keepdim=True)


class Knowing(Network):
    """Tells the true blur."""

    def __init__(self) -> None:
        super().__init__()
        self.contract = Contract(survey=Survey(cell=128, margin=0, fade=0, planes=3))

    def restore_and_explain(
        self, burst: Tensor, seen: Tensor, descriptor: Tensor
    ) -> tuple[Tensor, Explanation | None]:
        del seen, descriptor
        logs = psfs().clamp_min(1e-12).log()[None, None]
        return burst[:, 0], Explanation(logs, burst[:, :1])


@pytest.fixture(scope="module")
def truth() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    seeds = torch.rand(1, 3, SIZE[0] // 5, SIZE[1] // 5, generator=generator)
    return 0.1 + 0.6 * F.interpolate(seeds, size=SIZE, mode="bicubic")[0].clamp(0, 1)


@pytest.fixture(scope="module")
def source(truth: Tensor) -> TensorSource:
    """Blur the truth into frames that lie by their centroids, as aligned ones do."""
    frames = []
    for number, psf in enumerate(psfs()):
        right = round(float(centroids(psf[None])[0, 0]))
        blurred = convolve(truth[None], psf[None])[0].roll(-right, dims=-1)
        generator = torch.Generator().manual_seed(number)
        frames.append(blurred + NOISE * torch.randn(blurred.shape, generator=generator))
    return TensorSource(torch.stack(frames), torch.ones(3, 1, *SIZE))


def check(picture: Tensor, source: TensorSource, memory: int | None = None) -> Check:
    return check_picture(
        lambda box: picture[:, box.top : box.bottom, box.left : box.right],
        Knowing(),
        source,
        descriptor=plain_descriptor(3),
        device=CPU,
        precision="fp32",
        memory=memory,
    )


def test_the_truth_agrees_with_every_frame(truth: Tensor, source: TensorSource) -> None:
    found = check(truth, source)
    assert max(found.frames) < 2
    assert found.mean < 0.5
    assert found.size == SIZE


def test_made_up_texture_shows_where_it_is_and_only_there(
    truth: Tensor, source: TensorSource
) -> None:
    stripes = 0.05 * torch.sin(torch.arange(60.0) * 1.3).expand(3, 50, 60)
    picture = truth.clone()
    picture[:, 60:110, 150:210] += stripes
    before, found = check(truth, source), check(picture, source)
    inside = found.codes[17:25, 40:50]
    assert float(inside.min()) > 2 * float(before.codes.max())
    away = found.codes.clone()
    away[10:32, 32:58] = 0
    torch.testing.assert_close(away.max(), before.codes.max(), atol=0.3, rtol=0)
    rises = [b - a for a, b in zip(before.frames, found.frames, strict=True)]
    assert rises[0] > rises[1] > -0.1  # the sharp frame is the one that shows there is none
    codes = torch.from_numpy(found.draw().array.copy()).float()
    assert codes.shape == (*SIZE, 3)
    assert float(codes[75:95, 165:195].mean()) > 4 * float(codes[:, :120].mean()) + 20


def test_a_picture_that_is_too_soft_or_moved_disagrees(truth: Tensor, source: TensorSource) -> None:
    right = check(truth, source).mean
    soft = convolve(truth[None], psfs()[2:])[0]
    assert check(soft, source).mean > right + 1
    assert check(truth.roll(2, dims=-1), source).mean > right + 2


def test_what_is_read_at_once_changes_nothing(truth: Tensor, source: TensorSource) -> None:
    whole, small = check(truth, source), check(truth, source, memory=1)
    torch.testing.assert_close(whole.codes, small.codes, atol=1e-4, rtol=1e-4)
    assert whole.frames == pytest.approx(small.frames, abs=1e-4)


def test_what_a_frame_did_not_see_counts_neither_for_nor_against(
    truth: Tensor, source: TensorSource
) -> None:
    frames, seen = source.burst.clone(), source.seen.clone()
    frames[1, :, :, 140:] = 0.9
    seen[1, :, :, 140:] = 0
    found = check(truth, TensorSource(frames, seen))
    assert found.frames[1] < 2
    assert found.mean < 1


def test_networks_that_do_not_tell_blur_are_refused(truth: Tensor, source: TensorSource) -> None:
    with pytest.raises(UsageError, match="how frames are blurred"):
        check_picture(
            lambda box: truth[:, box.top : box.bottom, box.left : box.right],
            MEAN.build(),
            source,
            descriptor=plain_descriptor(3),
            device=CPU,
        )


def test_boxes_lie_inside_the_picture(truth: Tensor, source: TensorSource) -> None:
    boxes: list[Box] = []

    def picture(box: Box) -> Tensor:
        boxes.append(box)
        return truth[:, box.top : box.bottom, box.left : box.right]

    check_picture(picture, Knowing(), source, descriptor=plain_descriptor(3), device=CPU, memory=1)
    assert len(boxes) == 2 * 3
    assert all(box == box.intersect(Box.whole(SIZE)) for box in boxes)


def burstfix(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "burstfix", "burst", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=110, env=os.environ, check=False
    )


def test_burst_writes_the_map_beside_the_picture_and_tells_of_each_frame(
    made_burst: MadeBurst, tmp_path: Path
) -> None:
    output = tmp_path / "out.png"
    done = burstfix(*made_burst.paths, "-o", output, "--check", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["check"] == str(tmp_path / "out.check.png")
    assert "out.check.png" in done.stderr
    assert all(0 <= frame["disagreement"] < 20 for frame in report["frames"] if frame["used"])
    with Image.open(report["check"]) as drawn, Image.open(output) as picture:
        assert drawn.size == picture.size
    again = burstfix(*made_burst.paths, "-o", tmp_path / "other.png", "--check", "-b", "mean")
    assert again.returncode == 2
    assert "--backend set" in again.stderr
    assert not (tmp_path / "other.png").exists()
    output.unlink()
    refused = burstfix(*made_burst.paths, "-o", output, "--check")
    assert refused.returncode == 7
    assert "out.check.png" in refused.stderr
