"""Reads a Parquet file. Columns keep their type; the first row is row 1."""

from pathlib import Path

import polars as pl

from .._errors import InputError
from ._source import Source


def read_parquet(path: Path, label: str) -> Source:
    """Reads the Parquet file at `path`.

    **Raises:** `InputError` if it is not a Parquet file that can be read.
    """
    with open(path, "rb") as file:
        if file.read(4) != b"PAR1":
            raise InputError(
                f"{label} is not a Parquet file (it does not start with PAR1): give it its own suffix."
            )
        file.seek(0)
        try:
            frame = pl.read_parquet(file)
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = (str(error).splitlines() or ["it is damaged"])[0]
            raise InputError(f"{label} is not a Parquet file that can be read: {reason}.") from error
    names = tuple(frame.columns)
    frame.columns = [f"c{i}" for i in range(len(names))]
    return Source(label, "file", names, frame, 1)
