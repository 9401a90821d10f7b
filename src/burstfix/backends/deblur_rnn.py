"""DeblurRNN of Zhang, Zhen and Stevenson (2019): denoises one frame, then deblurs the other by it.

Two U-Nets in a row. The first denoises the noisy frame; its picture goes into the second beside
the blurry frame, and the state of its ConvLSTM, at the bottleneck, goes into that of the second.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from burstfix.backends.base import Backend, Contract, Network
from burstfix.backends.pairs.layers import CELL, Decoder, Encoder, reach
from burstfix.backends.pairs.lstm import ConvLSTM, State
from burstfix.backends.pairs.picture import Painter
from burstfix.backends.scaling import Scaled, standardise

# Measured on weights of a short training: 64 px change no code by 1/1024, 48 do.
_HALO = 80


@dataclass(frozen=True, kw_only=True)
class Config:
    """Written into the weights file, so the file alone rebuilds the network.

    Args:
        width: factor on all channels; 1 is the paper's.
        dropout: share of the decoders' features that training leaves out.
        residual: whether the nets correct pictures: the first the noisy frame, the second a
            mixture, of its own choice, of the denoised and the blurry one. The paper's paint the
            whole picture, which takes long to learn.
    """

    width: float = 1.0
    dropout: float = 0.5
    residual: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.width <= 4 or not 0 <= self.dropout < 1:
            raise ValueError("width lies between 0 and 4, dropout is at least 0 and below 1")


class Subnet(nn.Module):
    """A U-Net with a ConvLSTM at its bottleneck.

    Args:
        frames: pictures that enter.
        painter: tells how many channels make a picture.
        config: widths and dropout.
        begins: whether no net hands it a state.
    """

    def __init__(self, frames: int, painter: Painter, config: Config, *, begins: bool) -> None:
        super().__init__()
        scaled = Scaled(config.width)
        self.painter = painter
        self.encoder = Encoder(3 * frames, scaled)
        self.lstm = ConvLSTM(self.encoder.fan_out, begins=begins)
        self.decoder = Decoder(1, painter.channels, scaled, config.dropout)

    def forward(self, pictures: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Restore.

        Args:
            pictures: display codes of F pictures; (N, F, 3, H, W).
            state: of the net before.

        Returns:
            A picture in display codes, (N, 3, H, W), and the state for the next net.
        """
        levels = self.encoder(standardise(pictures).flatten(1, 2))
        state = self.lstm(levels[-1], state)
        return self.painter(self.decoder(state[0], [levels[:-1]]), pictures), state


class DeblurRNNNetwork(Network):
    """The noisy frame, reference, at index 0; the blurry one at index 1."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.denoiser = Subnet(1, Painter(1, residual=config.residual), config, begins=True)
        self.deblurrer = Subnet(2, Painter(2, residual=config.residual), config, begins=False)
        self.contract = Contract(
            tasks=("pair",),
            frames=2,
            coding="display",
            multiple_of=CELL,
            receptive_radius=receptive_radius(),
            halo=_HALO,
            working_bytes=math.ceil(200 * config.width) + 60,
        )

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Restore the noisy frame; arguments and result as `Network.forward`."""
        del seen, descriptor  # the paper's network knows nothing but pixels
        return self._restore(burst)[-1]

    def pictures(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> tuple[Tensor, ...]:
        """Return the denoised picture and the result; as `Network.pictures`."""
        del seen, descriptor
        denoised, restored = self._restore(self.code(burst))
        return self.decode(denoised), self.decode(restored)

    def parts(self) -> tuple[nn.Module, ...]:
        """Return the denoising net and the deblurring net, each with its own weights."""
        return self.denoiser, self.deblurrer

    def _restore(self, burst: Tensor) -> tuple[Tensor, Tensor]:
        """Denoise, then deblur; display codes (N, 2, 3, H, W) to two of (N, 3, H, W)."""
        denoised, state = self.denoiser(burst[:, :1])
        restored, _ = self.deblurrer(torch.stack([denoised, burst[:, 1]], dim=1), state)
        return denoised, restored


def receptive_radius() -> int:
    """Follow the longest way, from a cell of the output back to what it reads of the input."""
    first, last = reach(*reach(0, CELL - 1, bottom=1), bottom=1)
    return max(-first, last - (CELL - 1))


BACKEND = Backend(
    "deblur-rnn",
    Config,
    DeblurRNNNetwork,
    "denoises, then deblurs by it, a noisy and blurry pair (Zhang et al. 2019)",
)
