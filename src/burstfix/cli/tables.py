"""Tables of figures, on stdout."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from burstfix.train.evaluate import (
    BEST,
    REFERENCE,
    Metric,
    Score,
    below_reference,
    falls,
    table,
)
from burstfix.train.evaluate_pairs import NOISY, below_better_input
from burstfix.train.evaluate_singles import INPUT, LEAST_HARM_DB, below_input

KINDS = {
    "plain": "plain bursts",
    "ruined": "one frame of each burst is ruined",
    "moving": "a thing moves over each scene",
}
PAIR_KINDS = {
    "plain": "plain pairs",
    "moving": "things move over each scene",
    "stranger": "the blurry frame shows another scene",
}
FLICKER = "flicker\n[codes]"  # the only figure of which less is better
PIPE_WIDTH = 120  # characters of a line where stdout is no terminal


def show_scores(scores: Sequence[Score], *, every: bool) -> None:
    """Print what a person wants to compare.

    Args:
        scores: of all methods, on the same bursts.
        every: print each noise level with each blur too.
    """
    console = _console()
    for case in dict.fromkeys(score.case for score in scores):
        some = [score for score in scores if score.case == case]
        lengths = sorted({score.length for score in some})
        longest = [score for score in some if score.length == lengths[-1]]
        _print(console, _title(longest), _overview(longest))
        if len(lengths) > 1:
            _print(console, f"Mean PSNR [dB] by number of frames, {KINDS[case]}", _by_length(some))
        if every:
            _print(console, f"Every figure, {KINDS[case]}", _every(some))
    for line in _findings(scores):
        console.print(line, soft_wrap=True, markup=False)


def show_pairs(scores: Sequence[Score], *, every: bool) -> None:
    """Print how pairs were restored.

    Args:
        scores: of all methods, on the same pairs.
        every: print each noise level with each blur too.
    """
    console = _console()
    for case in dict.fromkeys(score.case for score in scores):
        some = [score for score in scores if score.case == case]
        pairs = sum(score.bursts for score in some if score.method == NOISY)
        _print(console, f"PSNR [dB], {PAIR_KINDS[case]}: {pairs} pairs", _overview(some))
        if every:
            _print(console, f"Every figure, {PAIR_KINDS[case]}", _every(some))
    kinds = len({(score.case, score.noise, score.blur) for score in scores})
    for method, below in below_better_input(scores).items():
        text = f"worse than it on {len(below)} of {kinds} kinds" if below else "never worse than it"
        line = f"The better of the two frames as they are: {method} is {text}."
        console.print(line, soft_wrap=True, markup=False)


def show_singles(
    scores: Sequence[Score], harm: Sequence[Mapping[str, Any]], *, every: bool
) -> None:
    """Print how single frames were restored.

    Args:
        scores: of all methods, on the same frames.
        harm: what methods do to clean photographs, as of `evaluate_singles.Harm`.
        every: print each noise level of each case too.
    """
    console = _console()
    frames = sum(score.bursts for score in scores if score.method == INPUT)
    _print(console, f"PSNR [dB] of {frames} single frames", _by_case(scores))
    if every:
        _print(console, "Every figure", _every(scores))
    _tell_below_input(console, scores)
    for each in harm:
        line = (
            f"{each['photographs']} clean photographs: {each['method']} changes them by "
            f"{each['mean_change']:+.2f} dB, at worst by {each['worst_change']:+.2f}; a photograph "
            f"as it is comes back at {each['likeness']:.1f} dB."
        )
        console.print(line, soft_wrap=True, markup=False)


def show_videos(scores: Sequence[Score], *, every: bool) -> None:
    """Print how films were restored.

    Args:
        scores: of all methods, on the same films; with their flicker.
        every: print each noise level of each case too.
    """
    console = _console()
    some = [score for score in scores if score.method == INPUT]
    films = sum(score.bursts for score in some)
    title = f"PSNR [dB] of {films} films of {some[0].length} frames"
    _print(console, title, _by_case(scores, flicker=True))
    if every:
        _print(console, "Every figure", _every(scores))
    _tell_below_input(console, scores)


def _by_case(scores: Sequence[Score], *, flicker: bool = False) -> Table:
    """Lay out PSNR by case, and means."""
    rows = table(scores, "case")
    columns: dict[str, Mapping[str, float]] = {
        case.replace(" ", "\n"): {method: row[case] for method, row in rows.items()}
        for case in dict.fromkeys(score.case for score in scores)
    }
    means: list[tuple[Metric, str]] = [("psnr", "mean\nPSNR"), ("ssim", "\nSSIM")]
    if flicker:
        means.append(("flicker", FLICKER))
    for what, title in means:
        columns[title] = {
            method: fmean(row.values()) for method, row in table(scores, "length", what).items()
        }
    return _grid(_methods(scores), columns)


def _tell_below_input(console: Console, scores: Sequence[Score]) -> None:
    """Print where methods are worse than what they were given."""
    kinds = len({(score.case, score.noise) for score in scores})
    for method, below in below_input(scores).items():
        where = ", ".join(f"{score.case} ({score.noise} noise)" for score in below)
        text = f"on {len(below)} of {kinds} kinds: {where}" if below else "nowhere"
        line = f"Worse than the input by more than {LEAST_HARM_DB} dB: {method} {text}."
        console.print(line, soft_wrap=True, markup=False)


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def _print(console: Console, title: str, grid: Table) -> None:
    console.print(title, style="bold", soft_wrap=True, markup=False)  # not squeezed into the table
    console.print(grid)


def _title(scores: Sequence[Score]) -> str:
    first = scores[0]
    bursts = sum(score.bursts for score in scores if score.method == REFERENCE)
    return f"PSNR [dB], {KINDS[first.case]}: {bursts} of {_frames(first)}"


def _overview(scores: Sequence[Score]) -> Table:
    """Lay out PSNR by noise and by blur, and the means."""
    first = scores[0]
    noises, blurs = (
        list(dict.fromkeys(getattr(s, by) for s in scores)) for by in ("noise", "blur")
    )
    columns: dict[str, Mapping[str, float]] = {}
    for by, values in (("noise", noises), ("blur", blurs)):
        rows = table(scores, by)
        for value in values:
            columns[f"{by}\n{value}"] = {method: row[value] for method, row in rows.items()}
    for what, title in (("psnr", "mean\nPSNR"), ("shifted_psnr", "shift\nallowed")):
        columns[title] = {m: row[first.case] for m, row in table(scores, "case", what).items()}  # type: ignore[arg-type]
    columns["\nSSIM"] = {m: row[first.case] for m, row in table(scores, "case", "ssim").items()}
    return _grid(_methods(scores), columns)


def _by_length(scores: Sequence[Score]) -> Table:
    """Lay out the mean PSNR by the number of frames."""
    rows = table(scores, "length")
    lengths = sorted({score.length for score in scores})
    columns = {
        f"{length}\nframes" if length > 1 else "1\nframe": {
            method: row[str(length)] for method, row in rows.items()
        }
        for length in lengths
    }
    return _grid(_methods(scores), columns)


def _every(scores: Sequence[Score]) -> Table:
    """List every figure."""
    grid = Table()
    for name in ("frames", "noise", "blur", "method"):
        grid.add_column(name)
    for name in ("PSNR", "shift allowed", "SSIM"):
        grid.add_column(name, justify="right")
    for score in scores:
        grid.add_row(
            *(str(score.length), score.noise, score.blur, score.method),
            *(f"{score.psnr:.2f}", f"{score.shifted_psnr:.2f}", f"{score.ssim:.3f}"),
        )
    return grid


def _grid(methods: Sequence[str], columns: Mapping[str, Mapping[str, float]]) -> Table:
    """Lay out one row a method; the best of each column stands out."""
    grid = Table()
    grid.add_column("")
    for name in columns:
        grid.add_column(name, justify="right")
    for method in methods:
        cells = []
        for name, column in columns.items():
            digits = 3 if "SSIM" in name else 2
            text = f"{column[method]:.{digits}f}"
            best = min(column.values()) if name == FLICKER else max(column.values())
            cells.append(f"[bold]{text}[/bold]" if column[method] == best else text)
        grid.add_row(method, *cells)
    return grid


def _methods(scores: Sequence[Score]) -> list[str]:
    return list(dict.fromkeys(score.method for score in scores))


def _frames(score: Score) -> str:
    """Tell how many frames bursts had."""
    frames = f"{score.length} frames" if score.length > 1 else "1 frame"
    return frames if score.length == score.drawn else f"the first {frames} of {score.drawn}"


def _findings(scores: Sequence[Score]) -> list[str]:
    """Say whether more frames ever made a method worse, and whether the reference was better."""
    lines = []
    for method, lower in falls(scores).items():
        if method in {REFERENCE, BEST}:
            continue
        worst = ", ".join(f"{drop:.2f} dB at {length} frames" for length, drop in lower.items())
        text = f"falls: {worst} below its best with fewer" if lower else "never falls"
        lines.append(f"More frames: {method} {text}.")
    kinds = len({(s.case, s.noise, s.blur, s.length) for s in scores})
    for method, below in below_reference(scores).items():
        text = f"worse than it on {len(below)} of {kinds} kinds" if below else "never worse than it"
        lines.append(f"Reference frame alone: {method} is {text}.")
    return lines
