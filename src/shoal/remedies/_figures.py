"""The figures of one trained flow: condition number, largest float32 round trip, test log-likelihood, and how it ended."""

from dataclasses import asdict, dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from shoal._scalars import FloatArray
from shoal._types import Key
from shoal.conditioning import AbstractMap, Kind, spectrum
from shoal.conditioning._spectrum import DENSE, RESOLVED
from shoal.conditioning._trips import trip_errors
from shoal.distributions import Padded, padded_rows
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
        return bool(np.isfinite(value)) and not (quantity == "condition" and value > RESOLVED)

    def to_record(self) -> dict[str, Any]:
        """The fields as a dict."""
        return asdict(self)


def figures(plan: Plan, trained: FitResult, points: int, key: Key) -> Figures:
    """The figures of a flow that was trained as `plan` says, on the plan's test rows; `points` of them for kappa."""
    flow = plan.finished(trained.flow)
    mixed = MixedPrecision(flow, plan.float64) if plan.float64 else None
    tested: AbstractMap = flow.to_map() if mixed is None else mixed.to_map()
    x = plan.test[:points]
    if isinstance(flow, Padded):
        x = np.asarray(padded_rows(flow, jnp.asarray(x, jnp.float32)), np.float64)
    unit = np.ones(tested.size)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        found = spectrum(tested, x, tested.inverse(x), None, unit, dense=tested.size <= DENSE)
        samples = np.random.default_rng(0).standard_normal((len(x), tested.size))
        ways = (("data", x), ("latent", samples))
        trips = [
            trip_errors(tested, p, None, unit, way=way, precision="float32")  # pyright: ignore[reportArgumentType]
            for way, p in ways
        ]
    kappa = quantile_99(found.condition_numbers)
    value, kind = _log_likelihood(flow, mixed, plan.test, key)
    return Figures(
        condition=kappa,
        condition_kind=("exact" if found.dense else "lower_bound") if kappa <= RESOLVED else "unresolved",
        round_trip=float(np.max(trips)),
        log_likelihood=value - plan.log_volume,
        log_likelihood_kind=kind,
        status=trained.status,
    )


def quantile_99(values: FloatArray) -> float:
    """The 99 % order statistic; NaN sorts last and stays NaN."""
    return float(np.sort(values)[int(np.ceil(0.99 * (len(values) - 1)))])


def _log_likelihood(
    flow: Any, mixed: MixedPrecision | None, test: FloatArray, key: Key
) -> tuple[float, Kind]:
    if isinstance(flow, Padded):
        found = flow.log_prob_estimate(key, test.astype(np.float32), samples=DRAWS)
        return float(np.mean(np.asarray(found.value, np.float64))), found.kind
    log_prob = flow.log_prob(test) if mixed is None else mixed.log_prob(test)
    return float(np.mean(np.asarray(log_prob, np.float64))), "exact"
