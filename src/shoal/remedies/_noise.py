"""Dequantization: noise on the training rows at the data's own resolution, so that their law has a density."""

import math
from dataclasses import dataclass, replace

import numpy as np

from shoal._scalars import FloatArray
from shoal.remedies._base import DIGITS, AbstractRemedy, Evidence
from shoal.remedies._plan import Plan
from shoal.tables import Lattice, dequantize, detect_lattice


@dataclass(frozen=True)
class DequantizationNoise(AbstractRemedy):
    """Training and validation rows with noise: uniform of one step on lattice columns, normal of `size` on the others.

    `size` is in units of the columns' deviations; 0 leaves columns without a lattice as they are, which does not mend
    columns that depend on each other. The test rows stay as they are.
    Expected: half the log10 of (l + v) / l, l the least eigenvalue of the correlation matrix and v the noise's variance (the
    singular value that a linear flow gains), or, on a lattice, kappa's digits less log10(deviation / step).
    """

    size: float = 0.0
    seed: int = 0
    name: str = "dequantization"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.size) and self.size >= 0):
            raise ValueError(f"`DequantizationNoise(size=...)` must be at least 0; got {self.size}.")

    def why(self, evidence: Evidence) -> str | None:
        """Where columns are lattices, or the rows lie near a flat and there is noise for it."""
        if self.expected(evidence) <= 0:
            return None
        if evidence.lattices:
            coarse = max(evidence.lattices, key=lambda g: g.step / evidence.x[:, g.index].std())
            count = f"{len(evidence.lattices)} of {evidence.x.shape[1]} columns"
            return (
                f"{count} are multiples of a step (column {coarse.column}: {coarse.step:.3g}); a density may grow "
                "without bound there, and σmin falls with it."
            )
        least = float(np.sqrt(evidence.correlations[-1] / max(evidence.correlations[0], 1e-300)))
        return (
            f"The rows are {least:.2g} as wide in their narrowest direction as in their widest; noise of {self.size:g} "
            f"deviations gives every direction a width."
        )

    def expected(self, evidence: Evidence) -> float:
        """See the class."""
        deviation = evidence.x.std(axis=0)
        steps = np.array([g.step / deviation[g.index] for g in evidence.lattices])
        atoms = evidence.digits - float(np.log10(1.0 / steps.max())) if len(steps) else 0.0
        variance = self.size**2
        if len(steps) == evidence.x.shape[1]:
            variance = float(np.min(steps) ** 2) / 12.0
        least = max(float(evidence.correlations[-1]), 10.0 ** (-2 * DIGITS))
        wider = 0.5 * math.log10((least + variance) / least)
        return float(min(evidence.digits, max(0.0, atoms, wider if wider > 0.3 else 0.0)))

    def apply(self, plan: Plan) -> Plan:
        """Noise on the training and the validation rows. **Raises:** ValueError where there is neither lattice nor size."""
        names = [str(i) for i in range(plan.train.shape[1])]
        lattices = detect_lattice(plan.train, names)
        if not lattices and self.size == 0:
            raise ValueError(
                "No column is a lattice; give the noise a `size`, in units of the columns' deviations."
            )
        rng = np.random.default_rng(self.seed)
        parts = [self._noisy(p, lattices, rng) for p in (plan.train, plan.validation)]
        return replace(plan, train=parts[0], validation=parts[1])

    def _noisy(self, rows: FloatArray, lattices: tuple[Lattice, ...], rng: np.random.Generator) -> FloatArray:
        noisy = dequantize(rows, lattices, rng)
        others = np.setdiff1d(np.arange(rows.shape[1]), [g.index for g in lattices])
        noisy[:, others] += self.size * rng.standard_normal((len(rows), len(others)))
        return noisy
