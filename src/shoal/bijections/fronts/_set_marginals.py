"""Setting `Marginals` from rows, in NumPy float64: knots at weighted quantiles, as many as held-out rows ask for."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.special import ndtri

from shoal._scalars import FloatArray
from shoal.bijections.fronts._marginals import Marginals, raw_index

BINS = (4, 8, 16, 32, 64)
ROWS_PER_BIN = 12  # of the training rows, so that a bin is an average of several
BEYOND = 8  # rows beyond the outer knots on either side
WIDEST = 3.0  # deviations of the outer knots, at most
START = 4.0  # deviations at which the tails of the identity begin
STEEPEST = 1e3  # largest slope dz/dx of a bin, in units of the middle half of the column
INDICES = np.array([0.01, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0, 3.0])


class Curve(NamedTuple):
    """One column: knots in x and z, slopes dz/dx there, tail indices (lower, upper)."""

    x: FloatArray
    z: FloatArray
    slopes: FloatArray
    tails: FloatArray


def marginals(
    x: FloatArray,
    weights: FloatArray | None = None,
    *,
    validation: FloatArray | None = None,
    validation_weights: FloatArray | None = None,
) -> Marginals:
    """`Marginals` that send each column of rows (rows, n) to a standard normal one.

    Knots lie at the (weighted) quantiles of evenly spaced normal deviates, up to `BEYOND` rows from either end. The number
    of bins of a column is the one of `BINS` with the highest likelihood on the `validation` rows (without any: about the
    cube root of twice the rows); every column gets as many as the rows allow, on that curve. The slope at a knot is the
    harmonic mean of its neighbours' (Fritsch and Butland 1984), which keeps the curve from overshooting. A tail index is the
    likeliest of ten for the rows beyond its knot but one: no single row bends a tail.
    """
    x = np.asarray(x, np.float64)
    w, rows = _weighed(x, weights)
    most, curves = _allowed(rows)[-1], []
    for j in range(x.shape[1]):
        sorted_, allowed = _sorted(x[:, j], w), _allowed(rows)
        if validation is None:
            allowed = [min(allowed, key=lambda k: abs(k - (2 * rows) ** (1 / 3)))]
        made = [_curve(*sorted_, bins, rows) for bins in allowed]
        if validation is not None and len(made) > 1:
            held = np.asarray(validation, np.float64)[:, j]
            made = [max(made, key=lambda c: _score(c, held, validation_weights))]
        curves.append(made[0])
    return _joined([_refined(c, most) for c in curves])


def identity_marginals(x: FloatArray, weights: FloatArray | None = None) -> Marginals:
    """The identity within 4 deviations, with log tails beyond, as `Marginals` with as many bins as rows (rows, n) allow."""
    knots = np.linspace(-START, START, _allowed(_weighed(x, weights)[1])[-1] + 1)
    return _joined([Curve(knots, knots, np.ones(len(knots)), np.ones(2))] * x.shape[1])


def _weighed(x: FloatArray, weights: FloatArray | None) -> tuple[FloatArray, float]:
    """The weights, and how many rows of equal weight they are worth (Kish 1965)."""
    w = np.full(len(x), 1.0) if weights is None else np.asarray(weights, np.float64)
    return w, float(np.sum(w) ** 2 / np.sum(w**2))


def _allowed(rows: float) -> list[int]:
    return [k for k in BINS if k * ROWS_PER_BIN <= rows] or [BINS[0]]


def _sorted(x: FloatArray, w: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Distinct values, their normal deviates by the middle of their share, and the scale of the middle half."""
    values, place = np.unique(x, return_inverse=True)
    share = np.bincount(place, w)
    share = share / share.sum()
    middle = np.cumsum(share) - 0.5 * share
    quarter = np.interp([0.25, 0.75], middle, values)
    scale = (quarter[1] - quarter[0]) / 1.349
    return values, ndtri(middle), scale if scale > 0 else max(float(np.ptp(values)), 1e-30)


def _curve(values: FloatArray, deviates: FloatArray, scale: float, bins: int, rows: float) -> Curve:
    end = min(WIDEST, -float(ndtri(min(BEYOND / rows, 0.25))))
    z = np.linspace(-end, end, bins + 1)
    x = np.interp(z, deviates, values)
    least = np.diff(z) * scale / STEEPEST
    gaps = np.maximum(np.diff(x), least)
    x = np.concatenate([x[:1], x[0] + np.cumsum(gaps)])
    x = x + (np.interp(0.0, deviates, values) - np.interp(0.0, z, x))  # gaps that were widened push both ways
    s = np.diff(z) / np.diff(x)
    slopes = np.concatenate([s[:1], 2.0 * s[:-1] * s[1:] / (s[:-1] + s[1:]), s[-1:]])
    beyond = (x[0] - values[values < x[0]], s[0]), (values[values > x[-1]] - x[-1], s[-1])
    tails = [_tail(e, d, end) for e, d in beyond]
    return Curve(x, z, slopes, np.array(tails))


def _tail(beyond: FloatArray, slope: float, end: float) -> float:
    """The index of `INDICES` under which the rows beyond a knot are likeliest, the least likely one of them left out."""
    if len(beyond) == 0:
        return 0.1
    a = INDICES[:, None] * slope * beyond[None]
    deviate = end + np.log1p(a) / INDICES[:, None]
    logs = np.sort(-0.5 * deviate**2 - np.log1p(a), axis=1)
    return float(INDICES[np.argmax(logs[:, 1 if len(beyond) > 2 else 0 :].sum(axis=1))])


def _score(curve: Curve, held: FloatArray, weights: FloatArray | None) -> float:
    """Mean log density of held-out values, those below the lowest 1 % raised to it."""
    z, slope = evaluate(curve, held)
    logs = -0.5 * z**2 + np.log(slope)
    return float(np.average(np.maximum(logs, np.quantile(logs, 0.01)), weights=weights))


def evaluate(curve: Curve, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """z(x) and dz/dx of one column."""
    u, v, d = curve.x, curve.z, curve.slopes
    inside = np.clip(x, u[0], u[-1])
    i = np.clip(np.searchsorted(u, inside, side="right") - 1, 0, len(u) - 2)
    w, h = np.diff(u)[i], np.diff(v)[i]
    t, s = (inside - u[i]) / w, h / w
    mixed, curved = t * (1 - t), d[i] + d[i + 1] - 2 * s
    below = s + curved * mixed
    z = v[i] + h * (s * t * t + d[i] * mixed) / below
    slope = (s / below) ** 2 * (d[i + 1] * t * t + 2 * s * mixed + d[i] * (1 - t) ** 2)
    for e, end, sign, index in ((u[0] - x, 0, -1.0, curve.tails[0]), (x - u[-1], -1, 1.0, curve.tails[1])):
        a = index * d[end] * np.maximum(e, 0.0)
        z = np.where(e > 0, v[end] + sign * np.log1p(a) / index, z)
        slope = np.where(e > 0, d[end] / (1 + a), slope)
    return z, slope


def _refined(curve: Curve, bins: int) -> Curve:
    """The same curve with knots added until there are `bins` bins; bins of the present curve are halved, widest first."""
    x = list(curve.x)
    while len(x) < bins + 1:
        gaps = np.diff(evaluate(curve, np.array(x))[0])
        for i in sorted(np.argsort(-gaps)[: bins + 1 - len(x)], reverse=True):
            x.insert(int(i) + 1, 0.5 * (x[i] + x[i + 1]))
    at = np.array(x)
    return Curve(at, *evaluate(curve, at), curve.tails)


def _joined(curves: list[Curve]) -> Marginals:
    dtype = jnp.result_type(float)
    x, z, slopes, tails = (np.stack(part) for part in zip(*curves, strict=True))
    raw = np.vectorize(raw_index)(np.maximum(tails, 0.01))
    return Marginals(
        jnp.asarray(x, dtype),
        jnp.asarray(z[:, 0], dtype),
        jnp.asarray(np.log(np.diff(z, axis=1)), dtype),
        jnp.asarray(np.log(slopes), dtype),
        jnp.asarray(raw, dtype),
    )
