"""The model of a run: what is wrong with the folder is told before JAX loads; and its density and samples, in pieces.

`shoal.load` checks everything again and more; here is what can be seen without it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shoal._errors import InputError
from shoal.cli._session import float64
from shoal.records import MODEL, read_document

ROWS = 4096  # of a piece, so that a flow compiles once


@dataclass(frozen=True)
class ModelFolder:
    """A folder that holds a model, and what can be known of it without loading it."""

    path: Path
    columns: tuple[str, ...] | None  # None where the folder does not say
    context_columns: tuple[str, ...] | None
    float64: bool


def find_model(run: Path) -> ModelFolder:
    """Checks that `run` is a folder with a model whose files are whole.

    **Raises:** `InputError` if it is not.
    """
    hint = "name a folder that `shoal fit` made"
    if not run.exists():
        beside = run.with_name(f"{run.name}.unfinished")
        hint = f"an unfinished run lies in {beside}" if beside.is_dir() else hint
        raise InputError(f"RUN {run} does not exist; {hint}.")
    if not run.is_dir():
        raise InputError(f"RUN {run} is a file; name the folder that `shoal fit` made.")
    if not (run / MODEL).is_file():
        raise InputError(f"RUN {run} holds no model: there is no {MODEL} in it; {hint}.")
    model, _ = read_document(run)
    fields = model["tree"].get("fields")
    flow = fields if isinstance(fields, dict) else {}
    columns, context = (_names(flow.get(key)) for key in ("columns", "context_columns"))
    if context is None and flow.get("context_shape", ()) is None:
        context = ()
    return ModelFolder(run, columns, context, model.get("dtype") == "float64")


@contextmanager
def loaded(folder: ModelFolder) -> Iterator[Any]:
    """Yields the flow; a model with float64 weights computes in float64 within the scope."""
    with float64(folder.float64):
        from shoal.flows import load  # here and not above: `shoal --help` must not wait for it

        yield load(folder.path)


def matched(folder: ModelFolder, flow: Any, source: Any) -> Any:
    """The columns of the flow in a table; by their place where a model without names has as many as there are.

    **Arguments:** `flow`: None where it is not loaded yet; then None is returned if the folder does not say the columns.
    """
    from shoal.tables import match_columns

    names, context_names = folder.columns, folder.context_columns or ()
    if flow is not None:
        size = flow.shape[0]
        names = flow.columns or (source.names if len(source.names) == size else ())
        context_names = flow.context_columns or ()
        if not names or (flow.context_shape is not None and not context_names):
            raise InputError(
                f"The model in {folder.path} has no column names; give a table of {size} columns."
            )
    return match_columns(source, names, context_names) if names else None


def log_prob(flow: Any, values: Any, context: Any) -> Any:
    """log p of each row of `values`."""
    from shoal._pieces import in_pieces

    return in_pieces(flow.log_prob, ROWS, values, context)[0]


def sample(flow: Any, seed: int, rows: int, context: Any = None) -> Any:
    """`rows` samples, one for each row of `context`; a smaller number of rows gives the first ones of a larger number."""
    import jax
    import numpy as np

    from shoal._pieces import pieces

    key, parts = jax.random.key(seed), []
    for i, (index, _) in enumerate(pieces(rows, ROWS)):
        one = jax.random.fold_in(key, i)
        drawn = flow.sample(one, (ROWS,)) if context is None else flow.sample(one, (), context=context[index])
        parts.append(np.asarray(drawn))
    return np.concatenate(parts)[:rows]


def _names(value: Any) -> tuple[str, ...] | None:
    return tuple(value) if isinstance(value, list) and all(isinstance(name, str) for name in value) else None
