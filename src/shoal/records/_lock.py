"""One process at a time: a lock on a file, which the system lets go of when the process ends, however it ends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from .._errors import InputError

try:
    import fcntl
except ImportError:  # not on Windows, where two processes at one file are then not told apart
    fcntl = None


@contextmanager
def held(path: str | os.PathLike[str], refusal: str) -> Iterator[None]:
    """Locks the file at `path` within the context, without waiting; it is made if it is missing, and never written.

    **Raises:** `InputError` with the sentence `refusal` where another holds it.
    """
    if fcntl is None:  # nothing is opened: Windows renames and deletes no folder with an open file in it
        yield
        return
    with open(path, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(refusal) from error
        yield
