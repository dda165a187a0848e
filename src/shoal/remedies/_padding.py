"""Gaussian padding: a flow on the data and k independent normal coordinates."""

from dataclasses import dataclass, replace
from typing import Any

import jax.random as jr

from shoal._types import Key
from shoal.distributions import Flow, GaussianPadding, Padded
from shoal.remedies._base import AbstractRemedy, Evidence
from shoal.remedies._plan import Plan


@dataclass(frozen=True)
class GaussianPad(AbstractRemedy):
    """The recipe on R^{n + `size`} as a `Padded` with e ~ N(0, I): room to go around.

    Lee et al. (2021); Koehler, Mehta and Risteski (2021).

    kappa is then the joint map's, and the log-likelihood an importance-weighted estimate.
    Expected: a fifth of kappa's digits above the audit's limit, where the layers or their product are at fault.
    """

    size: int = 1
    name: str = "Gaussian padding"

    def why(self, evidence: Evidence) -> str | None:
        """Where the layers are at fault, not the data."""
        if (evidence.flow is not None and evidence.flow.extra) or self.expected(evidence) <= 0:
            return None
        return (
            f"κ {evidence.kappa:.3g} is made by the layers, not by the data; {self.size} more normal coordinates give "
            "paths that need not squeeze."
        )

    def expected(self, evidence: Evidence) -> float:
        """A fifth of the digits above the limit; none where the data are degenerate, which padding leaves as they are."""
        if evidence.audit.diagnosis.cause not in ("layer", "product", "non-finite"):
            return 0.0
        limit = evidence.audit.limits[0]
        return 0.2 * evidence.digits if evidence.kappa > limit else 0.0

    def apply(self, plan: Plan) -> Plan:
        """The recipe in `size` more dimensions. **Raises:** ValueError, when made, for a recipe of one dimension only."""
        recipe, size = plan.recipe, self.size

        def padded(key: Key, dim: int) -> Any:
            k_flow, k_noise = jr.split(key)
            joint = recipe(k_flow, dim + size)
            if not isinstance(joint, Flow) or joint.shape != (dim + size,):
                raise ValueError(
                    f"Padding needs a recipe (key, dim) -> Flow that heeds `dim`; for {dim + size} it gave shape "
                    f"{getattr(joint, 'shape', None)}."
                )
            return Padded(joint, GaussianPadding(size), key=k_noise)

        return replace(plan, recipe=padded)
