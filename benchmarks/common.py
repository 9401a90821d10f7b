"""What the benchmarks share: the machine and commit, the backends, tables, JSON, processes."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import torch

from burstfix import __version__, weights
from burstfix.backends import BACKENDS
from burstfix.backends.base import Network
from burstfix.device import cores

RESULTS = Path(__file__).parent / "results"
SAMPLING_S = 0.02  # between two looks at a process's memory
BURSTFIX = (sys.executable, "-m", "burstfix")


class ProcessError(RuntimeError):
    """A process that was to be measured has failed."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One process, measured.

    Args:
        seconds: from its start to its end.
        cpu_seconds: that it and its children computed, on all cores: what other work on the
            machine disturbs less; 0 where the system does not tell.
        peak_bytes: the most that it and its children held in memory at one time, pages that they
            share counted for each; None where the system does not tell.
        output: what it wrote to stdout.
        messages: what it wrote to stderr.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int | None
    output: str
    messages: str = ""


def run(command: Sequence[str | Path], expected_code: int = 0) -> Run:
    """Run a process and measure it.

    Args:
        command: what to run.
        expected_code: the exit code that it shall end with.

    Raises:
        ProcessError: it has ended with another; carries the end of what it wrote to stderr.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start, before = time.perf_counter(), os.times()
        process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=err)
        peak = 0
        try:
            while process.poll() is None:
                peak = max(peak, _resident_bytes(process.pid))
                try:
                    process.wait(SAMPLING_S)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            process.kill()  # when interrupted; else it is gone already
            process.wait()
        seconds, after = time.perf_counter() - start, os.times()
        cpu = sum(after[2:4]) - sum(before[2:4])  # of children that have ended
        out.seek(0)
        err.seek(0)
        messages = err.read()
        if process.returncode != expected_code:
            raise ProcessError(f"exit code {process.returncode}: {messages.strip()[-500:]}")
        return Run(
            seconds=seconds,
            cpu_seconds=cpu,
            peak_bytes=peak or None,
            output=out.read(),
            messages=messages,
        )


def measured_backends(extra: Iterable[Path] = ()) -> dict[str, Network]:
    """Build the backends that can run here: formulas, those with shipped weights, and `extra`.

    Args:
        extra: weights files, each named by its stem in the tables.
    """
    networks = {}
    for name, backend in BACKENDS.items():
        shipped = weights.default_weights(name, "burst")
        if shipped:
            networks[name] = weights.load(shipped)[0]
        elif not backend.trained:
            networks[name] = backend.build()
    return networks | {path.stem: weights.load(path)[0] for path in extra}


def backend_options(extra: Iterable[Path] = ()) -> dict[str, list[str]]:
    """Return the options that choose each measured backend on the command line."""
    options = {
        name: ["--backend", name]
        for name, backend in BACKENDS.items()
        if not backend.trained or weights.default_weights(name, "burst")
    }
    for path in extra:
        options[path.stem] = ["--backend", weights.read_card(path).backend, "--weights", str(path)]
    return options


def write_result(name: str, options: argparse.Namespace, values: Mapping[str, Any]) -> Path:
    """Write figures as JSON, with the commit, the machine and the arguments that made them.

    Args:
        name: of the benchmark, and of the file in `RESULTS`.
        options: what was asked for; `options.json` names another file.
        values: the figures.
    """
    path: Path = options.json or RESULTS / f"{name}.json"
    asked = {key: _shown(value) for key, value in vars(options).items() if key != "json"}
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "benchmark": name,
        "version": __version__,
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "arguments": asked,
        **values,
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def kept_rows(name: str, options: argparse.Namespace, key: str) -> list[dict[str, Any]]:
    """Return what the JSON file holds already, so that a long benchmark can run in pieces.

    Args:
        name: of the benchmark.
        options: what was asked for; `options.json` names another file.
        key: under which the rows lie.
    """
    path: Path = options.json or RESULTS / f"{name}.json"
    if not path.exists():
        return []
    document = json.loads(path.read_text())
    if document["commit"] != commit():
        raise SystemExit(f"{path} was measured at another commit: measure all rows anew.")
    return list(document[key])


def commit() -> str:
    """Return the commit that is measured, marked where files differ from it."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine() -> dict[str, Any]:
    """Describe what the figures depend on."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "memory_gb": _memory_gb(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,  # others disturb timing
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "opencv": cv2.__version__,
    }


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a Markdown table whose first column is text."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for number, line in enumerate(lines):
        first, *others = (
            text.ljust(width) if not column else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        print("|", " | ".join([first, *others]), "|")
        if number == 0:
            marks = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
            print("|", " | ".join(marks), "|")


def mean_and_spread(values: Sequence[float], digits: int = 2) -> str:
    """Return mean ± standard deviation as text; of one value the value, of none a dash."""
    if not values:
        return "-"
    mean = f"{statistics.fmean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def _shown(value: object) -> object:
    """Reduce paths to their names: folders differ between machines."""
    if isinstance(value, Path):
        return value.name
    return [_shown(item) for item in value] if isinstance(value, list) else value


def _resident_bytes(process: int) -> int:
    """Sum the resident memory of a process and of all its descendants; 0 where unknown."""
    pages, pending = 0, [process]
    while pending:
        folder = Path("/proc", str(pending.pop()))
        try:
            pages += int((folder / "statm").read_text().split()[1])
            for task in (folder / "task").iterdir():
                pending += [int(child) for child in (task / "children").read_text().split()]
        except (OSError, IndexError):  # it has just ended, or this system has no /proc
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") if pages else 0


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _memory_gb() -> float | None:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    return round(total / 1e9, 1)
