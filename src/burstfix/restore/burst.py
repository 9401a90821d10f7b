"""One picture from a burst: read, align, fuse, write."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from burstfix import __version__, device, tiling, weights
from burstfix.backends.base import Network
from burstfix.color import LINEAR
from burstfix.errors import DeviceError, InputError
from burstfix.frame import Frame, Size
from burstfix.io.decode import check_same_kind, probe, read_frames
from burstfix.io.write import Canvas, Format, format_for, resolve_output, save
from burstfix.restore.alignment import Aligned, align_frames
from burstfix.restore.options import Options
from burstfix.restore.report import FrameReport, Report, Reporter, peak_memory_bytes

RESERVE_BYTES = 450 << 20  # interpreter, torch and codecs
LEAST_TILES_BYTES = 256 << 20
MOST_TILES_BYTES = 1400 << 20  # more gains no time
WRITING = 1.7  # canvas and what encoding holds of it, over the canvas


def restore_burst(
    paths: Sequence[Path],
    output: Path,
    options: Options | None = None,
    reporter: Reporter | None = None,
) -> Report:
    """Restore one picture from a burst and write it.

    Args:
        paths: the frames' files, 1 to 64.
        output: the picture to write; its extension chooses the format.
        options: None takes the defaults.
        reporter: receives progress and messages; None is silent.

    Raises:
        BurstfixError: whatever keeps the picture from being made; nothing is then written.
    """
    options = options or Options()
    report = Report(output=str(output), backend=options.backend, version=__version__)
    recorder = _Recorder(reporter or Reporter(), report)
    kind = _format(output, options)
    target = resolve_output(output, on_exists=options.on_exists, inputs=paths)
    if target is None:
        report.status = "skipped"
        return report
    report.output = str(target)
    # Before any frame is read: a wrong name must not cost a minute.
    network = _load_network(options, report)
    chosen = device.choose(options.device)
    report.device, report.precision = str(chosen), options.precision
    size = _expected_size(paths, options)
    budget = _share_out(size, kind, options)
    _check_room(target, kind.most_bytes(size), options)

    with recorder.time("decode"):
        frames = _read(paths, options, budget.codes, recorder)
    with recorder.time("align"):
        aligned = align_frames(frames, options, recorder)
    report.size, report.reference = aligned.reference.size, str(aligned.reference.path)
    if remark := network.remark(aligned.source.frames):
        recorder.note(remark)
    with recorder.time("fuse"):
        canvas = _fuse(network, aligned, kind, options, chosen, budget.tiles, recorder)
        shares = _shares(network, aligned, options, chosen, budget.tiles)
        report.frames += _frame_reports(frames, aligned, shares)
    with recorder.time("write"):
        recorder.stage("write", 1)
        report.warnings += save(
            canvas,
            target,
            metadata=aligned.reference.metadata,
            provenance=_provenance(report, options),
            keep_metadata=options.keep_metadata,
            replace=options.on_exists == "overwrite",
        )
        recorder.step()
    report.peak_memory_bytes = peak_memory_bytes()
    return report


def plan_burst(paths: Sequence[Path], output: Path, options: Options | None = None) -> Report:
    """Check what can be checked without decoding pixels, and tell what would be done.

    Raises:
        BurstfixError: what `restore_burst` would raise for the same reasons.
    """
    options = options or Options()
    _format(output, options)
    report = Report(output=str(output), backend=options.backend, version=__version__)
    target = resolve_output(output, on_exists=options.on_exists, inputs=paths)
    report.status = "planned" if target else "skipped"
    report.output = str(target or output)
    _load_network(options, report)
    report.device = str(device.choose(options.device))
    probes = probe(paths)
    report.size = probes[0].size
    report.frames = [FrameReport(path=str(look.path), used=True) for look in probes]
    return report


@dataclass(frozen=True)
class _Budget:
    """What memory each part may take [bytes]."""

    codes: int
    tiles: int


def _expected_size(paths: Sequence[Path], options: Options) -> Size:
    """Look up the size of the first frame that can be read."""
    for path in paths[:-1] if options.skip_bad else ():
        try:
            return probe([path])[0].size
        except InputError:
            continue  # told when it is skipped
    return probe(paths[-1:] if options.skip_bad else paths[:1])[0].size


def _share_out(size: Size, kind: Format, options: Options) -> _Budget:
    """Divide the memory between the output, decoded frames and tiles.

    Raises:
        DeviceError: what was allowed does not even hold the output.
    """
    total = options.memory or device.free_memory(torch.device("cpu")) // 2
    height, width = size
    canvas = int(height * width * 3 * kind.bit_depth / 8 * WRITING)
    left = total - RESERVE_BYTES - canvas
    if left < LEAST_TILES_BYTES:
        needed = (RESERVE_BYTES + canvas + LEAST_TILES_BYTES) / (1 << 30)
        raise DeviceError(
            f"{total / (1 << 30):.1f} GB of memory do not suffice for a picture of "
            f"{height} x {width} pixels.",
            f"Give --memory {needed:.1f} or more.",
        )
    tiles = min(max(LEAST_TILES_BYTES, left // 3), MOST_TILES_BYTES)
    return _Budget(codes=left - tiles, tiles=tiles)


def _check_room(target: Path, needed: int, options: Options) -> None:
    """Raise OutputError where the target's disk lacks room, before minutes are spent."""
    resolve_output(target, on_exists=options.on_exists, needed_bytes=needed)


def _format(output: Path, options: Options) -> Format:
    return format_for(
        output, bit_depth=options.bit_depth, linear=options.linear, quality=options.quality
    )


def _load_network(options: Options, report: Report) -> Network:
    """Build the backend, with the weights asked for or the shipped ones."""
    network, card = weights.find_network(
        options.backend, "burst", options.weights, options.settings
    )
    if card:
        path = options.weights or weights.default_weights(card.backend, "burst")
        report.backend = card.backend
        report.backend_weights, report.weights_sha256 = str(path), card.sha256
    return network


def _read(
    paths: Sequence[Path], options: Options, memory: int, recorder: "_Recorder"
) -> list[Frame]:
    recorder.stage("decode", len(paths))
    frames, errors = read_frames(
        paths,
        memory=memory,
        skip_bad=options.skip_bad,
        on_frame=lambda _: recorder.step(),
    )
    read = {frame.path for frame in frames}
    recorder.report.frames += [
        FrameReport(path=str(path), used=False, why="cannot be read")
        for path in paths
        if path not in read
    ]
    for error in errors:
        recorder.warn(f"Skipped: {error.what}")
    check_same_kind(frames)
    if len(frames) == 1:
        recorder.warn("There is one frame only: nothing can be fused.")
    return frames


def _fuse(
    network: Network,
    aligned: Aligned,
    kind: Format,
    options: Options,
    chosen: torch.device,
    memory: int,
    recorder: "_Recorder",
) -> Canvas:
    """Run the network over the burst, band by band."""
    reference = aligned.reference
    canvas = Canvas(reference.size, kind, LINEAR if options.linear else reference.curve)

    def on_tile(done: int, tiles: int) -> None:
        if done == 1:
            recorder.stage("fuse", tiles)
        recorder.step()

    bands = tiling.run_tiled(
        network,
        aligned.source,
        descriptor=aligned.descriptor,
        device=chosen,
        precision=options.precision,
        tile=options.tile,
        memory=memory,
        on_tile=on_tile,
    )
    for top, band in bands:
        canvas.put(top, 0, band)
    return canvas


def _shares(
    network: Network, aligned: Aligned, options: Options, chosen: torch.device, memory: int
) -> dict[int, float]:
    """Measure the share in the picture of each frame that is used."""
    shares = tiling.frame_shares(
        network,
        aligned.source,
        descriptor=aligned.descriptor,
        device=chosen,
        precision=options.precision,
        memory=memory,
    )
    return dict(zip(aligned.order, shares.tolist(), strict=True))


def _frame_reports(
    frames: Sequence[Frame], aligned: Aligned, shares: dict[int, float]
) -> list[FrameReport]:
    return [
        FrameReport(
            path=str(frame.path),
            used=number in shares,
            why=aligned.dropped.get(number, ""),
            sharpness=aligned.sharpness[number],
            correlation=aligned.correlation[number],
            gain=aligned.gain[number],
            weight=shares.get(number),
        )
        for number, frame in enumerate(frames)
    ]


def _provenance(report: Report, options: Options) -> dict[str, str | list[str]]:
    """Tell how the picture came about; it travels in the picture's XMP."""
    return {
        "version": __version__,
        "command": "burst",
        "inputs": [Path(frame.path).name for frame in report.frames if frame.used],
        "reference": Path(report.reference).name,
        "backend": report.backend,
        "weights_sha256": report.weights_sha256 or "",
        "precision": options.precision,
        "settings": [f"{name}={value}" for name, value in options.settings.items()],
    }


class _Recorder(Reporter):
    """Passes messages on, and keeps warnings and timings for the report."""

    def __init__(self, reporter: Reporter, report: Report) -> None:
        self.reporter = reporter
        self.report = report

    def stage(self, name: str, steps: int) -> None:
        """Begin a stage."""
        self.reporter.stage(name, steps)

    def step(self) -> None:
        """Finish a step."""
        self.reporter.step()

    def warn(self, message: str) -> None:
        """Tell and keep a warning."""
        self.report.warnings.append(message)
        self.reporter.warn(message)

    def note(self, message: str) -> None:
        """Tell a detail."""
        self.reporter.note(message)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        yield
        self.report.timings_s[stage] = round(time.perf_counter() - start, 3)
