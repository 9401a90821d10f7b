"""What a user can cause: each error says what went wrong and how to mend it."""


class BurstfixError(Exception):
    """Base of every error that a user can cause and mend.

    Args:
        what: what went wrong, naming the file or option; one or two sentences.
        mend: what to do or type next.
    """

    exit_code = 1

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(f"{what} {mend}")
        self.what = what
        self.mend = mend


class UsageError(BurstfixError):
    """Options contradict each other, or name nothing that exists."""

    exit_code = 2


class InputError(BurstfixError):
    """A file cannot be read, or frames do not belong together."""

    exit_code = 3


class AlignmentError(BurstfixError):
    """Too few frames show the same scene."""

    exit_code = 4


class WeightsError(BurstfixError):
    """A weights file is damaged, or fits no backend."""

    exit_code = 5


class DeviceError(BurstfixError):
    """The device is missing, or its memory does not suffice."""

    exit_code = 6


class OutputError(BurstfixError):
    """The result cannot be written, or would replace something."""

    exit_code = 7


INTERRUPTED = 130  # exit code of Ctrl-C, as shells expect
