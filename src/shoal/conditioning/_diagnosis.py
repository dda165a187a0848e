"""What the figures of an audit amount to: healthy or not, the layer at fault, the cause in one sentence."""

import numpy as np

from shoal._scalars import FloatArray
from shoal.conditioning._reach import DOUBLED
from shoal.records.audit import Diagnosis, NonFinite, Reach
from shoal.records.figures import LayerProfile

DISAGREE = 1e3  # times u kappa |start| in float64, above which a round trip is no round-off: dimension, depth, curvature
DEGENERATE = 1e8  # condition of the data's correlation matrix above which its columns count as dependent


def effective_rank(x: FloatArray) -> tuple[int, float]:
    """How many directions of the standardised columns carry variance (relative to 1/1e8), and the correlation's kappa."""
    deviation = x.std(axis=0)
    if len(x) <= x.shape[1] or not (deviation > 0).all():
        return int((deviation > 0).sum()), np.inf if not (deviation > 0).all() else np.nan
    singular = np.linalg.svd((x - x.mean(axis=0)) / deviation, compute_uv=False)
    kappa = np.inf if singular[-1] == 0 else float((singular[0] / singular[-1]) ** 2)
    return int((singular**2 > singular[0] ** 2 / DEGENERATE).sum()), kappa


def diagnose(
    rows: tuple[LayerProfile, ...],
    *,
    kappa: float,
    typical: float,
    trip: float,
    exact_trip: float,
    exact_predicted: float,
    nonfinite: NonFinite | None,
    runaway: Reach | None,
    rank: tuple[int, float],
    size: int,
    max_condition: float,
    max_round_trip: float,
) -> Diagnosis:
    """The rule. `kappa`, `typical`: the 99 % quantile and the median; `trip`, `exact_trip`: largest float32 and float64
    error on data and samples; `exact_predicted`: u kappa |start| in float64 at the point of `exact_trip`; `runaway`: a walk
    that ran away, if one did.

    Healthy: finite in float32, kappa at most `max_condition`, `trip` at most `max_round_trip`, no runaway, and data that
    vary in all directions (on a flat the likelihood is unbounded, however mild the map still is). Otherwise the worst
    layer is the one with the largest kappa of its own at the worst points, or the first that is not finite; but a map that
    is well conditioned at the median row and runs away has none, nor has a mild one on flat data.
    """
    reasons = []
    if nonfinite is not None:
        reasons.append(str(nonfinite))
    if not kappa <= max_condition:
        reasons.append(f"99 % κ is {kappa:.3g}, above {max_condition:.3g}")
    if nonfinite is None and not trip <= max_round_trip:
        reasons.append(f"a float32 round trip loses {trip:.3g}, above {max_round_trip:.3g}")
    if runaway is not None:
        grown = f"grow by {_growth(runaway.growth)} up to layer {runaway.layer}"
        reasons.append(f"{runaway.points} put {DOUBLED:g} times as far out {grown}")
    if not reasons and rank[0] < size:
        return Diagnosis(
            False,
            None,
            "data",
            f"The data vary in {rank[0]} of {size} directions: the likelihood has no bound, and training will drive κ (99 % "
            f"{kappa:.3g} so far) up until digits run out. No layer is at fault.",
        )
    if not reasons:
        return Diagnosis(
            True, None, "none", f"Healthy: 99 % κ {kappa:.3g}, float32 round trip within {trip:.3g}."
        )
    why = "; ".join(reasons)
    own = np.array([0.0 if _behind(nonfinite, r) else _orders(r.condition_worst) for r in rows])
    worst, total = int(np.argmax(own)), float(own.sum())
    row = rows[worst]
    wrong = not exact_trip <= max(max_round_trip, DISAGREE * exact_predicted)
    if nonfinite is None and wrong and kappa <= max_condition:
        return Diagnosis(
            False,
            _worst_trip(rows),
            "inverse",
            f"{why}. Even float64 loses {exact_trip:.3g} although κ is {kappa:.3g}: forward and inverse disagree.",
        )
    if rank[0] < size:
        return Diagnosis(
            False,
            worst,
            "data",
            f"{why}. The data vary in {rank[0]} of {size} directions: any flow onto them must be near singular; "
            f"layer {worst} ({row.name}) squeezes most.",
        )
    if runaway is not None and typical <= max_condition:
        return Diagnosis(
            False,
            None,
            "runaway",
            f"{why}. No single layer: κ at the median row is {typical:.3g}; points that are far out are driven further out "
            f"through {len(rows)} layers.",
        )
    share = own[worst] / total if total > 0 else 1.0
    steep = int((own > 0.5 * own[worst]).sum())
    if steep >= 3 and share < 0.5:
        return Diagnosis(
            False,
            _or(nonfinite, worst),
            "product",
            f"{why}. No single layer: {steep} layers of mild κ (largest {row.condition_worst:.3g}, layer {worst}) multiply.",
        )
    if nonfinite is not None and nonfinite.layer != worst and own[worst] < 4:
        return Diagnosis(False, nonfinite.layer, "non-finite", f"{why}.")
    return Diagnosis(
        False,
        worst,
        "layer",
        f"{why}. Layer {worst} ({row.name}) has κ {row.condition_worst:.3g} by itself, {100 * share:.0f} % of log κ.",
    )


def _orders(kappa: float) -> float:
    """log10 kappa; what is not finite counts as 300 orders."""
    return float(np.log10(max(kappa, 1.0))) if np.isfinite(kappa) else 300.0


def _behind(nonfinite: NonFinite | None, row: LayerProfile) -> bool:
    """Whether a layer's kappa is NaN because a point was lost in another layer before it came there."""
    if nonfinite is None or not np.isnan(row.condition_worst):
        return False
    return row.index < nonfinite.layer if nonfinite.direction == "inverse" else row.index > nonfinite.layer


def _growth(growth: float) -> str:
    return f"{growth:.2g}" if np.isfinite(growth) else "more than float64 holds"


def _or(nonfinite: NonFinite | None, worst: int) -> int:
    return worst if nonfinite is None else nonfinite.layer


def _worst_trip(rows: tuple[LayerProfile, ...]) -> int:
    trips = np.array([r.round_trip for r in rows], np.float64)
    return int(np.argmax(np.where(np.isnan(trips), np.inf, trips)))
