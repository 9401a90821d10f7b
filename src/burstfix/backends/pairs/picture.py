"""From what a decoder gives to a picture."""

from torch import Tensor, nn

from burstfix.backends.scaling import CONTRAST, GREY

_CORRECTION = 0.1  # of a correction's first size, else the first steps of training overshoot


class Painter(nn.Module):
    """Paints a picture from nothing, or corrects those that the network was given.

    Args:
        pictures: how many were given, 1 or 2.
        residual: whether they are corrected; two are mixed first, in a share that the decoder
            chooses for each pixel.
    """

    def __init__(self, pictures: int, *, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.mixes = residual and pictures == 2

    @property
    def channels(self) -> int:
        """How many the decoder must give."""
        return 4 if self.mixes else 3

    def forward(self, decoded: Tensor, given: Tensor) -> Tensor:
        """Paint.

        Args:
            decoded: standardised codes, and after them what decides the share of the second
                picture; (N, channels, H, W).
            given: display codes; (N, F, 3, H, W).

        Returns:
            Display codes; (N, 3, H, W) in the type of `given`.
        """
        codes = CONTRAST * decoded[:, :3].to(given.dtype)
        if not self.residual:
            return GREY + codes
        base = given[:, 0]
        if self.mixes:
            share = decoded[:, 3:].to(given.dtype).sigmoid()
            base = base + share * (given[:, 1] - base)
        return base + _CORRECTION * codes
