"""What every backend promises: a network, its contract, and how it is built."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from burstfix.color import SRGB, decode, encode
from burstfix.frame import Box

Task = Literal["burst", "pair", "single", "video"]
Coding = Literal["linear", "display"]
Alignment = Literal["homography", "flow", "none"]

# Columns of the descriptor, in order. NaN is "unknown", and legal everywhere but in the first.
DESCRIPTOR = (
    "reference",  # 1 for the frame whose geometry the result has, else 0
    "gain_ev",  # log2 of the factor that brought the frame to the reference's exposure
    "shot",  # noise variance = shot * signal + read, after that factor
    "read",
)


@dataclass(frozen=True, kw_only=True)
class Survey:
    """A first pass over the cells of the whole picture, whose planes the second one takes.

    What looks at whole cells is done once for each of them; tiles then need not read the cells
    around them.

    Args:
        cell: side of a cell [px].
        margin: how far around a cell is looked at [px]; beyond the picture it is mirrored.
        fade: how far beyond a cell neighbours fade into each other [px].
        planes: how many planes the first pass makes.
    """

    cell: int
    margin: int
    fade: int
    planes: int


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What a network needs of its input; tiling and alignment read only this.

    Args:
        tasks: what the backend can be chosen for.
        frames: how many frames it takes; None is any number.
        alignment: how frames are brought to the reference's geometry first.
        coding: whether frames come in linear light or sRGB-coded.
        multiple_of: heights and widths must be multiples of it, and tiles begin on multiples.
        receptive_radius: how far outside a cell (a square of side `multiple_of`, laid out from
            the corner) an input pixel can lie and still change an output pixel of the cell.
        halo: how much of that radius tiles read by default; None reads it all. Smaller where
            the influence fades before (the measured difference stays under 1/1024).
        order_invariant: whether the order of the frames after the reference changes no bit.
        order_matters: whether that order changes more than rounding does.
        working_bytes: memory that `forward` needs in fp32 at its peak, beyond its arguments, per
            input pixel and frame [bytes], measured; the automatic tile size rests on it, and on
            half precision needing half.
        once_bytes: the same per input pixel, whatever the frames [bytes].
        survey: the first pass, if the network has one. Radius and halo are of the second then.
    """

    tasks: tuple[Task, ...] = ("burst",)
    frames: int | None = None
    alignment: Alignment = "homography"
    coding: Coding = "linear"
    multiple_of: int = 1
    receptive_radius: int = 0
    halo: int | None = None
    order_invariant: bool = False
    order_matters: bool = False
    working_bytes: int = 64
    once_bytes: int = 0
    survey: Survey | None = None


@dataclass(frozen=True)
class Explanation:
    """What a network found out about the blur, for training to compare with the truth.

    Args:
        log_psfs: logarithms of point spread functions that sum to 1, for each of the cells that a
            burst is cut into, row by row; (N, cells, F, k, k), k odd.
        pictures: what undoing this blur gives, R versions in linear light; (N, R, 3, H, W).
    """

    log_psfs: Tensor
    pictures: Tensor


class Network(nn.Module):
    """Frames in, one picture out."""

    contract: Contract

    def forward(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Restore the reference frame.

        Args:
            burst: aligned frames, reference first, coded as the contract says, not clipped;
                (N, F, 3, H, W) float32. Where a frame saw nothing it repeats the reference.
            seen: how far each pixel of each frame was seen, 0 to 1; (N, F, 1, H, W).
            descriptor: what is known of each frame, columns as in `DESCRIPTOR`, NaN where
                unknown; (N, F, D).

        Returns:
            The picture in the burst's coding; (N, 3, H, W), not clipped.
        """
        raise NotImplementedError

    def forward_core(self, burst: Tensor, seen: Tensor, descriptor: Tensor, core: Box) -> Tensor:
        """Restore only a part of the picture: what tiles keep of their input.

        The default runs `forward` and crops. A network that can save work overrides it.

        Args:
            burst: as in `forward`.
            seen: as in `forward`.
            descriptor: as in `forward`.
            core: the part, in pixels of the burst; of h x w pixels.

        Returns:
            That part of what `forward` returns; (N, 3, h, w).
        """
        whole: Tensor = self(burst, seen, descriptor)
        return whole[..., core.top : core.bottom, core.left : core.right]

    def survey(self, blocks: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Make the planes of the first pass, where the contract has one, for some cells.

        Args:
            blocks: frames of M cells with the margin around, s = cell + 2 margin, in linear
                light, reference first; (M, F, 3, s, s) float32.
            seen: how far each pixel of the cells was seen, 0 to 1; (M, F, 1, cell, cell).
            descriptor: as in `forward`; (M, F, D).

        Returns:
            Planes of the cells, which reach `fade` beyond them, t = cell + 2 fade;
            (M, planes, t, t) float32.
        """
        raise NotImplementedError

    def forward_surveyed(
        self, burst: Tensor, seen: Tensor, descriptor: Tensor, surveyed: Tensor, core: Box
    ) -> Tensor:
        """Restore a part as `forward_core` does, with planes of the first pass: the second pass.

        Args:
            burst: as in `forward`.
            seen: as in `forward`.
            descriptor: as in `forward`.
            surveyed: what `survey` made, its cells faded into each other; (N, planes, H, W).
            core: as in `forward_core`.

        Returns:
            What `forward_core` returns.
        """
        raise NotImplementedError

    def restore_light(
        self,
        burst: Tensor,
        seen: Tensor,
        descriptor: Tensor,
        core: Box | None = None,
        surveyed: Tensor | None = None,
    ) -> Tensor:
        """Restore in linear light, whatever coding the network works in.

        Args:
            burst: as in `forward`, but in linear light.
            seen: as in `forward`.
            descriptor: as in `forward`.
            core: the part to restore, in pixels of the burst; None is all.
            surveyed: planes of a first pass, as `forward_surveyed` takes them; None: the network
                does both passes.

        Returns:
            The picture, or that part of it, in linear light; (N, 3, h, w) float32, not clipped.
        """
        coded = self.code(burst)
        if surveyed is not None:
            core = core or Box.whole((burst.shape[-2], burst.shape[-1]))
            result = self.forward_surveyed(coded, seen, descriptor, surveyed, core)
        elif core is None:
            result = self(coded, seen, descriptor)
        else:
            result = self.forward_core(coded, seen, descriptor, core)
        return self.decode(result)

    def code(self, light: Tensor) -> Tensor:
        """Code frames as the contract says; linear light (N, F, 3, H, W) to the same shape."""
        if self.contract.coding == "linear":
            return light
        coded = torch.empty_like(light)
        for number in range(light.shape[1]):  # frame by frame: the curve needs several's room
            coded[:, number] = encode(light[:, number], SRGB)
        return coded

    def decode(self, result: Tensor) -> Tensor:
        """Bring what the network made to linear light; (N, 3, H, W) to the same, float32."""
        display = self.contract.coding == "display"
        return decode(result.float(), SRGB) if display else result.float()

    def restore_and_explain(
        self, burst: Tensor, seen: Tensor, descriptor: Tensor
    ) -> tuple[Tensor, Explanation | None]:
        """Restore as `forward` does, frames in the order given, and tell the blur that was found.

        Returns:
            What `forward` returns, and an explanation; the default gives none.
        """
        return self(burst, seen, descriptor), None

    def find_blur(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor | None:
        """Tell the blur alone; same arguments as `forward`, frames in the order given.

        The default restores, too. A network that can save that work overrides it.

        Returns:
            As `Explanation.log_psfs`, (N, cells, F, k, k); None where the network tells no blur.
        """
        told = self.restore_and_explain(burst, seen, descriptor)[1]
        return told.log_psfs if told else None

    def pictures(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> tuple[Tensor, ...]:
        """Restore in linear light, and keep the picture of each of its parts, for training.

        Args:
            burst: as in `forward`, but in linear light.
            seen: as in `forward`.
            descriptor: as in `forward`.

        Returns:
            Pictures in linear light, not clipped; the last is the result, (N, 3, H, W), and
            earlier ones may be halved, several times. The default gives only the result.
        """
        return (self.restore_light(burst, seen, descriptor),)

    def parts(self) -> tuple[nn.Module, ...]:
        """Return the parts that make the `pictures`, in their order; the default is one, itself.

        Where there are fewer parts than pictures, the last part makes all that are left.
        """
        return (self,)

    def initialise(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> None:
        """Set the first weights from the first batch of a training; same arguments as `forward`.

        Training calls it once, in fp32 and without gradients. The default keeps the weights.
        """

    def adopt(self, state: Mapping[str, Tensor]) -> None:
        """Begin with trained weights, as of `state_dict`; a network may grow from a smaller one.

        Raises:
            RuntimeError: they are of another network.
        """
        self.load_state_dict(dict(state))

    def remark(self, frames: int) -> str:
        """Tell a curious user how so many frames are served; empty where all are used alike."""
        del frames
        return ""

    def frame_weights(self, burst: Tensor, seen: Tensor, descriptor: Tensor) -> Tensor:
        """Tell each frame's share of the result; same arguments as `forward`.

        Returns:
            Shares that sum to 1 over frames; (N, F). The default is the share that was seen.
        """
        del burst, descriptor
        share = seen.mean(dim=(2, 3, 4))
        return share / share.sum(dim=1, keepdim=True)


@dataclass(frozen=True)
class Backend:
    """One restoration system: a name, a config that rebuilds it, and its network.

    Args:
        name: what `--backend` takes.
        config: a frozen, keyword-only dataclass with defaults.
        network: makes the network from a config.
        summary: one line for `burstfix backends`.
        trained: whether it needs weights.
    """

    name: str
    config: type[Any]
    network: Callable[[Any], Network]
    summary: str
    trained: bool = True

    def build(self, config: Any | None = None) -> Network:  # noqa: ANN401 each has its own config
        """Make the network, in inference mode, from a config or the defaults."""
        with torch.no_grad():
            return self.network(config or self.config()).eval()


def film_descriptor(frames: int) -> Tensor:
    """Return the descriptor of frames of a film: all exposed alike, of unknown noise; (1, F, D)."""
    descriptor = plain_descriptor(frames)
    descriptor[..., DESCRIPTOR.index("gain_ev")] = 0
    return descriptor


def plain_descriptor(frames: int) -> Tensor:
    """Return a descriptor that knows nothing but which frame is the reference; (1, F, D)."""
    descriptor = torch.full((1, frames, len(DESCRIPTOR)), float("nan"))
    descriptor[:, :, 0] = 0
    descriptor[:, 0, 0] = 1
    return descriptor
