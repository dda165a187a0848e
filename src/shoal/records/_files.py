"""Files that are replaced in one step, and a lock that one process at a time holds.

A file is written under a temporary name beside its place, flushed to the disk, and renamed, so that whoever reads
the path sees the old content or the new one and never a part of either.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from .._errors import InputError

try:
    import fcntl
except ImportError:  # not on Windows, where two processes at one file are then not told apart
    fcntl = None


def write_text(text: str, path: str | os.PathLike[str]) -> None:
    """Writes `text` as UTF-8 to `path`, as `write_bytes` does."""
    write_bytes(text.encode("utf-8", errors="backslashreplace"), path)


def write_bytes(data: bytes, path: str | os.PathLike[str]) -> None:
    """Writes `data` to `path` in one step.

    **Raises:** `InputError` if the folder is missing or can not be written, or `path` is a folder.
    """
    try:
        replace_file(Path(path), data)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"{path} can not be written: {reason}; choose a folder that exists and is writable."
        ) from error


def replace_file(path: Path, data: bytes) -> None:
    """Temporary name, fsync of the file, rename, fsync of the folder. **Raises:** `OSError`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Waits until the names in `folder` are on disk, so that a rename in it survives a crash."""
    if os.name != "posix":  # other systems can not open a folder; their rename is durable or not by itself
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def held(path: str | os.PathLike[str], refusal: str) -> Generator[None, None, None]:
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
