"""The data points and samples of a record, bounded in number, rounded, and laid out by column for the page.

Field names are synthetic (c0, c1, ...): column names are only ever titles, so that any text may be one. The points of an
audit, which has no densities, have their distance from the mean in the place of the log-likelihood.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..records import AuditRecord
from ..records.fit import Numbers, PointsRecord
from ._numbers import finite_values, positive, resolved

MAX_ROWS = 1_500
WORST = 200
MAX_COLUMNS = 200
MAX_NUMBERS = 300_000
AT_ONCE = 6
DISTANCE = "distance from the mean, in deviations"


@dataclass(frozen=True)
class Points:
    """Columns of data and samples. `condition` and `log_prob` belong to the data; `row` is the row in the file.

    `level_name` is what stands in `log_prob`; `outside`: samples that lie outside of some column's domain.
    """

    names: list[str]
    data: list[Numbers]
    samples: list[Numbers]
    condition: Numbers
    log_prob: Numbers
    row: list[int]
    domains: list[list[float]]
    outside: int
    columns_left_out: int
    level_name: str

    @property
    def unresolved(self) -> int:
        """Number of data points without a condition number."""
        return self.condition.count(None)

    @property
    def level_floor(self) -> float | None:
        """The 1 % quantile of the log-likelihoods, where the lower ones reach twice as far as all others."""
        levels = finite_values(self.log_prob)
        low = float(np.quantile(levels, 0.01)) if levels else math.inf
        return low if levels and low - min(levels) > 2 * (max(levels) - low) > 0 else None

    @property
    def below_floor(self) -> int:
        """Number of data points below `level_floor`."""
        floor = self.level_floor
        return 0 if floor is None else sum(level < floor for level in finite_values(self.log_prob))


def points_of(found: PointsRecord | None, level_name: str = "log-likelihood") -> Points | None:
    """The points of a record, best-conditioned first (the worst are drawn last); `None` without any."""
    if found is None or not found.columns or not (found.data or found.samples):
        return None
    names = found.columns[:MAX_COLUMNS]
    limit = min(MAX_ROWS, max(50, MAX_NUMBERS // (2 * len(names))))
    condition = _significant([positive(value) for value in found.condition])
    kept = _kept(condition, limit)
    levels = _significant(found.log_prob)
    data = _table([found.data[index] for index in kept], len(found.columns))
    samples = _table(found.samples[:limit], len(found.columns))
    columns = range(len(names))
    domains = [_domain(data[:, i], samples[:, i]) for i in columns]
    inside = [(low <= samples[:, i]) & (samples[:, i] <= high) for i, (low, high) in enumerate(domains)]
    return Points(
        names=names,
        data=[_rounded(data[:, i], domains[i]) for i in columns],
        samples=[_rounded(samples[:, i], domains[i]) for i in columns],
        condition=[condition[index] for index in kept],
        log_prob=[levels[index] for index in kept],
        row=[found.row[index] for index in kept],
        domains=domains,
        outside=int(np.sum(~np.all(inside, axis=0))),
        columns_left_out=len(found.columns) - len(names),
        level_name=level_name,
    )


def audit_points(record: AuditRecord) -> Points | None:
    """The points of an audit, its columns after the first two principal axes; None where none is there."""
    shown, names = record.shown, column_names(record)
    x = _table(shown.x, record.size)
    axes = principal(x)
    values = x if axes is None else np.concatenate([axes, x], axis=1)
    found = PointsRecord(
        columns=names if axes is None else ["principal axis 1", "principal axis 2", *names],
        data=values.tolist(),
        condition=[resolved(k) for k in shown.condition],
        log_prob=np.sqrt(np.mean(standardised(x) ** 2, axis=1)).tolist(),
        row=shown.rows,
        samples=[],
    )
    return points_of(found, DISTANCE)


def column_names(record: AuditRecord) -> list[str]:
    """The record's columns, or x0, x1, ..."""
    return record.columns or [f"x{i}" for i in range(record.size)]


def standardised(x: np.ndarray) -> np.ndarray:
    """(x - mean) / deviation; a column without a deviation is left in its unit."""
    if not len(x):
        return x
    deviation = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(np.isfinite(deviation) & (deviation > 0), deviation, 1.0)


def principal(x: np.ndarray) -> np.ndarray | None:
    """The places (rows, 2) on the first two principal axes of the standardised columns; None for n < 3 or one row."""
    if x.shape[1] < 3 or len(x) < 2 or not np.isfinite(x).all():
        return None
    left, values, _ = np.linalg.svd(standardised(x), full_matrices=False)
    signs = np.where(left[np.abs(left[:, :2]).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)
    return left[:, :2] * values[:2] * signs


def column_sets(count: int) -> list[list[int]]:
    """Sets of six column numbers so that every pair of columns is in at least one of them.

    Columns are cut into groups of at most three; a set is two groups, filled up to six. Above 30 columns there would
    be too many sets to choose from: then neighbours only, six at a time with about three in common.
    """
    if count <= AT_ONCE:
        return [list(range(count))]
    groups = math.ceil(count / 3)
    ends = [round(index * count / groups) for index in range(groups + 1)]
    parts = [list(range(ends[index], ends[index + 1])) for index in range(groups)]
    neighbours = count > 30
    pairs = [(i, j) for i in range(groups) for j in range(i + 1, groups) if j == i + 1 or not neighbours]
    return [_filled(parts[i] + parts[j], count) for i, j in pairs]


def _filled(columns: list[int], count: int) -> list[int]:
    others = [column for column in range(count) if column not in columns]
    return sorted(columns + others[: AT_ONCE - len(columns)])


def _table(rows: Sequence[Sequence[float | None]], width: int) -> np.ndarray:
    """The rows as an array; NaN is what is not there or not finite."""
    table = np.array(rows, np.float64).reshape(len(rows), width)
    table[~np.isfinite(table)] = np.nan
    return table


def _kept(condition: Numbers, limit: int) -> list[int]:
    """Indices of at most `limit` points, by rising condition number: the worst ones and an even choice of the rest.

    A point without a resolved condition number counts as the worst.
    """
    order = np.argsort(np.array(condition, np.float64), kind="stable").tolist()  # NaN is last
    if len(order) <= limit:
        return order
    worst = min(WORST, limit // 2)
    rest, wanted = len(order) - worst, limit - worst
    return [order[index * rest // wanted] for index in range(wanted)] + order[rest:]


def _domain(data: np.ndarray, samples: np.ndarray) -> list[float]:
    """The axis ends of a column: samples may widen the data's range by half."""
    known, drawn = data[~np.isnan(data)], samples[~np.isnan(samples)]
    low, high = 0.0, 1.0
    if known.size:
        low, high = float(known.min()), float(known.max())
    elif drawn.size:
        low, high = np.quantile(drawn, [0.005, 0.995]).tolist()
    room = 0.5 * (high - low)
    lowest, highest = float(drawn.min(initial=low)), float(drawn.max(initial=high))
    low, high = max(low - room, lowest), min(high + room, highest)
    margin = 0.03 * (high - low) or abs(low) * 0.05 or 0.5
    return [float(f"{low - margin:.9g}"), float(f"{high + margin:.9g}")]


def _rounded(column: np.ndarray, domain: Sequence[float]) -> Numbers:
    """The values to six digits of the domain's width."""
    width = domain[1] - domain[0]
    digits = 5 - math.floor(math.log10(width)) if width > 0 and math.isfinite(width) else 6
    return [None if math.isnan(value) else round(value, digits) for value in column.tolist()]


def _significant(values: Numbers) -> Numbers:
    return [None if value is None or not math.isfinite(value) else float(f"{value:.5g}") for value in values]
