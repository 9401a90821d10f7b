"""What users are told of an exception: a sentence and a mend, never a traceback."""

import sys

from burstfix.errors import BurstfixError, DeviceError


def as_told(error: Exception) -> BurstfixError:
    """Turn any exception into an error that has a message and an exit code.

    Args:
        error: what a user caused, memory that does not suffice, or a fault in burstfix.
    """
    if isinstance(error, BurstfixError):
        return error
    if _lacks_memory(error):
        return DeviceError(
            "Memory does not suffice.",
            "Close other programs, use fewer or smaller frames, or choose --device cpu.",
        )
    return BurstfixError(
        f"burstfix has a fault: {type(error).__name__}: {error}",
        "Run the command again with --debug and report what it prints.",
    )


def _lacks_memory(error: Exception) -> bool:
    """Tell whether memory did not suffice, for torch, numpy or OpenCV."""
    if isinstance(error, MemoryError) or "Insufficient memory" in str(error):
        return True
    if "torch" not in sys.modules:  # where nothing was computed, or torch itself is broken
        return False
    from burstfix.device import is_out_of_memory  # torch takes seconds, and --help must not

    return is_out_of_memory(error)
