"""Remedies that change the rows which a flow is trained on; test rows stay as they are."""

import math
from dataclasses import dataclass, replace

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal.bijections import AbstractBijection, Chain, LULinear
from shoal.distributions import AbstractFlow, Flow
from shoal.remedies._base import DIGITS, AbstractRemedy, Evidence
from shoal.remedies._plan import Plan
from shoal.tables import dequantize, detect_lattice


@dataclass(frozen=True)
class DequantizationNoise(AbstractRemedy):
    """Training and validation rows with noise: uniform of one step on lattice columns, normal of `size` on the others.

    `size` is in units of the columns' deviations; 0 leaves columns without a lattice as they are, which does not mend
    columns that depend on each other.
    Expected: half the log10 of (l + v) / l, l the least eigenvalue of the correlation matrix and v the noise's variance (the
    singular value that a linear flow gains), or, on a lattice, kappa's digits less log10(deviation / step).
    """

    size: float = 0.0
    seed: int = 0
    name: str = "dequantization"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.size) and self.size >= 0):
            raise InputError(f"`DequantizationNoise(size=...)` must be at least 0; got {self.size}.")

    def judge(self, evidence: Evidence) -> tuple[float, str] | None:
        """Where columns are lattices, or the rows lie near a flat and there is noise for it."""
        deviation, columns = evidence.x.std(axis=0), evidence.x.shape[1]
        steps = np.array([g.step / deviation[g.index] for g in evidence.lattices])
        atoms = evidence.digits - float(np.log10(1.0 / steps.max())) if len(steps) else 0.0
        variance = float(np.min(steps) ** 2) / 12.0 if len(steps) == columns else self.size**2
        least = max(float(evidence.correlations[-1]), 10.0 ** (-2 * DIGITS))
        wider = 0.5 * math.log10((least + variance) / least)
        expected = min(evidence.digits, max(atoms, wider if wider > 0.3 else 0.0))
        if expected <= 0:
            return None
        if len(steps):
            coarse = evidence.lattices[int(np.argmax(steps))]
            return expected, (
                f"{len(steps)} of {columns} columns are multiples of a step (column {coarse.column}: {coarse.step:.3g}); a "
                "density may grow without bound there, and σmin falls with it."
            )
        narrow = float(np.sqrt(evidence.correlations[-1] / max(evidence.correlations[0], 1e-300)))
        return expected, (
            f"The rows are {narrow:.2g} as wide in their narrowest direction as in their widest; noise of {self.size:g} "
            "deviations gives every direction a width."
        )

    def apply(self, plan: Plan) -> Plan:
        """Noise on the training and the validation rows. **Raises:** InputError where there is neither lattice nor size."""
        lattices = detect_lattice(plan.train, [str(i) for i in range(plan.train.shape[1])])
        if not lattices and self.size == 0:
            raise InputError(
                "No column is a lattice; give the noise a `size`, in units of the columns' deviations."
            )
        rng = np.random.default_rng(self.seed)
        others = np.setdiff1d(np.arange(plan.train.shape[1]), [g.index for g in lattices])
        parts = []
        for rows in (plan.train, plan.validation):
            noisy = dequantize(rows, lattices, rng)
            noisy[:, others] += self.size * rng.standard_normal((len(rows), len(others)))
            parts.append(noisy)
        return replace(plan, train=parts[0], validation=parts[1])


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

    def judge(self, evidence: Evidence) -> tuple[float, str] | None:
        """Where columns are correlated and kappa is above what their Gaussian needs."""
        values = evidence.correlations
        needed = float(np.clip(0.5 * np.log10(values[0] / max(float(values[-1]), 1e-32)), 0.0, DIGITS))
        expected = 0.3 * (evidence.digits - needed)
        if needed <= 0.3 or expected <= 0:
            return None
        return expected, (
            f"The columns are correlated (a Gaussian with them needs κ {10**needed:.3g}), and the flow has "
            f"{evidence.kappa:.3g}; a fixed linear layer takes that part from the couplings."
        )

    def apply(self, plan: Plan) -> Plan:
        """Whitened training and validation rows, and the layer behind the trained flow."""
        mean = plan.train.mean(axis=0)
        covariance = np.cov(plan.train.T, bias=True).reshape(len(mean), len(mean))
        values, vectors = np.linalg.eigh(covariance)
        kept = np.sqrt(np.maximum(values, self.floor * values[-1]))
        upper = np.linalg.qr((vectors * kept).T)[1]  # C = M M^T, M^T = Q R: L = R^T
        lower = upper.T * np.sign(np.diagonal(upper))
        white = [np.linalg.solve(lower, (p - mean).T).T for p in (plan.train, plan.validation)]
        finish = (lambda flow: _behind(flow, mean, lower), *plan.finish)
        return replace(plan, train=white[0], validation=white[1], finish=finish)


def _behind(flow: AbstractFlow, mean: FloatArray, lower: FloatArray) -> AbstractFlow:
    """The flow with the layer next to the data; what a flow adds to the data stays as it is."""
    joint = flow.joint
    parts = (joint.bijection, _lower_linear(joint.shape[0], mean, lower))
    longer = Flow(joint.base, Chain(parts), context_columns=joint.context_columns)
    return flow.with_joint(longer, flow.columns)


def _lower_linear(size: int, mean: FloatArray, lower: FloatArray) -> AbstractBijection:
    """x = mean + L y on the first coordinates, the identity on what pads them."""
    n = len(mean)
    scale, shift, whole = np.ones(size), np.zeros(size), np.eye(size)
    scale[:n], shift[:n], whole[:n, :n] = np.diagonal(lower), mean, lower / np.diagonal(lower)
    values = (np.tril(whole, -1), np.log(scale), shift)
    where = lambda b: (b.lower, b.log_diagonal, b.bias)
    blank = LULinear(size, key=jr.key(0))
    return eqx.tree_at(where, blank, tuple(jnp.asarray(v, blank.bias.dtype) for v in values))
