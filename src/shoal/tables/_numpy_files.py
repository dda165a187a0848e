"""Reads NPY and NPZ files. Pickled objects are never loaded. The first row is row 1, columns are x0, x1, ...

An NPZ file holds one two-dimensional array, or one called `data`; an array `columns` of names may stand beside it.
"""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import InputError
from ._arrays import array_source, numeric_matrix
from ._source import Source

_UNREADABLE = (ValueError, OSError, EOFError, KeyError, MemoryError, SyntaxError, zipfile.BadZipFile)


def read_npy(path: Path, label: str) -> Source:
    """Reads the array in the NPY file at `path`.

    **Raises:** `InputError` if it is not an NPY file, or not a real two-dimensional array.
    """
    _check_magic(path, b"\x93NUMPY", label, "an NPY file")
    try:
        with open(path, "rb") as file:
            array = np.load(file, allow_pickle=False)
    except _UNREADABLE as error:
        raise InputError(_unreadable(label, error)) from error
    return array_source(numeric_matrix(array, label), None, label, "file", 1)


def read_npz(path: Path, label: str) -> Source:
    """Reads the array in the NPZ file at `path`.

    **Raises:** `InputError` if it is not an NPZ file, or holds no, or no single, real two-dimensional array.
    """
    _check_magic(path, b"PK", label, "an NPZ file")
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files if key in ("data", "columns")}
            if "data" not in arrays:
                arrays |= {key: archive[key] for key in archive.files}
    except _UNREADABLE as error:
        raise InputError(_unreadable(label, error)) from error
    names = arrays.pop("columns", None)
    key = _pick(arrays, label)
    matrix = numeric_matrix(arrays[key], f"{label}, array {key!r}")
    return array_source(
        matrix, None if names is None else _names(names, matrix.shape[1], label), label, "file", 1
    )


def _pick(arrays: dict[str, np.ndarray], label: str) -> str:
    if "data" in arrays:
        return "data"
    tables = [key for key, value in arrays.items() if value.ndim == 2]
    if len(tables) == 1:
        return tables[0]
    if len(arrays) == 1:
        return next(iter(arrays))
    found = ", ".join(f"{key} {value.shape}" for key, value in arrays.items()) or "no array"
    raise InputError(f"{label} must hold one two-dimensional array, or one called 'data'; found {found}.")


def _names(names: np.ndarray, width: int, label: str) -> tuple[str, ...]:
    if names.dtype.kind != "U" or names.shape != (width,):
        raise InputError(
            f"{label}: the array 'columns' must hold one name for each of the {width} columns; "
            f"found shape {names.shape}, type {names.dtype}."
        )
    return tuple(str(name).strip() for name in names)


def _check_magic(path: Path, magic: bytes, label: str, what: str) -> None:
    with open(path, "rb") as file:
        start = file.read(len(magic))
    if not start:
        raise InputError(f"{label} is empty: write the table again with `numpy.save`.")
    if start != magic:
        raise InputError(
            f"{label} is not {what} (it starts with {start!r}): give it its own suffix or write it again."
        )


def _unreadable(label: str, error: Exception) -> str:
    words: Any = str(error)
    if "allow_pickle" in words or "Object arrays" in words:
        return (
            f"{label} holds an array of Python objects, which is not loaded because that could run code: "
            "save it with `numpy.save(path, array.astype(float))`."
        )
    return f"{label} can not be read: {(words.splitlines() or [type(error).__name__])[0].rstrip('.')}."
