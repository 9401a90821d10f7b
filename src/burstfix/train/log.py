"""What a training run leaves behind while it goes: table, curve, checkpoint, and its voice."""

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from burstfix.errors import OutputError
from burstfix.io.atomic import replacing
from burstfix.train.checkpoint import Run, save_checkpoint

_SAVE_EVERY_S = 60.0
_COLUMNS = ("step", "elapsed_s", "loss", "psnr")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the loop tells after each step.

    Args:
        step: how many steps were done.
        progress: share of the budget that is spent, 0 to 1.
        elapsed_s: seconds over all sittings.
        loss: running mean.
        psnr: of the last validation [dB]; None before the first.
        bursts_per_s: trained on, over this sitting.
        left_s: seconds until the budget is spent, at this pace.
        skipped: whether the step was not taken.
    """

    step: int
    progress: float
    elapsed_s: float
    loss: float
    psnr: float | None
    bursts_per_s: float
    left_s: float
    skipped: bool


class Log:
    """Writes beside `output`: `.csv` of every step, `.svg` of the curves, `.checkpoint`.

    Args:
        output: names the files.
        run: what is logged.
        report: told of each step.
    """

    def __init__(self, output: Path, run: Run, report: Callable[[Report], None] | None) -> None:
        self.run = run
        self.report = report
        self.output = output
        self.rows: list[tuple[int, float, float, float]] = []
        self.saved_s = self.began_s = run.elapsed_s
        self.began = run.step
        with self._writing():
            output.parent.mkdir(parents=True, exist_ok=True)
            _begin_table(self._file(".csv"), run.step)

    def tell(self, progress: float, loss: float, *, skipped: bool) -> None:
        """Note one step."""
        run = self.run
        psnr = run.scores[-1][1] if run.scores else None
        self.rows.append((run.step, run.elapsed_s, loss, math.nan if psnr is None else psnr))
        if self.report is None:
            return
        sitting_s = max(run.elapsed_s - self.began_s, 1e-9)
        self.report(
            Report(
                step=run.step,
                progress=progress,
                elapsed_s=run.elapsed_s,
                loss=run.guard.loss,
                psnr=psnr,
                # The time of this step is not in `elapsed_s` yet.
                bursts_per_s=_bursts_a_step(run, progress)
                * (run.step - 1 - self.began)
                / sitting_s,
                left_s=run.elapsed_s * (1 - progress) / max(progress, 1e-9),
                skipped=skipped,
            )
        )

    def keep_up(self, *, ended: bool) -> None:
        """Write what is due: at intervals, and at the end."""
        if not ended and self.run.elapsed_s - self.saved_s < _SAVE_EVERY_S:
            return
        self.saved_s = self.run.elapsed_s
        with (
            self._writing(),
            self._file(".csv").open("a", newline="", encoding="utf-8") as file,
        ):
            csv.writer(file).writerows(self.rows)  # before the step counts as done: none is missed
        self.rows.clear()
        save_checkpoint(self._file(".checkpoint"), self.run)
        with self._writing():
            with self._file(".csv").open(encoding="utf-8") as file:
                losses = [
                    (float(row["elapsed_s"]), float(row["loss"])) for row in csv.DictReader(file)
                ]
            with replacing(self._file(".svg"), replace=True) as file:
                file.write(draw_curves(losses, self.run.scores).encode())

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Tell what to do where the disk is full, or a folder cannot be written to.

        Raises:
            OutputError: what is written inside could not be.
        """
        try:
            yield
        except OSError as error:
            checkpoint = self._file(".checkpoint")
            mend = f"go on with --resume {checkpoint}" if checkpoint.exists() else "begin again"
            raise OutputError(
                f"Cannot write beside {self.output}: {error.strerror or error}.",
                f"Make room or change permissions there, then {mend}.",
            ) from error

    def _file(self, suffix: str) -> Path:
        return self.output.with_suffix(suffix)


def _begin_table(path: Path, step: int) -> None:
    """Keep the rows up to a step: a run that was killed wrote more, or half of one."""
    header = ",".join(_COLUMNS) + "\n"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    whole = [line for line in lines if line.endswith("\n") and line.count(",") == header.count(",")]
    kept = [line for line in whole[1:] if int(line.split(",")[0]) <= step]
    partial = path.with_name(path.name + ".part")
    partial.write_text(header + "".join(kept), encoding="utf-8", newline="")
    partial.replace(path)


def draw_curves(
    losses: Sequence[tuple[float, float]], scores: Sequence[tuple[float, float]]
) -> str:
    """Draw loss and validation over time as an SVG picture.

    Args:
        losses: seconds and loss of each step.
        scores: seconds and PSNR [dB] of each validation.

    Returns:
        The picture: loss, averaged over short stretches, falls in blue; PSNR rises in red.
    """
    stretch = max(1, len(losses) // 200)
    smooth = [
        (losses[i][0], fmean(loss for _, loss in losses[i : i + stretch]))
        for i in range(0, len(losses), stretch)
    ]
    end_s = max([t for t, _ in [*losses, *scores]], default=1.0)
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 400" font-family="sans-serif">',
        '<rect width="800" height="400" fill="white"/>',
        _curve(smooth, end_s, "steelblue", "loss", "start"),
        _curve(scores, end_s, "firebrick", "PSNR [dB]", "end"),
        f'<text x="400" y="392" text-anchor="middle">{end_s / 60:.1f} min</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _curve(
    points: Sequence[tuple[float, float]], end_s: float, colour: str, label: str, side: str
) -> str:
    """Draw one curve between its own least and greatest value, with both written at its side."""
    finite = [(t, y) for t, y in points if math.isfinite(y)]
    if not finite:
        return ""
    low, high = min(y for _, y in finite), max(y for _, y in finite)
    span = max(high - low, 1e-9)
    path = " ".join(
        f"{60 + 680 * t / max(end_s, 1e-9):.1f},{360 - 320 * (y - low) / span:.1f}"
        for t, y in finite
    )
    x = 8 if side == "start" else 792
    text = f'<text x="{x}" text-anchor="{side}" fill="{colour}"'
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        f'{text} y="24">{label}</text>'
        f'{text} y="44">{high:.4g}</text>{text} y="360">{low:.4g}</text>'
    )


def _bursts_a_step(run: Run, progress: float) -> float:
    """Return the mean number of bursts in a step."""
    recipe = run.recipe
    frames = recipe.stage(progress).frames
    return recipe.shards * fmean(recipe.count(frames, length) for length in recipe.lengths)
