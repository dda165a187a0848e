"""The price of depth for a Gaussian: the best worst-layer condition found for each number of layers.

docs/dev/mathematics.md 2.5.

Lower bound. Every layer fixes the vectors of one half, so σmin <= 1 <= σmax and κ >= max(σmax, 1/σmin) for each. All
roots T of Σ have the same singular values, hence m layers have a worst κ of at least max(κ(T), σ1, 1/σn)^{1/m}. The
leftmost layer leaves its kept half as the other m - 1 made it, so with τ^2 the eigenvalues of Σ_kept the worst κ is also
at least max(τ1 / τp, τ1, 1/τp)^{1/(m-1)}.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shoal._scalars import FloatArray
from shoal.theory.linear._layer import Kind, Layer
from shoal.theory.linear._prepare import partition
from shoal.theory.linear._routes import default_effort
from shoal.theory.linear._search import Effort
from shoal.theory.linear.gaussians._checks import check_layers, checked_gaussian
from shoal.theory.linear.gaussians._gaussian import LARGEST, GaussianFactors, finished_gaussian, solved


@dataclass(frozen=True, eq=False)
class GaussianFrontierRow:
    """One number of layers: the best found, and what no layers of that number can do better than."""

    layers: int
    lower_bound: float
    found: GaussianFactors

    @property
    def condition(self) -> float:
        """The largest condition number of a layer."""
        return self.found.conditions.largest


@dataclass(frozen=True, eq=False)
class GaussianFrontier:
    """What `gaussian_frontier` found: a row for each number of layers, ascending; conditions never rise."""

    size: int
    kept: tuple[int, ...]
    rows: tuple[GaussianFrontierRow, ...]

    def within(self, max_condition: float) -> GaussianFactors | None:
        """The fewest layers whose worst condition number is at most `max_condition`; None where no row is."""
        return next((row.found for row in self.rows if row.condition <= max_condition), None)

    def __repr__(self) -> str:
        lines = "\n".join(
            f"  {row.layers:2d} layers: condition {row.condition:.4g}, at least {row.lower_bound:.4g}"
            for row in self.rows
        )
        return f"GaussianFrontier(n = {self.size}:\n{lines}\n)"


def gaussian_frontier(
    covariance: Any,
    layers: Sequence[int] = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11),
    *,
    first: Kind = "lower",
    kept: Sequence[int] | None = None,
    tolerance: float = 1e-12,
    effort: Effort | None = None,
    progress: Callable[[GaussianFrontierRow], None] | None = None,
) -> GaussianFrontier:
    """Depth against conditioning for N(mean, Σ): the least max_i κ(layer i) found for each number of layers.

    **Arguments:** `covariance`, `first`, `kept`, `tolerance`, `effort`: as in `gaussian`. `layers`: which numbers of
    layers. `progress`: is called with each row when it is done.
    **Returns:** a `GaussianFrontier`. Each row starts anew and also from the row before, with identity layers added.
    **Raises:** ValueError and NumericalFailure as `gaussian`; n is at most 128 here.
    """
    mean, matrix = checked_gaussian(np.zeros(len(np.atleast_1d(covariance))), covariance)
    n = len(mean)
    if n > LARGEST:
        raise ValueError(f"`gaussian_frontier` searches up to n = {LARGEST}; got n = {n}.")
    chosen, order, p = partition(n, kept, first)
    inner = matrix[np.ix_(order, order)]
    counts = sorted(set(layers))
    if not counts:
        raise ValueError("`layers` must hold at least one number of layers.")
    for count in counts:
        check_layers(count, inner, p)
    rows: list[GaussianFrontierRow] = []
    given: tuple[Layer, ...] | None = None
    for count in counts:
        given = solved(inner, p, count, effort or default_effort(n), given)
        made = finished_gaussian(mean, matrix, given, (chosen, order), first, tolerance)
        rows.append(GaussianFrontierRow(count, condition_bound(inner, p, count), made))
        if progress is not None:
            progress(rows[-1])
    return GaussianFrontier(n, chosen, tuple(rows))


def condition_bound(covariance: FloatArray, p: int, count: int) -> float:
    """No `count` layers, lower first, have a smaller worst condition number (see the module)."""
    whole = _extent(covariance) ** (1 / count)
    return max(whole, _extent(covariance[:p, :p]) ** (1 / (count - 1))) if 0 < p < len(covariance) else whole


def _extent(covariance: FloatArray) -> float:
    values = np.sqrt(np.linalg.eigvalsh(covariance))
    return float(max(values[-1] / values[0], values[-1], 1.0 / values[0]))
