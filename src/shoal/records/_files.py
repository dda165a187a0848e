"""Reading and writing one record as a JSON file.

A file is written under a temporary name beside its place, flushed to the disk, and renamed, so that whoever reads
the path sees the old record or the new one and never a part of either.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, overload

from .._errors import InputError
from ._json import from_plain, to_plain
from ._typed import Record, T, as_record
from .fit import FitRecord

RECORD = "record.json"


def write_record(record: Record | Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes `record` to `path` as strict JSON; non-finite floats become the strings "nan", "inf", "-inf".

    **Arguments:** `record`: a record, or a dictionary (NumPy and JAX scalars and arrays are converted). `path`: the
    file; it is replaced if it exists, in one step.

    **Raises:** `InputError` if the record holds something that JSON has no word for, or the folder can not be
    written.
    """
    plain = to_plain(record)
    if not isinstance(plain, dict):
        raise InputError(f"A record is a dictionary, got a {type(record).__name__}.")
    write_text(json.dumps(plain, ensure_ascii=False, allow_nan=False, indent=1) + "\n", path)


def write_text(text: str, path: str | os.PathLike[str]) -> None:
    """Writes `text` as UTF-8 to `path`, as `write_bytes` does."""
    write_bytes(text.encode("utf-8", errors="backslashreplace"), path)


def write_bytes(data: bytes, path: str | os.PathLike[str]) -> None:
    """Writes `data` to `path`: temporary name, fsync of file and folder, rename.

    **Raises:** `InputError` if the folder is missing or can not be written, or `path` is a folder.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"{path} can not be written: {reason}; choose a folder that exists and is writable."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


@overload
def read_record(path: str | os.PathLike[str]) -> dict[str, Any]: ...
@overload
def read_record(path: str | os.PathLike[str], kind: type[T]) -> T: ...
def read_record(path: str | os.PathLike[str], kind: type[T] | None = None) -> T | dict[str, Any]:
    """Returns the record in `path`; "nan", "inf", "-inf" come back as floats where the field is numeric.

    **Arguments:** `kind`: what it must be, such as `FitRecord`, which is then returned; None: any dictionary.

    **Raises:** `InputError` if the file is missing, is not UTF-8 JSON, does not hold a dictionary, or not one of `kind`.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"{path} can not be read: {reason}; name a record.json that `shoal fit` wrote."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a record: byte {error.start} is not UTF-8 text.") from error
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not a record: line {error.lineno} is not JSON ({error.msg}).") from error
    except RecursionError as error:
        raise InputError(f"{path} is not a record: it is nested too deeply.") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} is not a record: it holds a {type(value).__name__}, not a dictionary.")
    return from_plain(value) if kind is None else as_record(value, kind, f"The record {path}")


def read_run(folder: Path) -> FitRecord | None:
    """The record of a run of the ladder; None where the folder has none. **Raises:** `InputError` for a damaged one."""
    path = folder / RECORD
    return read_record(path, FitRecord) if path.is_file() else None


def sync_folder(folder: Path) -> None:
    """Waits until the names in `folder` are on disk, so that a rename in it survives a crash."""
    if os.name != "posix":  # other systems can not open a folder; their rename is durable or not by itself
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
