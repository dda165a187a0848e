"""Tables whose columns are more than numbers, checked: a schema, codes, numbers, and what no density can have."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal.tables._checks import MINIMUM_DISTINCT, build_table, check_distinct_rows, check_rows
from shoal.tables._columns import Columns, ColumnsError, Roles
from shoal.tables._dependence import Dependence, examine_columns
from shoal.tables._kinds import find_schema
from shoal.tables._schema import Encoded, Schema
from shoal.tables._source import Source
from shoal.tables._table import Table

LOOKED_AT = 20_000  # rows in which dependences are looked for first
LEAST_ROWS = 10  # that must hold a number in each column, to look for dependences among them


def build_whole(
    source: Source, roles: Roles, asked: Columns, kinds: Mapping[str, str], *, minimum_rows: int
) -> Table:
    """The checked table of the modelled columns, whatever they hold; context and weights are numbers.

    **Raises:** `InputError` as `build_table` does, for columns that are constant, repeat another one or follow from others,
    and where no column has a density.
    """
    check_rows(source, minimum_rows)
    schema = find_schema(source, roles.values, kinds)
    left = tuple(c.name for c in schema.columns if c.kind == "identifier")
    kept = Roles(tuple(i for i in roles.values if source.names[i] not in left), roles.context, roles.weights)
    if not schema.continuous:
        found = "; ".join(f"{c.name!r} is {c.sentence()}" for c in schema.columns[:3])
        raise InputError(
            f"{source.label}: no column has a density ({found}); at least one column of numbers is needed."
        )
    if schema.is_plain:
        table = replace(
            build_table(source, kept, asked, minimum_rows=minimum_rows, distinct=True), schema=schema
        )
        check_distinct_rows(table, min(MINIMUM_DISTINCT, minimum_rows))
        _check_dependence(source, asked, table.names, table.values)
        return table
    encoded = schema.encode(source)
    _check_constant(source, asked, schema, encoded)
    complete = encoded.values[encoded.present.all(axis=1)]
    names = tuple(c.name for c in schema.continuous)
    if len(complete) >= max(LEAST_ROWS, len(names) + 2):
        _check_dependence(source, asked, names, complete)
    beside = build_table(
        source, Roles((), kept.context, kept.weights), asked, minimum_rows=minimum_rows, distinct=False
    )
    return replace(
        beside,
        names=names,
        values=encoded.values,
        schema=schema,
        codes=encoded.codes,
        present=encoded.present,
    )


def _check_constant(source: Source, asked: Columns, schema: Schema, encoded: Encoded) -> None:
    flat = [c.name for c in schema.columns if c.kind == "category" and len(c.levels) + (c.missing > 0) < 2]
    for i, c in enumerate(schema.continuous):
        numbers = encoded.values[encoded.present[:, i], i]
        if not numbers.size or numbers.min() == numbers.max():
            flat.append(c.name)
    if flat:
        _leave_out(source, asked, flat, f"column {flat[0]!r} holds one value in every row")


def _check_dependence(source: Source, asked: Columns, names: tuple[str, ...], values: FloatArray) -> None:
    found = examine_columns(values[:LOOKED_AT], names)
    if len(values) > LOOKED_AT and (found.duplicates or found.dropped):
        found = examine_columns(values, names)  # what holds in the first rows need not hold in all
    exact = [d for d in found.dependences if d.columns[0] in found.dropped]
    twins = [twin for _, twin in found.duplicates]
    if twins:
        first, twin = found.duplicates[0]
        _leave_out(
            source,
            asked,
            [*twins, *found.dropped],
            f"column {twin!r} is a multiple of {first!r}, perhaps shifted",
        )
    if exact:
        said = _relation(exact[0], names, values)
        _leave_out(
            source, asked, list(found.dropped), f"{said} in every row, so that there is no joint density"
        )


def _relation(dependence: Dependence, names: tuple[str, ...], values: FloatArray) -> str:
    """How the first column of a dependence follows from the others, in the table's units."""
    first, *others = dependence.columns
    columns = np.stack([values[:, names.index(name)] for name in others] + [np.ones(len(values))], axis=1)
    weights = np.linalg.lstsq(columns, values[:, names.index(first)], rcond=None)[0]
    terms = [f"{'-' if w < 0 else '+'} {abs(w):.6g} {name}" for w, name in zip(weights, others, strict=False)]
    return f"column {first!r} is {weights[-1]:.6g} " + " ".join(terms).replace(" 1 ", " ")


def _leave_out(source: Source, asked: Columns, bad: list[str], found: str) -> None:
    named = {name for names in asked.named().values() for name in names}
    modelled = source.names if asked.columns is None else asked.columns
    good = [name for name in modelled if name not in bad and (asked.columns is not None or name not in named)]
    cure = asked.without(bad, good, listed=False)
    raise ColumnsError(f"{source.label}: {found}; use ", cure, ".")
