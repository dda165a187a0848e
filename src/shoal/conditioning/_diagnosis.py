"""What the figures of an audit amount to: healthy or not, the layer at fault, the cause in one sentence."""

from dataclasses import dataclass

import numpy as np

from shoal._scalars import FloatArray
from shoal.conditioning._agreement import Fault
from shoal.conditioning._reach import DOUBLED
from shoal.records.audit import Diagnosis, Limits, NonFinite, Reach
from shoal.records.figures import LayerProfile

DEGENERATE = 1e8  # condition of the data's correlation matrix above which its columns count as dependent


def effective_rank(x: FloatArray) -> int:
    """How many directions of the standardised columns carry variance, relative to 1 / `DEGENERATE`."""
    deviation = x.std(axis=0)
    if len(x) <= x.shape[1] or not (deviation > 0).all():
        return int((deviation > 0).sum())
    singular = np.linalg.svd((x - x.mean(axis=0)) / deviation, compute_uv=False)
    return int((singular**2 > singular[0] ** 2 / DEGENERATE).sum())


@dataclass(frozen=True)
class Findings:
    """What a verdict is made of.

    `rows`: the layers; `kappa`, `typical`: its 99 % quantile and median over points; `trip`: largest float32 error on data
    and samples; `chance`, `disagreement`, `log_det`: a layer whose images depend on chance or on the batch, whose two
    directions disagree, whose log-det is wrong; `nonfinite`: where values stop being finite, `runaway`: a walk that ran
    away, if there is one; `rank`: directions in which the data vary, of `size`.
    """

    rows: tuple[LayerProfile, ...]
    kappa: float
    typical: float
    trip: float
    chance: Fault | None
    disagreement: Fault | None
    log_det: Fault | None
    nonfinite: NonFinite | None
    runaway: Reach | None
    rank: int
    size: int


def diagnose(found: Findings, limits: Limits) -> Diagnosis:
    """The rule. Healthy: a function of each row with an inverse and a log-det that are its own; finite in float32, kappa and
    `trip` within the limits, no runaway; data that vary in all directions (on a flat the likelihood is unbounded, however
    mild the map still is).

    Otherwise the worst layer is the one that is not what it says; or that with the largest kappa of its own at the worst
    points, or the first that is not finite; but a map that is well conditioned at the median row and runs away has none, nor
    has a mild one on flat data.
    """
    reasons = _reasons(found, limits)
    broken = _broken(found, reasons)
    if broken is not None:
        return broken
    if reasons:
        return _cause(found, limits, "; ".join(reasons))
    if found.rank < found.size:
        sentence = (
            f"{_flat(found)}: the likelihood has no bound, and training will drive κ (99 % {found.kappa:.3g} so far) up "
            "until digits run out. No layer is at fault."
        )
        return Diagnosis(False, None, "data", sentence)
    sentence = f"Healthy: 99 % κ {found.kappa:.3g}, float32 round trip within {found.trip:.3g}."
    return Diagnosis(True, None, "none", sentence)


def _broken(found: Findings, reasons: list[str]) -> Diagnosis | None:
    """What no limit can excuse: the map is not the function, the inverse or the density that it is taken for."""
    why = f"{'; '.join(reasons)}. " if reasons else ""
    if found.chance is not None:
        sentence = (
            f"{why}{_named(found.chance)} takes a row elsewhere (by {found.chance.lost:.2g} deviations) when other rows "
            "are left out: its images depend on the batch or on chance, as dropout and batch norm do in training mode."
        )
        return Diagnosis(False, found.chance.layer, "batch", sentence)
    if found.disagreement is not None:
        fault, where = found.disagreement, _named(found.disagreement)
        sentence = (
            f"{why}Forward and inverse disagree: {where[0].lower()}{where[1:]} loses {fault.lost:.3g} on "
            f"the way and back in float64, where rounding explains {fault.explained:.2g}."
        )
        return Diagnosis(False, fault.layer, "inverse", sentence)
    if found.log_det is not None:
        fault = found.log_det
        sentence = (
            f"{why}{_named(fault)} says a log|det| that differs from its Jacobian's by {fault.lost:.3g} nats at the median "
            "row: log p is wrong by as much."
        )
        return Diagnosis(False, fault.layer, "log-det", sentence)
    return None


def _named(fault: Fault) -> str:
    return f"The whole map ({fault.name})" if fault.layer is None else f"Layer {fault.layer} ({fault.name})"


def _reasons(found: Findings, limits: Limits) -> list[str]:
    """Which limits were crossed."""
    reasons, runaway = [], found.runaway
    if found.nonfinite is not None:
        reasons.append(str(found.nonfinite))
    if not found.kappa <= limits.max_condition:
        reasons.append(f"99 % κ is {found.kappa:.3g}, above {limits.max_condition:.3g}")
    if found.nonfinite is None and not found.trip <= limits.max_round_trip:
        lost = "is not finite" if np.isnan(found.trip) else f"loses {found.trip:.3g}"
        reasons.append(f"a float32 round trip {lost}, above {limits.max_round_trip:.3g}")
    if runaway is not None:
        growth = f"{runaway.growth:.2g}" if np.isfinite(runaway.growth) else "more than float64 holds"
        grown = f"grow by {growth} up to layer {runaway.layer}"
        reasons.append(f"{runaway.points} put {DOUBLED:g} times as far out {grown}")
    return reasons


def _cause(found: Findings, limits: Limits, why: str) -> Diagnosis:
    """The layer at fault and the cause."""
    rows, nonfinite = found.rows, found.nonfinite
    own = np.array([0.0 if _behind(nonfinite, r) else _orders(r.condition_worst) for r in rows])
    worst, total = int(np.argmax(own)), float(own.sum())
    row = rows[worst]
    if found.rank < found.size:
        near = f"any flow onto them must be near singular; layer {worst} ({row.name}) squeezes most."
        return Diagnosis(False, worst, "data", f"{why}. {_flat(found)}: {near}")
    if found.runaway is not None and found.typical <= limits.max_condition:
        sentence = (
            f"{why}. No single layer: κ at the median row is {found.typical:.3g}; points that are far out are driven "
            f"further out through {len(rows)} layers."
        )
        return Diagnosis(False, None, "runaway", sentence)
    share = own[worst] / total if total > 0 else 1.0
    steep = int((own > 0.5 * own[worst]).sum())
    if steep >= 3 and share < 0.5:
        mild = f"{steep} layers of mild κ (largest {row.condition_worst:.3g}, layer {worst}) multiply."
        layer = worst if nonfinite is None else nonfinite.layer
        return Diagnosis(False, layer, "product", f"{why}. No single layer: {mild}")
    if nonfinite is not None and own[worst] < 4:
        return Diagnosis(False, nonfinite.layer, "non-finite", f"{why}.")
    itself = f"κ {row.condition_worst:.3g} by itself, {100 * share:.0f} % of log κ."
    return Diagnosis(False, worst, "layer", f"{why}. Layer {worst} ({row.name}) has {itself}")


def _flat(found: Findings) -> str:
    return f"The data vary in {found.rank} of {found.size} directions"


def _orders(kappa: float) -> float:
    """log10 kappa; what is not finite counts as 300 orders."""
    return float(np.log10(max(kappa, 1.0))) if np.isfinite(kappa) else 300.0


def _behind(nonfinite: NonFinite | None, row: LayerProfile) -> bool:
    """Whether a layer's kappa is NaN because a point was lost in another layer before it came there."""
    if nonfinite is None or not np.isnan(row.condition_worst):
        return False
    return row.index < nonfinite.layer if nonfinite.direction == "inverse" else row.index > nonfinite.layer
