"""Learned Fourier burst accumulation: deblur every frame, then fuse them, patch by patch."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from burstfix.backends import fba
from burstfix.backends.base import Contract, Network
from burstfix.backends.wieschollek.bands import Bands, Inputs
from burstfix.backends.wieschollek.colour import luminance_of, with_lightness
from burstfix.backends.wieschollek.config import BORDER, FRAMES, PATCH, RESULT, Config
from burstfix.backends.wieschollek.dft import Inverse, Transform, around, half, hann, multiply
from burstfix.backends.wieschollek.filters import Predictor
from burstfix.backends.wieschollek.fusion import Fusion
from burstfix.backends.wieschollek.patches import Grid, grid_for, inner_grid
from burstfix.color import ROOT_TOE, from_root, to_root
from burstfix.frame import Box

_BATCH = 24  # patches at a time on the CPU: their spectra stay near its caches
_GPU_BATCH = 1024
_LEAST_COVERAGE = 0.25  # of the windows, where training takes the result for restored
_FLAT = 1e-3  # least deviation that a patch is scaled by


class WieschollekNetwork(Network):
    """Restores patches of square roots of luminance, and colours them by `fba`.

    Colours are accumulated in blocks on a grid of `multiple_of`, in which the grid of the patches
    repeats.
    """

    blend: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        if not 1 <= config.stride <= RESULT // 2:
            raise ValueError(f"A stride must be 1 to {RESULT // 2}, not {config.stride}.")
        self.config = config
        step = 3 * config.colour_block // 4 // config.stride * config.stride
        self.contract = Contract(
            multiple_of=step,
            receptive_radius=max(step, RESULT - 1 + BORDER),
            order_matters=True,
            working_bytes=160,  # 80 at most were measured; transforms stay in fp32, in bf16 too
        )
        whole = torch.ones(PATCH)
        root = hann(RESULT).sqrt()  # half of the blending before the fusion: no jump at the rim
        self.bands = Bands()
        self.inputs = Inputs(config.inputs)
        self.fusion = Fusion(p=config.p, mean_input=config.mean_input, smoothing=config.smoothing)
        self.predictor = Predictor(self.inputs.widths, config.hidden)
        self.transform = Transform(PATCH, half(PATCH), around(PATCH), whole)
        self.inverse = Inverse(PATCH, RESULT, root)
        self.result_transform = Transform(RESULT, half(RESULT), around(RESULT), torch.ones(RESULT))
        self.result_inverse = Inverse(RESULT, RESULT, root)
        window = hann(RESULT)
        self.register_buffer("blend", window[:, None] * window, persistent=False)
        self.colours = fba.FourierNetwork(
            fba.Config(
                block=config.colour_block, overlap=config.colour_block - step, p=config.colour_p
            )
        )

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Restore the whole picture; see `Network.forward`."""
        return self.forward_core(burst, seen, descriptor, Box(0, 0, *burst.shape[-2:]))

    def forward_core(self, burst: Tensor, seen: Tensor, descriptor: Tensor, core: Box) -> Tensor:
        """Restore the patches that touch the core; see `Network.forward_core`."""
        if self.training:
            return self._learn(burst)
        grid = grid_for(core, self.config.stride)
        with _exact(burst):
            planes = self._planes(burst)
        restored = self._restore(planes, grid) / grid.coverage().to(planes)
        with _exact(burst):
            colour = self.colours.forward_core(burst, seen, descriptor, core)
            return _coloured(colour, restored)

    def frame_weights(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Average the shares over patches and frequencies, each by its magnitude."""
        del seen, descriptor
        frames = burst.shape[1]
        shares = burst.new_zeros(burst.shape[:2])
        grid = grid_for(Box(0, 0, *burst.shape[-2:]), RESULT)
        planes = to_root(luminance_of(burst)[:, :, 0])
        for plane, _, _, patches in self._chunks(planes, grid):
            deblurred = self._deblur(patches)
            with _exact(planes):
                weights, _ = self.fusion.weights(deblurred.spectra)
            power = deblurred.spectra.square().sum(dim=-1)
            magnitude = power.sqrt().amax(dim=1, keepdim=True)
            magnitude[..., 0, 0] = 0  # the mean brightness, which no blur changes
            parts = (weights * magnitude).sum(dim=(-2, -1)) * deblurred.scale.view(-1, 1)
            shares[plane].index_add_(0, deblurred.chosen.flatten(), parts.flatten())
        total = shares.sum(dim=1, keepdim=True)
        even = torch.full_like(shares, 1 / frames)
        return torch.where(total > 0, shares / total.clamp_min(1e-30), even)

    def remark(self, frames: int) -> str:
        """Tell how other numbers of frames than 14 are served."""
        if frames > FRAMES:
            return f"Of {frames} frames every patch takes the {FRAMES} sharpest there."
        return f"{frames} frames are repeated to make {FRAMES}." if frames < FRAMES else ""

    def _planes(self, burst: Tensor) -> Tensor:
        """Return roots of light of the pictures to restore, one after another; (P, F, H, W)."""
        if self.config.planes == "grey":
            return to_root(luminance_of(burst)[:, :, 0])
        return to_root(burst).transpose(1, 2).flatten(0, 1)

    def _learn(self, burst: Tensor) -> Tensor:
        """Restore what inner patches cover; the rest, and colours, come from the frames' mean."""
        grid = inner_grid(burst.shape[-2], burst.shape[-1], self.config.training_stride)
        with _exact(burst):
            planes = self._planes(burst)
        coverage = grid.coverage().to(planes)
        restored = self._restore(planes, grid) / coverage.clamp_min(_LEAST_COVERAGE)
        restored = torch.where(coverage > _LEAST_COVERAGE, restored, planes.mean(dim=1))
        with _exact(burst):
            return _coloured(from_root(to_root(burst).mean(dim=1)), restored)

    def _restore(self, planes: Tensor, grid: Grid) -> Tensor:
        """Restore planes (P, F, H, W) and sum the windowed patches over the core; (P, h, w)."""
        result = planes.new_zeros(len(planes), *grid.core.size)
        for plane, row, column, patches in self._chunks(planes, grid):
            deblurred = self._deblur(patches)
            with _exact(planes):
                fused = self.result_inverse(self.fusion(deblurred.spectra))
                fused = fused * deblurred.scale + deblurred.mean * self.blend
            grid.add(result[plane], fused.view(*patches.shape[:2], RESULT, RESULT), row, column)
        return result

    def _chunks(self, planes: Tensor, grid: Grid) -> Iterator[tuple[int, int, int, Tensor]]:
        """Yield the plane, the grid's row and column, and patches (r, c, F, 65, 65)."""
        views = grid.cut(planes).permute(0, 2, 3, 1, 4, 5)
        most = _BATCH if planes.device.type == "cpu" else _GPU_BATCH
        wide = min(len(grid.columns), most)
        high = max(1, most // wide)
        for plane, view in enumerate(views):
            for row in range(0, len(grid.rows), high):
                for column in range(0, len(grid.columns), wide):
                    part = view[row : row + high, column : column + wide]
                    yield plane, grid.rows[row], grid.columns[column], part

    def _deblur(self, patches: Tensor) -> "_Deblurred":
        """Predict and apply each frame's filter, and transform what it gives.

        Args:
            patches: roots of light; (r, c, F, 65, 65).
        """
        patches = patches.flatten(0, 1)
        with _exact(patches):
            mean = patches.mean(dim=(1, 2, 3), keepdim=True)
            patches = patches - mean
            scale = patches.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() + _FLAT
            patches = patches / scale
            chosen = self._choose(patches)
            if patches.shape[1] > FRAMES or self._sorts:
                distinct = chosen[:, : min(FRAMES, patches.shape[1]), None, None]
                patches = patches.take_along_dim(distinct, dim=1)
            repeat = torch.arange(FRAMES, device=patches.device) % patches.shape[1]
            bands = [band.index_select(1, repeat) for band in self.bands(patches)]
            blurred = self.transform(patches).index_select(1, repeat)
        filters = self.predictor(self.inputs(bands))
        with _exact(patches):
            sharp = blurred + multiply(filters, blurred)  # filters come less 1
            spectra = self.result_transform(self.inverse(sharp))
        return _Deblurred(spectra, chosen, scale.squeeze(1), mean.squeeze(1))

    def _choose(self, patches: Tensor) -> Tensor:
        """Tell which frame stands in each of the 14 places; (n, F, 65, 65) to (n, 14).

        Fewer frames come round again; of more, those that are sharpest in this patch stay: those
        with the most energy in the middle octave, which noise disturbs less than the highest and
        blur changes more than the lowest. They stand in their order, or the sharpest first.
        """
        count, frames = patches.shape[:2]
        places = torch.arange(FRAMES, device=patches.device) % frames
        if frames <= FRAMES and not self._sorts:
            return places.expand(count, -1)
        energy = self.bands(patches)[1].square().sum(dim=(-2, -1))
        chosen: Tensor = energy.argsort(dim=1, descending=True, stable=True)[:, :FRAMES]
        if not self._sorts:
            chosen = chosen.sort(dim=1).values
        return chosen[:, places] if frames < FRAMES else chosen

    @property
    def _sorts(self) -> bool:
        """Whether frames are brought into an order of their own, where the network is used."""
        return self.config.order == "sharpness" and not self.training


@dataclass(frozen=True)
class _Deblurred:
    """Patches after their filters.

    Args:
        spectra: of the windowed results of all frames; (n, 14, 17, 33, 2).
        chosen: the frame in each place; (n, 14).
        scale: what values were divided by; (n, 1, 1).
        mean: what was taken off before; (n, 1, 1).
    """

    spectra: Tensor
    chosen: Tensor
    scale: Tensor
    mean: Tensor


def _exact(tensor: Tensor) -> torch.autocast:
    """Keep half precision out: pictures need more than its three digits."""
    return torch.autocast(tensor.device.type, enabled=False)


def _coloured(colour: Tensor, planes: Tensor) -> Tensor:
    """Colour what was restored; linear light (N, 3, h, w).

    Args:
        colour: linear light whose lightness is replaced; (N, 3, h, w).
        planes: roots of luminance (N, h, w), or of the three colours one after another.
    """
    light = planes.view(len(colour), -1, *planes.shape[1:])
    light = light * light.abs() + 2 * ROOT_TOE**0.5 * light  # undoes `to_root`, with a gradient
    luminance = light if light.shape[1] == 1 else luminance_of(light)
    return with_lightness(colour, luminance)
