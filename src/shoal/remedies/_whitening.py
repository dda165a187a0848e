"""Whitening: a fixed linear layer next to the data that gives the flow rows with the identity as covariance."""

from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal._scalars import FloatArray
from shoal.bijections import AbstractBijection, LULinear
from shoal.remedies._base import AbstractRemedy, Evidence
from shoal.remedies._plan import Plan, append


@dataclass(frozen=True)
class Whitening(AbstractRemedy):
    """x = mean + L y, L L^T the covariance of the training rows, an `LULinear` behind the flow, which learns y.

    Eigenvalues of the covariance below `floor` times the largest count as that. L is made in float64, before training, and
    is not trained. It takes the linear part of the work from the other layers; kappa of the whole map keeps it: data that
    are narrow in one direction stay so.
    Expected: three tenths of kappa's digits above log10 sqrt(kappa of the correlation matrix), which a Gaussian needs.
    """

    floor: float = 1e-10
    name: str = "whitening"

    def why(self, evidence: Evidence) -> str | None:
        """Where columns are correlated and kappa is above what their Gaussian needs."""
        if self.expected(evidence) <= 0:
            return None
        return (
            f"The columns are correlated (a Gaussian with them needs κ {10 ** _gaussian(evidence):.3g}), and the flow has "
            f"{evidence.kappa:.3g}; a fixed linear layer takes that part from the couplings."
        )

    def expected(self, evidence: Evidence) -> float:
        """See the class."""
        needed = _gaussian(evidence)
        return 0.3 * max(0.0, evidence.digits - needed) if needed > 0.3 else 0.0

    def apply(self, plan: Plan) -> Plan:
        """Whitened training and validation rows, and the layer behind the trained flow."""
        mean, lower = self._layer(plan.train)
        white = [np.linalg.solve(lower, (p - mean).T).T for p in (plan.train, plan.validation)]

        def finish(flow: Any) -> Any:
            return append(flow, lambda n: _lower_linear(n, mean, lower))

        return replace(plan, train=white[0], validation=white[1], finish=(finish, *plan.finish))

    def _layer(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and the lower triangular factor."""
        mean = rows.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(rows.T, bias=True).reshape(rows.shape[1], rows.shape[1]))
        kept = np.sqrt(np.maximum(values, self.floor * values[-1]))
        upper = np.linalg.qr((vectors * kept).T)[1]  # C = M M^T, M^T = Q R: L = R^T
        return mean, upper.T * np.sign(np.diagonal(upper))


def _lower_linear(size: int, mean: FloatArray, lower: FloatArray) -> AbstractBijection:
    """x = mean + L y on the first coordinates, the identity on what pads them."""
    n = len(mean)
    scale, shift, whole = np.ones(size), np.zeros(size), np.eye(size)
    scale[:n], shift[:n], whole[:n, :n] = np.diagonal(lower), mean, lower / np.diagonal(lower)
    values = (np.tril(whole, -1), np.log(scale), shift)
    where = lambda b: (b.lower, b.log_diagonal, b.bias)
    blank = LULinear(size, key=jr.key(0))
    return eqx.tree_at(where, blank, tuple(jnp.asarray(v, blank.bias.dtype) for v in values))


def _gaussian(evidence: Evidence) -> float:
    """log10 of the kappa of the Gaussian with these correlations, at most 16."""
    values = evidence.correlations
    return float(np.clip(0.5 * np.log10(values[0] / max(float(values[-1]), 1e-32)), 0.0, 16.0))
