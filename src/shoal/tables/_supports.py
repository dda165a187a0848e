"""Where the numbers of a column can lie: anywhere, above a bound, between two, or on a circle; counts from 0 on."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from shoal._errors import InputError
from shoal._names import KINDS, Kind
from shoal._scalars import FloatArray
from shoal.tables._column import Column
from shoal.tables._source import Source

LEAST_ROWS = 50  # from which on a bound is found
NEAR = 0.1  # of the median: the least number of a column that is taken for positive lies below
SHARE = 0.05  # of a range: its ends that numbers between 0 and 1 reach
WANTED = {
    "bounded": ("bounded:0:100", 2),
    "periodic": ("periodic:360", 1),
}  # an example, and how many numbers follow


class Given(NamedTuple):
    """A kind that is given, and the numbers behind it: the bounds of "bounded:0:100", the turn of "periodic:360"."""

    kind: Kind | None
    numbers: tuple[float, ...] = ()


def parse_kind(name: str, text: str) -> Given:
    """The kind of column `name` in words. **Raises:** `InputError` for one that is none, or numbers that do not fit it."""
    kind, *words = text.split(":")
    if kind not in KINDS:
        raise InputError(f"The kind {kind!r} of column {name!r} is unknown; choose from {', '.join(KINDS)}.")
    example, count = WANTED.get(kind, (kind, 0))
    try:
        numbers = tuple(float(word) for word in words)
    except ValueError:
        numbers = ()
    ordered = all(np.isfinite(numbers)) and list(numbers) == sorted(set(numbers))
    positive = kind != "periodic" or min(numbers, default=0.0) > 0
    if not (len(numbers) == len(words) == count and ordered and positive):
        raise InputError(f"The kind {text!r} of column {name!r} is not complete; write it as in {example!r}.")
    return Given(kind, numbers)


def with_support(source: Source, index: int, column: Column, numbers: FloatArray, given: Given) -> Column:
    """A column of numbers (NaN where a row has none with a density) with the bounds of its kind, given or found.

    **Raises:** `InputError` for a number that the kind does not allow.
    """
    found = numbers[np.isfinite(numbers)]
    if given.kind == "number" or not found.size:
        return column
    if given.kind is None:
        return _guessed(column, found)
    if given.kind == "periodic":
        return _on_circle(column, found, given.numbers[0])
    low, high = given.numbers if given.kind == "bounded" else (0.0, np.inf)
    closed = given.kind == "count" or column.step is not None  # a value at the end has a cell, but no density
    inside = (numbers >= low) & (numbers <= high) if closed else (numbers > low) & (numbers < high)
    if given.kind == "count":
        inside &= numbers == np.rint(numbers)
    outside = np.flatnonzero(~inside & np.isfinite(numbers))
    if len(outside):
        row = int(outside[0])
        wider = " Numbers at a bound itself have no density: give wider bounds." if found.min() >= low else ""
        raise InputError(
            f"{source.label}, column {column.name!r}, {source.row(row)}: {numbers[row]:.6g} does not fit the kind "
            f"{given.kind}{_between(low, high, closed=closed)}.{wider if given.kind == 'bounded' else ''}"
        )
    if given.kind == "count":
        return replace(
            column, kind="count", low=float(found.min() == 1), step=1.0, origin=0.0, grid=(), stray=()
        )
    return replace(column, kind=given.kind, low=low, high=None if np.isinf(high) else high)


def _between(low: float, high: float, *, closed: bool) -> str:
    above = f" (from {low:.6g} on)" if closed else f" (above {low:.6g})"
    return above if np.isinf(high) else f" ({low:.6g} to {high:.6g})"


def _guessed(column: Column, found: FloatArray) -> Column:
    least, most = float(found.min()), float(found.max())
    if column.step is not None:
        if least < 0:
            return column
        if column.type == "integer" and column.step == 1 and not column.stray:
            return replace(column, kind="count", low=float(least == 1))
        return replace(column, low=0.0)
    told = np.finfo(np.float32).tiny < least and not most < 1 <= np.float32(
        most
    )  # from the bounds, in float32 too
    if len(found) < LEAST_ROWS or not 0 < least < NEAR * float(np.median(found)) or not told:
        return column
    if 1 - SHARE < most < 1 and least < SHARE:
        return replace(column, kind="bounded", low=0.0, high=1.0)
    return replace(column, kind="positive", low=0.0)


def _on_circle(column: Column, found: FloatArray, period: float) -> Column:
    """Angles are written from 0 on, around 0, or from their least one on, as those of the column are."""
    low: float = 0.0
    if column.grid or column.step is not None:
        low = (column.grid[0] if column.grid else column.origin) - 0.5 * (column.step or 0.0)
    elif found.min() < 0 or found.max() > period:
        low = -0.5 * period if np.abs(found).max() <= 0.5 * period else float(found.min())
    return replace(column, kind="periodic", low=low, high=low + period, center=mean_direction(found, period))


def mean_direction(angles: Sequence[float] | FloatArray, period: float) -> float:
    """The direction of the mean of unit vectors."""
    turns = np.exp(2j * np.pi * np.asarray(angles) / period)
    return float(np.angle(turns.mean()) * period / (2 * np.pi))
