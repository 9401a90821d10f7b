"""Fourier burst accumulation: each frequency is taken from the frames that kept it best.

After Delbracio and Sapiro, "Removing camera shake via weighted Fourier burst accumulation"
(2015): with F the Fourier transform and v_i the aligned frames,

    u = F^-1( sum_i w_i F(v_i) ),    w_i = |F(v_i)|^p / sum_j |F(v_j)|^p,

where the magnitude is averaged over the colour channels and smoothed over frequency. Blur only
takes magnitude away, so the sharpest frame of each frequency wins; p = 0 is the plain mean.

The paper's are p = 11, the smoothing of sigma = side / 50 and the splitting into blocks. As
published, pictures are coded for display first (here by a plain square root, far quicker than a
curve): in linear light, clipped highlights outweigh all else and ring. Chosen here, by
measurement on made bursts: blocks of 256 px that share a quarter of their side (against 512 px at
half overlap +0.2 dB at a third of the work), the window laid over the frames before the
transform, and weights computed on every fourth frequency, since they are smooth.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from burstfix.backends.base import Backend, Contract, Network
from burstfix.color import from_root, to_root
from burstfix.frame import Box

_LEAST = -60.0  # least logarithm of a weight: denormal numbers slow products tenfold
_CPU_BATCH_BYTES = 8 << 20  # spectra that stay in a processor's cache
_GPU_BATCH_BYTES = 512 << 20


@dataclass(frozen=True, kw_only=True)
class Config:
    """How the picture is cut and the frames are weighed.

    Args:
        block: side of a block [px]; a multiple of 16.
        overlap: how much neighbouring blocks share [px]; at most half a block.
        p: exponent of the weights; 0 is the mean, large takes the best frame alone.
        smoothing: side of a block over the sigma of the smoothing in frequency.
        coded: whether frames are accumulated as square roots of light, or else as light.
    """

    block: int = 256
    overlap: int = 64
    p: float = 11.0
    smoothing: float = 50.0
    coded: bool = True


class FourierNetwork(Network):
    """Accumulates windowed blocks on a grid that is fixed to the picture's corner.

    Block k of a row begins at k * step and covers one cell of side `step` and `overlap` pixels
    of the next, so a cell depends on the blocks of its own and of the cell before.
    """

    window: Tensor
    pool_columns: Tensor
    pool_columns_mirrored: Tensor
    pool_rows: Tensor
    spread_columns: Tensor
    spread_rows: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        if config.block % 16 or not 0 < 2 * config.overlap <= config.block:
            raise ValueError(f"no such blocks: {config}")
        self.config = config
        self.step = config.block - config.overlap
        self.contract = Contract(multiple_of=self.step, receptive_radius=self.step, working_bytes=4)
        ramp = _ramp(config.block, config.overlap)
        sigma = config.block / config.smoothing
        stride = 4 if sigma >= 4 else 2 if sigma >= 2 else 1  # frequencies to a computed weight
        rows, columns, mirrored = _pooling(config.block, sigma, stride)
        # Not persistent: the config alone rebuilds them.
        self.register_buffer("window", ramp[:, None] * ramp, persistent=False)
        self.register_buffer("pool_rows", rows, persistent=False)
        self.register_buffer("pool_columns", columns, persistent=False)
        self.register_buffer("pool_columns_mirrored", mirrored, persistent=False)
        self.register_buffer(
            "spread_rows", _spreading(config.block, stride, wrap=True), persistent=False
        )
        # Twice each, for the real and the imaginary part
        spread = _spreading(config.block, stride, wrap=False).repeat_interleave(2, dim=0)
        self.register_buffer("spread_columns", spread.T.contiguous(), persistent=False)

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Accumulate every block; see `Network.forward`."""
        return self.forward_core(burst, seen, descriptor, Box(0, 0, *burst.shape[-2:]))

    def forward_core(self, burst: Tensor, seen: Tensor, descriptor: Tensor, core: Box) -> Tensor:
        """Accumulate the blocks that touch the core; see `Network.forward_core`."""
        del seen, descriptor  # what was not seen repeats the reference, and weighs as it does
        result = burst.new_zeros(burst.shape[0], 3, *core.size)
        with torch.autocast(burst.device.type, enabled=False):
            for corners, spectra in self._spectra(burst, core):
                self._accumulate(spectra, self._weights(spectra))
                fused = torch.fft.irfft2(spectra[:, 0], s=self.window.shape)
                for (item, top, left), block in zip(corners, fused, strict=True):
                    _add(result[item], core, block, top, left)
        return from_root(result) if self.config.coded else result

    def frame_weights(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Average the weights over blocks and frequencies; see `Network.frame_weights`.

        Each frequency counts by its magnitude, so that the share is one of what is seen, not
        of empty high frequencies.
        """
        del seen, descriptor
        shares = burst.new_zeros(burst.shape[:2])
        for corners, spectra in self._spectra(burst, Box(0, 0, *burst.shape[-2:])):
            weights = self._weights(spectra)[..., ::2]
            magnitude = _magnitude(spectra)
            magnitude[..., 0, 0] = 0  # the mean brightness, which no blur changes
            parts = (weights * magnitude.amax(1, keepdim=True)).sum(dim=(-2, -1))
            for (item, _, _), part in zip(corners, parts, strict=True):
                shares[item] += part
        total = shares.sum(dim=1, keepdim=True)
        even = torch.full_like(shares, 1 / burst.shape[1])  # flat frames differ in nothing
        return torch.where(total > 0, shares / total.clamp_min(1e-30), even)

    def _spectra(
        self, burst: Tensor, core: Box
    ) -> Iterator[tuple[list[tuple[int, int, int]], Tensor]]:
        """Transform the blocks that touch the core, a few at a time, in the same memory.

        Yields:
            Each block's (item, top, left), and the half spectra; (n, F, 3, B, B / 2 + 1) complex.
        """
        corners = [
            (item, top, left)
            for item in range(burst.shape[0])
            for top in self._origins(core.top, core.bottom)
            for left in self._origins(core.left, core.right)
        ]
        frames, side = burst.shape[1], self.config.block
        allowed = _CPU_BATCH_BYTES if burst.device.type == "cpu" else _GPU_BATCH_BYTES
        count = min(len(corners), max(1, allowed // (frames * 3 * side * side * 4)))
        # Fresh memory for each batch would cost more than the transform.
        blocks = burst.new_empty(count, frames, 3, side, side)
        spectra = blocks.new_empty(
            *blocks.shape[:-1], side // 2 + 1, dtype=blocks.dtype.to_complex()
        )
        for start in range(0, len(corners), count):
            chosen = corners[start : start + count]
            for block, (item, top, left) in zip(blocks, chosen, strict=False):
                light = _cut(burst[item], top, left, side)
                torch.mul(to_root(light) if self.config.coded else light, self.window, out=block)
            batch = len(chosen)
            yield chosen, torch.fft.rfft2(blocks[:batch], out=spectra[:batch])

    def _origins(self, start: int, stop: int) -> range:
        """Return where the blocks begin that reach into pixels start to stop, along one axis."""
        first = (start - self.config.overlap) // self.step * self.step
        if first + self.config.block <= start:
            first += self.step
        return range(first, stop, self.step)

    def _weights(self, spectra: Tensor) -> Tensor:
        """Weigh the frames per frequency.

        Args:
            spectra: half spectra; (n, F, 3, B, B / 2 + 1) complex.

        Returns:
            Weights that sum to 1 over frames, each column twice; (n, F, B, B + 2).
        """
        magnitude = _magnitude(spectra)
        # The half spectrum goes on at its mirror image, columns reversed and rows negated.
        mirrored = (magnitude @ self.pool_columns_mirrored).flip(-2).roll(1, -2)
        smooth = self.pool_rows @ (magnitude @ self.pool_columns + mirrored)
        top = smooth.amax(dim=1, keepdim=True)
        floor = torch.finfo(smooth.dtype).tiny
        log_ratio = (smooth.clamp_min(floor) / top.clamp_min(floor)).log_()
        exponent = log_ratio.mul_(self.config.p).clamp_min_(_LEAST)  # relative to the largest
        weights = exponent.exp_()
        weights /= weights.sum(dim=1, keepdim=True)
        return self.spread_rows @ (weights @ self.spread_columns)

    @staticmethod
    def _accumulate(spectra: Tensor, weights: Tensor) -> None:
        """Sum the weighted spectra over frames into the first frame's place."""
        parts = torch.view_as_real(spectra).flatten(-2)  # (n, F, 3, B, B + 2)
        parts[:, 0] *= weights[:, 0, None]
        for number in range(1, parts.shape[1]):
            parts[:, 0].addcmul_(parts[:, number], weights[:, number, None])


def _magnitude(spectra: Tensor) -> Tensor:
    """Average the magnitude over channels; (n, F, 3, B, W) complex to (n, F, B, W)."""
    power = spectra.real.square().addcmul_(spectra.imag, spectra.imag)  # quicker than abs()
    return power.sqrt_().mean(dim=2)


def _ramp(block: int, overlap: int) -> Tensor:
    """Return a window with squared-sine ends, which sums to 1 with its neighbours; (block,)."""
    rise = torch.sin((torch.arange(overlap) + 0.5) * (math.pi / (2 * overlap))).square()
    ramp = torch.ones(block)
    ramp[:overlap] = rise
    ramp[block - overlap :] = rise.flip(0)
    return ramp


def _pooling(block: int, sigma: float, stride: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return matrices that smooth a half spectrum and keep every `stride`-th frequency.

    Returns:
        For rows, (B / c, B), from the left; for columns, (B / 2 + 1, B / (2 c) + 1), from the
        right; and for the mirror image's columns, likewise.
    """
    at = torch.arange(0, block, stride)[:, None]
    distance = (torch.arange(block) - at + block // 2) % block - block // 2
    rows = torch.exp(-0.5 * (distance / sigma).square())
    rows[distance.abs() > 4 * sigma] = 0  # the far tail is denormal, and slows products tenfold
    rows /= rows.sum(dim=1, keepdim=True)
    half = block // 2 + 1
    kept = rows[: block // (2 * stride) + 1].T
    mirrored = torch.zeros(half, kept.shape[1])
    mirrored[1 : half - 1] = kept[half:].flip(0)  # column -c lies at block - c
    return rows, kept[:half].contiguous(), mirrored


def _spreading(block: int, stride: int, *, wrap: bool) -> Tensor:
    """Return a matrix that interpolates linearly between every `stride`-th frequency.

    Args:
        block: side of a block.
        stride: frequencies to a knot.
        wrap: for rows, all B frequencies around; else for columns, 0 to B / 2.
    """
    length = block if wrap else block // 2 + 1
    knots = block // stride if wrap else block // (2 * stride) + 1
    position = torch.arange(length)
    left, share = position // stride, (position % stride) / stride
    matrix = torch.zeros(length, knots)
    matrix[position, left] = 1 - share
    matrix[position, (left + 1) % knots] += share
    return matrix


def _cut(frames: Tensor, top: int, left: int, side: int) -> Tensor:
    """Take a square, mirroring the picture beyond its edges; (F, 3, H, W) to (F, 3, s, s)."""
    return _run(_run(frames, -2, top, side), -1, left, side)


def _run(frames: Tensor, axis: int, start: int, side: int) -> Tensor:
    """Take a run along one axis of the picture, which beyond its ends goes back and forth."""
    length = frames.shape[axis]
    if start >= 0 and start + side <= length:
        return frames.narrow(axis, start, side)
    shape = list(frames.shape)
    shape[axis] = side
    run = frames.new_empty(shape)
    place = start
    while place < start + side:
        turn, offset = divmod(place, length)
        count = min(length - offset, start + side - place)
        if turn % 2 == 0:
            piece = frames.narrow(axis, offset, count)
        else:
            piece = frames.narrow(axis, length - offset - count, count).flip(axis)
        run.narrow(axis, place - start, count).copy_(piece)  # far quicker than `cat` of views
        place += count
    return run


def _add(result: Tensor, core: Box, block: Tensor, top: int, left: int) -> None:
    """Add to the core what of a block lies in it; (3, h, w) and (3, B, B)."""
    whole = Box(top, left, top + block.shape[-2], left + block.shape[-1])
    part = whole.intersect(core)
    source = part.shift(-top, -left)
    target = part.shift(-core.top, -core.left)
    result[:, target.top : target.bottom, target.left : target.right] += block[
        :, source.top : source.bottom, source.left : source.right
    ]


BACKEND = Backend(
    "fba",
    Config,
    FourierNetwork,
    "Fourier burst accumulation (Delbracio & Sapiro 2015)",
    trained=False,
)
