"""The figures of one trained flow: condition number, largest float32 round trip, test log-likelihood, and how it ended."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from shoal._scalars import FloatArray
from shoal._types import Key
from shoal.conditioning import AbstractMap, order_statistics, resolved, round_trip, spectrum
from shoal.records.figures import Kind
from shoal.remedies._mixed import MixedPrecision
from shoal.remedies._plan import Plan
from shoal.training import FitResult

COMPLETE = ("finished", "stopped early")
DRAWS = 32  # of the padding, for each test row


@dataclass(frozen=True)
class Figures:
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

    def usable(self, quantity: str) -> bool:
        """The figure is finite and, for `condition`, resolved."""
        value = getattr(self, quantity)
        return bool(np.isfinite(value)) and not (quantity == "condition" and value > resolved("float64"))

    def to_record(self) -> dict[str, Any]:
        """The fields as a dict."""
        return asdict(self)


def figures(plan: Plan, trained: FitResult, points: int, key: Key) -> Figures:
    """The figures of a flow that was trained as `plan` says, on the plan's test rows; `points` of them for kappa."""
    flow = plan.finished(trained.flow)
    mixed = MixedPrecision(flow, plan.float64) if plan.float64 else None
    tested: AbstractMap = flow.to_map() if mixed is None else mixed.to_map()
    x = flow.extended_rows(plan.test[:points])
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        found = spectrum(tested, x)
        samples = np.random.default_rng(0).standard_normal((len(x), tested.size))
        trips = [
            round_trip(tested, x, precision="float32"),
            round_trip(tested, samples, precision="float32", way="latent"),
        ]
    kappa = order_statistics(found.condition_numbers, 0.99)[0]
    value, kind = _log_likelihood(flow, mixed, plan.test, key)
    return Figures(
        condition=kappa,
        condition_kind=("exact" if found.dense else "lower_bound")
        if kappa <= resolved("float64")
        else "unresolved",
        round_trip=float(np.max(trips)),
        log_likelihood=value - plan.log_volume,
        log_likelihood_kind=kind,
        status=trained.status,
    )


def _log_likelihood(
    flow: Any, mixed: MixedPrecision | None, test: FloatArray, key: Key
) -> tuple[float, Kind]:
    if mixed is not None and not flow.extra:
        return float(np.mean(np.asarray(mixed.log_prob(test), np.float64))), "exact"
    found = flow.log_prob_estimate(key, test.astype(np.float32), samples=DRAWS)
    return float(np.mean(np.asarray(found.value, np.float64))), found.kind
