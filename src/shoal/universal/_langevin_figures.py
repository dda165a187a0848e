"""Figures of a flow on (x, v): W2 of the marginal of x to its target without random numbers, and condition numbers.

The marginal's density is the integral of the flow's own density over v, on a grid (the trapezoidal rule, for a density that
decays); its distribution function is the integral of a cubic spline. W2^2 is the integral over z ~ N(0, 1) of the squared
difference of the quantiles at Phi(z).
"""

from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.special import ndtri

from shoal._scalars import FloatArray
from shoal._types import Key
from shoal.bijections import Chain
from shoal.conditioning import composed, compute, condition_numbers, from_bijection, lipschitz_bounds
from shoal.conditioning import jacobian_singular_values as singular
from shoal.distributions import Flow
from shoal.universal._figure import Figure
from shoal.universal._log_concave import LogConcave

POINTS, BOX = 4096, 3.0
GRID_X, GRID_V, WIDEST_V = 600, 101, 7.0
LAST_Z = 5.5  # W2's integral is cut there: a probability of 4e-8


@dataclass(frozen=True)
class LangevinConditions:
    """kappa of (z_x, z_v) -> (x, v), x in units of its deviation, at 4,096 latents.

    `median`, `at999`: 50 % and 99.9 % quantiles, estimates; `largest`: of all points, a lower bound of the supremum;
    `box`: an upper bound for all latents with every coordinate in [-3, 3], the product of the layers' bounds.
    """

    median: Figure
    at999: Figure
    largest: Figure
    box: Figure

    def to_record(self) -> dict[str, Any]:
        """The figures with their kinds."""
        return {name: getattr(self, name).to_record() for name in self.__dataclass_fields__}


def langevin_conditions(joint: Flow, key: Key) -> LangevinConditions:
    """Measured and bounded, without the last layer, which is the change of units."""
    inner = Chain(joint.bijection.bijections[:-1])  # pyright: ignore[reportAttributeAccessIssue]  (a Chain)
    size = joint.shape[0]
    z = np.asarray(jr.normal(key, (POINTS, size)), np.float64)
    kappa = condition_numbers(singular(from_bijection(inner).jacobian(z)))
    whole = composed(lipschitz_bounds(inner, np.full(size, -BOX), np.full(size, BOX)))
    bound = np.nan if whole.forward is None or whole.inverse is None else whole.forward * whole.inverse
    return LangevinConditions(
        Figure(float(np.median(kappa)), "estimate"),
        Figure(float(np.quantile(kappa, 0.999)), "estimate"),
        Figure(float(kappa.max()), "lower_bound"),
        Figure(float(bound), "upper_bound" if np.isfinite(bound) else "unresolved"),
    )


def marginal_w2(joint: Flow, target: LogConcave) -> tuple[float, float]:
    """W2 of the law of x under a flow on R^2 to the target, and its change when the grid of x is halved."""
    low, high = target.transport(np.array([-6.2, 6.2])) + np.array([-0.3, 0.3]) * target.deviation
    x, v = np.linspace(low, high, GRID_X + 1), np.linspace(-WIDEST_V, WIDEST_V, GRID_V)
    rows = np.stack(np.meshgrid(x, v, indexing="ij"), axis=-1).reshape(-1, 2)
    logs = compute(lambda flow, points: flow.log_prob(points), joint, rows, precision="float64")
    density = np.exp(logs.reshape(len(x), len(v))).sum(axis=1) * (v[1] - v[0])
    fine, coarse = _w2(x, density, target), _w2(x[::2], density[::2], target)
    return fine, abs(fine - coarse)


def _w2(x: FloatArray, density: FloatArray, target: LogConcave) -> float:
    cdf = CubicSpline(x, density).antiderivative()(x)
    cdf = cdf / cdf[-1]
    z = np.linspace(-LAST_Z, LAST_Z, 4001)
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = ndtri(cdf)  # quantiles are smooth in the normal score
    used = np.flatnonzero(np.isfinite(scores) & (np.abs(scores) < 7.5))
    used = used[np.append(True, np.diff(np.maximum.accumulate(scores[used])) > 0)]
    quantiles = PchipInterpolator(scores[used], x[used])(z)
    weights = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    return float(np.sqrt(weights @ np.square(quantiles - target.transport(z))))
