"""The decision rule of the ladder, on plain arrays.

best: the rung with the highest validation log-likelihood, averaged over seeds. A rung is *as good* if the mean of the
paired per-point differences to the best is below one standard error of that mean, the spread over seeds added in
quadrature. Chosen: the shallowest as-good rung that is well conditioned and numerically invertible.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal._scalars import FloatArray


@dataclass(frozen=True)
class Candidate:
    """What the rule needs of a rung: depth, validation log-likelihoods (seeds, points), its two figures."""

    depth: int
    log_likelihoods: FloatArray
    condition_q99: float
    round_trip: float


@dataclass(frozen=True)
class Verdict:
    """One rung under the rule."""

    mean: float
    difference: float
    standard_error: float
    as_good: bool
    well_conditioned: bool
    invertible: bool

    @property
    def eligible(self) -> bool:
        """As good as the best, well conditioned and invertible."""
        return self.as_good and self.well_conditioned and self.invertible


@dataclass(frozen=True)
class Choice:
    """Indices of the best and of the chosen rung (None: no rung qualifies), and a verdict a rung (None: not finite)."""

    best: int | None
    chosen: int | None
    verdicts: tuple[Verdict | None, ...]


def choose(
    candidates: Sequence[Candidate | None],
    *,
    max_condition: float,
    max_round_trip: float,
    weights: FloatArray | None = None,
) -> Choice:
    """Apply the rule. A candidate that is None, or whose mean log-likelihood is not finite, takes no part."""
    means = [_mean(c, weights) if c is not None else -np.inf for c in candidates]
    finite = [i for i, m in enumerate(means) if np.isfinite(m)]
    if not finite:
        return Choice(None, None, (None,) * len(candidates))
    best = max(finite, key=lambda i: (means[i], -_depth(candidates[i])))
    top = candidates[best]
    verdicts: list[Verdict | None] = []
    for i, c in enumerate(candidates):
        if c is None or top is None or i not in finite:
            verdicts.append(None)
            continue
        difference, error = (
            (0.0, 0.0) if i == best else paired_difference(top.log_likelihoods, c.log_likelihoods, weights)
        )
        verdicts.append(
            Verdict(
                mean=means[i],
                difference=difference,
                standard_error=error,
                as_good=i == best or difference < error,
                well_conditioned=bool(c.condition_q99 <= max_condition),
                invertible=bool(c.round_trip <= max_round_trip),
            )
        )
    eligible = [i for i, v in enumerate(verdicts) if v is not None and v.eligible]
    chosen = min(eligible, key=lambda i: (_depth(candidates[i]), -means[i])) if eligible else None
    return Choice(best, chosen, tuple(verdicts))


def paired_difference(a: FloatArray, b: FloatArray, weights: FloatArray | None = None) -> tuple[float, float]:
    """Mean over points of a - b (each averaged over its seeds) and its standard error.

    `a` (seeds, points), `b` (seeds', points).
    error^2 = s^2 sum w^2 / (sum w)^2 + var(means of a)/S + var(means of b)/S', the last two where there are
    several seeds.
    """
    w = np.ones(a.shape[1]) if weights is None else np.asarray(weights, np.float64)
    difference = a.mean(axis=0) - b.mean(axis=0)
    mean = float(np.average(difference, weights=w))
    spread = np.average((difference - mean) ** 2, weights=w) * len(w) / max(len(w) - 1, 1)
    variance = spread * np.sum(w**2) / np.sum(w) ** 2
    for arm in (a, b):
        if len(arm) > 1:
            variance += np.var(np.average(arm, axis=1, weights=w), ddof=1) / len(arm)
    return mean, float(np.sqrt(variance))


def _mean(candidate: Candidate, weights: FloatArray | None) -> float:
    return float(np.mean(np.average(candidate.log_likelihoods, axis=1, weights=weights)))


def _depth(candidate: Candidate | None) -> int:
    return candidate.depth if candidate is not None else 0
