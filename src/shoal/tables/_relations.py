"""Columns that follow from others, as sums or products: exactly, up to the rounding of last digits, or but for a few rows.

Such columns have no joint density. `find_relations` says which follows from which, and how, in the table's own units.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from shoal._scalars import FloatArray
from shoal.tables._dependence import CONSTANT

MOST_COLUMNS = 60  # of a table in which relations are looked for
PARTS, ROWS = 5, 20  # parts of the rows, chosen at random, and rows of each, at least
DIGIT_ROWS = 5000  # in which the last digits are looked at
EXACT = 1e-8  # of a column's deviation: what is left of a column that follows exactly
CLOSE = 0.1  # of a column's deviation: how far rounding may reach
SHARE = 0.97  # of the rows that a relation holds in, at least; the others are far off
COARSER = 2.0  # last digits of a column: more are a rounding that follows from it, not it from them
FAR = 5.0  # times as far as rounding reaches
EQUAL, EQUAL_ROWS = (
    0.05,
    10,
)  # the share of rows in which two columns without a lattice are equal, and how many, at least
PERCENT = 100.0
# the correlation of two columns, in so many rows, from which on they are looked at
ALIKE, LOOKED_AT = 0.99, 2000


@dataclass(frozen=True)
class Relation:
    """`column` = `constant` + sum_i weights_i * others_i, up to `rounding`, in all rows but `stray` (their positions).

    `product`: this holds of the logarithms.
    """

    column: str
    others: tuple[str, ...]
    weights: tuple[float, ...]
    constant: float
    rounding: float
    stray: tuple[int, ...] = ()
    product: bool = False

    def sentence(self) -> str:
        """The relation in words, such as "column 'p3' is 100 - p1 - p2, up to rounding"."""
        if self.weights == (1.0,) and not self.constant and not self.rounding:
            return f"columns {self.others[0]!r} and {self.column!r} are identical"
        rounded = ", up to rounding" if self.rounding else ""
        if self.product:
            powers = [
                n if abs(w - 1) < 1e-4 else f"{n}^{w:.4g}"
                for w, n in zip(self.weights, self.others, strict=True)
            ]
            factor = [f"{np.exp(self.constant):.6g}"] if self.constant else []
            return f"column {self.column!r} is {' * '.join([*factor, *powers])}" + (
                ", up to rounding" if self.rounding else ""
            )
        terms = [
            f"{'-' if w < 0 else '+'} {'' if abs(abs(w) - 1) < 1e-4 else f'{abs(w):.6g} '}{name}"
            for w, name in zip(self.weights, self.others, strict=True)
        ]
        first = f"{self.constant:.6g} " if self.constant else ""
        words = (first + " ".join(terms)).removeprefix("+ ")
        return f"column {self.column!r} is {words}{rounded}"


def find_relations(values: FloatArray, names: Sequence[str], first: int = 0) -> tuple[Relation, ...]:
    """The columns that follow from columns before them, in more ways than `examine_columns` finds.

    **Arguments:** `values`: finite, of shape (rows, columns). `first`: the columns before it are not to be modelled, so
    that what they follow from is of no matter.
    """
    varying = [i for i in range(len(names)) if np.ptp(values[:, i]) > CONSTANT * np.abs(values[:, i]).max()]
    if not 1 < len(varying) <= MOST_COLUMNS or len(values) < 2 * len(varying) + 4:
        return ()
    digits = {i: _last_digit(values[:: max(len(values) // DIGIT_ROWS, 1), i]) for i in varying}
    found = _search(values, names, first, digits)
    least = values.min(axis=0)
    positive = [i for i in varying if least[i] > 0 and i not in found]
    logs = np.log(np.where(least > 0, values, 1.0))
    products = _search(logs, names, first, {i: max(digits[i] / least[i], 1e-15) for i in positive})
    found |= {j: replace(relation, product=True) for j, relation in products.items()}
    return tuple(found[j] for j in sorted(found))


def views(values: FloatArray, dense: np.ndarray) -> Iterator[tuple[list[int], np.ndarray]]:
    """Columns and rows in which to look for relations, as gaps leave few rows that hold a number in every column.

    All columns where each has a density; all where each has a value, such as 0; those that have the most, where too few
    rows have all; and pairs of columns where both have a density.

    **Arguments:** `values`: of shape (rows, columns), NaN where there is none. `dense`: where a value is no atom.
    """
    known, every = np.isfinite(values), list(range(values.shape[1]))
    yield every, np.flatnonzero(dense.all(axis=1))
    if dense.all():
        return
    most = np.argsort(-known.sum(axis=0), kind="stable")
    together = np.logical_and.accumulate(known[:, most], axis=1).sum(axis=0)
    wide = int((together >= np.maximum(3 * np.arange(len(every)), ROWS)).sum())
    whole, widest = [k for k in every if known[:, k].all()], sorted(most[:wide].tolist())
    for chosen in [whole] if whole == widest else [whole, widest]:
        yield chosen, np.flatnonzero(known[:, chosen].all(axis=1))
    if len(every) <= MOST_COLUMNS:
        yield from (([i, j], rows) for i, j, rows in _alike(values, dense))


def _alike(values: FloatArray, dense: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """Pairs of columns of which one may follow from the other where both have a density."""
    for j in range(values.shape[1]):
        for i in range(j):
            rows = np.flatnonzero(dense[:, i] & dense[:, j])
            if len(rows) < ROWS:
                continue
            pair = values[rows[:LOOKED_AT]][:, [i, j]]
            pair = pair / np.maximum(np.abs(pair).max(axis=0), np.finfo(np.float64).tiny)
            for some in (pair, np.log(np.abs(pair) + (pair == 0))):
                u, v = (some - some.mean(axis=0)).T
                if abs(u @ v) > ALIKE * np.sqrt((u @ u) * (v @ v)):
                    yield i, j, rows
                    break


def _search(
    values: FloatArray, names: Sequence[str], first: int, digits: dict[int, float]
) -> dict[int, Relation]:
    """The columns of `digits` that follow from earlier ones: looked for in parts of the rows, held against all."""
    rng, found = np.random.default_rng(0), dict[int, Relation]()
    size = max(3 * (len(digits) + 1), ROWS)
    for part in range(PARTS + 1):
        rows = np.sort(rng.permutation(len(values))[:size]) if part else np.arange(min(len(values), 2000))
        kept = list[int]()
        for j in digits:
            if j in found:
                continue
            relation = _relation(values, names, rows, kept, j, digits) if kept and j >= first else None
            i = None if relation is None else _coarser(relation, names, j, digits)
            back = None if i is None or i < first else _relation(values, names, rows, [j], i, digits)
            if relation is not None and back is None:
                found[j] = relation
                continue
            kept.append(j)
            if back is not None and i is not None:
                found[i] = back
                kept.remove(i)
    return found


def _coarser(relation: Relation, names: Sequence[str], j: int, digits: dict[int, float]) -> int | None:
    """The one column that column j follows from but for its rounding, where that says less than column j does."""
    if not relation.rounding or len(relation.others) != 1:
        return None
    i = names.index(relation.others[0])
    return i if abs(relation.weights[0]) * digits[i] > COARSER * digits[j] else None


def equal_columns(values: FloatArray, names: Sequence[str]) -> tuple[str, str, float] | None:
    """Two columns that are equal in many rows, and the share of these; None where there are no such two."""
    if len(names) > MOST_COLUMNS:
        return None
    for j in range(1, len(names)):
        for i in range(j):
            count = int((values[:, i] == values[:, j]).sum())
            if count >= max(EQUAL_ROWS, EQUAL * len(values)):
                return names[i], names[j], count / len(values)
    return None


def _relation(
    values: FloatArray,
    names: Sequence[str],
    rows: np.ndarray,
    before: list[int],
    j: int,
    digits: dict[int, float],
) -> Relation | None:
    """How column j follows from those before it in the given rows, if it does so in nearly all rows."""
    spread = float(np.std(values[rows, j]))
    weights, constant = _fitted(values[rows][:, before], values[rows, j])
    least = EXACT * spread
    reach = min(max(_reach(weights, before, j, digits), least), CLOSE * spread)
    if np.abs(_rest(values[rows], before, j, weights, constant)).max() > reach:
        return None
    size = np.abs(weights) * np.ptp(values[:, before], axis=0)
    used = [i for i, reached in zip(before, size, strict=True) if reached > 2 * reach]
    if not used:
        return None
    good = np.ones(len(values), bool)
    good[np.abs(_rest(values, before, j, weights, constant)) > FAR * reach] = False
    weights, constant = _fitted(values[good][:, used], values[good, j])
    weights, constant = _plain(
        weights, constant, values[good], used, j, max(_reach(weights, used, j, digits), least)
    )
    reach = (
        max(_reach(weights, used, j, digits), least) if _rounds(weights, constant, used, j, digits) else least
    )
    off = np.abs(_rest(values, used, j, weights, constant))
    stray = off > reach
    if stray.any() and (stray.mean() > 1 - SHARE or off[stray].min() <= FAR * reach):
        return None
    rounded = float(off[~stray].max()) > least
    return Relation(
        names[j],
        tuple(names[i] for i in used),
        tuple(map(float, weights)),
        constant,
        reach if rounded else 0.0,
        tuple(int(i) for i in np.flatnonzero(stray)),
    )


def _fitted(columns: FloatArray, column: FloatArray) -> tuple[FloatArray, float]:
    """Weights and constant of least squares, without cancellation."""
    middle, scale = columns.mean(axis=0), np.maximum(np.std(columns, axis=0), np.finfo(np.float64).tiny)
    weights = np.linalg.lstsq((columns - middle) / scale, column - column.mean(), rcond=None)[0] / scale
    return weights, float(column.mean() - weights @ middle)


def _rest(values: FloatArray, before: list[int], j: int, weights: FloatArray, constant: float) -> FloatArray:
    return values[:, j] - values[:, before] @ weights - constant


def _reach(weights: FloatArray, before: list[int], j: int, digits: dict[int, float]) -> float:
    """How far rounding each column to its last digit moves the sum."""
    return 0.55 * (digits[j] + float(np.abs(weights) @ [digits[i] for i in before]))


def _plain(
    weights: FloatArray, constant: float, values: FloatArray, used: list[int], j: int, reach: float
) -> tuple[FloatArray, float]:
    """The weights and the constant of the fewest digits that explain the column as far as rounding reaches."""
    for digits in range(1, 8):
        short = np.array([float(f"{w:.{digits}g}") for w in weights])
        rest = values[:, j] - values[:, used] @ short
        middle = float(np.median(rest))
        for near in (0.0, *(round(middle, places) + 0.0 for places in range(8))):
            if np.abs(rest - near).max() <= reach:
                return short, near
    return weights, constant


def _rounds(weights: FloatArray, constant: float, used: list[int], j: int, digits: dict[int, float]) -> bool:
    """Whether rounding may explain what is left: sums of whole numbers are exact, but for parts of a hundred."""
    whole = all(digits[i] == 1 for i in (j, *used)) and bool((np.abs(weights) == 1).all())
    return not whole or (abs(constant - PERCENT) <= 1 and bool((weights == -1).all()))


def _last_digit(column: FloatArray) -> float:
    """What the last digit of a column's numbers is worth: a power of ten, or what float32 or float64 rounds to."""
    largest = float(np.abs(column).max())
    for places in range(13):
        if np.abs(column - np.round(column, places)).max() <= 4 * np.finfo(np.float64).eps * largest:
            return max(10.0**-places, 16 * float(np.finfo(np.float64).eps) * largest)
    if largest < 1e38 and (column == column.astype(np.float32)).all():
        return 2 * float(np.finfo(np.float32).eps) * largest
    return 16 * float(np.finfo(np.float64).eps) * largest
