"""What `construct` returns: the flow, and every figure that says how near it is and what that costs."""

from dataclasses import dataclass

from shoal.bijections import ReLUNetwork
from shoal.distributions import Flow, Padded
from shoal.records.construction import Certificate
from shoal.universal._atoms import Atoms
from shoal.universal._staircase import Staircase


@dataclass(frozen=True)
class Construction:
    """`flow`: an ordinary flow (a `Padded` for odd n); `certificate`; `atoms`; `staircase`: the arrays of both layers."""

    flow: Flow | Padded
    certificate: Certificate
    atoms: Atoms
    staircase: Staircase

    def as_relu(self) -> tuple[ReLUNetwork, ReLUNetwork]:
        """The dense ReLU networks (log s, t) of the two layers, forward order."""
        first, second = self.flow.bijection.bijections  # pyright: ignore[reportAttributeAccessIssue]  (a Chain)
        return first.conditioner.as_relu(), second.conditioner.as_relu()
