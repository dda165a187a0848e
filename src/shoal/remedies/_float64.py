"""float64 for named layers only, in evaluation."""

from dataclasses import dataclass, replace

import numpy as np

from shoal.remedies._base import AbstractRemedy, Evidence
from shoal.remedies._plan import Plan


@dataclass(frozen=True)
class InFloat64(AbstractRemedy):
    """The layers `layers` (forward order, from 0) evaluated in float64, by `MixedPrecision`; kappa stays what it is.

    It mends the round-off that these layers make, and overflow in them; what other layers make and these amplify stays.
    Expected: digits by which their own float32 round trip is worse than the worst of the other layers.
    """

    layers: frozenset[int]
    name: str = "float64 layers"

    def why(self, evidence: Evidence) -> str | None:
        """Where a named layer's own float32 round trip is the worst, or not finite."""
        rows = evidence.audit.layers
        if not self.layers or self.expected(evidence) <= 0:
            return None
        i = max(self.layers, key=lambda k: _size(rows[k].round_trip))
        trip = np.nan if rows[i].round_trip is None else rows[i].round_trip
        return (
            f"Layer {i} ({rows[i].name}) by itself loses {trip:.3g} in a float32 round trip, the others at "
            f"most {self._rest(evidence):.3g}."
        )

    def expected(self, evidence: Evidence) -> float:
        """Digits between the named layers' own round trip and the others', at most float32's 7."""
        rows = evidence.audit.layers
        if not self.layers or max(self.layers) >= len(rows):
            return 0.0
        mine = max(_size(rows[i].round_trip) for i in self.layers)
        return float(min(7.0, max(0.0, np.log10(mine / max(self._rest(evidence), 1e-8)))))

    def apply(self, plan: Plan) -> Plan:
        """Evaluation with these layers in float64."""
        return replace(plan, float64=plan.float64 | self.layers)

    def _rest(self, evidence: Evidence) -> float:
        rows = evidence.audit.layers
        return max((_size(r.round_trip) for r in rows if r.index not in self.layers), default=1e-8)


def _size(trip: float | None) -> float:
    """A round trip's size for comparison; one that is not finite counts as 1e7."""
    return max(trip, 1e-8) if trip is not None and np.isfinite(trip) else 1e7
