"""Reads the square matrix of `shoal factor`, and checks the places of its outputs.

What can be told without NumPy is told before it loads: missing files, suffixes, files that are not what they are called,
cells of a CSV that are no numbers.
"""

import csv
import os
import zipfile
from pathlib import Path
from typing import Any

from .._errors import InputError

SUFFIXES = (".npy", ".npz", ".csv")
_MAGIC = {".npy": b"\x93NUMPY", ".npz": b"PK"}
_UNREADABLE = (ValueError, OSError, EOFError, KeyError, MemoryError, SyntaxError, zipfile.BadZipFile)


def read_matrix(path: Path) -> Any:
    """The array in `path`: NPY; NPZ with one two-dimensional array, or one called T or target; CSV with or without header.

    **Raises:** `InputError` if there is no such file or it can not be read; whether the array is a matrix that can be
    factored is not looked at.
    """
    check_matrix_file(path)
    if path.suffix.lower() == ".csv":
        rows = _csv_rows(path)
        import numpy as np  # here and not above: `shoal --help` must not wait for it

        return np.array(rows)
    import numpy as np

    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if path.suffix.lower() == ".npy":
                return loaded
            with loaded as archive:
                return archive[_pick({key: archive[key].shape for key in archive.files}, path)]
    except InputError:
        raise
    except _UNREADABLE as error:
        words = str(error).splitlines() or [type(error).__name__]
        if "allow_pickle" in words[0] or "Object arrays" in words[0]:
            raise InputError(
                f"{path} holds an array of Python objects, which is not loaded because that could run code: "
                "save it with `numpy.save(path, array.astype(float))`."
            ) from error
        raise InputError(f"{path} can not be read: {words[0].rstrip('.')}.") from error


def check_matrix_file(path: Path) -> None:
    """**Raises:** `InputError` unless `path` is a file that starts as its suffix says."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a .npy, .npz or .csv file.")
    if not path.exists():
        raise InputError(f"{path} does not exist; name a .npy, .npz or .csv file with a square matrix.")
    if path.suffix.lower() not in SUFFIXES:
        found = f"the suffix {path.suffix}" if path.suffix else "no suffix"
        raise InputError(f"{path} has {found}; name a .npy, .npz or .csv file.")
    magic = _MAGIC.get(path.suffix.lower(), b"")
    try:
        with open(path, "rb") as file:
            start = file.read(6)
    except OSError as error:
        raise InputError(f"{path} can not be read: {error.strerror or error}.") from error
    if not start:
        raise InputError(f"{path} is empty; write the matrix again.")
    if not start.startswith(magic):
        raise InputError(
            f"{path} is not the {path.suffix} file that it is called (it starts with {start!r})."
        )


def check_place(path: Path, option: str, suffix: str, matrix: Path) -> None:
    """**Raises:** `InputError` unless `path` ends in `suffix`, its folder takes files, and it is not the input."""
    if path.suffix.lower() != suffix:
        found = f"the suffix {path.suffix}" if path.suffix else "no suffix"
        raise InputError(f"{option} {path} has {found}; name a file that ends in {suffix}.")
    if path.is_dir():
        raise InputError(f"{option} {path} is a folder; name a file to write.")
    if not path.parent.is_dir():
        raise InputError(
            f"{option} {path} can not be written: there is no folder {path.parent}; make it first."
        )
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"{option} {path} can not be written: the folder {path.parent} is not writable.")
    if path.exists() and matrix.exists() and path.samefile(matrix):
        raise InputError(f"{option} {path} is the input itself; name another file.")


def _csv_rows(path: Path) -> list[list[float]]:
    """The numbers of a CSV file; a first row that is not all numbers is a header."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte {error.start} is not UTF-8 text; save the matrix as UTF-8 CSV."
        ) from error
    mark = next((mark for mark in ",;\t" if mark in text), ",")
    try:
        numbered = [(i, row) for i, row in enumerate(csv.reader(text.splitlines(), delimiter=mark), 1) if row]
    except csv.Error as error:
        raise InputError(f"{path} can not be read as CSV: {error}.") from error
    if numbered and any(_number(cell) is None for cell in numbered[0][1]):
        numbered = numbered[1:]
    if not numbered:
        raise InputError(f"{path} holds no row of numbers; write one row of the matrix a line.")
    width = len(numbered[0][1])
    out = []
    for row, cells in numbered:
        if len(cells) != width:
            raise InputError(
                f"{path}, row {row}: found {len(cells)} fields where the rows above have {width}."
            )
        values = [_number(cell) for cell in cells]
        if None in values:
            raise InputError(
                f"{path}, row {row}: found {cells[values.index(None)]!r} where a number is needed."
            )
        out.append([value for value in values if value is not None])
    return out


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _pick(shapes: dict[str, tuple[int, ...]], path: Path) -> str:
    for name in ("T", "target"):
        if name in shapes:
            return name
    tables = [name for name, shape in shapes.items() if len(shape) == 2]
    if len(tables) == 1:
        return tables[0]
    found = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "no array"
    raise InputError(f"{path} must hold one two-dimensional array, or one called 'T'; found {found}.")
