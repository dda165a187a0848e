"""`match_columns`: the columns a model was trained on, found by name in a table in any order."""

import os
from collections.abc import Sequence

from .._errors import InputError
from ._checks import build_table
from ._open import open_source
from ._request import join_names
from ._roles import Roles, check_names
from ._source import Source
from ._table import Table


def match_columns(
    data: str | os.PathLike[str] | Source, names: Sequence[str], context_names: Sequence[str] = ()
) -> Table:
    """Finds the columns `names` and `context_names` in `data`, whatever their order; further columns are left aside.

    **Arguments:** `data`: a path, or a `Source` that `open_source` read. `names`, `context_names`: as the model has
    them.

    **Returns:** a `Table` whose columns stand in the order of `names`.

    **Raises:** `InputError` naming the columns that are not there, or the first cell that is not a finite number.
    """
    source = data if isinstance(data, Source) else open_source(data)
    missing = [name for name in dict.fromkeys((*names, *context_names)) if name not in source.names]
    if len(missing) == 1:
        check_names(source, missing, "the model")
    if missing:
        raise InputError(
            f"{source.label} has no columns {join_names(missing)}, which the model needs; "
            f"its columns are {join_names(source.names)}."
        )
    check_names(source, (*names, *context_names), "the model")
    where = {name: i for i, name in enumerate(source.names)}
    roles = Roles(tuple(where[name] for name in names), tuple(where[name] for name in context_names), None)
    return build_table(source, roles, None, minimum_rows=1, distinct=False)
