"""What a remedy is, and the evidence that remedies are judged by.

A remedy is a value: it says how much it might help and why, and turns a `Plan` into another one. The digits that it might
win put remedies in order: a rule of thumb, stated in each remedy's docstring, and no prediction; `measure` measures.
"""

import abc
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from shoal._scalars import FloatArray
from shoal.conditioning import Audit, order_statistics
from shoal.distributions import AbstractFlow
from shoal.remedies._plan import Plan
from shoal.tables import Lattice, detect_lattice

DIGITS = 16.0  # of kappa that count: float64 has no more


@dataclass(frozen=True)
class Evidence:
    """An audit, the flow if it is one of Shoal's, and rows of data, from which remedies draw their reasons."""

    audit: Audit
    flow: AbstractFlow | None
    x: FloatArray

    @cached_property
    def kappa(self) -> float:
        """The 99 % quantile of kappa over the audit's points; inf where one is NaN."""
        kappa = np.nan_to_num(self.audit.condition_numbers, nan=np.inf)
        return order_statistics(kappa, 0.99)[0]

    @cached_property
    def digits(self) -> float:
        """log10 of `kappa`, between 0 and 16."""
        return float(_orders(np.array([self.kappa]))[0])

    @cached_property
    def own(self) -> FloatArray:
        """log10 of each layer's own kappa at the worst points."""
        return _orders(np.array([row.condition_worst for row in self.audit.layers]))

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

    def share_above(self, cap: float, layers: list[int]) -> float:
        """Digits of kappa that lie in these layers above `cap` digits each."""
        total = float(self.own.sum())
        above = float(np.maximum(self.own[layers] - cap, 0.0).sum())
        return self.digits * above / total if total > 0 else 0.0


class AbstractRemedy(abc.ABC):
    """A change to the flow, the data or the training. Values are frozen dataclasses; `name` is what tables call it."""

    name: str

    @abc.abstractmethod
    def judge(self, evidence: Evidence) -> tuple[float, str] | None:
        """Decimal digits of kappa, or of the float32 round trip, that it might win, and one sentence that says why.

        None where it does not apply, or would win nothing.
        """

    @abc.abstractmethod
    def apply(self, plan: Plan) -> Plan:
        """The plan with the remedy; the given one stays as it is. **Raises:** InputError where it can not be applied."""


@dataclass(frozen=True)
class Proposal:
    """A remedy, why it is proposed, and the digits that it is expected to win (a rule of thumb, for the order)."""

    remedy: AbstractRemedy
    why: str = ""
    expected: float = float("nan")

    def to_record(self) -> dict[str, str | float]:
        """Plain values."""
        remedy = self.remedy
        return {"remedy": remedy.name, "value": repr(remedy), "why": self.why, "expected": self.expected}


def _orders(kappa: FloatArray) -> FloatArray:
    """log10 of condition numbers, between 0 and 16; what is not finite counts as 16."""
    return np.clip(np.log10(np.maximum(np.nan_to_num(kappa, nan=np.inf, posinf=1e300), 1.0)), 0.0, DIGITS)
