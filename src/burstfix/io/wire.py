"""How the decoding process and its parent talk: a length, a JSON header, then raw pixel bytes.

No pickle: the child handles hostile files, and must not be able to run code in the parent.
"""

import json
import struct
from typing import Any, BinaryIO

_LENGTH = struct.Struct("<I")
_LONGEST_HEADER = 1 << 28  # EXIF and ICC profiles travel in it, each at most some megabytes

Header = dict[str, Any]


def send(stream: BinaryIO, header: Header, pixels: memoryview | None = None) -> None:
    """Write one message and flush it."""
    text = json.dumps(header).encode()
    stream.write(_LENGTH.pack(len(text)))
    stream.write(text)
    if pixels is not None:
        stream.write(pixels)
    stream.flush()


def receive(stream: BinaryIO) -> Header:
    """Read one header.

    Raises:
        EOFError: the other side is gone.
    """
    (length,) = _LENGTH.unpack(receive_exactly(stream, _LENGTH.size))
    if length > _LONGEST_HEADER:
        raise EOFError  # the other side has lost its mind; treat it as gone
    header: Header = json.loads(receive_exactly(stream, length))
    return header


def receive_exactly(stream: BinaryIO, count: int) -> bytes:
    """Read so many bytes, or raise EOFError."""
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data


def receive_into(stream: BinaryIO, target: memoryview) -> None:
    """Fill the target with bytes, or raise EOFError."""
    filled = 0
    while filled < len(target):
        count = stream.readinto(target[filled:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        filled += count
