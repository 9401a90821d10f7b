"""A film restored frame by frame, each from its neighbours, in memory that stays flat."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from burstfix import __version__, device
from burstfix.backends.base import Network
from burstfix.errors import InputError, OutputError
from burstfix.io.atomic import resolve_folder, resolve_output
from burstfix.io.video import BrokenClip, Encoding, choose_encoding
from burstfix.io.video.join import Extras, check_extras
from burstfix.io.video.parts import Parts, open_parts
from burstfix.io.write import format_for
from burstfix.restore.budget import share_out_film
from burstfix.restore.film import Film, ahead, open_film
from burstfix.restore.network import load_network
from burstfix.restore.recorder import Keeper
from burstfix.restore.reel import Done, FilmReel, Reel, Restored, StillsReel
from burstfix.restore.report import Reporter, VideoReport, peak_memory_bytes
from burstfix.restore.steps import place_for
from burstfix.restore.video_options import VideoOptions
from burstfix.restore.window import (
    Moment,
    Window,
    alignment_for,
    radius_for,
    restore_windows,
    slide,
)
from burstfix.tiling import Place

_LEAD_S = 1  # read before --start, for neighbours of the first frame
# Restored between two trims of memory: two threads leave holes, 1.5 MB more with every frame of
# 1280x720, where all memory is kept. A trim and taking back what it took cost 0.1 to 1 s.
_TRIM_FRAMES = 20


def restore_video(
    source: Path | Sequence[Path],
    output: Path,
    options: VideoOptions | None = None,
    reporter: Reporter | None = None,
) -> VideoReport:
    """Restore a film and write it; sound, subtitles, times and tags are kept.

    A film that breaks off is restored up to there: the report then says `broken`.

    Args:
        source: the film's file, or the pictures that are its frames, in order.
        output: the film to write, whose extension chooses the container; or without an extension
            a folder of PNG files.
        options: None takes the defaults.
        reporter: receives progress and messages; None is silent.

    Raises:
        BurstfixError: whatever keeps the film from being made; the output is then what it was.
    """
    options, reporter = options or VideoOptions(), reporter or Reporter()
    with _prepare(source, output, options, reporter) as (report, job):
        if job:
            _restore(job)
            report.peak_memory_bytes = peak_memory_bytes()
    return report


def plan_video(
    source: Path | Sequence[Path], output: Path, options: VideoOptions | None = None
) -> VideoReport:
    """Check what can be checked without restoring a frame, and tell what would be done.

    Raises:
        BurstfixError: what `restore_video` would raise for the same reasons.
    """
    with _prepare(source, output, options or VideoOptions(), Reporter()) as (report, job):
        if job:
            _extras(job)
            report.status, report.frames = "planned", _expected(job)
    return report


@contextmanager
def _prepare(
    source: Path | Sequence[Path], output: Path, options: VideoOptions, reporter: Reporter
) -> "Iterator[tuple[VideoReport, _Job | None]]":
    """Open the film, and check all that can be; None where the output is skipped."""
    paths = (source,) if isinstance(source, Path) else tuple(source)
    output = output if output.name else output.resolve()  # as of -o .
    report = VideoReport(
        task="video",
        output=str(output),
        backend=options.backend,
        settings=dict(options.settings),
        version=__version__,
    )
    target = _target(output, paths, options)
    if target is None:
        report.status = "skipped"
        yield report, None
        return
    report.output, report.input = str(target), str(paths[0] if len(paths) == 1 else paths[0].parent)
    loaded = load_network("video", options)
    loaded.tell(report)
    recorder = Keeper(reporter, report.warnings, report.timings_s)
    place = place_for(options, recorder)
    _tell_place(report, place, loaded.network)
    report.alignment = alignment_for(loaded.network.contract)
    stills = is_folder(output)
    with open_film(paths, options.rate, stills=stills) as film:
        report.size = film.info.size
        network = loaded.network
        memory = share_out_film(film.info.size, radius_for(network.contract), options)
        yield (
            report,
            _Job(film, paths, target, stills, network, place, memory, options, recorder, report),
        )


@dataclass(frozen=True)
class _Job:
    """One film, and all that was decided about it."""

    film: Film
    paths: Sequence[Path]
    target: Path
    stills: bool  # a folder of pictures is written, no film
    network: Network
    place: Place
    memory: int  # for windows and tiles [bytes]
    options: VideoOptions
    recorder: Keeper
    report: VideoReport

    @property
    def start(self) -> int | None:
        """The first time wanted [ticks]; None is the beginning."""
        seconds = self.options.start_s
        return None if seconds is None else self._tick(seconds)

    @property
    def end(self) -> int | None:
        """The first time that is not wanted any more [ticks]; None is the end."""
        return None if self.options.end_s is None else self._tick(self.options.end_s)

    def _tick(self, seconds: float) -> int:
        return self.film.info.start + round(seconds * self.film.info.clock)


def _restore(job: _Job) -> None:
    """Restore a film that is open."""
    info, options = job.film.info, job.options
    for note in info.notes:
        job.recorder.warn(note)
    if info.interlaced:
        job.recorder.warn("The film is interlaced; its frames are restored as if they were not.")
    extras = _extras(job)
    with open_parts(job.target, _plan(job), resume=options.resume) as parts, _telling(parts, job):
        reel = _reel(job, parts)
        extras = _write_frames(job, reel, extras)
        job.recorder.stage("write", 1)
        with job.recorder.time("write"):
            reel.finish(job.target, extras, replace=options.on_exists == "overwrite")
        job.recorder.step()


def _write_frames(job: _Job, reel: Reel, extras: Extras) -> Extras:
    """Restore and write all frames that are not yet; and what is then to be copied."""
    report = job.report
    done = reel.done(radius_for(job.network.contract))
    report.resumed = report.frames = done.frames
    job.recorder.stage("restore", max(0, _expected(job) - done.frames))
    broken: list[BrokenClip] = []
    ends: list[int] = []
    with job.recorder.time("restore"):
        reel.write(_restored(job, done, broken, ends))
    _tell_place(report, job.place, job.network)
    seconds = report.timings_s["restore"]
    report.frames_per_s = (report.frames - done.frames) / seconds if seconds else None
    _check_any(job, broken)
    if not broken:
        return extras
    report.broken = True
    job.recorder.warn(f"{broken[0].what} It is restored up to there.")
    return replace(extras, end=ends[-1] if ends else extras.end, broken=True)


@contextmanager
def _telling(parts: Parts, job: _Job) -> Iterator[None]:
    """Tell of finished parts that an interrupted run leaves."""
    try:
        yield
    except BaseException:
        if not parts.empty:
            job.recorder.warn(
                f"{job.report.frames} frames are begun or finished in {parts.folder}; the same "
                "command with --resume goes on."
            )
        raise


def _tell_place(report: VideoReport, place: Place, network: Network) -> None:
    """Tell where the network computes, and in what."""
    report.device, report.precision = str(place.device), place.precision_of(network)


def _restored(
    job: _Job, done: Done, broken: list[BrokenClip], ends: list[int]
) -> Iterator[Restored]:
    """Restore frame after frame.

    Args:
        job: the film.
        done: what need not be done again.
        broken: receives why the film ends before its end.
        ends: receives when the last frame ends [ticks].
    """
    info, options, report = job.film.info, job.options, job.report
    restored = restore_windows(
        _wanted(job, done, broken),
        job.network,
        place=job.place,
        tile=options.tile,
        memory=job.memory,
    )
    used = 0
    for window, light, neighbours in restored:
        moment = window.shot.moment
        used += neighbours
        report.frames += 1
        report.neighbours = used / (report.frames - done.frames)
        if report.frames % _TRIM_FRAMES == 0:
            device.trim_memory()
        ends[:] = [moment.time + moment.duration]
        report.length_s = round((ends[0] - (job.start or info.start)) / info.clock, 6)
        job.recorder.step()
        yield moment, light


def _wanted(job: _Job, done: Done, broken: list[BrokenClip]) -> Iterator[Window]:
    """Read the film, and give the frames that are to be restored; as `_restored`."""
    info = job.film.info
    lead = _LEAD_S * info.clock
    first = None if job.start is None else job.start - lead
    moments = _until_break(job.film.moments(done.reread or first), broken)
    last = None if job.end is None else job.end + lead
    read = takewhile(lambda moment: last is None or moment.time < last, moments)
    skip = done.frames if done.last is None else 0
    for window in slide(ahead(read), radius_for(job.network.contract)):
        moment = window.shot.moment
        if job.end is not None and moment.time >= job.end:
            break
        if job.start is not None and moment.time < job.start:
            continue
        if window.shot.cut:
            job.report.cuts_s.append(round((moment.time - info.start) / info.clock, 3))
        if skip or (done.last is not None and moment.time <= done.last):
            skip = max(0, skip - 1)
            continue
        yield window


def _until_break(moments: Iterator[Moment], broken: list[BrokenClip]) -> Iterator[Moment]:
    """End where the film breaks off, and keep why."""
    try:
        yield from moments
    except BrokenClip as error:
        broken.append(error)


def _check_any(job: _Job, broken: list[BrokenClip]) -> None:
    """Refuse to write a film without a frame."""
    if job.report.frames:
        return
    if broken:
        raise broken[0]
    raise InputError(
        f"No frame of {job.report.input} lies where it was asked for.",
        "Check --start and --end against the film's length.",
    )


def _target(output: Path, paths: Sequence[Path], options: VideoOptions) -> Path | None:
    """Decide what will be written; None where it is skipped."""
    if not is_folder(output):
        return resolve_output(output, on_exists=options.on_exists, inputs=paths)
    if any(path.resolve().parent == output.resolve() for path in paths):
        raise OutputError(
            f"The output {output} is the folder of the input; inputs are never replaced.",
            "Give -o another folder.",
        )
    return resolve_folder(output, on_exists=options.on_exists)


def is_folder(output: Path) -> bool:
    """Tell whether pictures are asked for: the name is that of a folder, or has no extension."""
    return output.is_dir() or not output.suffix


def _extras(job: _Job) -> Extras:
    """Choose what is copied beside the picture, and see that it fits."""
    options = job.options
    kinds = {"audio": options.audio, "subtitle": options.subtitles}
    extras = Extras(
        source=job.film.source,
        kinds=tuple(kind for kind, wanted in kinds.items() if wanted),
        start=job.start,
        end=job.end,
        metadata=options.keep_metadata,
    )
    if job.stills:
        return replace(extras, source=None)
    encoding = _encoding(job)
    copied = check_extras(extras, encoding, job.target)
    job.report.codec, job.report.copied = encoding.codec, list(copied.kept)
    for name in copied.left_out:
        job.recorder.warn(f"The film's {name} is left out.")
    return extras


def _encoding(job: _Job) -> Encoding:
    options = job.options
    return choose_encoding(job.target, job.film.info, codec=options.codec, crf=options.crf)


def _reel(job: _Job, parts: Parts) -> Reel:
    """Choose where frames go."""
    if not job.stills:
        return FilmReel(parts, _encoding(job), job.film.info, job.options.segment)
    job.report.codec = "png"
    curve, metadata = job.film.look
    return StillsReel(
        parts,
        format_for(Path("frame.png"), bit_depth=job.options.bit_depth),
        curve,
        metadata,
        {
            "version": __version__,
            "command": "video",
            "inputs": [Path(job.report.input).name],
            "backend": job.report.backend,
            "weights_sha256": job.report.weights_sha256 or "",
        },
        job.film.info,
        job.options.keep_metadata,
    )


def _expected(job: _Job) -> int:
    """Return about how many frames will be written; 0 where that is not known."""
    info, options = job.film.info, job.options
    if not info.frames or not info.length_s:
        return 0
    end = min(options.end_s or info.length_s, info.length_s)
    return round(info.frames * max(0.0, end - (options.start_s or 0)) / info.length_s)


def _plan(job: _Job) -> dict[str, Any]:
    """Collect all that changes the frames: only what was made alike can be joined."""
    options, report, paths = job.options, job.report, job.paths
    stats = [path.stat() for path in paths]
    return {
        "--backend": report.backend,
        "--weights": report.weights_sha256,
        "--set": dict(options.settings),
        "--device": job.place.device.type,
        "--precision": options.precision,
        "--start": options.start_s,
        "--end": options.end_s,
        "--codec": options.codec,
        "--crf": options.crf,
        "--bit-depth": options.bit_depth,
        "--fps": str(options.rate),
        "--segment": options.segment,
        "the input": [str(paths[0].resolve()), len(paths)],
        "the input's size": sum(stat.st_size for stat in stats),
        "the input's time": max(stat.st_mtime_ns for stat in stats),
        "burstfix": __version__,
    }
