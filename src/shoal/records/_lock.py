"""One process at a time: a lock on an open file, which the system lets go of when the process ends, however it ends."""

from typing import IO, Any

from .._errors import InputError

try:
    import fcntl
except ImportError:  # not on Windows, where two processes at one file are then not told apart
    fcntl = None


def hold(file: IO[Any], refusal: str) -> None:
    """Locks the open `file` for as long as it stays open, without waiting.

    **Raises:** `InputError` with the sentence `refusal` where another holds it.
    """
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise InputError(refusal) from error
