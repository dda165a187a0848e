"""The interface of a remedy, and the evidence that remedies are judged by.

A remedy is a value: it says why it might help, how much, and turns a `Plan` into another one. `expected` puts remedies
in order; it is a rule of thumb, stated in each remedy's docstring, and no prediction: `measure` measures.
"""

import abc
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from shoal._scalars import FloatArray
from shoal.conditioning import Audit, order_statistics
from shoal.remedies._plan import Plan
from shoal.tables import Lattice, detect_lattice

DIGITS = 16.0  # of kappa that count: float64 has no more


@dataclass(frozen=True)
class Evidence:
    """An audit, the flow if it is one of Shoal's, and rows of data, from which remedies draw their reasons."""

    audit: Audit
    flow: Any
    x: FloatArray

    @cached_property
    def kappa(self) -> float:
        """The 99 % quantile of kappa over the audit's points; inf where one is NaN."""
        kappa = np.nan_to_num(self.audit.condition_numbers, nan=np.inf)
        return order_statistics(kappa, 0.99)[0]

    @cached_property
    def digits(self) -> float:
        """log10 of `kappa`, between 0 and 16."""
        return float(orders(np.array([self.kappa]))[0])

    @cached_property
    def own(self) -> FloatArray:
        """log10 of each layer's own kappa at the worst points."""
        return orders(np.array([row.condition_worst for row in self.audit.layers]))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The layers' names."""
        return tuple(row.name for row in self.audit.layers)

    @cached_property
    def correlations(self) -> FloatArray:
        """Eigenvalues of the correlation matrix of the rows, descending, constant columns left out, none below 0."""
        deviation = self.x.std(axis=0)
        unit = (self.x - self.x.mean(axis=0))[:, deviation > 0] / deviation[deviation > 0]
        if unit.shape[1] == 0:
            return np.ones(1)
        singular = np.linalg.svd(unit, compute_uv=False) ** 2 / len(unit)
        return np.concatenate([singular, np.zeros(unit.shape[1] - len(singular))])

    @cached_property
    def lattices(self) -> tuple[Lattice, ...]:
        """Columns whose values are multiples of a step."""
        return detect_lattice(self.x, [str(i) for i in range(self.x.shape[1])])

    def share_above(self, cap: float, layers: list[int] | None = None) -> float:
        """Digits of kappa that lie in these layers (all by default) above `cap` digits each."""
        own = self.own if layers is None else self.own[layers]
        total = float(self.own.sum())
        return self.digits * float(np.maximum(own - cap, 0.0).sum()) / total if total > 0 else 0.0


class AbstractRemedy(abc.ABC):
    """A change to the flow, the data or the training. Values are frozen dataclasses; `name` is what tables call it."""

    name: str

    @abc.abstractmethod
    def why(self, evidence: Evidence) -> str | None:
        """One sentence that says why it might help here, or None where it does not apply."""

    @abc.abstractmethod
    def expected(self, evidence: Evidence) -> float:
        """Decimal digits of kappa, or of the float32 round trip, that it might win: for the order only."""

    @abc.abstractmethod
    def apply(self, plan: Plan) -> Plan:
        """The plan with the remedy; the given one stays as it is. **Raises:** ValueError where it can not be applied."""


@dataclass(frozen=True)
class Proposal:
    """A remedy, why it is proposed, and the digits that it is expected to win (a rule of thumb, for the order)."""

    remedy: AbstractRemedy
    why: str = ""
    expected: float = field(default=float("nan"))

    def to_record(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "remedy": self.remedy.name,
            "value": repr(self.remedy),
            "why": self.why,
            "expected": self.expected,
        }


def orders(kappa: FloatArray) -> FloatArray:
    """log10 of condition numbers, between 0 and 16; what is not finite counts as 16."""
    return np.clip(np.log10(np.maximum(np.nan_to_num(kappa, nan=np.inf, posinf=1e300), 1.0)), 0.0, DIGITS)
