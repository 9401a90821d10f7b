"""Decoding processes: started, asked, watched, killed and replaced. The parent's side of `worker`.

Plain subprocesses, not `multiprocessing`: a user's script needs no `__main__` guard.
"""

import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO, TypeVar, cast

import burstfix
from burstfix.errors import InputError
from burstfix.io import wire

# -P: what lies in the current folder, among someone's photographs, is never imported.
COMMAND = (sys.executable, "-P", "-m", "burstfix.io.worker")
_BASE_LIMIT_S = 25.0
_LIMIT_BYTES_PER_S = 2e6  # far below any codec: a limit is for those that hang

Item = TypeVar("Item")
Result = TypeVar("Result")
Receiver = Callable[[wire.Header, BinaryIO], Result]


class Worker:
    """One decoding process, started when first asked and again after it died."""

    def __init__(self, command: Sequence[str], threads: int) -> None:
        self._command = command
        self._threads = threads
        self._process: subprocess.Popen[bytes] | None = None
        self._complaints: IO[bytes] | None = None

    def ask(self, path: Path, request: wire.Header, receive: Receiver[Result]) -> Result:
        """Send a request about a file, and hand the answer's header and stream to `receive`.

        Raises:
            InputError: the worker cannot read the file, died of it, or took too long.
        """
        process = self._started()
        limit_s = _BASE_LIMIT_S + _size_of(path) / _LIMIT_BYTES_PER_S
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        watch = threading.Timer(limit_s, give_up)
        watch.daemon = True
        watch.start()
        try:
            stream = cast(BinaryIO, process.stdout)
            wire.send(cast(BinaryIO, process.stdin), request | {"path": str(path)})
            header = wire.receive(stream)
            result = None if "error" in header else receive(header, stream)
        except (EOFError, OSError, ValueError) as error:
            self.stop()
            raise _lost(path, limit_s if late.is_set() else None, process.returncode) from error
        except BaseException:
            self.stop()  # what is left in the pipe belongs to no later request
            raise
        finally:
            watch.cancel()
        if "error" in header:
            raise InputError(header["error"], header["mend"])
        return cast(Result, result)

    def start(self) -> None:
        """Start the process now, so that it loads while others work."""
        self._started()

    def stop(self) -> None:
        """Kill the process, if it runs, and forget it."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, self._complaints):
            if stream:
                _close(stream)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process and self._process.poll() is None:
            return self._process
        self.stop()
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 lives as long as the process
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=_environment(self._threads),
        )
        return self._process


class Pool:
    """Some decoding processes, and threads that talk to them.

    Args:
        size: how many files are decoded at once.
    """

    def __init__(self, size: int) -> None:
        threads = max(1, (os.cpu_count() or 1) // size)
        self._all = [Worker(COMMAND, threads) for _ in range(size)]
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="decode")
        for worker in self._all:
            self._idle.put(worker)

    def __enter__(self) -> "Pool":
        for worker in self._all:
            worker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._all:
            worker.stop()  # a thread that waits for it sees the end of the pipe
        self._threads.shutdown(wait=True)
        for worker in self._all:
            worker.stop()  # one that a thread had just started anew

    def run(
        self,
        work: Callable[[Worker, Item], Result],
        items: Sequence[Item],
        most: int | None = None,
    ) -> Iterator[Future[Result]]:
        """Do the work of every item; yield finished or running futures in the items' order.

        Args:
            work: what a process is asked for an item.
            items: its items.
            most: how many at once; None is as many as there are processes.
        """
        room = threading.Semaphore(most or len(self._all))
        yield from [self._threads.submit(self._with_worker, work, item, room) for item in items]

    def _with_worker(
        self, work: Callable[[Worker, Item], Result], item: Item, room: threading.Semaphore
    ) -> Result:
        with room:
            worker = self._idle.get()
            try:
                return work(worker, item)
            finally:
                self._idle.put(worker)


def _lost(path: Path, limit_s: float | None, code: int | None) -> InputError:
    """Return the error of a file whose decoder was lost."""
    what = (
        f"{path} was not decoded within {limit_s:.0f} s."
        if limit_s
        else f"{path} made the decoder crash (exit status {code})."
    )
    return InputError(
        what, "It is probably damaged: copy it again from the camera, or leave it out."
    )


def _environment(threads: int) -> dict[str, str]:
    """Return an environment in which the child finds this very package."""
    source = str(Path(burstfix.__file__).parents[1])
    paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": "1",
        "OPENCV_LOG_LEVEL": "ERROR",
    }


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # the worker tells what is wrong with it


def _close(stream: IO[bytes]) -> None:
    try:
        stream.close()
    except OSError:
        return  # flushing to a process that is gone
