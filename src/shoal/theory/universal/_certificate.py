"""What `construct` returns: the flow, and every figure that says how near it is and what that costs."""

from dataclasses import dataclass
from typing import Any

from shoal.bijections import ReLUNetwork
from shoal.distributions import Flow, Padded
from shoal.theory.universal._atoms import Atoms
from shoal.theory.universal._conditions import Conditions
from shoal.theory.universal._figure import Figure
from shoal.theory.universal._staircase import Staircase
from shoal.theory.universal._terms import Terms


@dataclass(frozen=True)
class Certificate:
    """Distances in the data's units, each with its kind, and exact condition numbers.

    `w2_bound` = `terms`.construction + `terms`.quantization <= `epsilon`, in exact arithmetic, for the arrays as stored;
    `w2_measured`: by Monte Carlo over an explicit coupling in the flow's dtype, an estimate of an upper bound, 99 %
    interval; `statistical`: the sample against its population, an estimate; `conditions`: "layer 1", "layer 2",
    "composition"; `atoms` of `points` rows; `dtype` of the flow.
    """

    epsilon: float
    w2_bound: Figure
    terms: Terms
    w2_measured: Figure
    statistical: Figure
    conditions: dict[str, Conditions]
    atoms: int
    points: int
    dtype: str

    def to_record(self) -> dict[str, Any]:
        """Plain dicts and numbers."""
        return {
            "epsilon": self.epsilon,
            "w2_bound": self.w2_bound.to_record(),
            "terms": self.terms.to_record(),
            "w2_measured": self.w2_measured.to_record(),
            "statistical": self.statistical.to_record(),
            "conditions": {name: c.to_record() for name, c in self.conditions.items()},
            "atoms": self.atoms,
            "points": self.points,
            "dtype": self.dtype,
        }

    def __str__(self) -> str:
        t = self.terms
        lines = [
            f"W2 to the sample of {self.points}: bound {self.w2_bound}, measured {self.w2_measured} "
            f"(epsilon {self.epsilon:g})",
            f"  {self.atoms} atoms: quantization {t.quantization:.3g}, push {t.push:.3g}, scales {t.scales:.3g}, "
            f"ramps {t.ramps:.3g}, tails {t.tails:.3g}, borders {t.borders:.3g}",
            f"  sample against population: {self.statistical}",
        ]
        for name, c in self.conditions.items():
            lines.append(
                f"  κ of {name}: {c.cells} on cells, up to {c.largest} on ramps (mass {c.mass}), 99 % {c.at99}"
            )
        return "\n".join(lines)


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
