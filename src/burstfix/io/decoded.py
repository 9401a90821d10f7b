"""What decoding one file gives: codes and how to read them. Known to both processes."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from burstfix.errors import InputError
from burstfix.io.metadata import Facts

MOST_PIXELS = 1 << 30  # more is a hostile header, not a photograph

Codes = np.ndarray[Any, Any]  # (H, W, 3), RGB, uint8, uint16 or float32


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """One decoded file, or, without codes, one that was only looked at.

    Args:
        kind: the file format, for messages; "raw" for all raw formats.
        size: (height, width) of the upright picture.
        facts: its metadata.
        codes: the upright pixels; (H, W, 3) RGB.
        white_balance: gains of R, G1, B, G2 that were applied, the least of R, G1, B = 1; raw only.
        black: the code of no light; whole numbers only.
    """

    kind: str
    size: tuple[int, int]
    facts: Facts
    codes: Codes | None = None
    white_balance: tuple[float, ...] = field(default=())
    black: int = 0

    @property
    def raw(self) -> bool:
        """Whether the codes are linear sensor data."""
        return self.kind == "raw"


def check_size(name: str, size: tuple[int, int]) -> None:
    """Raise InputError where (height, width) is empty or absurd."""
    height, width = size
    if height < 1 or width < 1 or height * width > MOST_PIXELS:
        raise InputError(
            f"{name} claims to be {width}x{height} pixels, which cannot be.",
            "It is probably damaged: copy it again from the camera, or leave it out.",
        )


def damaged(name: str, fault: str) -> InputError:
    """Return the error of a file whose bytes are missing or changed."""
    return InputError(
        f"{name} {fault}.", "Copy it again from the camera or a backup, or leave it out."
    )
