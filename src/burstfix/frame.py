"""The one image type: linear light behind a box-wise reader, with its metadata.

A frame does not hold its pixels as floats: sixteen frames of 100 megapixels would need 19 GB.
It holds a `Pixels`, which decodes any box of the picture to linear light on demand.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from torch import Tensor

Size = tuple[int, int]  # (height, width)


class Box(NamedTuple):
    """A rectangle of whole pixels; bottom and right are exclusive."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self.bottom - self.top, self.right - self.left

    @property
    def empty(self) -> bool:
        """Whether the box holds no pixel."""
        return self.bottom <= self.top or self.right <= self.left

    def grow(self, margin: int) -> "Box":
        """Return the box with `margin` more pixels on each side."""
        return Box(self.top - margin, self.left - margin, self.bottom + margin, self.right + margin)

    def shift(self, down: int, right: int) -> "Box":
        """Return the box moved by whole pixels."""
        return Box(self.top + down, self.left + right, self.bottom + down, self.right + right)

    def intersect(self, other: "Box") -> "Box":
        """Return what both boxes share; possibly empty."""
        return Box(
            max(self.top, other.top),
            max(self.left, other.left),
            min(self.bottom, other.bottom),
            min(self.right, other.right),
        )

    @classmethod
    def whole(cls, size: Size) -> "Box":
        """Return the box of a whole picture of (height, width)."""
        return cls(0, 0, *size)


class Pixels(Protocol):
    """A picture that can be read box by box."""

    @property
    def size(self) -> Size:
        """(height, width)."""
        ...

    def read(self, box: Box) -> Tensor:
        """Return the box, which lies inside the picture, in linear light; (3, h, w) float32."""
        ...


@dataclass(frozen=True)
class TensorPixels:
    """Pixels that are in memory already.

    Args:
        tensor: linear light, 0 = black level, 1 = saturation; (3, H, W) float32.
    """

    tensor: Tensor

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self.tensor.shape[-2], self.tensor.shape[-1]

    def read(self, box: Box) -> Tensor:
        """Return a view of the box; (3, h, w)."""
        return self.tensor[:, box.top : box.bottom, box.left : box.right]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """How linear light is coded in a file: the decoding direction, code to light, both 0 to 1.

    Either the ICC parametric function of type 4,
    y = (a x + b)^g + e where x >= d, else c x + f,
    or a table of equally spaced samples, where `table` is not empty.
    `color.decode` and `color.encode` apply it.
    """

    g: float = 1.0
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    e: float = 0.0
    f: float = 0.0
    table: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What a file tells of the photograph; None or empty is unknown."""

    exposure_s: float | None = None
    iso: float | None = None
    aperture: float | None = None  # f-number
    focal_length_mm: float | None = None
    camera: str = ""  # make and model
    lens: str = ""
    taken: datetime | None = None  # local time of the camera, with sub-seconds where known
    burst_id: str = ""  # where the camera embeds one
    noise: tuple[float, float] | None = None  # shot, read: variance = shot * signal + read; raw
    exif: bytes = b""  # a TIFF structure, without the "Exif\0\0" of JPEG
    icc: bytes = b""  # the profile that describes the primaries and the curve


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One photograph of a burst.

    `curve` codes the frame's light for display: a JPEG's own curve, or for raw files the
    neutral rendering (`color.NEUTRAL`). Writing with it gives an untouched pixel back.
    """

    pixels: Pixels
    curve: Curve
    metadata: Metadata = field(default_factory=Metadata)
    path: Path | None = None
    raw: bool = False  # linear sensor data: nothing but demosaicing was done to it
    white_balance: tuple[float, ...] = ()  # gains of R, G1, B, G2 that decoding applied; raw only

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self.pixels.size

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return self.path.name if self.path else "frame"

    def read(self, box: Box) -> Tensor:
        """Return a box in linear light; (3, h, w) float32."""
        return self.pixels.read(box)

    def whole(self) -> Tensor:
        """Return the whole picture in linear light; (3, H, W) float32."""
        return self.pixels.read(Box.whole(self.size))


Burst = Sequence[Frame]
