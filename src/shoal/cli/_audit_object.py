"""What `shoal audit MODULE:OBJECT DATA` audits: an object of a module in the current directory, at rows of a table.

The object may be a flow or bijection of Shoal, what an adapter returned, a pair of JAX callables (as a tuple, or as the
attributes `forward` and `inverse`), or a callable without arguments that returns one of these.
"""

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import shoal

from .._errors import InputError
from ._audit_run import chosen_rows
from ._parse import parse_names

OBJECT = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
FOREIGN = ("zuko", "normflows", "nflows", "FrEIA", "flowjax", "distrax")
_NEEDS = (
    "it must be a flow of Shoal, the value of shoal.adapters.<library>(flow), a pair (forward, inverse) of JAX callables, "
    "an object with these two methods, or a callable without arguments that returns one of these"
)


def object_points(data: Path, context: str | None, points: int, seed: int) -> tuple[Any, Any, dict[str, Any]]:
    """At most `points` rows of the table, their context or None, and what to add to the record."""
    source = shoal.tables.open_source(data)
    context_names = parse_names(context, "--context")
    table = shoal.tables.match_columns(
        source, [name for name in source.names if name not in context_names], context_names
    )
    rows = chosen_rows(table.rows, points, seed)
    about = {
        "source": str(data),
        "columns": list(table.names),
        "row_numbers": table.row_numbers()[rows].tolist(),
    }
    return table.values[rows], None if table.context is None else table.context[rows], about


def find_object(target: str, size: int) -> tuple[Any, dict[str, Any]]:
    """What `audit` takes for the object, and its further arguments.

    **Raises:** `InputError` if the module can not be imported, the object is not there, is nothing that can be audited, or
    has another number of coordinates than `size`.
    """
    found = _imported(target)
    _refuse_foreign(target, found)
    made = _as_auditable(found)
    if made is None and callable(found):
        try:
            found = found()
        except Exception as error:
            raise InputError(
                f"{target} was called without arguments and failed: {type(error).__name__}: {error}."
            ) from error
        _refuse_foreign(target, found)
        made = _as_auditable(found)
    if made is None:
        raise InputError(f"{target} is a {type(found).__name__}; {_NEEDS}.")
    _check_size(target, made[0], size)
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


def _refuse_foreign(target: str, found: Any) -> None:
    """A flow of another library has methods of these names too, and they mean something else."""
    roots = [kind.__module__.partition(".")[0] for kind in type(found).__mro__]
    library = next((root for root in roots if root in FOREIGN), None)
    if library is not None and not hasattr(found, "to_map"):
        raise InputError(
            f"{target} is a flow of {library}: name the value of shoal.adapters.{library.lower()}(flow) instead."
        )


def _as_auditable(found: Any) -> tuple[Any, dict[str, Any]] | None:
    """The first argument of `audit` and the others; None for what it can not take as it is."""
    if isinstance(found, type):
        return None
    kinds = (shoal.conditioning.AbstractMap, shoal.bijections.AbstractBijection)
    if hasattr(found, "to_map") or isinstance(found, kinds):
        return found, {}
    if isinstance(found, tuple) and len(found) == 2 and all(map(callable, found)):
        return found[0], {"inverse": found[1]}
    pair = [getattr(found, name, None) for name in ("forward", "inverse")]
    if all(map(callable, pair)):
        layers = getattr(found, "layers", None)
        return pair[0], {"inverse": pair[1], "layers": layers if isinstance(layers, (list, tuple)) else None}
    return None


def _check_size(target: str, found: Any, size: int) -> None:
    whole = found.to_map() if hasattr(found, "to_map") else found
    shape = getattr(whole, "shape", None)
    known = getattr(whole, "size", None)
    if isinstance(whole, shoal.bijections.AbstractBijection):
        known = 1
        for length in shape or ():
            known *= length
    if isinstance(known, int) and known != size:
        raise InputError(f"{target} maps {known} coordinates, but DATA has {size} columns.")
