"""What `shoal audit` audits: the flow of a run, or an object of a module in the current directory; and at which points.

An object may be a flow or bijection of Shoal, a flow of a library that `shoal.adapters` knows, a map, a pair of JAX
callables (as a tuple, or as the attributes `forward` and `inverse`), or a callable without arguments that returns one.
"""

import importlib
import math
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from msgspec.structs import replace

import shoal.conditioning
from shoal._errors import InputError, NumericalFailure
from shoal._scalars import FloatArray
from shoal.adapters import library, to_map
from shoal.bijections import AbstractBijection
from shoal.cli import _model
from shoal.cli._data import chosen_rows, matched_rows, read_schema, say_notes
from shoal.cli._parse import parse_names
from shoal.cli._run_folder import ModelFolder
from shoal.cli._session import spinner
from shoal.conditioning import AbstractMap, Audit
from shoal.distributions import AbstractFlow, Mixed
from shoal.records import AuditRecord
from shoal.records.figures import Coverage, NextLayer
from shoal.tables import Source, Table, match_columns, open_source

Options: TypeAlias = dict[str, Any]  # of `audit`, or fields of its record
HELD = 5000  # rows of a table, at most, at which the gain of another layer is measured
_NEEDS = (
    "it must be a flow of Shoal or of a library that shoal.adapters knows, a pair (forward, inverse) of JAX callables, "
    "an object with these two methods, or a callable without arguments that returns one of these"
)


@dataclass
class Target:
    """What is audited: the first argument of `audit`, the points (rows, n), and the further `arguments`.

    `about`: what to add to the record; `rows`: numbers of the points in their file, None for samples; `held`: more rows of a
    table, with their context, at which the gain of another layer is measured.
    """

    whole: object
    x: FloatArray
    arguments: Options
    about: Options = field(default_factory=dict)
    rows: list[int] | None = None
    held: tuple[FloatArray, FloatArray | None] | None = None


@contextmanager
def run_target(
    folder: ModelFolder, source: Source | None, points: int, seed: int
) -> Generator[Target, None, None]:
    """Yields the flow of a run at rows of a table, or at samples of its own; its precision is that of the scope."""
    found = None if source is None else matched_rows(folder, read_schema(folder), source)
    table, rows = found or (None, None)
    if source is not None and rows is not None and rows.outside.any():
        row = source.row(int(np.argmax(rows.outside)))
        raise InputError(
            f"{source.label}, {row}: a number lies where the model has no density; leave that row out."
        )
    with _model.loaded(folder) as flow:
        if isinstance(flow, Mixed):
            if table is None:
                raise InputError(
                    f"The model in {folder.label} has columns that are no numbers: give DATA with rows."
                )
            yield _of_numbers(flow, table, points, seed)
            return
        if not hasattr(flow, "to_map"):
            raise InputError(
                f"The model in {folder.label} is a {type(flow).__name__}, which is no invertible map of points."
            )
        if source is None:
            target = _at_samples(flow, folder.label, points, seed)
        else:
            target = _at_rows(flow, table or _model.matched(folder, flow, source), points, seed)
        yield _with_padding(target)


def object_target(target: str, data: str | None, context: str | None, points: int, seed: int) -> Target:
    """The object, at rows of `data`; `context`: the names of the columns that are its context.

    **Raises:** `InputError` if the module can not be imported, the object is not there, is nothing that can be audited, or
    has another number of coordinates than there are columns.
    """
    if data is None:
        raise InputError(f"{target} needs DATA: a table of the points at which it is audited.")
    source = open_source(data)
    say_notes(data, source.notes)
    context_names = parse_names(context, "--context")
    names = [name for name in source.names if name not in context_names]
    made = _at_rows(None, match_columns(source, names, context_names), points, seed)
    made.whole, arguments = _find(target)
    made.arguments.update(arguments)
    _check_size(target, made.whole, made.x.shape[1])
    known = made.whole.posterior if isinstance(made.whole, AbstractMap) else None
    if known is not None and known.note and made.arguments["context"] is None:
        made.about["note"] = known.note
    return made


def measured(target: Target, options: Options, *, coverage: bool = False) -> tuple[Audit, AuditRecord]:
    """The audit and its record, with the expected coverage of the rows or without; what the map itself says it can not do is
    one sentence.
    """
    count, size = target.x.shape
    try:
        with spinner(f"auditing {count} points of {size} coordinates", line=True):
            found = shoal.conditioning.audit(target.whole, target.x, **target.arguments, **options)
            gain = _next_layer(target, options["seed"])
            covered = _coverage(target, options["seed"]) if coverage else None
    except InputError:
        raise
    except (ValueError, TypeError, AttributeError, RuntimeError) as error:  # NotImplementedError is the last
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"The map can not be audited on these points: {reason}") from error
    record, rows = found.to_record(), target.rows
    shown = record.shown if rows is None else replace(record.shown, rows=[rows[i] for i in record.shown.rows])
    return found, replace(record, shown=shown, next_layer=gain, coverage=covered, **target.about)


def _next_layer(target: Target, seed: int) -> NextLayer | None:
    """What one more coupling can gain on rows of a table; None where it is no Shoal flow with a standard normal base."""
    if target.held is None or not isinstance(target.whole, AbstractFlow):
        return None
    x, context = target.held
    try:
        return shoal.conditioning.next_layer(target.whole, x, context=context, seed=seed)
    except (
        InputError
    ):  # another base, few rows; or a latent that is not finite: the audit has a sentence of its own
        return None


def _coverage(target: Target, seed: int) -> Coverage:
    if target.rows is None:
        raise InputError("--coverage needs DATA: rows that the flow was not trained on.")
    context = target.arguments["context"]
    return shoal.conditioning.expected_coverage(target.whole, target.x, context=context, seed=seed)


def _at_rows(whole: object, table: Table, points: int, seed: int) -> Target:
    rows = chosen_rows(table.rows, points, seed)
    context = None if table.context is None else table.context[rows]
    about = {"source": table.source, "columns": list(table.names)}
    more = chosen_rows(table.rows, HELD, seed)
    held = table.values[more], None if table.context is None else table.context[more]
    return Target(
        whole, table.values[rows], {"context": context}, about, table.row_numbers()[rows].tolist(), held
    )


def _of_numbers(law: Mixed, table: Table, points: int, seed: int) -> Target:
    """The flow of the numbers of a whole table, its context the rows' codes."""
    made = _at_rows(law.flow, table, points, seed)
    x, context = law.completed(made.x, made.arguments["context"])
    made.x, made.arguments["context"] = np.asarray(x, np.float64), np.asarray(context, np.float64)
    made.about["columns"] = list(law.flow.columns or ())
    made.about["note"] = "The flow of the numbers is audited, given the states of the other columns."
    made.held = None  # its rows are completed by draws
    return made


def _at_samples(flow: AbstractFlow, run: str, points: int, seed: int) -> Target:
    if flow.context_shape is not None:
        raise InputError(f"The model in {run} is conditioned: give DATA with its context columns.")
    values = np.asarray(_model.sample(flow, seed, points), np.float64)
    values = values[np.isfinite(values).all(axis=1)]
    kept = len(values)
    if not kept:
        raise NumericalFailure(f"No sample of the model in {run} is finite; give DATA to audit it there.")
    lost = f" ({points - kept:,d} more were not finite)" if kept < points else ""
    words = f"No DATA was given: {kept:,d} samples of the model itself were audited{lost}, not the data that it is for."
    names = {} if not flow.columns else {"columns": list(flow.columns)}
    return Target(flow, values, {"context": None}, {"source": "samples of the model", "note": words, **names})


def _with_padding(target: Target) -> Target:
    """A padded flow is a map of rows with their padding, whose coordinates come last."""
    flow, about = target.whole, target.about
    if not isinstance(flow, AbstractFlow) or flow.extra == 0:
        return target
    target.x, extra = flow.extended_rows(target.x), flow.extra
    target.held = target.held and (flow.extended_rows(target.held[0]), target.held[1])
    if "columns" in about:
        about["columns"] = [*about["columns"], *(f"padding {i}" for i in range(extra))]
    count = "1 coordinate" if extra == 1 else f"{extra} coordinates"
    words = f"The flow has {count} of padding besides, in which each row has its own noise."
    about["note"] = " ".join(filter(None, (about.get("note"), words)))
    return target


def _find(target: str) -> tuple[object, Options]:
    """What `audit` takes for the object, and its further arguments."""
    found = _imported(target)
    made = _as_auditable(found)
    if made is None and callable(found):
        try:
            found = found()
        except Exception as error:
            raise InputError(
                f"{target} was called without arguments and failed: {type(error).__name__}: {error}."
            ) from error
        made = _as_auditable(found)
    if made is None:
        raise InputError(f"{target} is a {type(found).__name__}; {_NEEDS}.")
    return made


def _imported(target: str) -> Any:
    module_name, _, names = target.partition(":")
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        found = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise InputError(
                f"There is no module {module_name!r} in the current directory or among those installed."
            ) from error
        raise InputError(f"{module_name} can not be imported: {error}.") from error
    except Exception as error:
        raise InputError(f"{module_name} can not be imported: {type(error).__name__}: {error}.") from error
    finally:
        if added and here in sys.path:
            sys.path.remove(here)
    for name in names.split("."):
        if not hasattr(found, name):
            raise InputError(f"{module_name} has no object {names!r}; write MODULE:OBJECT.")
        found = getattr(found, name)
    return found


def _as_auditable(found: object) -> tuple[object, Options] | None:
    """The first argument of `audit` and the others; None for what it can not take as it is."""
    if isinstance(found, type):
        return None
    if hasattr(found, "to_map") or isinstance(found, (AbstractMap, AbstractBijection)):
        return found, {}
    if library(found) is not None:  # first: its methods of these names may mean something else
        return to_map(found), {}
    if isinstance(found, tuple) and len(found) == 2 and all(map(callable, found)):
        return found[0], {"inverse": found[1]}
    pair = [getattr(found, name, None) for name in ("forward", "inverse")]
    if all(map(callable, pair)):
        layers = getattr(found, "layers", None)
        return pair[0], {"inverse": pair[1], "layers": layers if isinstance(layers, (list, tuple)) else None}
    return None


def _check_size(target: str, found: Any, size: int) -> None:
    whole = found.to_map() if hasattr(found, "to_map") else found
    known = math.prod(whole.shape) if isinstance(whole, AbstractBijection) else getattr(whole, "size", None)
    if isinstance(known, int) and known != size:
        raise InputError(f"{target} maps {known} coordinates, but DATA has {size} columns.")
