"""Tables whose columns are more than numbers, checked: a schema, codes, numbers, and what no density can have."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NoReturn

import numpy as np

from shoal._errors import InputError
from shoal.tables._checks import MINIMUM_DISTINCT, build_table, check_distinct_rows, check_rows, read_column
from shoal.tables._columns import Argument, Columns, ColumnsError, Roles
from shoal.tables._dependents import find_dependent
from shoal.tables._kinds import find_columns
from shoal.tables._schema import Encoded, Schema
from shoal.tables._source import Source
from shoal.tables._table import Table


def build_whole(
    source: Source,
    roles: Roles,
    asked: Columns,
    kinds: Mapping[str, str],
    *,
    minimum_rows: int,
    distinct: bool,
) -> Table:
    """The checked table of the modelled columns, whatever they hold; context and weights are numbers.

    **Arguments:** `distinct`: columns that do not vary or follow from others are an error, which is right for training only.

    **Raises:** `InputError` as `build_table` does, for kinds of context and weights, for columns that are constant, repeat
    another one or follow from others, and where no column has a density.
    """
    check_rows(source, minimum_rows)
    for role, names in asked.named().items():
        for name in names:
            if name in kinds and role in ("context", "weights"):
                given = f"{source.label}: a kind is given for column {name!r}, which is not modelled but named by "
                raise ColumnsError(given, Argument(role), "; leave that kind out.")
    schema, unfit = find_columns(source, roles.values, kinds)
    encoded = schema.encode(source)
    faults = {error.column: f"{error.found}; {error.cure}" for error in unfit}
    cured = bool(faults)
    if distinct:
        faults |= _constant(source, schema, encoded)
        faults |= _dependent(source, roles, schema, encoded, [*faults])
    if faults:
        _leave_out(source, asked, faults, schema, cured=cured)
    if not schema.continuous:
        found = "; ".join(f"{c.name!r} is {c.sentence()}" for c in schema.columns[:3])
        raise InputError(
            f"{source.label}: no column has a density ({found}); at least one column of numbers is needed."
        )
    table = encoded_table(source, roles, asked, schema, encoded, minimum_rows=minimum_rows, distinct=distinct)
    if schema.is_plain:
        check_distinct_rows(table, min(MINIMUM_DISTINCT, minimum_rows))
    return table


def encoded_table(
    source: Source,
    roles: Roles,
    asked: Columns,
    schema: Schema,
    encoded: Encoded | None = None,
    *,
    minimum_rows: int = 1,
    distinct: bool = False,
) -> Table:
    """The rows as `schema` has them (`encoded`, if that is known), with their context and weights.

    **Raises:** `InputError` as `Schema.encode` and `build_table` do.
    """
    left = tuple(c.name for c in schema.columns if c.kind == "identifier")
    kept = tuple(i for i in roles.values if source.names[i] not in left)
    if schema.is_plain:
        plain = Roles(kept, roles.context, roles.weights)
        table = build_table(source, plain, asked, minimum_rows=minimum_rows, distinct=distinct)
        return replace(table, schema=schema)
    encoded = schema.encode(source) if encoded is None else encoded
    beside = Roles((), roles.context, roles.weights, kept)
    table = build_table(source, beside, asked, minimum_rows=minimum_rows, distinct=False)
    return replace(
        table,
        names=tuple(c.name for c in schema.continuous),
        values=encoded.values,
        schema=schema,
        codes=encoded.codes,
        present=encoded.present,
    )


def _constant(source: Source, schema: Schema, encoded: Encoded) -> dict[str, str]:
    """The columns that do not vary, and a sentence about each."""
    flat = [c.name for c in schema.columns if c.kind == "category" and len(c.levels) + (c.missing > 0) < 2]
    for i, c in enumerate(schema.continuous):
        numbers = encoded.values[encoded.present[:, i], i]
        if not numbers.size or (numbers.min() == numbers.max() and not c.states):
            flat.append(c.name)
    empty = [c.name for c in schema.columns if c.missing == 1.0]
    what = {
        name: "nothing, as all of its cells are missing" if name in empty else "one value in every row"
        for name in flat
    }
    return {name: f"{source.label}: column {name!r} holds {what[name]}" for name in flat}


def _dependent(
    source: Source, roles: Roles, schema: Schema, encoded: Encoded, bad: list[str]
) -> dict[str, str]:
    """The columns that follow from others and from the context, other than the `bad` ones, and a sentence about each."""
    columns = [i for i, c in enumerate(schema.continuous) if c.name not in bad]
    names = [*(source.names[i] for i in roles.context), *(schema.continuous[i].name for i in columns)]
    context = [read_column(source, i)[0] for i in roles.context]
    since = np.array([c.first if c.is_time else 0 for c in schema.continuous], float)
    values = np.column_stack([*context, (schema.numbers(encoded) + since)[:, columns]])
    dense = np.column_stack([*(np.isfinite(c) for c in context), encoded.present[:, columns]])
    on_steps = [c.name for c in schema.continuous if c.step is not None]
    return find_dependent(source, names, values, dense, on_steps, len(context))


def _leave_out(
    source: Source, asked: Columns, faults: Mapping[str, str], schema: Schema, *, cured: bool
) -> NoReturn:
    """Raises the first fault, `cured` or not, with the columns that are left without all that are at fault."""
    first = next(iter(faults.values()))
    if all(c.name in faults for c in schema.continuous):
        raise InputError(
            f"{first}." if cured else f"{first}; no other column of numbers can be modelled in its place."
        )
    named = {name for names in asked.named().values() for name in names}
    modelled = source.names if asked.columns is None else asked.columns
    good = [
        name for name in modelled if name not in faults and (asked.columns is not None or name not in named)
    ]
    cure = asked.without([*faults], good, listed=False)
    raise ColumnsError(f"{first}{', or' if cured else ';'} use ", cure, ".")
