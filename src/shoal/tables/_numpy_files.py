"""Arrays: of NPY and NPZ files, and from arrays to a `Source`. Pickled objects are never loaded.

The first row of a file is row 1, columns are x0, x1, ... An NPZ file holds one two-dimensional array, or one called
`data`; an array `columns` of names may stand beside it.
"""

import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from shoal._errors import InputError
from shoal.tables._source import Source

_UNREADABLE = (
    *(
        ValueError,
        TypeError,
        OSError,
        EOFError,
        KeyError,
        MemoryError,
        SyntaxError,
        RuntimeError,
        NotImplementedError,
    ),
    *(tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
_KINDS = {
    "c": "complex numbers",
    "O": "Python objects",
    "b": "truth values",
    "V": "records with named fields",
}


def read_npy(path: Path, label: str) -> Source:
    """Reads the table in the NPY file at `path`.

    **Raises:** `InputError` if it is not an NPY file, or not a real two-dimensional array.
    """
    return array_source(load_array(path, label)[0], None, label, "file", 1)


def read_npz(path: Path, label: str) -> Source:
    """Reads the table in the NPZ file at `path`.

    **Raises:** `InputError` if it is not an NPZ file, or holds no, or no single, real two-dimensional array.
    """
    array, name, names = load_array(path, label)
    matrix = numeric_matrix(array, f"{label}, array {name!r}")
    if names is not None and (names.dtype.kind != "U" or names.shape != matrix.shape[1:]):
        raise InputError(
            f"{label}: the array 'columns' must hold one name for each of the {matrix.shape[1]} columns; "
            f"found shape {names.shape}, type {names.dtype}."
        )
    given = None if names is None else [str(name).strip() for name in names]
    return array_source(matrix, given, label, "file", 1)


def load_array(
    path: Path, label: str, called: Sequence[str] = ("data",)
) -> tuple[np.ndarray, str, np.ndarray | None]:
    """The array in an NPY or NPZ file as it is, and of the latter its name and the array `columns`.

    **Arguments:** `called`: the names of the array that is taken out of an NPZ file, whatever else is in it; without it the
    only array that is two-dimensional, or the only one.

    **Raises:** `InputError` if the file can not be read, or it is not clear which array is meant.
    """
    packed = path.suffix.lower() == ".npz"
    _check_magic(path, label, *((b"PK", "an NPZ file") if packed else (b"\x93NUMPY", "an NPY file")))
    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if not packed:
                return loaded, "", None
            with loaded as archive:
                known = [name for name in called if name in archive.files]
                arrays = {name: archive[name] for name in known[:1] or archive.files if name != "columns"}
                names = archive["columns"] if "columns" in archive.files else None
    except _UNREADABLE as error:
        raise InputError(_unreadable(label, error)) from error
    name = _pick(arrays, label, called[0])
    return arrays[name], name, names


def numeric_matrix(array: np.ndarray, label: str) -> np.ndarray:
    """Returns `array`, of shape (rows, columns), as float64, or as it is if it holds whole numbers.

    **Raises:** `InputError` if it is not two-dimensional, has no column, or does not hold real numbers.
    """
    if array.dtype.kind not in "iuf":
        found = _KINDS.get(array.dtype.kind, f"values of type {array.dtype}")
        cure = "split off the imaginary parts" if array.dtype.kind == "c" else "convert with `.astype(float)`"
        raise InputError(f"{label} holds {found} where real numbers are needed: {cure}.")
    if array.ndim != 2:
        cure = ": use `array.reshape(-1, 1)` for a single column" if array.ndim == 1 else ""
        raise InputError(f"{label} must be two-dimensional (rows, columns); found shape {array.shape}{cure}.")
    if array.shape[1] == 0:
        raise InputError(f"{label} has no columns; found shape {array.shape}.")
    return (
        array.astype(array.dtype.newbyteorder("=")) if array.dtype.kind in "iu" else array.astype(np.float64)
    )


def array_source(
    array: np.ndarray,
    names: Sequence[str] | None,
    label: str,
    kind: Literal["file", "array"],
    first_row: int,
) -> Source:
    """The columns of an array of real numbers, called `names`, or x0, x1, ... without."""
    matrix = numeric_matrix(array, label)
    names = tuple(names) if names is not None else tuple(f"x{i}" for i in range(matrix.shape[1]))
    columns = {f"c{i}": np.ascontiguousarray(matrix[:, i]) for i in range(matrix.shape[1])}
    return Source(label, kind, names, pl.DataFrame(columns), first_row)


def _pick(arrays: dict[str, np.ndarray], label: str, called: str) -> str:
    tables = [key for key, value in arrays.items() if value.ndim == 2]
    for only in (arrays, tables):
        if len(only) == 1:
            return next(iter(only))
    found = ", ".join(f"{key} {value.shape}" for key, value in arrays.items()) or "no array"
    raise InputError(f"{label} must hold one two-dimensional array, or one called {called!r}; found {found}.")


def _check_magic(path: Path, label: str, magic: bytes, what: str) -> None:
    with open(path, "rb") as file:
        start = file.read(len(magic))
    if not start:
        raise InputError(f"{label} is empty: write the array again with `numpy.save`.")
    if start != magic:
        raise InputError(
            f"{label} is not {what} (it starts with {start!r}): give it its own suffix or write it again."
        )


def _unreadable(label: str, error: Exception) -> str:
    words = str(error)
    if "allow_pickle" in words or "Object arrays" in words:
        return (
            f"{label} holds an array of Python objects, which is not loaded because that could run code: "
            "save it with `numpy.save(path, array.astype(float))`."
        )
    return f"{label} can not be read: {(words.splitlines() or [type(error).__name__])[0].rstrip('.')}."
