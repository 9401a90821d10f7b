"""The decoding process: `python -m burstfix.io.worker` answers requests until its input ends.

Codecs fed with hostile files crash, hang or eat memory; here they take nothing with them. The
process must start fast, so it never imports torch, and rare codecs only when a file needs them.
Requests and answers travel as `wire` says; standard error lies in a file that the parent made,
where this process finds what C libraries complain of.
"""

import logging
import os
import re
import signal
import sys
import warnings
from pathlib import Path
from typing import Any, BinaryIO

from burstfix.errors import InputError
from burstfix.io import wire

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_BASE_MEMORY = 4 << 30  # bytes of address space; libraries alone reserve about one
_MEMORY_PER_BYTE = 40  # of file: a JPEG decodes to some thirty times its size
_COMPLAINT = re.compile(  # of libjpeg, LibRaw and libtiff, about data they then make up
    r"premature end|unexpected end of file|bad huffman code|data corrupted|"
    r"not enough data|inflate.{0,40}error|read error",
    re.IGNORECASE,
)
_RAW_IN_TIFF = frozenset(  # extensions
    (
        *(".3fr", ".arw", ".cap", ".cr2", ".dcr", ".dng", ".eip", ".erf", ".fff", ".gpr"),
        *(".iiq", ".k25", ".kdc", ".mef", ".mos", ".nef", ".nrw", ".orf", ".pef", ".ptx"),
        *(".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw"),
    )
)


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")  # of parsers, about metadata
    requests: BinaryIO = os.fdopen(os.dup(_STDIN), "rb")
    answers: BinaryIO = os.fdopen(os.dup(_STDOUT), "wb")
    os.dup2(_STDERR, _STDOUT)  # what C libraries print must not get between the answers
    import burstfix.io.raster  # noqa: F401 what every file needs loads before the first is asked for

    while True:
        try:
            request = wire.receive(requests)
        except EOFError:
            break
        header, pixels = answer(request)
        wire.send(answers, header, pixels)


def answer(request: wire.Header) -> tuple[wire.Header, memoryview | None]:
    """Do what a request asks: look at a file, or decode it.

    Args:
        request: `path`; `pixels`, whether they are wanted; `gains`, for raw files, or None.

    Returns:
        The header to send, with `error` and `mend` where it failed, and the pixels' bytes.
    """
    path = Path(request["path"])
    _forget_complaints()
    try:
        return _decode(path, request["pixels"], request["gains"])
    except InputError as error:
        return {"error": error.what, "mend": error.mend}, None
    except MemoryError:
        mend = "It is probably damaged. If not, use a machine with more memory."
        return {"error": f"{path} needs too much memory to decode.", "mend": mend}, None
    except OSError as error:
        mend = "Check the name, and that you may read it."
        return {"error": f"Cannot read {path}: {error.strerror or error}.", "mend": mend}, None
    except Exception as error:  # noqa: BLE001 the boundary of the process: codecs raise anything
        mend = "Copy it again from the camera or a backup, or leave it out."
        text = f"{path} cannot be decoded ({type(error).__name__}: {str(error)[:200]})."
        return {"error": text, "mend": mend}, None


def _decode(
    path: Path, with_pixels: bool, gains: list[float] | None
) -> tuple[wire.Header, memoryview | None]:
    from burstfix.io.decoded import damaged

    data = path.read_bytes()
    if not data:
        raise damaged(str(path), "is empty")
    _limit_memory(len(data))
    decoded = _dispatch(data, path, with_pixels, gains)
    complaint = _COMPLAINT.search(_complaints()) if with_pixels else None
    if complaint:
        raise damaged(str(path), f"is damaged or ends early: {complaint.group().lower()}")
    header: wire.Header = {
        "kind": decoded.kind,
        "size": decoded.size,
        "facts": decoded.facts.to_json(),
        "white_balance": decoded.white_balance,
        "black": decoded.black,
        "dtype": str(decoded.codes.dtype) if decoded.codes is not None else "",
    }
    return header, None if decoded.codes is None else decoded.codes.data.cast("B")


def _dispatch(data: bytes, path: Path, with_pixels: bool, gains: list[float] | None) -> Any:  # noqa: ANN401
    """Choose the decoder by content; only raw files, which look like TIFF, also by name."""
    from burstfix.io.raster import kind_of, probe_raster, read_raster

    name, kind = str(path), kind_of(data)
    if kind and (kind != "TIFF" or _is_plain_tiff(data, path)):
        return read_raster(data, name, kind) if with_pixels else probe_raster(data, name, kind)
    from burstfix.io.raw import probe_raw, read_raw

    applied = tuple(gains) if gains else None
    return read_raw(data, name, applied) if with_pixels else probe_raw(data, name)


def _is_plain_tiff(data: bytes, path: Path) -> bool:
    """Tell a TIFF picture from a raw file in a TIFF container."""
    from burstfix.io.intact import RAW_TAGS, tiff_images

    if path.suffix.lower() in _RAW_IN_TIFF:
        return False  # even where LibRaw cannot read it: its first image is but a preview
    return not any(image.tags & RAW_TAGS for image in tiff_images(data))


def _limit_memory(file_bytes: int) -> None:
    """Bound the address space where the system can, so that a hostile header gets MemoryError."""
    try:
        import resource
    except ImportError:  # Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = _BASE_MEMORY + _MEMORY_PER_BYTE * file_bytes
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _forget_complaints() -> None:
    sys.stderr.flush()
    os.lseek(_STDERR, 0, os.SEEK_SET)
    os.ftruncate(_STDERR, 0)


def _complaints() -> str:
    """Return what C libraries wrote to standard error since the last `_forget_complaints`."""
    sys.stderr.flush()
    end = os.lseek(_STDERR, 0, os.SEEK_CUR)
    os.lseek(_STDERR, 0, os.SEEK_SET)
    text = os.read(_STDERR, min(end, 1 << 16))
    os.lseek(_STDERR, end, os.SEEK_SET)
    return text.decode("utf-8", "replace")


if __name__ == "__main__":
    main()
