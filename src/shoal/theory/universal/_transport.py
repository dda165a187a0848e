"""What `construct` does with 4, 8 or 16 layers: triangular transport in steps, alternating couplings fitted by quantiles.

From data to latent, each layer moves one half of the coordinates towards N(0, 1) given the other half (with two, the
Knothe-Rosenblatt map), by a part of the monotone maps of their conditional quantiles: with r maps left for a coordinate,
the slopes to the power 1 / r. The conditional maps are splines at knots of a linear functional of the kept half, their free
values linear between. Nothing is trained.

More than two columns: the halves change from pair to pair of layers, and in a layer each moved coordinate has up to three
maps after each other, along the directions that tell most of it (`_directions`). That is still one coupling: none of the
kept coordinates changes, and a moved one goes by a monotone map that only these decide. The nearest published methods are
iterative Gaussianizations: Laparra, Camps-Valls and Malo 2011 (rotations and marginal maps), Meng, Song, Song and Ermon
2020 (the same, trained), Dai and Seljak 2021 (chosen directions). They need a rotation, six linear couplings, between any
two steps; the directions take its place here.

The monotone maps are written as the free values of rational-quadratic splines.
The full map is z = Phi^{-1}(F(v)), at knots that are half quantiles, half evenly spaced (gaps between clusters need knots of
their own). A part a in (0, 1] of it takes the slope of every bin to the power a and moves the median m to (1 - a) m: then
1 / a such maps after each other have slopes whose product is that of the full map. Conditioning is shared evenly, where a
straight interpolation would leave it to the last of them.
"""

from dataclasses import dataclass
from itertools import pairwise

import jax
import numpy as np
from scipy.special import ndtri
from scipy.stats import norm, rankdata

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal.bijections import (
    AbstractBijection,
    ArrayPartition,
    Chain,
    Coupling,
    ExponentialScale,
    KnotConditioner,
    Partition,
    RationalQuadratic,
    Scan,
    Standardize,
)
from shoal.conditioning import compute, from_bijection
from shoal.distributions import Flow, StandardNormal, wasserstein
from shoal.records.figures import Figure
from shoal.theory.universal._directions import direction, halves
from shoal.theory.universal._inputs import DType, stored

POINTS, REPEATS = 1000, 8  # of each exact optimal transport, and how many
LATENTS = 4000  # at which condition numbers are computed
# bins of a spline; knots of what it is given; the most maps that are left for a coordinate among which slopes are shared
RESOLUTIONS = ((8, 6, 48), (16, 12, 48), (32, 24, 48), (48, 48, 48))
RESOLUTIONS_OF_MORE = ((8, 6, 48), (16, 12, 48), (16, 12, 3), (16, 12, 1), (32, 24, 1))  # columns than two
ROUNDS = 3  # directions of a moved coordinate in one layer, at most
BOUND = 6.0  # half the splines' box, in deviations
FLOOR = 1e-2  # least slope of a coordinate's whole map, data -> latent
MIN_BIN, MIN_DERIVATIVE = 1e-3, 1e-3  # what the splines of shoal.bijections keep


@dataclass(frozen=True)
class TransportFigures:
    """`w2`: sqrt of the mean over repeats of W2^2 between 1,000 points each of flow and sample, by exact transport.

    An estimate of an upper bound of W2 to the sample: E W2^2 of two finite samples is at least that of their laws. `floor`:
    the same between two parts of the sample; no construction can be seen to lie below it. `conditions`: for each layer
    ("layer 1", ... forward order) and the "composition" (to standardised data), the 99 % quantile over latents (an estimate)
    and the largest seen (a lower bound). `bins`, `slices`, `shared`: the resolution, and among how many of the maps that are
    left for a coordinate its slopes were shared, at most. `changes`: how often the halves change from one pair of layers to
    the next; with one partition for all layers each of these is a permutation, six linear couplings (Theorem A) more.
    """

    epsilon: float
    w2: Figure
    floor: Figure
    conditions: dict[str, tuple[Figure, Figure]]
    bins: int
    slices: int
    shared: int
    changes: int
    dtype: str

    @property
    def worst_layer(self) -> Figure:
        """The largest 99 % kappa of a single layer."""
        return max(
            (c[0] for name, c in self.conditions.items() if name != "composition"), key=lambda f: f.value
        )

    def __str__(self) -> str:
        composed = self.conditions["composition"]
        return (
            f"W2 to the sample: {self.w2} (two parts of the sample: {self.floor}; epsilon {self.epsilon:g})\n"
            f"  κ of the worst layer, 99 %: {self.worst_layer}; of the composition, 99 %: {composed[0]}, "
            f"largest {composed[1]}"
        )


@dataclass(frozen=True)
class TransportFlow:
    """`flow`: an ordinary flow of spline couplings; `certificate`: what was measured of it."""

    flow: Flow
    certificate: TransportFigures


def transport_within(
    x: FloatArray, weights: FloatArray, epsilon: float, layers: int, seed: int, dtype: DType
) -> TransportFlow:
    """The first resolution whose W2 (upper end of its interval) is at most epsilon.

    **Raises:** `InputError` that names the smallest distance that was measured.
    """
    n = x.shape[1]
    rng = np.random.default_rng(seed)
    draw = lambda: x[rng.choice(len(x), min(POINTS, len(x)), replace=len(x) < 2 * POINTS, p=weights)]
    floor = _mean_w2([(draw(), draw()) for _ in range(REPEATS)])
    seen: list[float] = []
    for bins, slices, shared in RESOLUTIONS if n == 2 else RESOLUTIONS_OF_MORE:
        flow = transport(x, weights, layers, bins=bins, slices=slices, shared=shared, dtype=dtype)
        size = min(POINTS, len(x))
        z = rng.standard_normal((REPEATS * size, n))
        images = compute(lambda f, v: f.forward(v), flow, z, precision=dtype).astype(np.float64)
        w2 = _mean_w2([(part, draw()) for part in np.split(images, REPEATS)])
        if w2.high is not None and w2.high <= epsilon:
            found, changes = _conditions(flow, seed), changed_halves(n, layers)
            return TransportFlow(
                flow, TransportFigures(epsilon, w2, floor, found, bins, slices, shared, changes, dtype)
            )
        seen.append(float(w2.high or np.inf))
    raise InputError(
        f"`epsilon` {epsilon:.4g} is not reached by {layers} layers: the smallest distance measured is {min(seen):.4g}, "
        f"and that of two parts of the sample {floor.value:.4g}; two layers have no such limit."
    )


def _mean_w2(pairs: list[tuple[FloatArray, FloatArray]]) -> Figure:
    squares = np.array([wasserstein(a, b) ** 2 for a, b in pairs])
    reach = norm.ppf(0.995) * squares.std(ddof=1) / len(squares) ** 0.5
    low, middle, high = np.sqrt(np.maximum(squares.mean() + np.array([-reach, 0.0, reach]), 0.0))
    return Figure(float(middle), "estimate", float(low), float(high))


def _conditions(flow: Flow, seed: int) -> dict[str, tuple[Figure, Figure]]:
    """Dense Jacobians in float64 at random latents; the last layer is the data's units."""
    n = flow.shape[0]
    z = np.random.default_rng(seed + 1).standard_normal((LATENTS, n))
    found, composed = {}, np.broadcast_to(np.eye(n), (LATENTS, n, n))
    chain = flow.bijection
    assert isinstance(chain, Chain)
    for i, layer in enumerate(chain.bijections[:-1]):
        bound = from_bijection(layer).at()
        jacobian, z = bound.jacobian(z), bound(z)
        composed = jacobian @ composed
        found[f"layer {i + 1}"] = _figures(np.linalg.cond(jacobian))
    return found | {"composition": _figures(np.linalg.cond(composed))}


def _figures(kappa: FloatArray) -> tuple[Figure, Figure]:
    return Figure(float(np.quantile(kappa, 0.99)), "estimate"), Figure(float(kappa.max()), "lower_bound")


def changed_halves(n: int, layers: int) -> int:
    """How many pairs of layers have other halves than the pair before."""
    sets = [{frozenset(part.tolist()) for part in halves(n, stage)} for stage in range(layers // 2)]
    return sum(a != b for a, b in pairwise(sets))


def transport(
    x: FloatArray, weights: FloatArray, layers: int, *, bins: int, slices: int, shared: int, dtype: DType
) -> Flow:
    """A flow of `layers` spline couplings (and the columns' mean and deviation) fitted to points (M, n).

    A layer is one coupling, written as a scan of couplings that move one coordinate each: none reads what another moved.
    """
    mean = weights @ x
    scale = np.sqrt(weights @ np.square(x - mean))
    scale = np.where(scale > 0, scale, 1.0)
    points = (x - mean) / scale
    made: list[AbstractBijection] = []
    for stage in range(layers // 2):
        first, second = halves(x.shape[1], stage)
        for kept, moved in ((first, second), (second, first)):
            units: list[Coupling] = []
            rounds = min(len(kept), ROUNDS)
            for left in range((layers // 2 - stage) * rounds, (layers // 2 - stage - 1) * rounds, -1):
                for j in moved:
                    unit = _unit(points, weights, kept, int(j), 1 / min(left, shared), (bins, slices), dtype)
                    points = compute(lambda b, p: jax.vmap(b.inverse)(p), unit, points, precision=dtype)
                    points = points.astype(float)
                    units.append(unit)
            made.append(units[0] if len(units) == 1 else Scan(units[::-1]))
    data = Standardize(stored(mean, dtype), stored(scale, dtype))
    return Flow(StandardNormal(x.shape[1]), Chain([*made[::-1], data]))


def _unit(
    points: FloatArray,
    weights: FloatArray,
    kept: np.ndarray,
    moved: int,
    part: float,
    resolution: tuple[int, int],
    dtype: DType,
) -> Coupling:
    """The coupling that moves one coordinate by what one direction of the kept ones says."""
    (bins, slices), n = resolution, points.shape[1]
    along = direction(points[:, kept], points[:, moved], weights)
    told, given = points[:, kept] @ along, points[:, moved]
    rank = (rankdata(told, "ordinal") - 0.5) / len(told) * slices - 0.5  # place among the slices' centres
    knots, rows = [], []
    for k in range(slices):
        near = np.maximum(1 - np.abs(np.clip(rank, 0, slices - 1) - k), 0.0) * weights
        use = near > 0
        knots.append(float(near @ told / near.sum()))
        rows.append(spline_raw(given[use], near[use], bins, BOUND, part, FLOOR))
    at = _ascending(np.array(knots))
    whole = np.zeros(n)
    whole[kept] = along
    rest = [i for i in range(n) if i != moved]
    net = KnotConditioner(*(stored(a, dtype) for a in (whole[rest], at, np.stack(rows), np.zeros(2))))
    return Coupling(
        ArrayPartition(Partition(n, rest)), RationalQuadratic(bins, BOUND, ExponentialScale()), net
    )


def _ascending(knots: FloatArray) -> FloatArray:
    """Knots that coincide (a kept coordinate of few values) moved apart by a millionth of their range."""
    least = 1e-6 * max(float(np.ptp(knots)), 1e-3)
    steps = least * np.arange(len(knots))
    return np.maximum.accumulate(knots - steps) + steps


def spline_raw(
    values: FloatArray, weights: FloatArray, bins: int, bound: float, part: float, floor: float
) -> FloatArray:
    """The 3 K - 1 free values of a spline on [-bound, bound], data -> latent: a part of the map of these weighted values.

    `floor`: the least slope of the full map, which it has where there are no data.
    """
    order = np.argsort(values)
    v, below = values[order], np.cumsum(weights[order])
    level = (below - 0.5 * weights[order]) / below[-1]
    inner = _spaced(_positions(v, level, bins), bound)
    edges = np.concatenate([[-bound], inner, [bound]])
    widths = np.diff(edges)
    z = ndtri(np.clip(np.interp(inner, v, level), 1e-4, 1 - 1e-4))
    slopes = np.maximum(np.diff(z) / widths[1:-1], floor) ** part
    median = float(np.interp(0.5, level, v))
    image = np.concatenate([[0.0], np.cumsum(slopes * widths[1:-1])])
    image += (1 - part) * median - float(np.interp(median, inner, image))
    image *= min(1.0, 0.95 * bound / max(float(np.abs(image).max()), 1e-12))
    image = _spaced(image, bound)
    heights = np.diff(np.concatenate([[-bound], image, [bound]]))
    return np.concatenate(
        [_free_shares(widths, bound), _free_shares(heights, bound), _free_slopes(widths, heights)]
    )


def _positions(v: FloatArray, level: FloatArray, bins: int) -> FloatArray:
    """K - 1 inner knots."""
    quantiles = bins // 2
    levels = (np.arange(quantiles) + 0.5) / quantiles
    even = np.linspace(v[0], v[-1], bins - 1 - quantiles)
    return np.sort(np.concatenate([np.interp(levels, level, v), even]))


def _spaced(inner: FloatArray, bound: float) -> FloatArray:
    """The knots moved apart, and away from the ends, so that every bin has 1.5 times the least share of the box."""
    gap = 1.5 * MIN_BIN * 2 * bound
    steps = gap * np.arange(1, len(inner) + 1)
    up = np.maximum.accumulate(np.maximum(inner, -bound + gap) - steps) + steps
    back = gap * np.arange(len(inner), 0, -1)
    return np.minimum.accumulate((np.minimum(up, bound - gap) + back)[::-1])[::-1] - back


def _free_shares(sizes: FloatArray, bound: float) -> FloatArray:
    """Logits whose softmax, above the least share, gives these bins."""
    share = (sizes / (2 * bound) - MIN_BIN) / (1 - MIN_BIN * len(sizes))
    return np.log(share / share.sum())


def _free_slopes(widths: FloatArray, heights: FloatArray) -> FloatArray:
    """Inner derivatives by the harmonic mean of the neighbouring slopes (monotone data, Gregory and Delbourgo 1982)."""
    s = heights / widths
    mean = (widths[:-1] + widths[1:]) / (widths[:-1] / s[:-1] + widths[1:] / s[1:])
    free = np.maximum(mean, 2 * MIN_DERIVATIVE) - MIN_DERIVATIVE
    softplus_inverse = lambda y: y + np.log(-np.expm1(-y))
    return softplus_inverse(free) - np.log(np.expm1(1 - MIN_DERIVATIVE))
