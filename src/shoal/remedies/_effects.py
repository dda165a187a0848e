"""The figures of trained flows, and what a remedy did to them: paired over seeds, with a verdict for each quantity."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec
import numpy as np

from shoal._scalars import FloatArray
from shoal.conditioning import resolved
from shoal.records.figures import Kind
from shoal.remedies._base import Proposal

Verdict: TypeAlias = Literal[
    "lower",
    "higher",
    "no effect",
    "made finite",
    "made non-finite",
    "still non-finite",
    "not measured",
    "finishes",
    "fails",
]
Quantity: TypeAlias = Literal["condition", "round_trip", "log_likelihood"]
QUANTITIES: tuple[Quantity, ...] = ("condition", "round_trip", "log_likelihood")
WORDS = {"condition": "κ", "round_trip": "round trip", "training": "training"}
COMPLETE = ("finished", "stopped early")


class Figures(msgspec.Struct, frozen=True):
    """One seed. `condition`: the 99 % quantile of kappa over test rows (NaN where it is of a NaN); `round_trip`: the largest
    float32 error of x -> z -> x on test rows and z -> x -> z on samples (NaN where a point left the finite range);
    `log_likelihood`: mean over test rows in nats, in the data's own units; `status`: how training ended.
    """

    condition: float
    condition_kind: Kind
    round_trip: float
    log_likelihood: float
    log_likelihood_kind: Kind
    status: str

    @property
    def complete(self) -> bool:
        """Training came to an end of its own."""
        return self.status in COMPLETE

    def usable(self, quantity: Quantity) -> bool:
        """The figure is finite and, for `condition`, resolved."""
        value = getattr(self, quantity)
        return bool(np.isfinite(value)) and not (quantity == "condition" and value > resolved("float64"))


class Effect(msgspec.Struct, frozen=True):
    """The paired difference to the runs without a remedy: log10 for `condition` and `round_trip`, nats for likelihoods.

    "lower" and "higher": the mean difference is above two of its standard errors over the seeds; otherwise "no effect".
    With three seeds two standard errors are a weak test (a t distribution with 2 degrees of freedom lies outside of them
    in 18 % of cases). A figure is usable if it is finite and, for kappa, below 1/eps. "made finite": every run with the
    remedy has a usable figure, not every one without; "made non-finite": the reverse; "still non-finite": neither. "not
    measured": a run with the remedy (for likelihoods: any) did not come to its end. Of `training`: "finishes" where only the
    runs with the remedy all came to an end of their own, "fails" where only those without it did. Mean and error are NaN
    where there is no difference to take.
    """

    verdict: Verdict
    mean: float = np.nan
    error: float = np.nan


@dataclass(frozen=True)
class Measured:
    """One remedy: the figures of each seed, and its effect on each quantity. `problem`: why it was not run."""

    name: str
    proposal: Proposal | None  # None: without a remedy
    runs: tuple[Figures, ...]
    effects: dict[str, Effect]
    problem: str | None = None

    @property
    def status(self) -> str:
        """ "finished" where every run came to its end, otherwise which did not and why."""
        if self.problem is not None:
            return f"not run: {self.problem}"
        bad = [f"seed {i} {r.status}" for i, r in enumerate(self.runs) if not r.complete]
        return "finished" if not bad else ", ".join(bad)

    @property
    def helps(self) -> bool:
        """kappa or the round trip is lower, or was made finite, or training finishes only with it."""
        good = ("lower", "made finite", "finishes")
        return any(self.effects[q].verdict in good for q in WORDS if q in self.effects)

    @property
    def effect(self) -> str:
        """The verdicts on kappa, round trip and training in words; "no effect" where there is none."""
        verdicts = {q: self.effects[q].verdict for q in WORDS if q in self.effects}
        said = [f"{WORDS[q]} {verdict}" for q, verdict in verdicts.items() if verdict != "no effect"]
        return ", ".join(said) or ("no effect" if self.effects else "")

    @property
    def cost(self) -> float:
        """Nats of test log-likelihood lost on the average; negative: gained; NaN where not measured."""
        return -self.effects["log_likelihood"].mean if self.effects else np.nan

    def mean(self, quantity: Quantity) -> tuple[float, float]:
        """Mean and standard error over the seeds; of log10 for `condition` and `round_trip`. NaN stays NaN."""
        return _mean_and_error(_values(self.runs, quantity))

    def __str__(self) -> str:
        """Its line of the table."""
        if not self.runs:
            return f"{self.name:<20} {self.status}"
        kappa, trip, likelihood = (self.mean(q) for q in QUANTITIES)
        cost = f"{self.cost:.3g}" if self.effects else ""
        return (
            f"{self.name:<20} {10 ** kappa[0]:>10.3g} {10 ** trip[0]:>10.2g} {likelihood[0]:>8.3f} ± {likelihood[1]:<5.2g} "
            f"{cost:>8}  {'; '.join(filter(None, (self.effect, self.status)))}"
        )


@dataclass(frozen=True)
class Measurements:
    """The runs without a remedy first, then each remedy. Test rows are the same for all, without noise and unwhitened."""

    rows: tuple[Measured, ...]

    def __getitem__(self, name: str) -> Measured:
        """The row of that name. **Raises:** KeyError where there is none."""
        return {r.name: r for r in self.rows}[name]

    def __str__(self) -> str:
        """The table for a terminal."""
        head = f"{'remedy':<20} {'κ 99 %':>10} {'trip f32':>10} {'log-lik.':>16} {'cost':>8}  effect; status"
        return "\n".join([head, *map(str, self.rows)])


def effects_of(before: tuple[Figures, ...], after: tuple[Figures, ...]) -> dict[str, Effect]:
    """The effect on each quantity, and on whether training comes to its end; seeds paired in order."""
    came = [all(r.complete for r in runs) for runs in (before, after)]
    training = "no effect" if came[0] == came[1] else "finishes" if came[1] else "fails"
    return {q: _effect_of(before, after, q) for q in QUANTITIES} | {"training": Effect(training)}


def _effect_of(before: tuple[Figures, ...], after: tuple[Figures, ...], quantity: Quantity) -> Effect:
    judged = after
    if quantity == "log_likelihood":  # of the other two, what did not finish may be made finite
        judged = (*before, *after)
    if not all(r.complete for r in judged):
        return Effect("not measured")
    was, now = (all(r.usable(quantity) for r in runs) for runs in (before, after))
    if not (was and now):
        return Effect("made finite" if now else "made non-finite" if was else "still non-finite")
    mean, error = _mean_and_error(_values(after, quantity) - _values(before, quantity))
    if not abs(mean) > 2.0 * error:
        return Effect("no effect", mean, error)
    return Effect("lower" if mean < 0 else "higher", mean, error)


def _values(runs: tuple[Figures, ...], quantity: Quantity) -> FloatArray:
    """One figure a run; log10 of condition numbers and round trips."""
    raw = np.array([getattr(r, quantity) for r in runs], np.float64)
    if quantity == "log_likelihood":
        return raw
    with np.errstate(divide="ignore"):
        return np.log10(raw)


def _mean_and_error(sample: FloatArray) -> tuple[float, float]:
    """Mean and its standard error over the runs; NaN where a value is not finite."""
    if not np.isfinite(sample).all():
        return np.nan, np.nan
    return float(sample.mean()), float(sample.std(ddof=1) / len(sample) ** 0.5)
