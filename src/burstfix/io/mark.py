"""Tell the pictures that burstfix restored from photographs, by the mark in their XMP packet."""

import os
from pathlib import Path
from typing import BinaryIO

_NAMESPACE = b'"urn:burstfix:provenance:'
_RESTORED = b"<burstfix:command>"  # not in what `synth` makes: those are frames to restore
_MOST_BYTES = 256 << 10


def is_result(path: Path) -> bool:
    """Tell whether burstfix restored a picture; False where the file does not tell (`--strip`).

    Args:
        path: a file, of which 256 KB are read at most.
    """
    try:
        with path.open("rb") as file:
            _seek_labels(file)
            part = file.read(_MOST_BYTES)
    except OSError:
        return False  # what cannot be read is told when it is decoded
    return _NAMESPACE in part and _RESTORED in part


def _seek_labels(file: BinaryIO) -> None:
    """Go where `io.write` puts metadata."""
    head = file.read(8)
    start = 0
    if head.startswith(b"II*\0"):  # in TIFF the directory, behind the pixels
        start = int.from_bytes(head[4:], "little")
    elif head.startswith(b"RIFF"):  # in WebP the last chunk
        start = max(0, file.seek(0, os.SEEK_END) - _MOST_BYTES)
    file.seek(start)
