"""The mean log-likelihood of a table that single rows can not move: what "best", early stopping and a ladder compare.

A row far from all training rows has a log-density that says nothing about the flow at the others, and can be -1e9 or
not finite at all. One such row decides a plain mean. Here a handful of rows, far from the rest on one side, counts as
far and no farther; one row more than that, and all of them count in full. Written in the array API that NumPy and JAX share.
"""

from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from shoal._scalars import FloatArray
from shoal._types import Array

FAR = 25.0  # nats beyond the row that 5 % of the rows are beyond; see `winsorised_mean`
HANDFUL, TAIL = 1000, 20  # a thousandth of the rows is a handful, a twentieth of them is the tail
FEWEST = 20  # rows from which on one row is always a handful

Values: TypeAlias = FloatArray | Array  # of rows
Figure: TypeAlias = np.floating | Array  # of one
Count: TypeAlias = np.integer | Array


class Winsorised(NamedTuple):
    """`value`: the winsorised mean; `mean`: the plain one; and how many rows are far out, and how many not finite."""

    value: Figure
    mean: Figure
    far_rows: Count
    non_finite_rows: Count


def winsorised_mean(values: Values, weights: Values | None = None) -> Winsorised:
    r"""$\sum_i w_i \min(\max(l_i, a), b) / \sum_i w_i$ of the log-likelihoods $l_i$ of rows; a and b come from the rows.

    Let $l_{(k)}$ be the k-th lowest value. The lower limit is $a = \min(l_{(h+1)},\ l_{(t+1)} - 25)$: the lowest h rows,
    a handful, are raised to the next one, but only where they lie 25 nats below the lowest twentieth of the rows (t); b is
    the same from above. h is a thousandth of the rows, and at least one row where there are 20: below 1000 rows a single
    row would otherwise have a share of more than a thousandth. With weights, h and t are the rows within a thousandth and a
    twentieth of the weight. In the tail of a density that fits, rows become rarer by about exp(-s) over s nats, so that a
    row 25 nats beyond its twentieth says that the density does not fit there, and hardly anything by how far it is.

    So: where no row is far, this is the plain mean, to the last bit. A handful of rows, wherever they go, moves it by at
    most their share times (the range of the other rows + 25). More rows than that count in full. It does not fall where a
    value rises. A far row that is not finite is raised or lowered like any other; beyond a handful the value is not finite,
    and NaN where a row is NaN.

    **Arguments:** `values` (n,), a NumPy or JAX array; `weights` (n,), positive, of the same kind, or None.

    **Returns:** `Winsorised`, scalars of the same kind. `far_rows` are those 25 nats beyond the lowest or highest
    twentieth, handful or not, and those not finite.
    """
    xp = values.__array_namespace__()
    known = xp.where(xp.isnan(values), -xp.inf, values)
    if weights is None:
        ordered = xp.sort(known)
        low, high = _limits(xp, ordered, None), _limits(xp, -xp.flip(ordered), None)
    else:
        order = xp.argsort(known)
        ordered, inner = known[order], weights[order]
        low, high = _limits(xp, ordered, inner), _limits(xp, -xp.flip(ordered), xp.flip(inner))
    held = xp.minimum(xp.maximum(known, low.limit), -high.limit)
    held = xp.where(xp.isnan(values) & ~xp.isfinite(low.limit), values, held)
    lost = ~xp.isfinite(values)
    far = lost | (known < low.far) | (known > -high.far)
    return Winsorised(_mean(xp, held, weights), _mean(xp, values, weights), xp.sum(far), xp.sum(lost))


class _Limits(NamedTuple):
    limit: Figure  # to which the values of a handful are raised
    far: Figure  # below which a row is far


def _limits(xp: ModuleType, ordered: Values, weights: Values | None) -> _Limits:
    """The limits of values in rising order."""
    handful, tail = (_rows_within(xp, ordered, weights, parts) for parts in (HANDFUL, TAIL))
    if ordered.shape[0] >= FEWEST:
        handful = max(handful, 1) if weights is None else xp.maximum(handful, 1)
    far = xp.subtract(ordered[tail], FAR)
    return _Limits(xp.minimum(ordered[handful], far), far)


def _rows_within(xp: ModuleType, ordered: Values, weights: Values | None, parts: int) -> Any:
    """How many of the first rows are within one of `parts` equal parts of the weight."""
    if weights is None:
        return ordered.shape[0] // parts
    share = xp.cumsum(weights)
    return xp.sum(share <= share[-1] / parts)


def _mean(xp: ModuleType, values: Values, weights: Values | None) -> Figure:
    return xp.mean(values) if weights is None else xp.sum(weights * values) / xp.sum(weights)
