"""What `shoal audit RUN` audits: the flow of a run, at rows of a table or at samples of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import shoal

from .._errors import InputError, NumericalFailure
from ._model import ModelFolder, find_model, loaded

HEALTHY = 1e4  # the largest κ of a healthy flow, where nothing else is said


def own_limit(run: Path) -> float:
    """The largest κ that the run was chosen with; `HEALTHY` for a model that the ladder did not make."""
    record = shoal.records.read_run(run)
    limit = None if record is None else record.decision.max_condition
    return HEALTHY if limit is None else limit


@contextmanager
def run_points(
    run: Path, data: Path | None, points: int, seed: int
) -> Iterator[tuple[Any, Any, Any, dict[str, Any]]]:
    """Yields the flow, at most `points` rows (rows, n), their context or None, and what to add to the record."""
    folder = find_model(run)
    source = None if data is None else shoal.tables.open_source(data)
    names, context_names = folder.columns, folder.context_columns or ()
    table = shoal.tables.match_columns(source, names, context_names) if source is not None and names else None
    if source is None and context_names:
        raise InputError(
            f"The model in {run} is conditioned on {shoal.tables.join_names(context_names)}: give DATA with these columns."
        )
    with loaded(folder) as flow:
        if not hasattr(flow, "to_map"):
            raise InputError(
                f"The model in {run} is a {type(flow).__name__}, which is no invertible map of points."
            )
        if source is None:
            values = _samples(flow, run, points, seed)
            about = _about_samples(flow, len(values), points)
            yield flow, *_extended(flow, values, None, about)
            return
        table = table if table is not None else _by_place(folder, flow, source)
        rows = chosen_rows(table.rows, points, seed)
        context = None if table.context is None else table.context[rows]
        about = {
            "source": str(data),
            "columns": list(table.names),
            "row_numbers": table.row_numbers()[rows].tolist(),
        }
        yield flow, *_extended(flow, table.values[rows], context, about)


def _extended(flow: Any, values: Any, context: Any, about: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Values, context and record; a padded flow is a map of rows with their padding, whose coordinates come last."""
    extra = getattr(flow, "extra", 0)
    if extra == 0:
        return values, context, about
    names = about.get("columns")
    if names is not None:
        about["columns"] = [*names, *(f"padding {i}" for i in range(extra))]
    count = "1 coordinate" if extra == 1 else f"{extra} coordinates"
    words = f"The flow has {count} of padding besides, in which each row has its own noise."
    about["note"] = " ".join(filter(None, (about.get("note"), words)))
    return flow.extended_rows(values), context, about


def chosen_rows(count: int, points: int, seed: int) -> Any:
    """At most `points` of `count` rows, in their order."""
    import numpy as np  # here and not above: `shoal --help` must not wait for it

    return np.sort(np.random.default_rng(seed).permutation(count)[:points])


def _by_place(folder: ModelFolder, flow: Any, source: Any) -> Any:
    """The table of a model that does not say its columns in `model.json`."""
    size = flow.shape[0]
    names = flow.columns or (source.names if len(source.names) == size else ())
    if not names or (flow.context_shape is not None and not flow.context_columns):
        raise InputError(f"The model in {folder.path} has no column names; give a table of {size} columns.")
    return shoal.tables.match_columns(source, names, flow.context_columns or ())


def _samples(flow: Any, run: Path, points: int, seed: int) -> Any:
    import numpy as np

    from . import _chunks  # it loads NumPy

    if flow.context_shape is not None:
        raise InputError(f"The model in {run} is conditioned: give DATA with its context columns.")
    values = np.asarray(_chunks.sample(flow, seed, points), np.float64)
    finite = np.isfinite(values).all(axis=1)
    if not finite.any():
        raise NumericalFailure(f"No sample of the model in {run} is finite; give DATA to audit it there.")
    return values[finite]


def _about_samples(flow: Any, kept: int, points: int) -> dict[str, Any]:
    lost = f" ({points - kept:,d} more were not finite)" if kept < points else ""
    words = f"No DATA was given: {kept:,d} samples of the model itself were audited{lost}, not the data that it is for."
    names = {} if not flow.columns else {"columns": list(flow.columns)}
    return {"source": "samples of the model", "note": words, **names}
