"""A penalty on the Lipschitz constants of both directions, in training."""

import math
from dataclasses import dataclass

from shoal.remedies._base import AbstractRemedy, Evidence
from shoal.remedies._plan import Plan
from shoal.training import JacobianPenalty


@dataclass(frozen=True)
class LipschitzPenalty(AbstractRemedy):
    """`training.JacobianPenalty` of f and f^{-1} in the loss: coefficient 1e-4, every 10 steps (Behrmann et al. 2021).

    Expected: a quarter of kappa's digits above the audit's limit, whatever the layers: it trades, it does not bound.
    """

    penalty: JacobianPenalty = JacobianPenalty()
    name: str = "Lipschitz penalty"

    def why(self, evidence: Evidence) -> str | None:
        """Where kappa is above the limit."""
        if self.expected(evidence) <= 0:
            return None
        p, limit = self.penalty, evidence.audit.limits[0]
        return (
            f"κ is {evidence.kappa:.3g}, above {limit:.3g}; {p.coefficient:g} (|J f|^2 + |J f^-1|^2) every {p.every} steps "
            "holds back both ends of the spectrum."
        )

    def expected(self, evidence: Evidence) -> float:
        """A quarter of the digits above the limit."""
        return 0.25 * max(0.0, evidence.digits - math.log10(evidence.audit.limits[0]))

    def apply(self, plan: Plan) -> Plan:
        """Training with the penalty. **Raises:** ValueError where the plan has another one."""
        if plan.settings.penalty is not None:
            raise ValueError("The plan already has a penalty; one can be given.")
        return plan.with_settings(penalty=self.penalty)
