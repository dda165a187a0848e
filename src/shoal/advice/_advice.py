"""`advise`: what a table asks of a flow, before one is trained: columns, shape, settings, and how to confirm them."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from msgspec.structs import asdict as fields_of

from shoal._errors import InputError
from shoal.advice import _lines as lines
from shoal.advice._lines import Line
from shoal.advice._measure import measure
from shoal.records import RECORD, FitRecord, read_run
from shoal.tables import Table, as_table, read_table

DTYPES = ("float32", "float64")
DEPTH = Line(
    "Depth: `shoal fit` finds it, growing from zero layers for as long as more layers gain likelihood.",
    "heuristic",
    "depth",
)


@dataclass(frozen=True)
class Advice:
    """What is advised, and why.

    `lines`: sentences with `.status` "proven", "measured" or "heuristic".
    `families`, `dtype`: the settings named in them. `columns`, `drop`: columns to model and to
    leave out. `condition`: estimate of the κ that a flow needs (latent -> standardised columns; inf where the rows have
    no density). `max_condition`: as given.
    """

    lines: tuple[Line, ...]
    families: tuple[str, ...]
    dtype: Literal["float32", "float64"]
    columns: tuple[str, ...]
    drop: tuple[str, ...]
    condition: float
    max_condition: float

    @property
    def ladder(self) -> dict[str, Any]:
        """Options of the ladder that follows the advice: `shoal.ladder(data, **advice.ladder)`."""
        return {"families": self.families, "max_condition": self.max_condition, "dtype": self.dtype}

    def to_record(self) -> dict[str, object]:
        """The fields as plain values."""
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        plain["condition_estimate"] = plain.pop("condition")
        return {"format": 1, "kind": "advice", **plain}

    def __str__(self) -> str:
        return "\n".join(str(line) for line in self.lines)


def advise(
    data: object,
    *,
    max_condition: float = 1e4,
    dtype: Literal["float32", "float64"] = "float32",
    columns: Sequence[str] | None = None,
    context: object = None,
    weights: object = None,
    kinds: Mapping[str, str] | None = None,
) -> Advice:
    r"""Measure a table, or read a finished ladder, and advise on the flow: columns, settings, reasons.

    Columns: constant, repeated, linearly dependent, on a lattice. Shape: local principal components, modes, the gap D
    between groups of rows. κ ≈ max(σ_max / σ_min of the standardised rows, the median local ratio, L / w), with L the
    Lipschitz constant that the gap asks for and w the width of the narrowest group. The only *proven* line is on L: by the
    Gaussian isoperimetric inequality (`shoal.hardness.total_variation_bound`), for the rows examined and every flow below
    that constant. No depth is advised: the ladder finds it.

    **Arguments:**

    - `data`: an array (rows, columns), a data frame, a `shoal.tables.Table`, the name of a file of data or of a folder that
      `shoal fit` made, or the result of `shoal.ladder`. At least 30 rows; constant and repeated columns are allowed.
    - `max_condition`: the largest κ that the flow may have. `dtype`: the one that you would train in.
    - `columns`, `context`, `weights`, `kinds`: as in `shoal.tables.as_table`. Context columns are not measured; rows of
      weight 0 take no part, other weights count as 1. Of columns that are more than numbers, the numbers are measured, in
      the rows that have them all.

    **Returns:** `Advice`. The same data give the same advice.

    **Raises:** `InputError` (a ValueError) for bad input, one sentence.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(200, 2))
    >>> advice = advise(np.column_stack([x, x[:, 0]]))
    >>> str(advice.lines[0])[:64]
    "[measured] Column 'x2' repeats column 'x0', up to scale and shif"
    """
    if not (isinstance(max_condition, int | float) and 1 <= max_condition < math.inf):
        raise InputError(f"`max_condition` must be a finite number of at least 1; got {max_condition}.")
    if dtype not in DTYPES:
        raise InputError(f'`dtype` must be "float32" or "float64"; got {dtype!r}.')
    table, record = _table(data, columns, context, weights, kinds)
    found = measure(table)
    said = [] if record is None else _run_lines(record)
    said += lines.row_lines(found, table) + lines.column_lines(found) + lines.shape_lines(found)
    if table.context is not None:
        text = (
            "The context columns were not measured: the figures are of the modelled columns over all contexts together, "
            "and given the context the rows may be simpler."
        )
        said.append(Line(text, "heuristic", "context"))
    names, family = lines.families(found)
    kind, dtype_line = lines.precision(found, dtype)
    said += [lines.condition_line(found, max_condition), family, DEPTH, dtype_line]
    confirm = (
        f"To confirm: a ladder with {'family' if len(names) == 1 else 'families'} {', '.join(names)}, "
        f"max_condition {max_condition:g}, {kind}."
    )
    said.append(Line(confirm, "heuristic", "confirm", {"families": list(names)}))
    drop = tuple(name for name in table.names if name not in found.names)
    modelled = table.names if table.codes is None or table.schema is None else table.schema.names
    kept = tuple(name for name in modelled if name not in drop)
    return Advice(tuple(said), names, kind, kept, drop, found.condition, float(max_condition))


def _table(data: Any, columns: Any, context: Any, weights: Any, kinds: Any) -> tuple[Table, FitRecord | None]:
    """The table to measure, and the record of the ladder if the data are a finished one."""
    if isinstance(data, str | os.PathLike):
        path = Path(data)
        if not path.is_dir():
            named = [context] if isinstance(context, str) else list(context or ())
            roles = {"columns": columns, "context": named, "weights": weights, "kinds": kinds}
            return read_table(path, **roles, minimum_rows=1, distinct=False), None
        _no_roles(columns, context, weights, kinds)
        record = read_run(path)
        if record is None:
            raise InputError(
                f"{path} holds no run: there is no {RECORD} in it; name a folder that `shoal fit` made, or a table."
            )
        return _run_table(record, str(path)), record
    if hasattr(data, "prepared") and hasattr(data, "record"):
        _no_roles(columns, context, weights, kinds)
        return data.prepared.table, data.record
    return as_table(data, columns, context=context, weights=weights, kinds=kinds), None


def _no_roles(*given: object) -> None:
    if any(role is not None for role in given):
        raise InputError(
            "A finished ladder knows its own columns, kinds, context and weights: leave them out."
        )


def _run_table(record: FitRecord, label: str) -> Table:
    """The rows that the record holds: at most 1,500 of the validation part, with their noise on lattice columns."""
    points = record.points
    values = np.asarray([] if points is None else points.data, np.float64)
    if points is None or values.ndim != 2 or not np.isfinite(values).all():
        raise InputError(
            f"{label} holds no rows of its data, since none of its flows is finite; give the table instead."
        )
    return Table(tuple(points.columns), values, source=label)


def _run_lines(record: FitRecord) -> list[Line]:
    """The decision of the ladder and the lattice columns that it found."""
    decision, lines = record.decision, []
    if decision.sentence:
        chosen = decision.chosen
        rung = record.delivered if chosen is None else record.rungs[chosen]
        figures = {"depth": None if rung is None else rung.depth, "chosen": chosen is not None}
        lines.append(Line(f"The ladder says: {decision.sentence}", "measured", "ladder", figures))
    if record.data.kinds:
        text = (
            "In the rows that the run has kept, draws stand in the place of cells without a number: for figures of the rows "
            "that have them all, advise on the table."
        )
        lines.append(Line(text, "measured", "rows"))
    for found in record.data.lattice:
        what = "the ladder has added" if found.dequantized else "let the ladder add"
        text = (
            f"Column {found.column!r} (step {found.step:.4g}) holds multiples of one step, on which a density has no "
            f"bound: {what} uniform noise of one step."
        )
        lines.append(Line(text, "measured", "lattice columns", fields_of(found)))
    return lines
