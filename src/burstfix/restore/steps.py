"""What every restoration does before and after its alignment: check, read, fuse, write."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from burstfix import __version__, device, tiling
from burstfix.backends.base import Network, Task
from burstfix.color import LINEAR
from burstfix.frame import Box, Frame
from burstfix.io.decode import Probe, check_same_kind
from burstfix.io.write import Canvas, Format, format_for, resolve_output
from burstfix.restore.alignment import Aligned
from burstfix.restore.budget import share_out
from burstfix.restore.check import Check, check_can, check_picture
from burstfix.restore.network import Loaded
from burstfix.restore.options import Options
from burstfix.restore.recorder import Keeper, Recorder
from burstfix.restore.report import FrameReport, Report, Reporter, peak_memory_bytes
from burstfix.restore.supply import Supply
from burstfix.restore.writing import write_picture
from burstfix.tiling import Place

__all__ = ["Steps", "place_for", "plan", "restore"]

_UNREAD = "cannot be read"
_COPIED_ROWS = 256  # at once, of what is not restored


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What one task does its own way.

    Args:
        task: what the backend must be for.
        align: brings decoded frames to one geometry and exposure, for the network.
        warranted: tells how much of a restoration they call for, 0 to 1; None always takes all.
    """

    task: Task
    align: Callable[[list[Frame], Loaded, Options, Recorder], Aligned]
    warranted: Callable[[Network, Aligned, torch.device], float] | None = None


def restore(
    steps: Steps,
    paths: Sequence[Path],
    output: Path,
    options: Options | None,
    reporter: Reporter | None,
    supply: Supply | None = None,
) -> Report:
    """Restore one picture from its frames, and write it.

    Args:
        steps: what the task does its own way.
        paths: the frames' files.
        output: the picture to write; its extension chooses the format.
        options: None takes the defaults.
        reporter: receives progress and messages; None is silent.
        supply: where network and frames come from; None fetches them for this picture.

    Raises:
        BurstfixError: whatever keeps the picture from being made; nothing is then written.
    """
    options, supply = options or Options(), supply or Supply()
    report, target = _begin(steps.task, paths, output, options)
    if target is None:
        return report
    recorder = Recorder(reporter or Reporter(), report)
    kind = _format(output, options)
    with supply.decoding(paths):
        # Before any frame is read: a wrong name must not cost a minute.
        loaded = supply.network(steps.task, options)
        loaded.tell(report)
        network, place = loaded.network, place_for(options, recorder)
        map_path = _map_path(target, paths, loaded, options)
        size = supply.size(paths, options)
        budget = share_out(size, kind, options, supply.reserve)
        _check_room(target, kind.most_bytes(size), options)

        with recorder.time("decode"):
            frames = _read(paths, options, budget.codes, recorder, supply)
    with recorder.time("align"):
        aligned = steps.align(frames, loaded, options, recorder)
    report.size, report.reference = aligned.reference.size, str(aligned.reference.path)
    if remark := network.remark(aligned.given.frames):
        recorder.note(remark)
    with recorder.time("fuse"):
        if steps.warranted:
            report.warranted = round(_warranted(steps.warranted, network, aligned, place), 3)
            options = replace(options, strength=options.strength * report.warranted)
        canvas = _fuse(network, aligned, kind, options, place, budget.tiles, recorder)
        shares = _shares(network, aligned, place, budget.tiles, recorder)
    check = _check(network, aligned, canvas, options, place, budget.tiles, recorder)
    report.device, report.precision = str(place.device), place.precision_of(network)
    report.frames += _frame_reports(frames, aligned, shares, check)
    with recorder.time("write"):
        recorder.stage("write", 1)
        write_picture(canvas, target, aligned.reference, kind, options, recorder)
        if check and map_path:
            check.write(map_path, replace=options.on_exists == "overwrite")
            report.check, report.disagreement = str(map_path), round(check.mean, 3)
        recorder.step()
    report.peak_memory_bytes = peak_memory_bytes()
    return report


def plan(
    task: Task,
    paths: Sequence[Path],
    output: Path,
    options: Options,
    supply: Supply | None = None,
) -> tuple[Report, list[Probe]]:
    """Check what can be checked without decoding pixels, and tell what would be done.

    Args:
        task: what is to be done.
        paths: the frames' files.
        output: the picture to write.
        options: how.
        supply: as in `restore`.

    Returns:
        The report, and what each file tells of itself.

    Raises:
        BurstfixError: what `restore` would raise for the same reasons.
    """
    supply = supply or Supply()
    report, target = _begin(task, paths, output, options)
    if target:
        report.status, report.output = "planned", str(target)
    loaded = supply.network(task, options)
    loaded.tell(report)
    if target:
        _map_path(target, paths, loaded, options)
    place = Place(device.choose(options.device), options.precision)
    report.device, report.precision = str(place.device), place.precision_of(loaded.network)
    probes = supply.probe(paths, options)
    if target:
        check_same_kind(probes)
    report.size = probes[0].size
    read = {look.path for look in probes}
    report.frames = [
        FrameReport(path=str(path), used=path in read, why="" if path in read else _UNREAD)
        for path in paths
    ]
    return report, probes


def _begin(
    task: Task, paths: Sequence[Path], output: Path, options: Options
) -> tuple[Report, Path | None]:
    """Open a report, and decide which file will be written; None where it is skipped."""
    report = Report(
        task=task,
        output=str(output),
        backend=options.backend,
        settings=dict(options.settings),
        strength=options.strength,
        version=__version__,
    )
    _format(output, options)
    target = resolve_output(output, on_exists=options.on_exists, inputs=paths)
    if target is None:
        report.status = "skipped"
        report.frames = [
            FrameReport(path=str(path), used=False, why="the output exists") for path in paths
        ]
    else:
        report.output = str(target)
    return report, target


def _check_room(target: Path, needed: int, options: Options) -> None:
    """Raise OutputError where the target's disk lacks room, before minutes are spent."""
    resolve_output(target, on_exists=options.on_exists, needed_bytes=needed)


def _format(output: Path, options: Options) -> Format:
    return format_for(
        output, bit_depth=options.bit_depth, linear=options.linear, quality=options.quality
    )


def _read(
    paths: Sequence[Path], options: Options, memory: int, recorder: Recorder, supply: Supply
) -> list[Frame]:
    recorder.stage("decode", len(paths))
    frames, errors = supply.frames(paths, memory, options, recorder.step)
    read = {frame.path for frame in frames}
    recorder.report.frames += [
        FrameReport(path=str(path), used=False, why=_UNREAD) for path in paths if path not in read
    ]
    for error in errors:
        recorder.warn(f"Skipped: {error.what}")
    check_same_kind(frames)
    if len(frames) == 1 and recorder.report.task != "single":
        recorder.warn("There is one frame only: nothing can be fused.")
    return frames


def place_for(options: Options, recorder: Keeper) -> Place:
    """Choose where to compute; the device may be left only where the choice was burstfix's."""
    return Place(
        device.choose(options.device),
        options.precision,
        may_leave=options.device == "auto",
        warn=recorder.warn,
        note=recorder.note,
    )


def _warranted(
    tell: Callable[[Network, Aligned, torch.device], float],
    network: Network,
    aligned: Aligned,
    place: Place,
) -> float:
    """Tell how much of a restoration is called for, where memory suffices for that."""
    return place.attempt(
        lambda: tell(network, aligned, place.device), "to tell whether the photograph is sharp"
    )


def _fuse(
    network: Network,
    aligned: Aligned,
    kind: Format,
    options: Options,
    place: Place,
    memory: int,
    recorder: Recorder,
) -> Canvas:
    """Run the network over the burst, band by band."""
    reference = aligned.reference
    canvas = Canvas(reference.size, kind, LINEAR if options.linear else reference.curve)

    if options.strength == 0:
        _copy(reference, canvas)
        return canvas

    def on_tile(done: int, tiles: int) -> None:
        if done == 1:
            recorder.stage("fuse", tiles)
        recorder.step()

    bands = tiling.run_tiled(
        network,
        aligned.given,
        descriptor=aligned.told,
        place=place,
        tile=options.tile,
        memory=memory,
        on_tile=on_tile,
    )
    for top, band in bands:
        canvas.put(top, 0, _mixed(reference, top, band, options.strength))
    return canvas


def _map_path(target: Path, paths: Sequence[Path], loaded: Loaded, options: Options) -> Path | None:
    """Decide where the map of a check goes, before any frame is read; None: there is none."""
    if not options.check:
        return None
    check_can(loaded.network, loaded.backend)
    on_exists = "fail" if options.on_exists == "skip" else options.on_exists
    return resolve_output(
        target.with_name(f"{target.stem}.check.png"), on_exists=on_exists, inputs=paths
    )


def _check(
    network: Network,
    aligned: Aligned,
    canvas: Canvas,
    options: Options,
    place: Place,
    memory: int,
    recorder: Recorder,
) -> Check | None:
    """Compare what will be written with the frames, if that is asked for."""
    if not options.check:
        return None

    def on_cells(done: int, blocks: int) -> None:
        if done == 1:
            recorder.stage("check", blocks)
        recorder.step()

    def compare() -> Check:
        return check_picture(
            canvas.light,
            network,
            aligned.given,
            descriptor=aligned.told,
            device=place.device,
            precision=place.precision,
            memory=memory,
            on_cells=on_cells,
        )

    with recorder.time("check"):
        return place.attempt(compare, "to check the picture")


def _copy(photograph: Frame, canvas: Canvas) -> None:
    """Put a photograph on the canvas as it is."""
    height, width = photograph.size
    for top in range(0, height, _COPIED_ROWS):
        bottom = min(top + _COPIED_ROWS, height)
        canvas.put(top, 0, photograph.read(Box(top, 0, bottom, width)))


def _mixed(reference: Frame, top: int, band: Tensor, strength: float) -> Tensor:
    """Mix rows of the result, from `top` on, with the reference's; linear light, (3, h, W)."""
    if strength == 1:
        return band
    height, width = band.shape[-2:]
    return torch.lerp(reference.read(Box(top, 0, top + height, width)), band, strength)


def _shares(
    network: Network, aligned: Aligned, place: Place, memory: int, recorder: Recorder
) -> Mapping[int, float | None]:
    """Measure the share in the picture of each frame that is used; None where memory lacks."""
    if len(aligned.order) == 1:
        return {aligned.order[0]: 1.0}
    shares = tiling.frame_shares(
        network, aligned.given, descriptor=aligned.told, place=place, memory=memory
    )
    if shares is None:
        recorder.note("Memory does not suffice to measure the frames' shares: they are not told.")
        return dict.fromkeys(aligned.order)
    return aligned.by_number(shares.tolist())


def _frame_reports(
    frames: Sequence[Frame],
    aligned: Aligned,
    shares: Mapping[int, float | None],
    check: Check | None,
) -> list[FrameReport]:
    found = dict(zip(aligned.order, check.frames, strict=True)) if check else {}
    return [
        FrameReport(
            path=str(frame.path),
            used=number in shares,
            why=aligned.dropped.get(number, ""),
            kind=aligned.kinds[number] if aligned.kinds else "",
            sharpness=aligned.sharpness[number] if aligned.sharpness else None,
            correlation=aligned.correlation[number] if aligned.correlation else None,
            gain=aligned.gain[number] if aligned.gain else None,
            weight=shares.get(number),
            disagreement=found.get(number),
        )
        for number, frame in enumerate(frames)
    ]
