"""Opens a file of data by its suffix."""

import difflib
import os
from collections.abc import Callable
from pathlib import Path

from .._errors import InputError
from ._csv import read_csv
from ._numpy_files import read_npy, read_npz
from ._parquet import read_parquet
from ._source import Source

READERS: dict[str, Callable[[Path, str], Source]] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".txt": read_csv,
    ".parquet": read_parquet,
    ".pq": read_parquet,
    ".npy": read_npy,
    ".npz": read_npz,
}


def open_source(path: str | os.PathLike[str]) -> Source:
    """Reads the CSV, Parquet, NPY or NPZ file at `path` as it is, no column chosen and no value checked.

    **Raises:** `InputError` if there is no such file or it can not be read.
    """
    label, path = os.fspath(path), Path(path)
    try:
        if path.is_dir():
            raise InputError(f"{label} is a folder: name one file in it{_examples(path)}.")
        if not path.exists():
            raise InputError(f"{label} does not exist{_similar(path)}")
        if not path.is_file():
            raise InputError(f"{label} is not a file; name a {_suffixes()} file.")
        reader = READERS.get(path.suffix.lower())
        if reader is None:
            found = f"the suffix {path.suffix}" if path.suffix else "no suffix"
            raise InputError(f"{label} has {found}: the format is read off the suffix, one of {_suffixes()}.")
        return reader(path, label)
    except OSError as error:
        raise InputError(f"{label} can not be read: {error.strerror or error}.") from error


def _suffixes() -> str:
    *most, last = READERS
    return f"{', '.join(most)} or {last}"


def _examples(folder: Path) -> str:
    files = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in READERS)
    return f", such as {folder / files[0]}" if files else f" (a {_suffixes()} file)"


def _similar(path: Path) -> str:
    if not path.parent.is_dir():
        return f": there is no folder {path.parent}."
    files = [file.name for file in path.parent.iterdir() if file.suffix.lower() in READERS]
    close = difflib.get_close_matches(path.name, files, 1)
    return (
        f"; did you mean {path.parent / close[0]}?" if close else f": it is not in {path.parent.resolve()}."
    )
