"""Figures of a flow on (x, v): W2 of the marginal of x to its target without random numbers, and condition numbers.

The marginal's density is the integral of the flow's own density over v, on a grid (the trapezoidal rule, for a density that
decays); its distribution function is the integral of a cubic spline. W2^2 is the integral over z ~ N(0, 1) of the squared
difference of the quantiles at Phi(z).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.special import ndtri

from shoal._scalars import FloatArray
from shoal._types import Key
from shoal.conditioning import compute
from shoal.distributions import Flow
from shoal.records.figures import Figure
from shoal.universal._langevin_bounds import enclosed, stretches
from shoal.universal._langevin_layers import Kick
from shoal.universal._log_concave import LogConcave

POINTS, BOX, CELLS = 4096, 3.5, 160
GRID_X, GRID_V, WIDEST_V = 1200, 61, 7.0
EDGE = 1e-7  # the density at the grid's ends, of its largest value
LOST = 1e-3  # the error of the density's integral on the grid, kinks included
LAST_Z = 5.5  # W2's integral is cut there: a probability of 4e-8


@dataclass(frozen=True)
class LangevinConditions:
    """kappa of (z_x, z_v) -> (x, v), x in units of its deviation, for the layers as stored.

    `median`, `at999`: 50 % and 99.9 % quantiles over 4,096 latents, estimates; `largest`: of these, a lower bound of the
    supremum; `box`: an upper bound for all latents with every coordinate in [-3.5, 3.5], which hold 99.9 % of the
    probability for d = 1, by enclosures on 160^2 cells a coordinate.
    """

    median: Figure
    at999: Figure
    largest: Figure
    box: Figure

    def to_record(self) -> dict[str, Any]:
        """The figures with their kinds."""
        return {name: getattr(self, name).to_record() for name in self.__dataclass_fields__}


def langevin_conditions(layers: Sequence[Sequence[Kick]], h: float, key: Key) -> LangevinConditions:
    """Of the product of one planar map a coordinate: sigma_max and sigma_min are the outermost of the factors'."""
    d = len(layers)
    z = np.asarray(jr.normal(key, (POINTS, 2 * d)), np.float64)
    at = [stretches(one, h, z[:, [i, d + i]]) for i, one in enumerate(layers)]
    on = [enclosed(one, h, BOX, CELLS) for one in layers]
    kappa = np.max([a.forward for a in at], axis=0) * np.max([a.inverse for a in at], axis=0)
    same = max(float((b.forward * b.inverse).max()) for b in on)  # within one coordinate: from the same cell
    apart = max(float(b.forward.max()) for b in on) * max(float(b.inverse.max()) for b in on)
    return LangevinConditions(
        Figure(float(np.median(kappa)), "estimate"),
        Figure(float(np.quantile(kappa, 0.999)), "estimate"),
        Figure(float(kappa.max()), "lower_bound"),
        Figure(same if d == 1 else apart, "upper_bound"),
    )


def marginal_w2(joint: Flow, target: LogConcave) -> tuple[float, float]:
    """W2 of the law of x under a flow on R^2 to the target, and its change when the grid of x is halved.

    NaN where no grid within twenty deviations of the target holds the flow's mass.
    """
    for margin in (0.3, 4.0, 20.0):
        ends = target.transport(np.array([-6.2, 6.2]))
        low, high = ends + np.array([-margin, margin]) * target.deviation
        x, v = np.linspace(low, high, GRID_X + 1), np.linspace(-WIDEST_V, WIDEST_V, GRID_V)
        rows = np.stack(np.meshgrid(x, v, indexing="ij"), axis=-1).reshape(-1, 2)
        logs = compute(lambda flow, points: flow.log_prob(points), joint, rows, precision="float64")
        density = np.exp(logs.reshape(len(x), len(v))).sum(axis=1) * (v[1] - v[0])
        mass = float(CubicSpline(x, density).integrate(low, high))
        if max(density[0], density[-1]) < EDGE * density.max() and abs(mass - 1) < LOST:
            fine, coarse = _w2(x, density, target), _w2(x[::2], density[::2], target)
            return fine, abs(fine - coarse)
    return float("nan"), float("nan")


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
