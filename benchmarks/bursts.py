"""The synthetic bursts on which quality is measured, and how pictures are scored."""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from burstfix import color, metrics
from burstfix.frame import Frame, Metadata, TensorPixels
from burstfix.io.decode import read_frame, read_frames
from burstfix.io.dng import Sensor, write_dng
from burstfix.io.photos import SUFFIXES
from burstfix.synth import render
from burstfix.synth.render import RenderedBurst, render_burst
from burstfix.train.config import Recipe
from burstfix.train.data import held_out

Kind = Literal["light", "codes", "raw"]

NOISES = ("low", "medium", "high")
BLURS = ("easy", "mixed", "hard")
SAMPLES = ("astronaut", "coffee", "chelsea")  # of scikit-image
SHAKE_PX = 12.0
MARGIN = 32  # px left out of every comparison: not all frames saw it
LEAST_DETAIL = 3.0  # mean absolute Laplacian in codes; flatter photographs tell nothing
FIRST_CROP = re.compile(r"\d{4}a\.jpg")
EVERY = Recipe().validation_share


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What one burst is made of.

    Args:
        photo: name of the photograph.
        noise: a name in `NOISES`.
        blur: a name in `BLURS`.
        seed: of everything random.
    """

    photo: str
    noise: str
    blur: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How near a picture is to the truth, both sRGB-coded.

    Args:
        psnr: in dB.
        ssim: at most 1.
        shifted_psnr: with one shift of the whole picture allowed [dB].
    """

    psnr: float
    ssim: float
    shifted_psnr: float


def load_photos(folder: Path | None, count: int) -> dict[str, Tensor]:
    """Read sharp photographs that no network was trained on.

    Args:
        folder: of files NNNNa.jpg; of these, what `burstfix train` sets aside. None takes
            scikit-image's samples.
        count: how many, spread over the folder.

    Returns:
        Linear light by name; (3, H, W) each.
    """
    if folder is None:
        return {name: _sample(name) for name in SAMPLES[:count]}
    photos = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    kept = held_out([path.stem for path in photos], EVERY)
    found = [path for path in photos if path.stem in kept and FIRST_CROP.fullmatch(path.name)]
    found = [path for path in found if _detail(path) >= LEAST_DETAIL]
    if not found:
        raise SystemExit(f"{folder} holds no validation photographs (0000a.jpg, ...).")
    chosen = [found[len(found) * number // count] for number in range(min(count, len(found)))]
    return {path.stem: read_frame(path).whole() for path in chosen}


def conditions(
    photos: Sequence[str], noises: Sequence[str], blurs: Sequence[str], seed: int
) -> list[Condition]:
    """List the bursts: every photograph at every noise level and blur, each with its own seed."""
    return [
        Condition(photo=photo, noise=noise, blur=blur, seed=seed + number)
        for noise in noises
        for number, (blur, photo) in enumerate(product(blurs, photos))
    ]


def make_burst(photo: Tensor, condition: Condition, frames: int = 8) -> RenderedBurst:
    """Render a burst; the same at every call.

    Args:
        photo: linear light; (3, H, W).
        condition: what befalls it.
        frames: how many.
    """
    return render_burst(
        photo,
        frames=frames,
        noise=condition.noise,
        blur=condition.blur,
        shake_px=SHAKE_PX,
        seed=condition.seed,
    )


def frames_of(burst: RenderedBurst, kind: Kind) -> list[Frame]:
    """Take the frames as a camera would deliver them.

    Args:
        burst: the burst.
        kind: light is a sensor with three colours a pixel, white noise and no quantisation;
            codes the same as 8-bit sRGB; raw a Bayer DNG, written and read back.
    """
    if kind == "raw":
        return _raw_frames(burst)
    frames = []
    for index in range(burst.frames):
        light = burst.linear(index)
        if kind == "codes":
            light = color.decode((to_codes(light) * 255).round() / 255, color.SRGB)
        name = Path(f"frame-{index + 1}")
        frames.append(Frame(pixels=TensorPixels(light), curve=color.SRGB, path=name))
    return frames


def to_codes(light: Tensor) -> Tensor:
    """Code linear light as it is displayed: sRGB, 0 to 1; any shape."""
    return color.encode(light.clamp(0, 1), color.SRGB)


def score(picture: Tensor, truth: Tensor) -> Scores:
    """Compare two pictures within the margin.

    Args:
        picture: sRGB codes, 0 to 1; (3, H, W).
        truth: likewise.
    """
    inside, true = (each[:, MARGIN:-MARGIN, MARGIN:-MARGIN] for each in (picture, truth))
    return Scores(
        psnr=float(metrics.psnr(inside, true)),
        ssim=float(metrics.ssim(inside, true)),
        shifted_psnr=float(metrics.shift_compensated_psnr(inside, true)),
    )


def best_frame(frames: Sequence[Frame], burst: RenderedBurst) -> Scores:
    """Score the frame that is nearest to its own truth: better than any user could pick."""
    pairs = [
        (to_codes(frame.whole()), to_codes(burst.truth_for(index)))
        for index, frame in enumerate(frames)
    ]
    inside = np.s_[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    near = [float(metrics.psnr(picture[inside], truth[inside])) for picture, truth in pairs]
    return score(*pairs[near.index(max(near))])


def write_png(codes: Tensor, path: Path) -> None:
    """Write 8-bit RGB, as tools that know nothing else can read it.

    Args:
        codes: 0 to 1; (3, H, W).
        path: the file.
    """
    rgb = (codes * 255).round().byte().permute(1, 2, 0).numpy()
    if not cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)):
        raise SystemExit(f"Cannot write {path}.")


def read_codes(path: Path) -> Tensor:
    """Read a picture of 8 or 16 bits that a tool wrote; codes 0 to 1, (3, H, W)."""
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if bgr is None:
        raise SystemExit(f"Cannot read {path}.")
    peak = 255 if bgr.dtype == np.uint8 else 65535
    rgb = np.ascontiguousarray(bgr[..., ::-1], dtype=np.float32) / peak
    return torch.from_numpy(rgb).permute(2, 0, 1).contiguous()


def sample_photo(name: str) -> NDArray[np.uint8]:
    """Return one of scikit-image's photographs; (H, W, 3) uint8."""
    import skimage.data  # an optional dependency

    pixels: Any = getattr(skimage.data, name)()
    return np.asarray(pixels, dtype=np.uint8)


def _sample(name: str) -> Tensor:
    codes = torch.from_numpy(sample_photo(name)).permute(2, 0, 1).float() / 255
    return color.decode(codes, color.SRGB)


def _detail(path: Path) -> float:
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    return 0.0 if grey is None else float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean())


def _raw_frames(burst: RenderedBurst) -> list[Frame]:
    """Write the mosaics as DNG files and read them as `burstfix burst` does."""
    least = min(burst.white_balance)
    red, green, blue = (least / gain for gain in burst.white_balance)
    sensor = Sensor(
        black_level=render.BLACK_LEVEL_DN,
        white_level=render.WHITE_LEVEL_DN,
        as_shot_neutral=(red, green, blue),
        color_matrix=color.SRGB_FROM_XYZ,
        noise=(burst.shot, burst.read),
    )
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"frame-{index + 1:02}.dng") for index in range(burst.frames)]
        for index, path in enumerate(paths):
            mosaic = burst.mosaic(index).numpy()
            write_dng(path, mosaic, sensor=sensor, metadata=Metadata(camera="burstfix"))
        frames, _ = read_frames(paths, memory=2 << 30)
    return frames
