"""The decision rule of the ladder, on plain arrays.

best: the rung with the highest log-likelihood of the validation rows, averaged over seeds, by a mean that single rows
can not move (`training.winsorised_mean`). What another rung loses against it is the winsorised mean of the paired
differences, row by row, with its standard error; spread over seeds is added in quadrature. A rung is *as good* if the
upper end of a one-sided 95 % interval of its loss is below the margin, *worse* if the lower end is not below it,
*undecided* between. Chosen: the shallowest as-good rung that is well conditioned, numerically invertible, and not
behind the best rung 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal.training import winsorised_mean

ONE_SIDED = 1.645  # standard errors of a one-sided 95 % interval
State = Literal["as good", "undecided", "worse"]


@dataclass(frozen=True)
class Gates:
    """What a rung must pass: the margin in nats, the largest 99 % κ and 99.9 % float32 round trip."""

    margin: float
    max_condition: float
    max_round_trip: float

    def __post_init__(self) -> None:
        """**Raises:** `InputError` for a margin that is no finite number above 0, and limits that nothing passes."""
        if not 0 < self.margin < np.inf:
            raise InputError(f"`margin` must be a finite number of nats above 0; got {self.margin}.")
        if not (self.max_condition >= 1 and self.max_round_trip > 0):
            raise InputError("`max_condition` must be at least 1 and `max_round_trip` above 0.")

    @property
    def limits(self) -> str:
        """The two limits in words."""
        return f"99 % κ at most {self.max_condition:.6g} and 99.9 % of float32 round trips within {self.max_round_trip:.3g}"


@dataclass(frozen=True)
class Candidate:
    """What the rule needs of a rung: depth, validation log-likelihoods (seeds, points), its two figures.

    `condition_q99`: 99 % quantile of κ; `round_trip`: 99.9 % quantile of the float32 round trip, in deviations. None: not
    measured, so that the rung can not be chosen.
    """

    depth: int
    log_likelihoods: FloatArray
    condition_q99: float | None = None
    round_trip: float | None = None


@dataclass(frozen=True)
class Verdict:
    """One rung under the rule: its winsorised mean, its loss against the best with the error, and the gates."""

    mean: float
    difference: float
    standard_error: float
    state: State
    well_conditioned: bool | None
    invertible: bool | None

    @property
    def as_good(self) -> bool:
        """The loss is known to be below the margin."""
        return self.state == "as good"

    @property
    def upper(self) -> float:
        """The upper end of the interval of the loss."""
        return self.difference + ONE_SIDED * self.standard_error

    @property
    def passes(self) -> bool:
        """Well conditioned and invertible, both measured."""
        return bool(self.well_conditioned and self.invertible)


@dataclass(frozen=True)
class Choice:
    """Indices of the best and of the chosen rung (None: no rung qualifies), and a verdict a rung (None: not finite)."""

    best: int | None
    chosen: int | None
    verdicts: tuple[Verdict | None, ...]

    def good(self) -> list[int]:
        """The rungs that are as good as the best."""
        return [i for i, v in enumerate(self.verdicts) if v is not None and v.as_good]


class Loss(NamedTuple):
    """A mean difference and its standard error."""

    mean: float
    standard_error: float


def choose(candidates: Sequence[Candidate | None], gates: Gates, weights: FloatArray | None = None) -> Choice:
    """Apply the rule. A candidate that is None, or whose mean log-likelihood is not finite, takes no part."""
    means = [-np.inf if c is None else winsorised(c.log_likelihoods, weights) for c in candidates]
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
        loss = Loss(0.0, 0.0)
        if i != best:
            loss = paired_difference(top.log_likelihoods, c.log_likelihoods, weights)
        verdicts.append(
            Verdict(
                mean=means[i],
                difference=loss.mean,
                standard_error=loss.standard_error,
                state="as good" if i == best else _state(loss, gates.margin),
                well_conditioned=_within(c.condition_q99, gates.max_condition),
                invertible=_within(c.round_trip, gates.max_round_trip),
            )
        )
    floor = max((means[i] for i in finite if _depth(candidates[i]) == 0), default=-np.inf)
    eligible = [
        i for i, v in enumerate(verdicts) if v is not None and v.as_good and v.passes and v.mean >= floor
    ]
    chosen = min(eligible, key=lambda i: (_depth(candidates[i]), -means[i])) if eligible else None
    return Choice(best, chosen, tuple(verdicts))


def paired_difference(a: FloatArray, b: FloatArray, weights: FloatArray | None = None) -> Loss:
    """Winsorised mean over points of a - b (each averaged over its seeds) and its standard error.

    `a` (seeds, points), `b` (seeds', points). The lowest and the highest thousandth of the differences (one row at least,
    where there are 20) are held at the next ones. A point at which one of them is not finite counts as the farthest; more
    such points than that make the loss infinite, or NaN.
    error^2 = s^2 sum w^2 / (sum w)^2 + var(means of a)/S + var(means of b)/S', s^2 the variance of the held differences,
    the last two where there are several seeds.
    """
    w = np.ones(a.shape[1]) if weights is None else np.asarray(weights, np.float64)
    held = _held(_difference(a.mean(axis=0), b.mean(axis=0)))
    mean = float(np.average(held, weights=w))
    if not np.isfinite(mean):
        return Loss(mean, float("nan"))
    spread = np.average((held - mean) ** 2, weights=w) * len(w) / max(len(w) - 1, 1)
    variance = spread * np.sum(w**2) / np.sum(w) ** 2
    for arm in (a, b):
        if len(arm) > 1:
            variance += np.var([winsorised(row[None], weights) for row in arm], ddof=1) / len(arm)
    return Loss(mean, float(np.sqrt(variance)))


def _difference(a: FloatArray, b: FloatArray) -> FloatArray:
    finite = np.isfinite(a), np.isfinite(b)
    known = np.where(finite[0], a, 0.0) - np.where(finite[1], b, 0.0)
    return np.select([finite[0] & finite[1], finite[0], finite[1]], [known, np.inf, -np.inf], 0.0)


def _held(difference: FloatArray) -> FloatArray:
    few = max(1, len(difference) // 1000) if len(difference) >= 20 else 0
    if not few:
        return difference
    ordered = np.sort(difference)
    return np.clip(difference, ordered[few], ordered[-1 - few])


def _within(figure: float | None, limit: float) -> bool | None:
    return None if figure is None else bool(figure <= limit)


def _state(loss: Loss, margin: float) -> State:
    if np.isnan(loss.standard_error):
        return "worse" if loss.mean > 0 else "undecided"
    if loss.mean + ONE_SIDED * loss.standard_error < margin:
        return "as good"
    return "worse" if loss.mean - ONE_SIDED * loss.standard_error >= margin else "undecided"


def winsorised(log_likelihoods: FloatArray, weights: FloatArray | None) -> float:
    """The statistic that rungs are compared by, averaged over seeds."""
    w = None if weights is None else np.asarray(weights, np.float64)
    return float(
        np.mean([float(winsorised_mean(np.asarray(row, np.float64), w).value) for row in log_likelihoods])
    )


def _depth(candidate: Candidate | None) -> int:
    return candidate.depth if candidate is not None else 0
