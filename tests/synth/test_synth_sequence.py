from dataclasses import replace

import pytest
import torch

from burstfix.synth.film import FilmSettings, film
from burstfix.synth.resample import pixel_grid, sample
from burstfix.synth.sequence import Film, Layer, centre_ways, tremor

SIDE, MARGIN = 96, 16
STILL = FilmSettings(depth_share=0, moving_share=0)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth(count: int, seed: int = 1) -> torch.Tensor:
    """Draw photographs that cubic samples follow closely."""
    seeds = torch.rand(count, 3, 9, 9, generator=seeded(seed))
    return torch.nn.functional.interpolate(seeds, size=(SIDE, SIDE), mode="bicubic")


def filmed(settings: FilmSettings, extent: float = 8.0, count: int = 3, steps: int = 9) -> Film:
    return film(
        smooth(count),
        smooth(count, seed=2),
        times=torch.arange(steps).float(),
        frames_per_s=torch.full((count,), 120.0),
        exposed=range(1, steps),
        extent=torch.full((count,), extent),
        margin=MARGIN,
        settings=settings,
        generator=seeded(),
    )


def resting(layers: tuple[Layer, ...] = (), steps: int = 5) -> Film:
    """Film with a camera that does not move."""
    return Film(
        scenes=smooth(1),
        layers=layers,
        margin=MARGIN,
        times=torch.arange(steps).float(),
        path=torch.zeros(1, steps, 6),
        rest=torch.zeros(1, steps, 6),
        shift=torch.zeros(1, steps, 2),
        focal=torch.tensor([500.0]),
        axis=torch.tensor([[47.5, 47.5]]),
    )


def square(**way: torch.Tensor) -> Layer:
    """Cut out a white square of 21 px in the middle."""
    picture = torch.zeros(1, 4, SIDE, SIDE)
    picture[..., 37:58, 37:58] = 1
    nothing = torch.zeros(1, 2)
    layer = Layer(
        items=torch.tensor([0]),
        picture=picture,
        nearness=torch.zeros(1),
        velocity=nothing,
        spin=nothing[:, 0],
        centre=torch.tensor([[47.0, 47.0]]),
    )
    return replace(layer, **way)


def test_the_first_frame_is_the_photograph_itself() -> None:
    sequence = filmed(STILL)
    inner = slice(MARGIN, SIDE - MARGIN)
    torch.testing.assert_close(
        sequence.frame(0), sequence.scenes[..., inner, inner], atol=1e-3, rtol=0
    )


def test_the_same_seed_films_the_same_frames() -> None:
    everything = FilmSettings(depth_share=1, moving_share=1)
    assert torch.equal(filmed(everything).frames(), filmed(everything).frames())


def test_flow_leads_from_frame_to_frame_whatever_the_camera_does() -> None:
    sequence = filmed(STILL)
    first, second = 2, 7
    grid = pixel_grid(sequence.size, dtype=torch.float32)
    flow = sequence.flow(first, second)
    back = sample(sequence.frame(second), grid + flow)
    assert flow.abs().amax() > 1
    inner = (..., slice(12, -12), slice(12, -12))
    error = (back - sequence.frame(first))[inner].abs()
    # Cubic samples move edges by up to 0.05 px; a flow wrong by that much more would show.
    assert error.amax() < 0.02
    assert error.mean() < 0.003


def test_flow_there_and_back_cancels() -> None:
    sequence = filmed(STILL)
    grid = pixel_grid(sequence.size, dtype=torch.float32)
    there, back = sequence.flow(1, 6), sequence.flow(6, 1)
    met = sample(back.permute(0, 3, 1, 2), grid + there).permute(0, 2, 3, 1)
    inner = (slice(None), slice(12, -12), slice(12, -12))
    assert (there + met)[inner].abs().amax() < 0.02


def test_shake_reaches_as_far_as_asked() -> None:
    sequence = filmed(STILL, extent=10)
    middle = torch.full((2,), (SIDE - 1) / 2)
    ways = centre_ways(sequence.path, sequence.axis, middle)[:, 1:]
    torch.testing.assert_close(torch.cdist(ways, ways).amax((1, 2)), torch.full((3,), 10.0))


def test_first_order_ways_agree_with_the_homographies() -> None:
    sequence = filmed(STILL, extent=6)
    middle = torch.full((2,), (SIDE - 1) / 2)
    point = torch.cat([middle, torch.ones(1)])
    mapped = sequence.scene_from_frame(5) @ point
    exact = mapped[:, :2] / mapped[:, 2:] - middle
    near_axis = centre_ways(sequence.path, sequence.axis, middle)
    assert (exact - near_axis[:, 5]).norm(dim=1).amax() < 0.15 * 6
    ways = centre_ways(sequence.path, sequence.axis, middle, sequence.focal)
    assert (exact - ways[:, 5]).norm(dim=1).amax() < 0.02 * 6


def test_a_mover_moves_by_its_velocity_and_hides_what_lies_behind() -> None:
    sequence = resting((square(velocity=torch.tensor([[3.0, -1.0]])),))
    flow = sequence.flow(1, 3)[0]
    middle = 47 - MARGIN
    torch.testing.assert_close(flow[middle - 1, middle + 3], torch.tensor([6.0, -2.0]))
    torch.testing.assert_close(flow[2, 2], torch.zeros(2))
    frame = sequence.frame(3)[0]
    assert frame[:, middle - 3, middle + 9].amin() == 1  # white where it is now
    behind = sequence.scenes[0, :, 47, 39]
    torch.testing.assert_close(frame[:, middle, 39 - MARGIN], behind, atol=1e-3, rtol=0)


def test_what_lies_nearer_moves_farther_under_a_shifting_camera() -> None:
    sequence = resting((square(nearness=torch.tensor([0.5])),))
    path = sequence.path.clone()
    path[:, 4, 3] = 4  # the camera shifts to the right
    flow = replace(sequence, path=path).flow(0, 4)[0]
    torch.testing.assert_close(flow[2, 2], torch.tensor([-4.0, 0.0]))
    torch.testing.assert_close(flow[31, 31], torch.tensor([-6.0, 0.0]), atol=1e-4, rtol=0)


def test_registering_the_scene_leaves_only_parallax() -> None:
    sequence = resting((square(nearness=torch.tensor([0.5])),))
    path = sequence.path.clone()
    path[:, 4, 3] = 4
    flow = replace(sequence, path=path, rest=path).flow(0, 4)[0]
    torch.testing.assert_close(flow[2, 2], torch.zeros(2))
    torch.testing.assert_close(flow[31, 31], torch.tensor([-2.0, 0.0]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("axis", range(6))
def test_tremor_is_strong_at_low_frequencies_and_weak_at_high_ones(axis: int) -> None:
    path = tremor(64, torch.arange(960).float(), seeded(), frames_per_s=240.0)
    power = torch.fft.rfft(path[..., axis] * torch.hann_window(960)).abs().square().mean(0)
    hertz = torch.fft.rfftfreq(960, 1 / 240)
    slow, middle, fast = (
        power[(hertz >= low) & (hertz < high)].mean() for low, high in ((0.5, 2), (6, 12), (18, 24))
    )
    assert slow > 10 * middle > 30 * fast
    assert 0.5 < float(path[..., axis].square().mean()) < 2
