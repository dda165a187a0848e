"""Setting `Marginals` from rows, in NumPy float64: smooth curves, or plateaus, as held-out rows ask for column by column."""

import heapq
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.special import ndtr, ndtri

from shoal._scalars import FloatArray, IntArray
from shoal.bijections.fronts._marginals import Marginals, raw_index

BINS = (4, 8, 16, 32, 64)
PLATEAUS = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
ROWS_PER_BIN = 12  # of the training rows, so that a bin is an average of several
ROWS_PER_PLATEAU = 2 - 1e-6  # but for rounding; a gap between two values is a plateau too
FINEST = 0.25  # deviates between two knots of a plateau, at most: one bin follows Φ^-1 that far to 6e-4
BEYOND = 8  # rows beyond the outer knots on either side
WIDEST = 3.0  # deviations of the outer knots, at most
START = 4.0  # deviations at which the tails of the identity begin
STEEPEST = 1e3  # largest slope dz/dx of a bin, in units of the middle half of the column
LEAST_HELD = 10  # held-out rows by which the shape of a curve is chosen
INDICES = np.array([0.01, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0, 3.0])


class Curve(NamedTuple):
    """One column: knots in x and z, slopes dz/dx at their lower and upper sides, tail indices (lower, upper)."""

    x: FloatArray
    z: FloatArray
    lower: FloatArray
    upper: FloatArray
    tails: FloatArray


class Values(NamedTuple):
    """One column's rows: distinct values, the share of the rows up to each, its deviate (the middle of its share).

    `scale`: a deviation, by the middle half; `rows`: how many rows of equal weight they are worth.
    """

    x: FloatArray
    up_to: FloatArray
    deviates: FloatArray
    scale: float
    rows: float


def marginals(
    x: FloatArray,
    weights: FloatArray | None = None,
    *,
    validation: FloatArray | None = None,
    validation_weights: FloatArray | None = None,
) -> Marginals:
    """`Marginals` that send each column of rows (rows, n) to a standard normal one.

    A column gets the curve under which the `validation` rows are likeliest, of two shapes. **Smooth**:
    knots at the (weighted) quantiles of evenly spaced normal deviates; the slope at a knot is the
    harmonic mean of its neighbours' (Fritsch and Butland 1984), which keeps the curve from overshooting.
    **Plateaus**: knots where the density jumps, constant between them, as it is for values that repeat
    and were spread over one step of their lattice. The knots come from a regression tree on one variable
    (grown by the cut that gains most likelihood, pruned by the join that loses least; the model is that
    of Scargle et al. 2013); the shape is taken where its gain over the smooth one exceeds the gain's
    standard error. NaN is a cell that is not there. With fewer than `LEAST_HELD` validation rows the
    curve is smooth with about the cube root of twice the rows as bins. Outer knots lie up to `BEYOND`
    rows from either end; a tail index is the likeliest of ten for the rows beyond but one: no single row
    bends a tail.
    """
    x = np.asarray(x, np.float64)
    w = np.full(len(x), 1.0) if weights is None else np.asarray(weights, np.float64)
    held = np.full((0, x.shape[1]), np.nan) if validation is None else np.asarray(validation, np.float64)
    held_w = None if validation_weights is None else np.asarray(validation_weights, np.float64)
    curves = []
    for j in range(x.shape[1]):
        there, judged = ~np.isnan(x[:, j]), ~np.isnan(held[:, j])
        column = _values(x[there, j], w[there])
        if judged.sum() < LEAST_HELD:
            curves.append(_smooth(column, min(_allowed(column), key=lambda k: abs(k - _usual(column.rows)))))
        else:
            curves.append(_likeliest(column, held[judged, j], None if held_w is None else held_w[judged]))
    return _joined(curves)


def _usual(rows: float) -> float:
    """How many bins a curve gets that no held-out rows judge."""
    return (2 * rows) ** (1 / 3)


def identity_marginals(dim: int, bins: int) -> Marginals:
    """The identity within 4 deviations, with log tails beyond, as `Marginals` of `dim` columns with that many bins."""
    knots = np.linspace(-START, START, bins + 1)
    ones = np.ones(bins + 1)
    return _joined([Curve(knots, knots, ones, ones, np.ones(2))] * dim)


def _values(x: FloatArray, w: FloatArray) -> Values:
    values, place = np.unique(x, return_inverse=True)
    share = np.bincount(place, w)
    share = share / share.sum()
    up_to = np.cumsum(share)
    middle = up_to - 0.5 * share
    quarter = np.interp([0.25, 0.75], middle, values)
    scale = (quarter[1] - quarter[0]) / 1.349
    scale = scale if scale > 0 else max(float(np.ptp(values)), 1e-30)
    return Values(values, up_to, ndtri(middle), scale, float(np.sum(w) ** 2 / np.sum(w**2)))  # Kish 1965


def _likeliest(column: Values, held: FloatArray, weights: FloatArray | None) -> Curve:
    """The smooth curve that is likeliest on held-out values, or the plateaus that are, where they are clearly likelier."""
    pairs = []
    for curves in ([_smooth(column, k) for k in _allowed(column)], _plateaus(column)):
        logs = [_logs(c, held) for c in curves]
        best = max(range(len(curves)), key=lambda i: np.average(logs[i], weights=weights), default=None)
        pairs += [] if best is None else [(curves[best], logs[best])]
    (smooth, before), (curve, after) = pairs[0], pairs[-1]
    gain = after - before
    mean = np.average(gain, weights=weights)
    error = np.sqrt(np.average((gain - mean) ** 2, weights=weights) / max(len(held) - 1, 1))
    return curve if mean > error else smooth


def _allowed(column: Values) -> list[int]:
    return [k for k in BINS if k * ROWS_PER_BIN <= column.rows] or [BINS[0]]


def _end(column: Values) -> float:
    """The deviate of the upper outer knot."""
    return min(WIDEST, -float(ndtri(min(BEYOND / column.rows, 0.25))))


def _smooth(column: Values, bins: int) -> Curve:
    end = _end(column)
    z = np.linspace(-end, end, bins + 1)
    x = np.interp(z, column.deviates, column.x)
    gaps = np.maximum(np.diff(x), np.diff(z) * column.scale / STEEPEST)
    x = np.concatenate([x[:1], x[0] + np.cumsum(gaps)])
    x = x + (np.interp(0.0, column.deviates, column.x) - np.interp(0.0, z, x))  # widened gaps push both ways
    s = np.diff(z) / np.diff(x)
    slopes = np.concatenate([s[:1], 2.0 * s[:-1] * s[1:] / (s[:-1] + s[1:]), s[-1:]])
    return _with_tails(column, x, z, slopes, slopes)


def _plateaus(column: Values) -> list[Curve]:
    """Curves of constant density between knots, the most that the rows allow first."""
    end = _end(column)
    low, high = np.interp([-end, end], column.deviates, column.x)
    shares, middles = column.up_to[:-1], 0.5 * (column.x[1:] + column.x[:-1])
    inside = (middles > low) & (middles < high) & (shares > ndtr(-end)) & (shares < ndtr(end))
    edges = np.concatenate([[low], middles[inside], [high]])
    up_to = np.concatenate([[ndtr(-end)], shares[inside], [ndtr(end)]])
    blocks = _blocks(edges, up_to * column.rows, column.scale / STEEPEST)
    return [_constant(column, *_gapped(column, edges[i], up_to[i])) for i in blocks]


def _gapped(column: Values, x: FloatArray, up_to: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Blocks of two distinct values that are gaps, narrowed to what lies between the two: these belong to the blocks beside.

    A gap begins one mean distance of the rows beside it after its lower value, and keeps the weight of half a row.
    """
    x, up_to = x.copy(), up_to.copy()
    share, spacing = np.diff(up_to), np.diff(x) / (np.diff(up_to) * column.rows)
    first = np.searchsorted(column.x, x[:-1], side="right")
    for k in range(1, len(share) - 1):
        if np.searchsorted(column.x, x[k + 1]) - first[k] != 2:
            continue
        low, high = column.x[first[k]] + spacing[k - 1], column.x[first[k] + 1] - spacing[k + 1]
        if x[k] < low < high < x[k + 1] and high - low > 0.5 * (x[k + 1] - x[k]):
            x[k : k + 2] = low, high
            more = 0.5 * (share[k] - min(share[k], 0.5 / column.rows))
            up_to[k : k + 2] += more, -more
    return x, up_to


def _constant(column: Values, x: FloatArray, up_to: FloatArray) -> Curve:
    """z = Φ^-1(share up to x), shares linear between the edges of blocks; more knots where a block is wide in z."""
    z, density = ndtri(up_to), np.diff(up_to) / np.diff(x)
    parts = np.ceil(np.diff(z) / FINEST).astype(int)
    block = np.repeat(np.arange(len(parts)), parts)
    within = np.arange(len(block)) - np.repeat(np.cumsum(parts) - parts, parts)
    z = np.append(z[block] + np.diff(z)[block] * within / parts[block], z[-1])
    x = np.append(x[block] + (ndtr(z[:-1]) - up_to[block]) / density[block], x[-1])
    normal = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    density = density[block]
    before, after = np.append(density[:1], density), np.append(density, density[-1:])
    return _with_tails(column, x, z, before / normal, after / normal)


def _blocks(edges: FloatArray, rows: FloatArray, narrowest: float) -> list[IntArray]:
    """Which edges bound blocks of constant density: as many as there can be, and each smaller number of `PLATEAUS`.

    `rows` (as many as edges): up to each edge. The log-likelihood of a block with c rows and width w is c log(c / w).
    """

    def logs(a: IntArray, b: IntArray) -> FloatArray:
        c, w = rows[b] - rows[a], edges[b] - edges[a]
        return c * np.log(np.maximum(c, 1e-12) / w)

    def best(a: int, b: int) -> tuple[float, int]:
        """What the best cut of a block gains, and where it lies."""
        at = np.arange(a + 1, b)
        good = (np.minimum(rows[at] - rows[a], rows[b] - rows[at]) >= ROWS_PER_PLATEAU) & (
            np.minimum(edges[at] - edges[a], edges[b] - edges[at]) >= narrowest
        )
        at = at[good]
        if not len(at):
            return -np.inf, -1
        ends = np.full(len(at), a), np.full(len(at), b)
        gain = logs(ends[0], at) + logs(at, ends[1])
        i = int(np.argmax(gain))
        return float(gain[i] - logs(np.array([a]), np.array([b]))[0]), int(at[i])

    open_, ends = [(0, len(edges) - 1)], {0, len(edges) - 1}
    heap: list[tuple[float, int, int, int]] = []
    while len(ends) <= PLATEAUS[-1]:
        for block in open_:
            gain, at = best(*block)
            heapq.heappush(heap, (-gain, *block, at))
        _, a, b, at = heapq.heappop(heap)
        if at < 0:
            break
        ends.add(at)
        open_ = [(a, at), (at, b)]
    kept, made = np.array(sorted(ends)), []
    while len(kept) > PLATEAUS[0]:
        if not made or len(kept) - 1 in PLATEAUS:
            made.append(kept)
        a, b, c = kept[:-2], kept[1:-1], kept[2:]
        kept = np.delete(kept, 1 + np.argmin(logs(a, b) + logs(b, c) - logs(a, c)))
    return made


def _with_tails(column: Values, x: FloatArray, z: FloatArray, lower: FloatArray, upper: FloatArray) -> Curve:
    below, above = x[0] - column.x[column.x < x[0]], column.x[column.x > x[-1]] - x[-1]
    tails = [_tail(below, lower[0], -z[0]), _tail(above, upper[-1], z[-1])]
    return Curve(x, z, lower, upper, np.array(tails))


def _tail(beyond: FloatArray, slope: float, end: float) -> float:
    """The index of `INDICES` under which the rows beyond a knot are likeliest, the least likely one of them left out."""
    if len(beyond) == 0:
        return 0.1
    a = INDICES[:, None] * slope * beyond[None]
    deviate = end + np.log1p(a) / INDICES[:, None]
    logs = np.sort(-0.5 * deviate**2 - np.log1p(a), axis=1)
    return float(INDICES[np.argmax(logs[:, 1 if len(beyond) > 2 else 0 :].sum(axis=1))])


def _logs(curve: Curve, held: FloatArray) -> FloatArray:
    """Log density of held-out values but for a constant, those below the lowest 1 % raised to it."""
    z, slope = evaluate(curve, held)
    logs = -0.5 * z**2 + np.log(slope)
    return np.maximum(logs, np.quantile(logs, 0.01))


def evaluate(curve: Curve, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """z(x) and dz/dx of one column."""
    u, v = curve.x, curve.z
    inside = np.clip(x, u[0], u[-1])
    i = np.clip(np.searchsorted(u, inside, side="right") - 1, 0, len(u) - 2)
    w, h = np.diff(u)[i], np.diff(v)[i]
    t, s, d0, d1 = (inside - u[i]) / w, h / w, curve.upper[i], curve.lower[i + 1]
    mixed, curved = t * (1 - t), d0 + d1 - 2 * s
    below = s + curved * mixed
    z = v[i] + h * (s * t * t + d0 * mixed) / below
    slope = (s / below) ** 2 * (d1 * t * t + 2 * s * mixed + d0 * (1 - t) ** 2)
    for e, end, sign, index in ((u[0] - x, 0, -1.0, curve.tails[0]), (x - u[-1], -1, 1.0, curve.tails[1])):
        a = index * curve.lower[end] * np.maximum(e, 0.0)
        z = np.where(e > 0, v[end] + sign * np.log1p(a) / index, z)
        slope = np.where(e > 0, curve.lower[end] / (1 + a), slope)
    return z, slope


def _refined(curve: Curve, bins: int) -> Curve:
    """The same curve with knots added until there are `bins` bins; bins of the present curve are halved, highest first."""
    while len(curve.x) < bins + 1:
        heights = np.diff(curve.z)
        halved = np.sort(np.argsort(-heights)[: bins + 1 - len(curve.x)])
        x = 0.5 * (curve.x[halved] + curve.x[halved + 1])
        z, slope = evaluate(curve, x)
        new = zip(curve[:4], (x, z, slope, slope), strict=True)
        x, z, lower, upper = (np.insert(old, halved + 1, values) for old, values in new)
        curve = Curve(x, z, lower, upper, curve.tails)
    return curve


def _joined(curves: list[Curve]) -> Marginals:
    dtype = jnp.result_type(float)
    bins = max(len(c.x) for c in curves) - 1
    x, z, lower, upper, tails = (
        np.stack(part) for part in zip(*(_refined(c, bins) for c in curves), strict=True)
    )
    raw = np.vectorize(raw_index)(np.maximum(tails, 0.01))
    return Marginals(
        jnp.asarray(x, dtype),
        jnp.asarray(z[:, 0], dtype),
        jnp.asarray(np.log(np.diff(z, axis=1)), dtype),
        jnp.asarray(np.log(lower), dtype),
        jnp.asarray(raw, dtype),
        jnp.asarray(np.log(upper / lower), dtype),
    )
