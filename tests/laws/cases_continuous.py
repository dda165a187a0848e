"""Cases of the registry: the continuous family, solved to near the resolution of float64 (float32 raises the tolerance).

An affine velocity carries kappa; the net's share is small beside it.
"""

from shoal.bijections import FFJORD, AdaptiveSteps, DiscreteAdjoint, FixedSteps
from tests.laws.case import Case

CASES: tuple[Case, ...] = (
    Case(
        "ffjord",
        lambda k: FFJORD(
            2,
            hidden=(4,),
            steps=AdaptiveSteps(1e-14, 1e-14, 256),
            adjoint=DiscreteAdjoint(
                256
            ),  # with fewer, XLA at the oracles' level of optimisation gives wrong gradients
            solver="dopri8",
            key=k,
        ),
    ),
    Case(
        "ffjord-context-fixed",
        lambda k: FFJORD(2, hidden=(3,), context_dim=2, steps=FixedSteps(300), solver="dopri8", key=k),
    ),
)
OP_BY_OP: tuple[str, ...] = ("ffjord",)
