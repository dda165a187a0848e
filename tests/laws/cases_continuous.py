"""Cases of the registry: the continuous family, solved to near the resolution of float64 (float32 raises the tolerance).

An affine velocity carries kappa; the net's share is small beside it.
"""

import jax

from shoal.bijections import FFJORD, ActNorm, AdaptiveSteps, Chain, DiscreteAdjoint, FixedSteps
from tests.laws.case import Case


def _between(key: jax.Array) -> Chain:
    """Two diagonal layers around it share kappa with the velocity, which is then less stiff."""
    inner = FFJORD(2, hidden=(3,), context_dim=2, steps=FixedSteps(100), solver="dopri8", key=key)
    return Chain([ActNorm(2), inner, ActNorm(2)])


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
    Case("ffjord-context-fixed", _between),
)
OP_BY_OP: tuple[str, ...] = ("ffjord",)
