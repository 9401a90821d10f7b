"""Sizes and choices of the backend `wieschollek`."""

from dataclasses import dataclass
from typing import Literal

FRAMES = 14  # that the network takes; it is trained for exactly so many
PATCH = 65  # side of the patches that go in [px]
RESULT = 33  # side of the patches that come out [px]
BORDER = (PATCH - RESULT) // 2  # what a filter may bring in from around, and wrap around [px]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Widths, and what the paper leaves open or does otherwise.

    Args:
        hidden: width of the dense layers; 1 is the paper's (1024, 2048, 4096).
        stride: from one patch to the next [px]; the paper's is 5. Few patches are quick.
        training_stride: the same where the network learns, so that patches differ.
        inputs: what the dense layers see of a Fourier coefficient. "plain": its real and
            imaginary part, as published. "relative": the same, but turned and scaled so that the
            mean over the burst is 1 and real, and the logarithm of its magnitude; blur is then
            seen whatever the picture shows.
        mean_input: whether the fusion sees the magnitude of the frames' mean too, beside those of
            the frames; noise averages out of it, so it tells noise from detail.
        order: in which frames are taken where the network does not learn: "given", as published; or
            "sharpness", the sharpest of each patch first, whatever the order they are given in.
        p: exponent that the fusion has before training.
        smoothing: side of a patch over the sigma by which fusion weights are smoothed in
            frequency where the network does not learn; 0 leaves them as they are.
        planes: "each" restores the three colours on their own, as published; "grey" luminance
            alone, a third of the work: the colours are replaced after either.
        colour_p: exponent of the plain Fourier burst accumulation that colours come from; the
            paper's is 11, which keeps the noise of single frames.
        colour_block: side of its blocks [px]; a multiple of 16.
    """

    hidden: float = 0.09375
    stride: int = 5
    training_stride: int = 16
    inputs: Literal["plain", "relative"] = "relative"
    mean_input: bool = True
    order: Literal["given", "sharpness"] = "given"
    p: float = 1.0
    smoothing: float = 50.0
    planes: Literal["grey", "each"] = "grey"
    colour_p: float = 2.0
    colour_block: int = 256
