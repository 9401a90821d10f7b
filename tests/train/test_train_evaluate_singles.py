import numpy as np
import pytest
import torch

from burstfix import metrics
from burstfix.backends.base import Contract, Network
from burstfix.io.photos import Photo
from burstfix.train.evaluate_singles import (
    INPUT,
    UNSHARP,
    SingleConditions,
    below_input,
    evaluate_singles,
    measure_harm,
    unsharp_mask,
)
from burstfix.train.fixed_singles import SINGLE_CASES, fixed_singles
from burstfix.train.validate import FixedBurst, to_codes

CPU = torch.device("cpu")
CROP = 64


class Scaled(Network):
    """Multiplies the frame."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.contract = Contract(tasks=("single",), receptive_radius=0)

    def forward(
        self, burst: torch.Tensor, seen: torch.Tensor, descriptor: torch.Tensor
    ) -> torch.Tensor:
        del seen, descriptor
        return burst[:, 0] * self.factor


@pytest.fixture(scope="module")
def photos() -> list[Photo]:
    rng = np.random.default_rng(0)
    blocks = rng.integers(30, 220, (3, 20, 20, 3), np.uint8)
    return [
        Photo(f"{n:04}a", np.kron(b, np.ones((8, 8, 1), np.uint8)), 5.0)
        for n, b in enumerate(blocks)
    ]


def made(photos: list[Photo], **cases: object) -> dict[tuple[str, str], FixedBurst]:
    found = fixed_singles(photos, device=CPU, count=2, crop=CROP, **cases)  # type: ignore[arg-type]
    return {(fixed.case, fixed.noise): fixed for fixed in found}


def test_fixed_frames_are_the_same_whatever_else_is_asked_for(photos: list[Photo]) -> None:
    every, some = made(photos), made(photos, cases=("moving", "clean"), noises=("none", "high"))
    assert set(every) == {(name, noise) for name, c in SINGLE_CASES.items() for noise in c.noises}
    assert set(some) == {("moving", "high"), ("clean", "none")}
    for kind, fixed in some.items():
        assert torch.equal(fixed.burst.frames, every[kind].burst.frames)
        assert fixed.burst.frames.shape == (2, 1, 3, CROP, CROP)


def test_cases_are_what_they_are_called(photos: list[Photo]) -> None:
    fixed = made(photos)
    spread = {
        case: float((fixed[case, "low"].burst.psfs[:, 0] > 1e-4).sum((1, 2)).float().mean())
        for case in ("small shake", "large shake", "noise", "defocus")
    }
    assert spread["noise"] < 6 < spread["small shake"] < spread["large shake"]
    assert spread["defocus"] > 6
    psnr = {
        kind: float(metrics.psnr(to_codes(f.burst.frames[:, 0]), to_codes(f.burst.truth)).mean())
        for kind, f in fixed.items()
    }
    assert psnr["clean", "none"] > psnr["noise", "low"] > psnr["noise", "high"]
    assert psnr["moving", "low"] < psnr["noise", "low"]


def test_networks_are_scored_beside_the_input_and_an_unsharp_mask(photos: list[Photo]) -> None:
    conditions = SingleConditions(cases=("noise", "clean"), count=2, crop=CROP)
    networks = {"same": Scaled(1.0), "dark": Scaled(0.5)}
    scores = evaluate_singles(networks, photos, conditions, device=CPU)
    assert len(scores) == conditions.kinds() * 4
    found = {(s.method, s.case, s.noise): s.psnr for s in scores}
    assert found["same", "noise", "high"] == pytest.approx(found[INPUT, "noise", "high"], abs=1e-3)
    below = below_input(scores)
    assert not below["same"]
    assert {s.case for s in below["dark"]} >= {"clean"}
    assert UNSHARP in below


def test_harm_to_clean_photographs_is_none_without_a_change_and_shows_where_there_is_one(
    photos: list[Photo],
) -> None:
    networks = {"same": Scaled(1.0), "dark": Scaled(0.8)}
    harm = {each.method: each for each in measure_harm(networks, photos, crop=CROP, device=CPU)}
    assert set(harm) == {UNSHARP, "same", "dark"}
    assert harm["same"].photographs == 3
    assert abs(harm["same"].worst_change) < 0.01
    assert harm["same"].likeness > 80
    assert harm["dark"].worst_change <= harm["dark"].mean_change < -3


def test_an_unsharp_mask_leaves_flat_places_and_raises_contrast_at_edges() -> None:
    light = torch.full((1, 3, 40, 40), 0.2)
    light[..., 20:] = 0.5
    sharp = unsharp_mask(light)
    torch.testing.assert_close(sharp[..., :5], light[..., :5], atol=1e-4, rtol=1e-4)
    assert float(sharp[..., 18:22].max()) > 0.52
    assert float(sharp[..., 18:22].min()) < 0.18
