"""Tables that a command is given, read as its options say; what is wrong with one is told in words of the command line."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shoal._errors import InputError
from shoal.cli._parse import COLUMN_OPTIONS
from shoal.cli._session import Call


def read_data(call: Call, data: Path, columns: Mapping[str, Any], **checks: Any) -> Any:
    """The checked `Table` of the file `data`.

    **Arguments:** `columns`: from `parse_columns`; `checks`: further arguments of `shoal.tables.read_table`.

    **Raises:** `InputError`, which repeats the command with columns that would work.
    """
    from shoal.tables import Argument, ColumnsError, read_table  # here: `shoal --help` must not wait for it

    def words(part: Any) -> str:
        if isinstance(part, Argument):
            return f"--{part.name}"
        options = shlex.join(column_options(part.named()))
        return f"`{' '.join([call.line(*COLUMN_OPTIONS), options]).strip()}`"

    try:
        return read_table(data, **columns, **checks)
    except ColumnsError as error:
        raise InputError(error.worded(words)) from error


def column_options(named: Mapping[str, Sequence[str]]) -> list[str]:
    """Names of columns as options of the command line."""
    from shoal.tables import join_names

    return [word for name, names in named.items() if names for word in (f"--{name}", join_names(names))]


def chosen_rows(count: int, points: int, seed: int) -> Any:
    """At most `points` of `count` rows, in their order."""
    import numpy as np

    return np.sort(np.random.default_rng(seed).permutation(count)[:points])
