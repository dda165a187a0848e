"""Figures of a flow on (x, v): W2 of the marginal of x to its target without random numbers, and condition numbers.

The marginal's density is the integral of the flow's own density over v, on a grid (the trapezoidal rule, for a density that
decays); its distribution function is the integral of a cubic spline. W2^2 is the integral over z ~ N(0, 1) of the squared
difference of the quantiles at Phi(z).

Condition numbers are those of planar maps, from the knots of the layers as stored.
A step has J <- [[1, 0], [c, a]] J for the layer of v and J <- [[1, h], [0, 1]] J for a drift, with a = exp(log_scale(x)) and
c = a v log_scale'(x) + shift'(x). det J is the product of the a, and kappa = sigma_max^2 / det J for a matrix of order two.
The image of a cell with centre z0 and radii r lies in f(z0) + [J] [-r, r], [J] an enclosure of the Jacobians on the cell
(mean value form; for piecewise linear functions the slopes are those of all pieces that the cell meets).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.random as jr
import numpy as np
from msgspec import Struct
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.special import ndtri

from shoal._scalars import FloatArray, IntArray
from shoal._types import Key
from shoal.conditioning import compute
from shoal.distributions import Flow
from shoal.records.figures import Figure
from shoal.theory.universal._log_concave import LogConcave

POINTS, BOX, CELLS = 4096, 3.5, 160
GRID_X, GRID_V, WIDEST_V = 1200, 61, 7.0
EDGE = 1e-7  # the density at the grid's ends, of its largest value
LOST = 1e-3  # the error of the density's integral on the grid, kinks included
LAST_Z = 5.5  # W2's integral is cut there: a probability of 4e-8
MARGIN = 1 + 1e-9  # for rounding, which is a few hundred eps


@dataclass(frozen=True)
class Kick:
    """One layer of v by its knots: v <- exp(log_scale(x)) v + shift(x)."""

    knots: FloatArray
    log_scale: FloatArray
    shift: FloatArray


class LangevinConditions(Struct, frozen=True):
    """kappa of (z_x, z_v) -> (x, v), x in units of its deviation, for the layers as stored.

    `median`, `at999`: 50 % and 99.9 % quantiles over 4,096 latents, estimates; `largest`: of these, a lower bound of the
    supremum; `box`: an upper bound for all latents with every coordinate in [-3.5, 3.5], which hold 99.9 % of the
    probability for d = 1, by enclosures on 160^2 cells a coordinate.
    """

    median: Figure
    at999: Figure
    largest: Figure
    box: Figure


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


@dataclass(frozen=True)
class Stretch:
    """sigma_max and 1 / sigma_min, (points,), or upper bounds of them on cells."""

    forward: FloatArray
    inverse: FloatArray


def stretches(layers: Sequence[Kick], h: float, z: FloatArray) -> Stretch:
    """At the latents z, (points, 2)."""
    return _pushed(layers, h, z, np.zeros(2))


def enclosed(layers: Sequence[Kick], h: float, box: float, cells: int) -> Stretch:
    """Upper bounds on each of cells^2 cells of the square [-box, box]^2."""
    r = box / cells
    ends = np.linspace(r - box, box - r, cells)
    z = np.stack(np.meshgrid(ends, ends, indexing="ij"), axis=-1).reshape(-1, 2)
    found = _pushed(layers, h, z, np.full(2, r * MARGIN))
    return Stretch(found.forward * MARGIN, found.inverse * MARGIN)


def _pushed(layers: Sequence[Kick], h: float, z: FloatArray, radii: FloatArray) -> Stretch:
    """Centres, enclosures middle +- radius of both rows of J, and a lower bound of log det."""
    x, v = z[:, 0].copy(), z[:, 1].copy()
    n = len(z)
    jx, jv = np.tile([1.0, 0.0], (n, 1)), np.tile([0.0, 1.0], (n, 1))
    rx, rv = np.zeros((n, 2)), np.zeros((n, 2))
    log_det = np.zeros(n)
    for k, kick in enumerate(layers):
        d = h / 2 if k == 0 else h
        x, jx, rx = x + d * v, jx + d * jv, rx + d * rv
        reach_x, reach_v = (np.abs(jx) + rx) @ radii, (np.abs(jv) + rv) @ radii
        first = np.searchsorted(
            kick.knots, x - reach_x, side="left"
        )  # piece j lies between the knots j - 1 and j
        last = np.searchsorted(kick.knots, x + reach_x, side="right")
        sl, dl = _range(kick.knots, kick.log_scale, first, last)
        ss, ds = _range(kick.knots, kick.shift, first, last)
        middle = np.interp(x, kick.knots, kick.log_scale)
        spread = (np.abs(sl) + dl) * reach_x
        a = np.exp(middle) * np.cosh(spread)
        da = np.exp(middle) * np.sinh(spread)
        w, dw = _times(a, da, v, reach_v)
        c, dc = _times(w, dw, sl, dl)
        c, dc = c + ss, dc + ds
        first_part, first_radius = _times(a[:, None], da[:, None], jv, rv)
        second_part, second_radius = _times(c[:, None], dc[:, None], jx, rx)
        jv, rv = first_part + second_part, first_radius + second_radius
        v = np.exp(middle) * v + np.interp(x, kick.knots, kick.shift)
        log_det = log_det + middle - spread
    jx, rx = jx + h / 2 * jv, rx + h / 2 * rv
    largest = _norm(np.stack([jx, jv], axis=1)) + _norm(np.stack([rx, rv], axis=1))
    return Stretch(largest, largest * np.exp(-log_det))


def _times(a: FloatArray, da: FloatArray, b: FloatArray, db: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(a +- da) (b +- db) as middle and radius."""
    return a * b, np.abs(a) * db + da * np.abs(b) + da * db


def _norm(m: FloatArray) -> FloatArray:
    """The 2-norms of matrices of order two, (n, 2, 2): sigma_max^2 = (F + sqrt(F^2 - 4 det^2)) / 2."""
    f = np.square(m).sum(axis=(1, 2))
    det = m[:, 0, 0] * m[:, 1, 1] - m[:, 0, 1] * m[:, 1, 0]
    return np.sqrt((f + np.sqrt(np.maximum((f - 2 * det) * (f + 2 * det), 0.0))) / 2)


def _range(
    knots: FloatArray, values: FloatArray, first: IntArray, last: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Middle and radius of the slopes of the pieces first ... last, by a table of ranges of 2^k pieces."""
    slopes = np.concatenate([[0.0], np.diff(values) / np.diff(knots), [0.0]])
    last = np.maximum(first, last)
    level = np.frexp((last - first + 1).astype(np.float64))[1] - 1  # floor(log2)
    low, high = np.empty(len(first)), np.empty(len(first))
    smallest, largest, size = slopes, slopes, 1
    for k in range(int(level.max()) + 1):
        if k > 0:
            smallest = np.minimum(smallest[:-size], smallest[size:])
            largest = np.maximum(largest[:-size], largest[size:])
            size *= 2
        at = np.flatnonzero(level == k)
        i, j = first[at], last[at] - size + 1
        low[at], high[at] = np.minimum(smallest[i], smallest[j]), np.maximum(largest[i], largest[j])
    return (low + high) / 2, (high - low) / 2
