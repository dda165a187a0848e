"""The data points and samples of a record, bounded in number, rounded, and laid out by column for the page.

Field names are synthetic (c0, c1, ...): column names are only ever titles, so that any text may be one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..records.fit import Numbers, PointsRecord
from ._numbers import finite, finite_values, positive, quantile

MAX_ROWS = 1_500
WORST = 200
MAX_COLUMNS = 200
MAX_NUMBERS = 300_000
AT_ONCE = 6


@dataclass(frozen=True)
class Points:
    """Columns of data and samples. `condition` and `log_prob` belong to the data; `row` is the row in the file.

    `level_name` is what stands in `log_prob`: an audit, which has no densities, puts another figure there.
    """

    names: tuple[str, ...]
    data: tuple[list[float | None], ...]
    samples: tuple[list[float | None], ...]
    condition: list[float | None]
    log_prob: list[float | None]
    row: list[int]
    domains: tuple[list[float], ...]
    outside: int
    unresolved: int
    columns_left_out: int
    level_name: str = "log-likelihood"

    @property
    def count(self) -> int:
        """Number of data points."""
        return len(self.row)

    @property
    def sample_count(self) -> int:
        """Number of samples."""
        return len(self.samples[0]) if self.samples else 0

    @property
    def level_floor(self) -> float | None:
        """The 1 % quantile of the log-likelihoods, where the lower ones reach twice as far as all others."""
        levels = finite_values(self.log_prob)
        low = quantile(levels, 0.01) if levels else math.inf
        return low if levels and low - min(levels) > 2 * (max(levels) - low) > 0 else None

    @property
    def below_floor(self) -> int:
        """Number of data points below `level_floor`."""
        floor = self.level_floor
        return 0 if floor is None else sum(level < floor for level in finite_values(self.log_prob))


def points_of(found: PointsRecord | None) -> Points | None:
    """Returns the points of a record, best-conditioned first (the worst are drawn last); `None` without any."""
    if found is None or not found.columns or not (found.data or found.samples):
        return None
    names = found.columns[:MAX_COLUMNS]
    limit = min(MAX_ROWS, max(50, MAX_NUMBERS // (2 * len(names))))
    kept = _kept([positive(value) for value in found.condition], limit)
    samples = found.samples[:limit]
    kept_data = [found.data[index] for index in kept]
    domains, outside = _domains(kept_data, samples, len(names))
    digits = [_decimals(domain) for domain in domains]
    return Points(
        names=tuple(names),
        data=tuple(_column(kept_data, index, digits[index]) for index in range(len(names))),
        samples=tuple(_column(samples, index, digits[index]) for index in range(len(names))),
        condition=[_significant(positive(found.condition[index])) for index in kept],
        log_prob=[_significant(finite(found.log_prob[index])) for index in kept],
        row=[found.row[index] for index in kept],
        domains=tuple(domains),
        outside=outside,
        unresolved=sum(positive(found.condition[index]) is None for index in kept),
        columns_left_out=len(found.columns) - len(names),
    )


def column_sets(count: int) -> list[list[int]]:
    """Returns sets of six column numbers so that every pair of columns is in at least one of them.

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


def _kept(condition: list[float | None], limit: int) -> list[int]:
    """Indices of at most `limit` points, by rising condition number: the worst ones and an even choice of the rest.

    A point without a resolved condition number counts as the worst.
    """
    order = sorted(range(len(condition)), key=lambda index: _badness(condition[index]))
    if len(order) <= limit:
        return order
    worst = min(WORST, limit // 2)
    rest = order[: len(order) - worst]
    wanted = limit - worst
    return [rest[index * len(rest) // wanted] for index in range(wanted)] + order[len(order) - worst :]


def _badness(condition: float | None) -> float:
    return math.inf if condition is None else condition


def _domains(
    data: Sequence[Numbers], samples: Sequence[Numbers], width: int
) -> tuple[list[list[float]], int]:
    """Axis ends for each column, and how many samples lie outside: samples may widen the data's range by half."""
    domains = []
    outside = [False] * len(samples)
    for index in range(width):
        known = finite_values(row[index] for row in data)
        drawn = [finite(row[index]) for row in samples]
        found = [value for value in drawn if value is not None]
        if known:
            low, high = min(known), max(known)
        elif found:
            low, high = quantile(found, 0.005), quantile(found, 0.995)
        else:
            low, high = 0.0, 1.0
        room = 0.5 * (high - low)
        low = max(low - room, min([low, *found]))
        high = min(high + room, max([high, *found]))
        margin = 0.03 * (high - low) or abs(low) * 0.05 or 0.5
        ends = [float(f"{low - margin:.9g}"), float(f"{high + margin:.9g}")]
        domains.append(ends)
        for place, value in enumerate(drawn):
            outside[place] = outside[place] or value is None or not ends[0] <= value <= ends[1]
    return domains, sum(outside)


def _decimals(domain: Sequence[float]) -> int:
    width = domain[1] - domain[0]
    return 5 - math.floor(math.log10(width)) if width > 0 and math.isfinite(width) else 6


def _column(rows: Sequence[Numbers], index: int, decimals: int) -> list[float | None]:
    values = (finite(row[index]) for row in rows)
    return [None if value is None else round(value, decimals) for value in values]


def _significant(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")
