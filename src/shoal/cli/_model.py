"""Opens the model of a run: what is wrong with the folder is told before JAX loads.

`shoal.load` checks everything again and more; here is what can be seen without it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shoal

from .._errors import InputError
from ..records import MODEL, read_document
from ._precision import float64


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
    if not run.exists():
        beside = run.with_name(f"{run.name}.unfinished")
        hint = (
            f"an unfinished run lies in {beside}"
            if beside.is_dir()
            else "name a folder that `shoal fit` made"
        )
        raise InputError(f"RUN {run} does not exist; {hint}.")
    if not run.is_dir():
        raise InputError(f"RUN {run} is a file; name the folder that `shoal fit` made.")
    if not (run / MODEL).is_file():
        raise InputError(
            f"RUN {run} holds no model: there is no {MODEL} in it; name a folder that `shoal fit` made."
        )
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
        yield shoal.load(folder.path)


def _names(value: Any) -> tuple[str, ...] | None:
    return tuple(value) if isinstance(value, list) and all(isinstance(name, str) for name in value) else None
