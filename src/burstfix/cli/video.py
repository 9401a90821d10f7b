"""`burstfix video`: a shaken film in, a sharp one out."""

import dataclasses
from collections.abc import Sequence
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from burstfix.cli import options as opt
from burstfix.cli.memory import tune
from burstfix.errors import UsageError

if TYPE_CHECKING:
    from burstfix.cli.console import Terminal
    from burstfix.restore.options import Options
    from burstfix.restore.report import VideoReport
    from burstfix.restore.video_options import VideoOptions

EXAMPLES = """\b
Examples:
  burstfix video clip.mp4 -o sharp.mp4
  burstfix video clip.mov -o sharp.mov --codec prores
  burstfix video clip.mp4 -o sharp.mp4 --start 12 --end 15.5
  burstfix video clip.mp4 -o sharp.mp4 --resume     goes on after a kill
  burstfix video clip.mp4 -o sharp.mp4 -w deblurgan-single --tune     learns from the clip first
  burstfix video clip.mp4 -o frames/                16-bit PNG files
  burstfix video frames/ -o film.mp4 --fps 24       from single frames
"""


class Codec(StrEnum):
    """What films are coded in."""

    AUTO = "auto"
    H264 = "h264"
    HEVC = "hevc"
    PRORES = "prores"
    FFV1 = "ffv1"


def video(
    film: Annotated[
        list[str],
        typer.Argument(
            help="A film; or its frames, as a folder, files or a glob.", show_default=False
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Film to write: .mp4, .mov or .mkv; or a folder for PNG files.",
            show_default=False,
        ),
    ],
    backend: opt.BackendOption = "set",
    weights: opt.WeightsOption = None,
    settings: opt.SettingsOption = None,
    start: Annotated[
        float | None, typer.Option("--start", min=0, help="Begin here [s].", show_default=False)
    ] = None,
    end: Annotated[
        float | None, typer.Option("--end", min=0, help="End here [s].", show_default=False)
    ] = None,
    codec: Annotated[
        Codec | None,
        typer.Option(
            "--codec",
            help="Of films; auto: H.264, or HEVC from more than 8 bits. [default: auto]",
        ),
    ] = None,
    crf: Annotated[
        int | None,
        typer.Option("--crf", help="0 (best) to 51. [default: H.264 17, HEVC 19]"),
    ] = None,
    fps: Annotated[
        str | None,
        typer.Option("--fps", help="Of single frames, as 24 or 30000/1001. [default: 30]"),
    ] = None,
    no_audio: Annotated[bool, typer.Option("--no-audio", help="Leave the sound out.")] = False,
    no_subtitles: Annotated[
        bool, typer.Option("--no-subtitles", help="Leave the subtitles out.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last finished segment of a killed run.")
    ] = False,
    segment: Annotated[
        int, typer.Option("--segment", min=1, help="Frames of a segment: a kill loses fewer.")
    ] = 60,
    tuned: Annotated[
        bool,
        typer.Option(
            "--tune",
            help="First tune the weights to the film, and keep that where it helps; they then lie "
            "beside the output, as NAME.tuned.safetensors; --on-exists holds for them too.",
        ),
    ] = False,
    tune_iterations: Annotated[
        int | None,
        typer.Option("--tune-iterations", min=1, help="Steps of --tune. [default: 200]"),
    ] = None,
    exposure_cycle: Annotated[
        float | None,
        typer.Option(
            "--exposure-cycle",
            help="Half of the share of time that the shutter is open, to 0.5, for --tune. "
            "[default: from metadata, or what explains the frames best]",
        ),
    ] = None,
    on_exists: opt.OnExistsOption = opt.OnExists.FAIL,
    bit_depth: Annotated[
        int | None, typer.Option("--bit-depth", help="Of PNG files: 8 or 16. [default: 16]")
    ] = None,
    strip: Annotated[
        bool, typer.Option("--strip", help="Leave titles, tags and chapters out.")
    ] = False,
    device: opt.DeviceOption = "auto",
    precision: opt.PrecisionOption = opt.Precision.AUTO,
    tile: opt.TileOption = "auto",
    memory: opt.MemoryOption = None,
    dry_run: opt.DryRunOption = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON object on stdout.")] = False,
    quiet: opt.QuietOption = False,
    verbose: opt.VerboseOption = False,
    debug: opt.DebugOption = False,
) -> None:
    """Restore a film frame by frame, each from its neighbours; sound and timing stay."""
    del debug  # read where errors are caught
    tune(backend, film=True)
    from burstfix.cli.console import Terminal
    from burstfix.restore.film import find_film
    from burstfix.restore.video import plan_video, restore_video

    terminal = Terminal(quiet=quiet, verbose=verbose)
    shared = opt.read_options(
        opt.Method(backend, weights, settings),
        opt.Writing(on_exists, bit_depth, 95, linear=False, strip=strip),
        opt.Computing(device, precision, tile, memory),
    )
    options = _video_options(
        shared,
        codec=codec,
        crf=crf,
        span_s=(start, end),
        fps=fps,
        copied=(not no_audio, not no_subtitles),
        resume=resume,
        segment=segment,
    )
    paths = find_film(film)
    given = _Given(codec, crf, bit_depth, fps, tune_iterations, exposure_cycle)
    _check_heeded(given, paths, output, tuned=tuned)
    if dry_run:
        _tell(plan_video(paths, output, options), terminal, json=json)
        return
    if tuned and (planned := plan_video(paths, output, options)).status == "planned":
        options = _tune(options, paths, Path(planned.output), given, terminal)
    with terminal.progress():
        report = restore_video(paths, output, options, terminal)
    _tell(report, terminal, json=json)
    if report.broken:
        raise typer.Exit(1)


class _Given(NamedTuple):
    """Options that not all heed, as typed; None where they were not."""

    codec: Codec | None
    crf: int | None
    bit_depth: int | None
    fps: str | None
    tune_iterations: int | None
    exposure_cycle: float | None


def _check_heeded(given: _Given, paths: Sequence[Path], output: Path, *, tuned: bool) -> None:
    """Raise UsageError where what was typed would change nothing."""
    from burstfix.restore.film import is_picture
    from burstfix.restore.video import is_folder

    stills, pictures = is_folder(output), is_picture(paths[0])
    film = "Leave it out, or name a film to write: -o sharp.mp4."
    for option, value, heeded, use, mend in (
        ("--codec", given.codec, not stills, "films, not PNG files", film),
        ("--crf", given.crf, not stills, "films, not PNG files", film),
        ("--bit-depth", given.bit_depth, stills, "PNG files", "Leave it out, or give -o a folder."),
        ("--fps", given.fps, pictures, "single frames; a film has its own times", "Leave it out."),
        ("--tune-iterations", given.tune_iterations, tuned, "--tune", "Leave it out, or add that."),
        ("--exposure-cycle", given.exposure_cycle, tuned, "--tune", "Leave it out, or add that."),
    ):
        if value is not None and not heeded:
            raise UsageError(f"{option} is for {use}.", mend)


def _tune(
    options: "VideoOptions",
    paths: Sequence[Path],
    output: Path,
    given: _Given,
    terminal: "Terminal",
) -> "VideoOptions":
    """Tune weights to the film, or find those of the run to go on with; options that take them."""
    from burstfix import device
    from burstfix.cli.tuning import TunePlan, tune_to_films, tuned_card
    from burstfix.train.reblur import TuneSettings
    from burstfix.weights import find_network, save

    beside = output.with_name(f"{output.name}.tuned.safetensors")
    if not (options.resume and beside.exists()):
        beside = _tuned_file(beside, paths, options)
        iterations = given.tune_iterations or TuneSettings.iterations
        settings = TuneSettings(iterations=iterations, exposure_cycle=given.exposure_cycle)
        span_s = options.start_s, options.end_s
        plan = TunePlan(films=[paths], settings=settings, rate=options.rate, span_s=span_s)
        network, card = find_network(options.backend, "video", options.weights, options.settings)
        with terminal.progress():
            tuning = tune_to_films(network, plan, device.choose(options.device), terminal)
        if card is None or not tuning.kept:
            return options
        save(tuning.network, tuned_card(card, tuning, plan), beside)
    return dataclasses.replace(options, weights=beside, settings={})


def _tuned_file(beside: Path, paths: Sequence[Path], options: "VideoOptions") -> Path:
    """Decide where tuned weights go, before minutes of work: not over those given by -w.

    Raises:
        OutputError: they must not or cannot be written.
    """
    from burstfix.io.atomic import resolve_output

    # There is a film to write, so nothing is to be skipped.
    on_exists = "fail" if options.on_exists == "skip" else options.on_exists
    weights = [options.weights] if options.weights else []
    target = resolve_output(beside, on_exists=on_exists, inputs=[*paths, *weights])
    assert target is not None
    return target


def _video_options(
    shared: "Options",
    *,
    codec: Codec | None,
    crf: int | None,
    span_s: tuple[float | None, float | None],
    fps: str | None,
    copied: tuple[bool, bool],
    resume: bool,
    segment: int,
) -> "VideoOptions":
    """Add what films have to the options that all restorations share."""
    from burstfix.restore.video_options import VideoOptions

    return VideoOptions(
        **vars(shared),
        codec=(codec or Codec.AUTO).value,
        crf=crf,
        start_s=span_s[0],
        end_s=span_s[1],
        rate=read_rate(fps or "30"),
        audio=copied[0],
        subtitles=copied[1],
        resume=resume,
        segment=segment,
    )


def read_rate(text: str) -> Fraction:
    """Read frames a second, as 24 or 30000/1001."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise UsageError(f"--fps {text} is no rate.", "Give frames a second: 24, or 30000/1001.")
    return rate


def _tell(report: "VideoReport", terminal: "Terminal", *, json: bool) -> None:
    """Tell what was done, or would be."""
    from burstfix.cli.console import print_json

    if json:
        print_json(report.as_json())
    if report.status == "skipped":
        terminal.say(f"Skipped {report.output}: it exists.")
    elif report.status == "planned":
        beside = f", with {', '.join(report.copied)}" if report.copied else ""
        terminal.say(
            f"{report.output}: about {report.frames} frames of {report.input} by "
            f"{report.backend}, as {report.codec}{beside}"
        )
    else:
        speed = f"{report.frames_per_s:.2f} frames/s" if report.frames_per_s else "nothing to do"
        cuts = f", {len(report.cuts_s)} cuts" if report.cuts_s else ""
        terminal.say(
            f"Wrote {report.output}: {report.frames} frames{cuts} by {report.backend} on "
            f"{report.device}, {speed}."
        )
