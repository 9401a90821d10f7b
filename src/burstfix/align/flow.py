"""Lay the frames of a film onto one of them, by dense optical flow, box by box."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from burstfix.align.geometry import Matrix, apply
from burstfix.align.warp import make_room, resample
from burstfix.color import luminance, to_root
from burstfix.device import cores
from burstfix.frame import Box, Pixels, Size

Field = NDArray[np.float32]  # displacements (x, y) in pixels of the full picture; (h, w, 2)
Grey = NDArray[np.uint8]

_LARGE = 850  # px of the longer side, about, of the pictures that flow is found in
_BLOCK = 8  # px, in which a homography is as good as linear
_LEAST_SIDE = 16  # of pictures that flow is found in; DIS fails on smaller ones
_SLACK, _SHARE = 0.5, 0.01  # px^2, and of the squared motion: what there and back may differ by
_LEAST_SEEN = 0.3  # of the picture, of a neighbour that counts as aligned
_LEAST_ALIKE = 0.5  # correlation of an aligned neighbour with the reference


@dataclass(frozen=True)
class Motion:
    """How a neighbour lies to the reference.

    Args:
        flow: target_from_source: what stands at p in the reference stands at p + flow in the
            neighbour; in pixels of the full picture, one for each block. None: it is taken as
            it lies.
        seen: whether the neighbour shows what the reference shows, 0 to 1; (h, w) float32.
        step: side of the blocks [px of the full picture].
        correlation: of what both show.
    """

    flow: Field | None
    seen: NDArray[np.float32]
    step: int = 1
    correlation: float = 1.0

    @classmethod
    def still(cls, size: Size) -> "Motion":
        """Return the motion of a neighbour that is taken as it lies, at (height, width)."""
        return cls(None, np.ones(size, np.float32))

    @classmethod
    def of_homography(
        cls, neighbour_from_reference: Matrix, size: Size, correlation: float
    ) -> "Motion":
        """Return the motion of a plane.

        Args:
            neighbour_from_reference: takes points (x, y) in pixels; (3, 3).
            size: (height, width).
            correlation: of what both show; 0 where they could not be aligned.
        """
        height, width = (-(-side // _BLOCK) for side in size)
        middle = (_BLOCK - 1) / 2
        x, y = np.meshgrid(np.arange(width) * _BLOCK + middle, np.arange(height) * _BLOCK + middle)
        points = np.stack([x.ravel(), y.ravel()], axis=1)
        moved = (apply(neighbour_from_reference, points) - points).reshape(height, width, 2)
        seen = np.ones((height, width), np.float32)
        return cls(moved.astype(np.float32), seen, _BLOCK, correlation)

    @property
    def ok(self) -> bool:
        """Whether the neighbour is aligned; else it counts as unseen."""
        return self.correlation >= _LEAST_ALIKE and float(self.seen.mean()) >= _LEAST_SEEN


def reduction_for(size: Size) -> int:
    """Return at which part of the resolution flow is found: 1, 2, 4 and so on; see `enlarge`."""
    return 1 << max(0, round(math.log2(max(size) / _LARGE)))


def grey_of(light: Tensor, factor: int) -> Grey:
    """Make the picture that flow is found in.

    Args:
        light: linear light; (3, H, W) float32.
        factor: what sides are divided by, rounded up.

    Returns:
        The root of luminance, 0 to 255; (h, w).
    """
    root = to_root(luminance(light)[0].clamp(0, 1)).numpy()
    height, width = (-(-side // factor) for side in root.shape)
    below, beyond = height * factor - root.shape[0], width * factor - root.shape[1]
    if below or beyond:
        root = cv2.copyMakeBorder(root, 0, below, 0, beyond, cv2.BORDER_REPLICATE)
    if factor > 1:
        root = cv2.resize(root, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip(root * 255 + 0.5, 0, 255), np.uint8)


def find_flow(source: Grey, target: Grey) -> Field:
    """Find where each pixel of one picture lies in another.

    Dense inverse search (Kroeger et al. 2016), with OpenCV's variational refinement.

    Args:
        source: what to find; (h, w).
        target: where; (h, w).

    Returns:
        target_from_source displacements in pixels of these pictures; (h, w, 2).
    """
    if min(source.shape) < _LEAST_SIDE:
        return np.zeros((*source.shape, 2), np.float32)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    start = np.zeros((*source.shape, 2), np.float32)
    return np.asarray(search.calc(source, target, start), np.float32)


def unoccluded(forward: Field, backward: Field) -> NDArray[np.bool_]:
    """Tell what is seen in both pictures: going there and back leads home.

    The bound grows with the motion (Sundaram, Brox and Keutzer 2010, equation 5).

    Args:
        forward: target_from_source; (h, w, 2).
        backward: source_from_target; (h, w, 2).

    Returns:
        For each pixel of the source; (h, w).
    """
    height, width = forward.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    there_x, there_y = x + forward[..., 0], y + forward[..., 1]
    back = cv2.remap(backward, there_x, there_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    missed = np.square(forward + back).sum(axis=2)
    moved = np.square(forward).sum(axis=2) + np.square(back).sum(axis=2)
    inside = (there_x >= 0) & (there_x <= width - 1) & (there_y >= 0) & (there_y <= height - 1)
    return np.asarray((missed <= _SHARE * moved + _SLACK) & inside)


def make_motion(
    reference: Grey, neighbour: Grey, forward: Field, backward: Field, factor: int
) -> Motion:
    """Judge a flow.

    Args:
        reference: as of `grey_of`.
        neighbour: likewise.
        forward: neighbour_from_reference, of `find_flow`.
        backward: reference_from_neighbour.
        factor: that both pictures were made with.
    """
    seen = unoccluded(forward, backward)
    height, width = reference.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    there_x, there_y = x + forward[..., 0], y + forward[..., 1]
    found = np.asarray(cv2.remap(neighbour, there_x, there_y, cv2.INTER_LINEAR), np.uint8)
    return Motion(
        flow=forward * np.float32(factor),
        seen=_settled(seen),
        step=factor,
        correlation=_correlation(reference[seen], found[seen]),
    )


def _settled(seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Drop single pixels and a rim of what was seen, and fade it out: they show as specks."""
    calm = cv2.erode(cv2.medianBlur(seen.astype(np.uint8), 5), np.ones((3, 3), np.uint8))
    return np.asarray(cv2.blur(calm.astype(np.float32), (3, 3)), np.float32)


def _correlation(one: Grey, other: Grey) -> float:
    """Correlate two pictures; flat ones that are equal correlate fully."""
    if not one.size:
        return 0.0
    a, b = one.astype(np.float32), other.astype(np.float32)
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt(np.square(a).mean() * np.square(b).mean()))
    if spread < 1:  # nothing to see but noise
        return 1.0 if float(np.square(a - b).mean()) < 4 else 0.0
    return float((a * b).mean()) / spread


@dataclass(frozen=True)
class FlowBurst:
    """A frame and its neighbours in the frame's geometry; implements `tiling.Source`.

    Args:
        views: the pictures, the reference first.
        motions: of each of the others to the reference; None: it counts as unseen.
    """

    views: Sequence[Pixels]
    motions: Sequence[Motion | None]

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self.views[0].size

    @property
    def frames(self) -> int:
        """How many pictures there are."""
        return len(self.views)

    def read(self, box: Box, into: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Read a box of the reference's grid from every picture.

        Args:
            box: inside the reference.
            into: tensors of what is returned to fill, and return; None makes them.

        Returns:
            Linear light, (F, 3, h, w), the reference to the bit; and how far each pixel was
            seen, 0 to 1, (F, 1, h, w). Where a picture saw nothing it repeats the reference.
        """
        reference = self.views[0].read(box)
        burst, seen = into or make_room(self.frames, box)
        burst.copy_(reference.expand_as(burst))
        seen.zero_()[0] = 1

        def fill(index: int) -> None:
            motion = self.motions[index - 1]
            read = motion and _moved(self.views[index], motion, box)
            if read:
                torch.lerp(reference, read[0], read[1], out=burst[index])
                seen[index, 0] = read[1]

        with ThreadPoolExecutor(cores()) as pool:
            for _ in pool.map(fill, range(1, self.frames)):
                pass  # raises what a thread raised
        return burst, seen


def _moved(pixels: Pixels, motion: Motion, box: Box) -> tuple[Tensor, Tensor] | None:
    """Resample a picture along its flow; and how far it was seen, (h, w)."""
    if motion.flow is None:
        return pixels.read(box), torch.ones(box.size)
    flow = enlarge(motion.flow, motion.step, box)
    x = torch.arange(box.left, box.right, dtype=torch.float64)[None, :] + flow[0]
    y = torch.arange(box.top, box.bottom, dtype=torch.float64)[:, None] + flow[1]
    read = resample(pixels, x, y)
    if read is None:
        return None
    light, share = read
    known = enlarge(motion.seen[..., None], motion.step, box)[0]
    return light, known if share is None else known * share


def enlarge(values: NDArray[np.float32], step: int, box: Box) -> Tensor:
    """Interpolate what is known for blocks linearly, for the pixels of a box.

    The value of a block stands at its middle. A pixel gets the same value in any box.

    Args:
        values: one a block of step x step pixels; (h, w, C).
        step: side of a block [px], a power of two: OpenCV's positions are then exact.
        box: pixels of the full picture.

    Returns:
        (C, box height, box width) float32.
    """
    if step == 1:
        return torch.from_numpy(values[box.top : box.bottom, box.left : box.right]).movedim(2, 0)
    height, width = values.shape[:2]
    # With a block more on every side: the box's outermost pixels lie between it and their own.
    top, left = max(box.top // step - 1, 0), max(box.left // step - 1, 0)
    bottom, right = min(-(-box.bottom // step) + 1, height), min(-(-box.right // step) + 1, width)
    size = (right - left) * step, (bottom - top) * step
    wide = cv2.resize(values[top:bottom, left:right], size, interpolation=cv2.INTER_LINEAR)
    rows = slice(box.top - top * step, box.bottom - top * step)
    columns = slice(box.left - left * step, box.right - left * step)
    return torch.from_numpy(np.atleast_3d(wide)[rows, columns]).movedim(2, 0)
