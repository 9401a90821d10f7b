"""`burstfix synth`: degraded data with known truth, from sharp photographs."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from burstfix.cli.made_files import neutral, refuse_present, truth_path, write_png
from burstfix.errors import OutputError, UsageError

if TYPE_CHECKING:
    from burstfix.synth.render import RenderedBurst

app = typer.Typer(
    help="Make degraded data with known truth.", no_args_is_help=True, rich_markup_mode=None
)

EXAMPLES = """\b
Examples:
  burstfix synth burst photo.jpg -o night/ --noise high --seed 1
  burstfix synth burst photo.png -o easy/ --blur easy --frames 4 --kind png
"""
PAIR_EXAMPLES = """\b
Examples:
  burstfix synth pair photo.jpg -o hall/ --noise high --blur severe
  burstfix pair hall/short.dng hall/long.dng -o hall.png
"""
SINGLE_EXAMPLES = """\b
Examples:
  burstfix synth single photo.jpg -o street/ --blur large --noise high
  burstfix single street/shaken.dng -o street.png
"""
VIDEO_EXAMPLES = """\b
Examples:
  burstfix synth video photo.jpg -o clip/ --blur large
  burstfix synth video photo.jpg -o clip/ --kind mov --frames 60 --moving
  burstfix video clip/ -o sharp.mp4
"""
SHEET_EXAMPLES = """\b
Examples:
  burstfix synth sheet --data photos/ -o sheet.png
  burstfix synth sheet --data photos/ -o sheet.png --count 16 --crop 256 --seed 7 --no-psfs
"""


class Noise(StrEnum):
    """Standard deviation of the noise: 0.01, 0.03, 0.10 of saturation."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Blur(StrEnum):
    """How far shake spreads a point in each frame: 0, 3-9, 3-25, 9-25 px."""

    NONE = "none"
    EASY = "easy"
    MIXED = "mixed"
    HARD = "hard"


class PairNoise(StrEnum):
    """Standard deviation of the short frame's noise once it is brightened: 0.04, 0.12."""

    LOW = "low"
    HIGH = "high"


class PairBlur(StrEnum):
    """How far shake spreads a point in the long frame: 3-6, 8-14, 18-28 px."""

    MILD = "mild"
    MEDIUM = "medium"
    SEVERE = "severe"


class SingleNoise(StrEnum):
    """Standard deviation of the noise: next to none, 0.005, 0.03 of saturation; of films too."""

    NONE = "none"
    LOW = "low"
    HIGH = "high"


class SingleBlur(StrEnum):
    """How far shake spreads a point: not at all, 4-9, 14-25 px."""

    NONE = "none"
    SMALL = "small"
    LARGE = "large"


class Kind(StrEnum):
    """What the frames are written as."""

    DNG = "dng"
    PNG = "png"


class FilmKind(StrEnum):
    """What a film is written as."""

    PNG = "png"
    MOV = "mov"


class VideoBlur(StrEnum):
    """How far shake spreads a point in a frame, on average: not at all, 2-6, 10-20 px."""

    NONE = "none"
    SMALL = "small"
    LARGE = "large"


@app.callback()
def group() -> None:
    """Make degraded data with known truth."""


@app.command(epilog=EXAMPLES, no_args_is_help=True)
def burst(
    photo: Annotated[Path, typer.Argument(help="A sharp photograph.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the frames.", show_default=False)
    ],
    frames: Annotated[int, typer.Option("--frames", "-f", min=1, max=64)] = 8,
    noise: Annotated[Noise, typer.Option("--noise")] = Noise.MEDIUM,
    blur: Annotated[Blur, typer.Option("--blur")] = Blur.MIXED,
    shake: Annotated[float, typer.Option(min=0, help="Offsets between frames [px].")] = 12.0,
    rotation: Annotated[float, typer.Option(min=0, max=5, help="Turns [degrees].")] = 0.5,
    kind: Annotated[Kind, typer.Option("--kind", help="Bayer DNG, or 16-bit PNG.")] = Kind.DNG,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Shake and darken a photograph into a burst: frames, and in truth/ what each should show."""
    del debug  # read by `main`
    from burstfix.cli.console import Terminal
    from burstfix.io.decode import read_frame
    from burstfix.synth.render import render_burst

    terminal = Terminal(quiet=quiet)
    paths = [output / f"frame-{number:02}.{kind.value}" for number in range(1, frames + 1)]
    refuse_present(paths)
    rendered = render_burst(
        read_frame(photo).whole(),
        frames=frames,
        noise=noise.value,
        blur=blur.value,
        shake_px=shake,
        rotation_deg=rotation,
        seed=seed,
    )
    with terminal.progress():
        terminal.stage("render", frames)
        for index, path in enumerate(paths):
            _write_frame(rendered, index, path, kind)
            terminal.step()
    _write_geometry(rendered, output / "truth" / "geometry.json")
    terminal.say(f"Wrote {frames} frames to {output}, and to {output / 'truth'} what each hides.")


@app.command(epilog=PAIR_EXAMPLES, no_args_is_help=True)
def pair(
    photo: Annotated[Path, typer.Argument(help="A sharp photograph.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the frames.", show_default=False)
    ],
    noise: Annotated[PairNoise, typer.Option("--noise")] = PairNoise.LOW,
    blur: Annotated[PairBlur, typer.Option("--blur")] = PairBlur.MEDIUM,
    light: Annotated[
        float, typer.Option(min=0.02, max=1, help="What the short frame gets of the light.")
    ] = 0.125,
    moving: Annotated[bool, typer.Option("--moving", help="Let a thing cross the scene.")] = False,
    kind: Annotated[Kind, typer.Option("--kind", help="Bayer DNG, or 16-bit PNG.")] = Kind.DNG,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Make a short noisy and a long shaken frame of a photograph; the truth in truth/."""
    del debug  # read by `main`
    from burstfix.cli.console import Terminal
    from burstfix.cli.made_files import write_pair_frame
    from burstfix.io.decode import read_frame
    from burstfix.synth.render_pair import render_pair

    terminal = Terminal(quiet=quiet)
    paths = [output / f"{name}.{kind.value}" for name in ("short", "long")]
    refuse_present(paths)
    rendered = render_pair(
        read_frame(photo).whole(),
        noise=noise.value,
        blur=blur.value,
        light=light,
        moving=moving,
        seed=seed,
    )
    with terminal.progress():
        terminal.stage("render", len(paths))
        for index, path in enumerate(paths):
            write_pair_frame(rendered, index, path)
            terminal.step()
    terminal.say(f"Wrote a pair to {output}, and to {output / 'truth'} what it hides.")


@app.command(epilog=SINGLE_EXAMPLES, no_args_is_help=True)
def single(
    photo: Annotated[Path, typer.Argument(help="A sharp photograph.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the frame.", show_default=False)
    ],
    noise: Annotated[SingleNoise, typer.Option("--noise")] = SingleNoise.LOW,
    blur: Annotated[SingleBlur, typer.Option("--blur")] = SingleBlur.SMALL,
    moving: Annotated[bool, typer.Option("--moving", help="Let a thing cross the scene.")] = False,
    kind: Annotated[Kind, typer.Option("--kind", help="Bayer DNG, or 16-bit PNG.")] = Kind.DNG,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Make a shaken frame of a photograph; the truth, and how it was shaken, in truth/."""
    del debug  # read by `main`
    from burstfix.cli.console import Terminal
    from burstfix.cli.made_files import write_single
    from burstfix.io.decode import read_frame
    from burstfix.synth.render_single import render_single

    terminal = Terminal(quiet=quiet)
    path = output / f"shaken.{kind.value}"
    refuse_present([path])
    rendered = render_single(
        read_frame(photo).whole(), noise=noise.value, blur=blur.value, moving=moving, seed=seed
    )
    with terminal.progress():
        terminal.stage("render", 1)
        write_single(rendered, path)
        terminal.step()
    terminal.say(f"Wrote {path}, and to {output / 'truth'} what it hides.")


@app.command(epilog=VIDEO_EXAMPLES, no_args_is_help=True)
def video(
    photo: Annotated[Path, typer.Argument(help="A sharp photograph.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the film.", show_default=False)
    ],
    frames: Annotated[int, typer.Option("--frames", "-f", min=1, max=600)] = 24,
    noise: Annotated[SingleNoise, typer.Option("--noise")] = SingleNoise.LOW,
    blur: Annotated[VideoBlur, typer.Option("--blur")] = VideoBlur.SMALL,
    exposure: Annotated[
        float, typer.Option(min=0.05, max=1, help="Share of the time that the shutter is open.")
    ] = 0.5,
    moving: Annotated[bool, typer.Option("--moving", help="Let a thing cross the scene.")] = False,
    kind: Annotated[
        FilmKind, typer.Option("--kind", help="A 16-bit PNG a frame, or one H.264 film.")
    ] = FilmKind.PNG,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Film a photograph by hand, 30 frames a second; the truth of each frame in truth/."""
    del debug  # read by `main`
    from burstfix.cli.console import Terminal
    from burstfix.cli.made_files import write_video
    from burstfix.io.decode import read_frame
    from burstfix.synth.render_video import render_video

    terminal = Terminal(quiet=quiet)
    for name in ("film.mov", "0001.png"):
        if (output / name).exists():
            raise OutputError(f"{output / name} exists already.", "Name an empty folder with -o.")
    rendered = render_video(
        read_frame(photo).whole(),
        frames=frames,
        noise=noise.value,
        blur=blur.value,
        exposure=exposure,
        moving=moving,
        seed=seed,
    )
    with terminal.progress():
        terminal.stage("render", frames)
        write_video(rendered, output, film=kind is FilmKind.MOV, report=terminal.step)
    terminal.say(f"Wrote {frames} frames to {output}, and to {output / 'truth'} what each hides.")


@app.command(epilog=SHEET_EXAMPLES, no_args_is_help=True)
def sheet(
    data: Annotated[
        Path,
        typer.Option("--data", help="Folder of sharp photographs, or a pack.", show_default=False),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Picture to write.", show_default=False)
    ],
    count: Annotated[int, typer.Option("--count", min=1, max=512, help="Bursts, a row each.")] = 64,
    frames: Annotated[
        int | None,
        typer.Option(
            "--frames",
            "-f",
            min=1,
            max=64,
            help="Of each burst. [default: the recipe's most, up to 8]",
        ),
    ] = None,
    crop: Annotated[int, typer.Option(min=32, help="Side of each frame, by 16 [px].")] = 128,
    recipe: Annotated[
        str, typer.Option("--recipe", help="Whose degradations: a name, or a .toml file.")
    ] = "set-burst",
    psfs: Annotated[bool, typer.Option(help="Show the blur of each frame in its corner.")] = True,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Show random training bursts, a row each: the truth, then the frames as a network gets them.

    What a frame did not see is tinted purple.
    """
    del debug  # read by `main`
    import torch

    from burstfix import color
    from burstfix.cli.console import Terminal
    from burstfix.frame import Metadata
    from burstfix.io.atomic import resolve_output
    from burstfix.io.photos import read_photos
    from burstfix.io.write import format_for
    from burstfix.synth.sheet import contact_sheet
    from burstfix.train.config import read_recipe
    from burstfix.train.data import draw_bursts

    terminal = Terminal(quiet=quiet)
    if crop % 16:
        raise UsageError(f"--crop {crop} is no multiple of 16.", f"Give {crop // 16 * 16}.")
    format_for(output)
    if output.exists():
        raise OutputError(f"{output} exists already.", "Name another file with -o.")
    resolve_output(output, on_exists="fail")
    chosen, photos = read_recipe(recipe), read_photos(data)
    each = frames or min(8, max(chosen.lengths))
    parts = []
    with terminal.progress():
        terminal.stage("render", count)
        for burst in draw_bursts(photos, chosen, count=count, crop=crop, frames=each, seed=seed):
            parts.append(contact_sheet(burst, psfs=psfs))
            terminal.step()
    light = color.decode(torch.cat(parts, dim=1), color.SRGB)
    write_png(light, output, Metadata(), color.SRGB)
    terminal.say(f"Wrote {count} bursts of {each} frames to {output}.")


def _write_frame(rendered: "RenderedBurst", index: int, path: Path, kind: Kind) -> None:
    """Write a frame, and its truth rendered in the same way."""
    from datetime import datetime, timedelta

    from burstfix import color
    from burstfix.frame import Metadata
    from burstfix.io.dng import Sensor, write_dng
    from burstfix.synth import render

    taken = datetime(2024, 1, 1, 20, 0) + timedelta(milliseconds=250 * index)
    metadata = Metadata(exposure_s=1 / 8, iso=3200, aperture=2.0, taken=taken, camera="burstfix")
    if kind is Kind.PNG:
        write_png(rendered.linear(index), path, metadata, color.SRGB)
        write_png(rendered.truth_for(index), truth_path(path), metadata, color.SRGB)
        return
    sensor = Sensor(
        black_level=render.BLACK_LEVEL_DN,
        white_level=render.WHITE_LEVEL_DN,
        as_shot_neutral=neutral(rendered.white_balance),
        color_matrix=color.SRGB_FROM_XYZ,
        noise=(rendered.shot, rendered.read),
    )
    write_dng(path, rendered.mosaic(index).numpy(), sensor=sensor, metadata=metadata)
    write_png(rendered.truth_for(index), truth_path(path), metadata, color.NEUTRAL)


def _write_geometry(rendered: "RenderedBurst", path: Path) -> None:
    """Write how the frames lie to each other."""
    from burstfix.cli.made_files import write_record

    content = {
        "size": rendered.size,
        "source_from_scene": rendered.source_from_scene.tolist(),
        "noise_sigma": rendered.sigma,
    }
    write_record(content, path)
