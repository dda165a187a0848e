"""`Measurements`: every remedy before and after, over seeds, and whether it had an effect."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from shoal._scalars import FloatArray
from shoal.remedies._base import Proposal
from shoal.remedies._figures import Figures

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
QUANTITIES = ("condition", "round_trip", "log_likelihood")


@dataclass(frozen=True)
class Effect:
    """The paired difference to the runs without a remedy: log10 for `condition` and `round_trip`, nats for likelihoods.

    "lower" and "higher": the mean difference is above two of its standard errors over the seeds; otherwise "no effect".
    With three seeds two standard errors are a weak test (a t distribution with 2 degrees of freedom lies outside of them
    in 18 % of cases). A figure is usable if it is finite and, for kappa, below 1/eps. "made finite": every run with the
    remedy has a usable figure, not every one without; "made non-finite": the reverse; "still non-finite": neither. "not
    measured": a run with the remedy (for likelihoods: any) did not come to its end. Of `training`: "finishes" where only the
    runs with the remedy all came to an end of their own, "fails" where only those without it did; mean and error are NaN.
    """

    verdict: Verdict
    mean: float
    error: float


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
        return any(e.verdict in good for q, e in self.effects.items() if q != "log_likelihood")

    @property
    def effect(self) -> str:
        """The verdicts on kappa, round trip and training in words; "no effect" where there is none."""
        words = {"condition": "κ", "round_trip": "round trip", "training": "training"}
        said = [
            f"{words[q]} {e.verdict}"
            for q, e in self.effects.items()
            if q in words and e.verdict != "no effect"
        ]
        return ", ".join(said) or ("no effect" if self.effects else "")

    @property
    def cost(self) -> float:
        """Nats of test log-likelihood lost on the average; negative: gained; NaN where not measured."""
        return -self.effects["log_likelihood"].mean if self.effects else np.nan

    def mean(self, quantity: str) -> tuple[float, float]:
        """Mean and standard error over the seeds; of log10 for `condition` and `round_trip`. NaN stays NaN."""
        return mean_and_error(values(self.runs, quantity))

    def to_record(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            **({} if self.proposal is None else self.proposal.to_record()),
            "status": self.status,
            "runs": [r.to_record() for r in self.runs],
            "mean": {q: list(self.mean(q)) for q in QUANTITIES} if self.runs else {},
            "effects": {q: asdict(e) for q, e in self.effects.items()},
            "effect": self.effect,
            "helps": self.helps,
            "cost": self.cost,
        }


@dataclass(frozen=True)
class Measurements:
    """The runs without a remedy first, then each remedy. Test rows are the same for all, without noise and unwhitened."""

    rows: tuple[Measured, ...]
    seeds: int
    epochs: int

    def __getitem__(self, name: str) -> Measured:
        """The row of that name. **Raises:** KeyError where there is none."""
        return {r.name: r for r in self.rows}[name]

    def to_record(self) -> dict[str, Any]:
        """Plain values."""
        return {"seeds": self.seeds, "epochs": self.epochs, "rows": [r.to_record() for r in self.rows]}

    def __str__(self) -> str:
        """The table for a terminal."""
        head = f"{'remedy':<20} {'κ 99 %':>10} {'trip f32':>10} {'log-lik.':>16} {'cost':>8}  effect; status"
        return "\n".join([head, *map(_line, self.rows)])


def effect_of(before: tuple[Figures, ...], after: tuple[Figures, ...], quantity: str) -> Effect:
    """The effect of a remedy on one quantity, seeds paired in order."""
    judged = (
        (*before, *after) if quantity == "log_likelihood" else after
    )  # what did not finish may be made finite
    if not all(r.complete for r in judged):
        return Effect("not measured", np.nan, np.nan)
    was, now = (all(r.usable(quantity) for r in runs) for runs in (before, after))
    if not (was and now):
        return Effect(
            "made finite" if now else "made non-finite" if was else "still non-finite", np.nan, np.nan
        )
    mean, error = mean_and_error(values(after, quantity) - values(before, quantity))
    if not abs(mean) > 2.0 * error:
        return Effect("no effect", mean, error)
    return Effect("lower" if mean < 0 else "higher", mean, error)


def effects_of(before: tuple[Figures, ...], after: tuple[Figures, ...]) -> dict[str, Effect]:
    """The effect on each quantity, and on whether training comes to its end."""
    came = [all(r.complete for r in runs) for runs in (before, after)]
    verdict: Verdict = "no effect" if came[0] == came[1] else ("finishes" if came[1] else "fails")
    return {q: effect_of(before, after, q) for q in QUANTITIES} | {
        "training": Effect(verdict, np.nan, np.nan)
    }


def values(runs: tuple[Figures, ...], quantity: str) -> FloatArray:
    """One figure a run; log10 of condition numbers and round trips."""
    raw = np.array([getattr(r, quantity) for r in runs], np.float64)
    if quantity == "log_likelihood":
        return raw
    with np.errstate(divide="ignore"):
        return np.log10(raw)


def mean_and_error(sample: FloatArray) -> tuple[float, float]:
    """Mean and its standard error over the runs; NaN where a value is not finite."""
    if not np.isfinite(sample).all():
        return np.nan, np.nan
    return float(sample.mean()), float(sample.std(ddof=1) / len(sample) ** 0.5)


def _line(row: Measured) -> str:
    if not row.runs:
        return f"{row.name:<20} {row.status}"
    kappa, trip, likelihood = (row.mean(q) for q in QUANTITIES)
    cost = f"{row.cost:.3g}" if row.effects else ""
    return (
        f"{row.name:<20} {10 ** kappa[0]:>10.3g} {10 ** trip[0]:>10.2g} {likelihood[0]:>8.3f} ± {likelihood[1]:<5.2g} "
        f"{cost:>8}  {'; '.join(filter(None, (row.effect, row.status)))}"
    )
