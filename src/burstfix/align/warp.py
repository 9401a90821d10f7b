"""Lay the frames of a burst onto the reference, box by box, at its exposure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from burstfix.align.geometry import Matrix, apply, corner_error
from burstfix.align.sampling import MARGIN, project, sample
from burstfix.device import cores
from burstfix.frame import Box, Frame, Pixels, Size

UNSEEN_BORDER = 2  # pixels at a frame's border where the kernel would make up light
LONGER_GAIN = 0.98  # frames exposed longer than this gain says lose highlights that others have
SATURATING, SATURATED = 0.9, 0.99  # of linear light: from where a channel counts less, and not
STRIP_ROWS = 64  # resampled at once, by one thread: what that takes beside stays small
WHOLE_SHIFT = 0.01  # corner error in pixels below which a frame is copied, not resampled


@dataclass(frozen=True)
class AlignedBurst:
    """The frames of a burst in the reference's geometry and exposure, read box by box.

    Args:
        views: the frames, the reference first.
        source_from_reference: takes the reference's (x, y) to each frame's, in pixels; (3, 3)
            each, the first the identity.
        gains: what each frame's light is multiplied by; the first is 1.
        alike: for some frames, by number: how far they show what the reference shows, 0 to 1, over
            a box of its grid; (1, h, w).
    """

    views: Sequence[Frame]
    source_from_reference: Sequence[Matrix]
    gains: Sequence[float]
    alike: Mapping[int, Callable[[Box], Tensor]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.frames == len(self.source_from_reference) == len(self.gains) > 0:
            raise ValueError("A burst needs one homography and one gain for each frame.")

    @property
    def size(self) -> Size:
        """(height, width) of the reference."""
        return self.views[0].size

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return len(self.views)

    def read(self, box: Box, into: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Read a box of the reference's grid from every frame.

        Args:
            box: inside the reference.
            into: tensors of what is returned to fill, and return; None makes them.

        Returns:
            Linear light, (F, 3, h, w), the reference to the bit; and how far each pixel was
            seen, 0 to 1, (F, 1, h, w). Where a frame saw nothing it repeats the reference.
        """
        burst, seen = into or make_room(self.frames, box)
        seen.fill_(1)
        burst[0] = self.views[0].read(box)

        def fill(task: tuple[int, Box]) -> None:
            index, strip = task
            rows = slice(strip.top - box.top, strip.bottom - box.top)
            self._read_frame(index, strip, burst[..., rows, :], seen[..., rows, :])

        tasks = [(index, strip) for index in range(1, self.frames) for strip in _strips(box)]
        with ThreadPoolExecutor(cores()) as pool:
            for _ in pool.map(fill, tasks):
                pass  # raises what a thread raised
        return burst, seen

    def _read_frame(self, index: int, box: Box, burst: Tensor, seen: Tensor) -> None:
        """Fill in one frame."""
        frame, gain = self.views[index], self.gains[index]
        matrix = self.source_from_reference[index]
        shift = whole_shift(matrix, self.size)
        read = (
            _shifted(frame, shift, box) if shift else resample(frame.pixels, *project(matrix, box))
        )
        if read is None:
            burst[index] = burst[0]
            seen[index] = 0
            return
        light, share = read
        if gain < LONGER_GAIN and light.amax() > SATURATING:
            light, filled = _restore_highlights(light, gain, burst[0])
            share = filled if share is None else share * filled
        elif gain != 1:
            light = light * gain
        if index in self.alike:
            alike = self.alike[index](box)[0]
            share = alike if share is None else share * alike
        if share is None:
            burst[index] = light
            return
        torch.lerp(burst[0], light, share, out=burst[index])
        seen[index, 0] = share


def make_room(frames: int, box: Box) -> tuple[Tensor, Tensor]:
    """Make tensors for a box of several frames, and what was seen; (F, 3, h, w), (F, 1, h, w)."""
    return torch.empty(frames, 3, *box.size), torch.empty(frames, 1, *box.size)


def _strips(box: Box) -> Iterator[Box]:
    """Cut a box into strips of rows, top to bottom."""
    for top in range(box.top, box.bottom, STRIP_ROWS):
        yield box._replace(top=top, bottom=min(top + STRIP_ROWS, box.bottom))


def _restore_highlights(light: Tensor, gain: float, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Darken a longer exposure; where it was clipped the reference counts, if it is brighter.

    Only if: a blurred highlight is clipped where the reference is dark, and has no edge there.

    Returns:
        The light, (3, h, w); and the share of it that the frame itself saw, (h, w).
    """
    lost = ((light - SATURATING) / (SATURATED - SATURATING)).clamp_(0, 1)
    darker = light * gain
    missing = (reference - darker).clamp_min_(0) * lost
    kept = 1 - (lost * (missing > 0)).amax(dim=0)
    return darker.add_(missing), kept


def whole_shift(source_from_reference: Matrix, size: Size) -> tuple[int, int] | None:
    """Return (down, right) where a homography is a shift by whole pixels, else None."""
    right, down = np.rint(apply(source_from_reference, np.zeros((1, 2)))[0])
    shift = np.array([[1, 0, right], [0, 1, down], [0, 0, 1]])
    if corner_error(source_from_reference, shift, size) > WHOLE_SHIFT:
        return None
    return int(down), int(right)


def _shifted(frame: Frame, shift: tuple[int, int], box: Box) -> tuple[Tensor, Tensor | None] | None:
    """Read a frame that lies whole pixels away, and what of it was seen, None if all.

    None where it saw nothing of the box.
    """
    wanted = box.shift(*shift)
    known = wanted.intersect(Box.whole(frame.size))
    if known.empty:
        return None
    if known == wanted:
        return frame.read(known), None
    light = torch.zeros((3, *box.size))
    share = torch.zeros(box.size)
    rows = slice(known.top - wanted.top, known.bottom - wanted.top)
    columns = slice(known.left - wanted.left, known.right - wanted.left)
    light[:, rows, columns] = frame.read(known)
    share[rows, columns] = 1
    return light, share


def resample(pixels: Pixels, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor | None] | None:
    """Read a picture between its pixels.

    Args:
        pixels: the picture.
        x: columns of it, in pixels; (h, w) float64; changed.
        y: rows of it, likewise.

    Returns:
        The light, (3, h, w), and what of it was seen, (h, w), None if all. None where nothing was.
    """
    height, width = pixels.size
    left, right = (float(extreme) for extreme in torch.aminmax(x))
    top, bottom = (float(extreme) for extreme in torch.aminmax(y))
    if not np.isfinite([left, right, top, bottom]).all():
        return None
    reach = MARGIN + 1
    needed = Box(
        int(np.floor(max(top, 0))) - reach,
        int(np.floor(max(left, 0))) - reach,
        int(np.ceil(min(bottom, height))) + reach + 1,
        int(np.ceil(min(right, width))) + reach + 1,
    ).intersect(Box.whole(pixels.size))
    if needed.empty:
        return None
    share: Tensor | None = None
    if (
        min(left, top) < UNSEEN_BORDER
        or right > width - 1 - UNSEEN_BORDER
        or bottom > (height - 1 - UNSEEN_BORDER)
    ):
        mask = _within(x, UNSEEN_BORDER, width) & _within(y, UNSEEN_BORDER, height)
        if not mask.any():
            return None
        share = mask.float()
    light = sample(pixels.read(needed), x.sub_(needed.left), y.sub_(needed.top))
    return light, share


def _within(position: Tensor, border: int, length: int) -> Tensor:
    """Tell which positions lie `border` pixels or more inside a row or column."""
    return (position >= border) & (position <= length - 1 - border)
