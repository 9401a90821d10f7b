"""Tiles cover, align and blend for any size."""

from itertools import chain

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from burstfix.backends.base import Contract
from burstfix.frame import Box
from burstfix.tiling.layout import Layout, layout_for

layouts = st.builds(
    lambda size, tile, multiple, radius, halo: layout_for(
        Contract(multiple_of=multiple, receptive_radius=radius), size, tile, halo
    ),
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    tile=st.integers(16, 128),
    multiple=st.sampled_from([1, 2, 8, 12, 32]),
    radius=st.integers(0, 90),
    halo=st.none() | st.integers(0, 90),
)


@settings(deadline=None)  # a busy machine is no fault
@given(layouts)
def test_cores_cover_every_pixel_exactly_once(layout: Layout) -> None:
    count = torch.zeros(layout.padded.size)
    for core in chain(*layout.bands()):
        count[core.top : core.bottom, core.left : core.right] += 1
    assert (count == 1).all()


@settings(deadline=None)  # a busy machine is no fault
@given(layouts)
def test_blend_weights_sum_to_one(layout: Layout) -> None:
    total = torch.zeros(layout.padded.size)
    for core in chain(*layout.bands()):
        region = layout.region(core)
        total[region.top : region.bottom, region.left : region.right] += layout.weight(core)
    torch.testing.assert_close(total, torch.ones_like(total))


@settings(deadline=None)  # a busy machine is no fault
@given(layouts)
def test_boxes_are_whole_cells_inside_the_padded_picture(layout: Layout) -> None:
    for core in chain(*layout.bands()):
        box = layout.box(layout.region(core))
        assert all(edge % layout.multiple == 0 for edge in (*box, *core))
        assert box.intersect(layout.padded) == box
        assert layout.region(core).intersect(box) == layout.region(core)


@settings(deadline=None)  # a busy machine is no fault
@given(layouts)
def test_the_picture_is_padded_by_less_than_a_cell(layout: Layout) -> None:
    for padded, real in zip(layout.padded.size, layout.size, strict=True):
        assert 0 <= padded - real < layout.multiple


@settings(deadline=None)  # a busy machine is no fault
@given(st.integers(0, 90), st.sampled_from([1, 8, 32]))
def test_the_full_halo_is_read_and_needs_no_blend(radius: int, multiple: int) -> None:
    contract = Contract(multiple_of=multiple, receptive_radius=radius)
    layout = layout_for(contract, (640, 640), 64)
    core = layout.bands()[3][3]
    assert layout.blend == 0
    assert layout.box(core).intersect(core.grow(radius)) == core.grow(radius)


def test_a_smaller_halo_is_blended() -> None:
    contract = Contract(multiple_of=8, receptive_radius=100, halo=64)
    layout = layout_for(contract, (640, 640), 128)
    core = layout.bands()[1][1]
    assert layout.blend == 16
    assert layout.box(layout.region(core)) == core.grow(64)


def test_parts_are_of_like_size() -> None:
    layout = layout_for(Contract(multiple_of=16), (16 * 9, 16 * 9), 16 * 4)
    assert [b - a for a, b in zip(layout.rows, layout.rows[1:], strict=False)] == [48, 48, 48]
    assert layout.padded == Box(0, 0, 144, 144)
