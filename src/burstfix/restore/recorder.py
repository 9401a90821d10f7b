"""Keeps in a report what is told while a restoration runs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from burstfix.restore.report import Report, Reporter


class Keeper(Reporter):
    """Passes messages on, and keeps warnings and timings.

    Args:
        reporter: who is told.
        warnings: a report's.
        timings_s: likewise.
    """

    def __init__(
        self, reporter: Reporter, warnings: list[str], timings_s: dict[str, float]
    ) -> None:
        self.reporter = reporter
        self._warnings = warnings
        self._timings_s = timings_s

    def stage(self, name: str, steps: int) -> None:
        """Begin a stage."""
        self.reporter.stage(name, steps)

    def step(self) -> None:
        """Finish a step."""
        self.reporter.step()

    def warn(self, message: str) -> None:
        """Tell and keep a warning."""
        self._warnings.append(message)
        self.reporter.warn(message)

    def note(self, message: str) -> None:
        """Tell a detail."""
        self.reporter.note(message)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        yield
        self._timings_s[stage] = round(time.perf_counter() - start, 3)


class Recorder(Keeper):
    """Passes messages on, and keeps warnings and timings in a photograph's report."""

    def __init__(self, reporter: Reporter, report: Report) -> None:
        super().__init__(reporter, report.warnings, report.timings_s)
        self.report = report
