"""Shoal's command line on a whole table: `shoal fit`, `shoal score` and `shoal sample` in processes of their own.

The budget is `--time-limit`, wall seconds, imports and compilation included. The table is written so that the command
finds the states that the benchmark found: words for categories, empty cells for missing ones, atoms as they are, all
other numbers with their noise and all digits, in the table's own units; `--kind` names categories and numbers. What the
run's schema says is compared with the benchmark's columns, and log_prob becomes one in deviations by the log of those of
the numbers of a row.
"""

import atexit
import shutil
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from shoal.records import read_record
from shoal.tables import Schema

from ..mixed_rows import Columns, MixedRows
from ..prepare import Rows
from ._mixed import MixedEstimate
from .shoal_ladder import facts, shoal
from .shoal_ladder import scores as read_scores


def written(path: Path, columns: Columns, rows: MixedRows) -> Path:
    """Rows as a CSV file: columns c0, c1, ...; the words of a category are w0, w1, ..."""
    found, code, value = {}, iter(rows.codes.T), iter(rows.values.T)
    for i, c in enumerate(columns.all):
        state = next(code) if c.states > 1 else np.zeros(len(rows), int)
        if not c.is_number:
            words = pl.Series([f"w{j}" for j in range(len(c.levels))] + [None])
            found[f"c{i}"] = words[state.tolist()]
            continue
        numbers = next(value) * c.deviation + c.mean
        for j, atom in enumerate(c.atoms):
            numbers = np.where(state == j + 1, atom, numbers)
        cells = [None if gone else float(x) for x, gone in zip(numbers, state > len(c.atoms), strict=True)]
        found[f"c{i}"] = pl.Series(cells, dtype=pl.Float64)
    pl.DataFrame(found).write_csv(path)
    return path


def read(path: Path, columns: Columns) -> MixedRows:
    """Rows from a CSV file that `shoal sample` wrote."""
    frame = pl.read_csv(path, infer_schema_length=None)
    codes, values = [], []
    for i, c in enumerate(columns.all):
        cells = frame[f"c{i}"]
        gone = cells.is_null().to_numpy()
        if not c.is_number:
            place = {f"w{j}": j for j in range(len(c.levels))}
            state = np.array([place.get(word, c.states - 1) for word in cells.to_list()])
        else:
            numbers = cells.cast(pl.Float64).fill_null(np.nan).to_numpy()
            state = sum((j + 1) * (numbers == atom) for j, atom in enumerate(c.atoms)) + 0 * gone
            state = np.where(gone, 1 + len(c.atoms), state)
            values.append(np.where(state == 0, (numbers - c.mean) / c.deviation, np.nan))
        if c.states > 1:
            codes.append(state)
    stack = lambda parts, kind: np.array(parts, kind).reshape(len(parts), len(frame)).T
    return MixedRows(stack(codes, np.int64), stack(values, np.float64))


def checked(schema: Schema, columns: Columns) -> None:
    """Raises where Shoal takes a column for another thing than the benchmark."""
    for c, found in zip(columns.all, schema.columns, strict=True):
        same = found.kind == ("number" if c.is_number else "category") and bool(found.missing) == c.missing
        near = len(found.atoms) == len(c.atoms) and np.allclose(sorted(found.atoms), c.atoms, rtol=1e-12)
        if not (same and near and found.step is None):
            raise RuntimeError(
                f"column {c.name!r}: {c.atoms}, missing {c.missing}; Shoal: {found.sentence()}"
            )


def train(columns: Columns, rows: MixedRows, budget: float, seed: int) -> MixedEstimate:
    """The run that `shoal fit` delivers; its folder lives as long as the process."""
    folder = Path(tempfile.mkdtemp(prefix="shoal-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    run = folder / "run"
    kinds = ",".join(f"c{i}={'number' if c.is_number else 'category'}" for i, c in enumerate(columns.all))
    limits = ("--kind", kinds, "--time-limit", f"{int(budget)}s", "--seed", seed)
    shoal("fit", written(folder / "train.csv", columns, rows), "--out", run, "--parts", "90,10,0", *limits)
    if (run / "schema.json").exists():
        checked(read_record(run / "schema.json", Schema), columns)
    logs = np.log([c.deviation for c in columns.numbers])

    def log_prob(x: MixedRows) -> Rows:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            table, scores = written(Path(place) / "rows.csv", columns, x), Path(place) / "scores.csv"
            shoal("score", run, table, "-o", scores)
            return read_scores(scores) + np.isfinite(x.values) @ logs

    def sample(n: int) -> MixedRows:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            made = Path(place) / "samples.csv"
            shoal("sample", run, "-n", n, "-o", made)
            return read(made, columns)

    return MixedEstimate(log_prob, sample, facts(run))
