"""The shape of rows: how many directions they vary in, and how many modes they have, how far apart.

Local principal components: around an anchor the k nearest rows are centred; the square roots of their covariance's
eigenvalues are the local deviations. k neighbours blur what is finer than their own spread, so the figures are estimates:
curvature adds directions, and a true local ratio of 1 shows as up to (1 + s) / (1 - s) with s = sqrt(d / k).

Modes: peaks of the k-nearest-neighbour density, merged along the neighbour graph unless their height over the saddle is
significant (persistence; Chazal, Guibas, Oudot and Skraba 2013). The density's logarithm has an error of 1 / sqrt(k).
Separation: the distance between the rows of different modes, which is exact for the rows that are compared.
"""

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial import KDTree
from scipy.spatial.distance import squareform
from scipy.special import digamma, gammaln

from shoal._scalars import FloatArray, IntArray
from shoal.theory.hardness import least_lipschitz

ANCHORS = 400
NEAREST = 4  # neighbour whose distance measures entropy
FLAT = 0.1  # of the largest local deviation: a smaller one does not count as a direction
ROWS = 2000  # the density is estimated on this many rows, chosen at random
SHARE = 0.03  # a peak with a smaller share of the rows is no mode
HEIGHT = 3.0  # standard errors of the log density: a lower peak over its saddle is no mode
VARIATION = 0.01  # total variation that a flow may be off, for the Lipschitz constant that it needs
CORE = 0.95  # of the rows, the densest: separation is measured between these


@dataclass(frozen=True)
class Local:
    """`dimension`: median number of local directions; `condition`, `condition_q90`: quantiles of the local ratio.

    `global_condition`: the largest over the smallest deviation of all rows together, which is kappa of the Gaussian with
    their covariance. `negentropy`: nats a row by which that Gaussian misses the rows (nearest-neighbour estimate, at
    least 0; NaN without density). `neighbours`: k.
    """

    dimension: int
    condition: float
    condition_q90: float
    global_condition: float
    negentropy: float
    neighbours: int


def local_structure(unit: FloatArray, rng: np.random.Generator) -> Local:
    """Measures rows in units of their columns' deviations, of shape (rows, columns), at up to 400 random anchors."""
    rows, columns = unit.shape
    k = min(max(4 * columns, 16), max(rows // 4, 3), rows - 1)
    tree = KDTree(unit)
    anchors = np.sort(rng.permutation(rows)[:ANCHORS])
    _, near = tree.query(unit[anchors], k=k + 1)
    cloud = unit[near] - unit[near].mean(axis=1, keepdims=True)
    deviations = np.linalg.svd(cloud, compute_uv=False) / np.sqrt(k + 1)
    top = np.maximum(deviations[:, :1], np.finfo(float).tiny)
    ratios = _ratio(deviations[:, 0], deviations[:, min(columns, k) - 1])
    whole = np.linalg.svd(unit - unit.mean(axis=0), compute_uv=False)
    return Local(
        int(np.median((deviations >= FLAT * top).sum(axis=1))),
        float(np.quantile(ratios, 0.5, method="lower")),
        float(np.quantile(ratios, 0.9, method="lower")),
        float(_ratio(whole[:1], whole[-1:])[0]),
        _negentropy(unit, whole),
        k,
    )


def _ratio(largest: FloatArray, smallest: FloatArray) -> FloatArray:
    return np.divide(largest, smallest, out=np.full(len(largest), np.inf), where=smallest > 0)


def _negentropy(unit: FloatArray, singular: FloatArray) -> float:
    """Entropy of normal rows, as many as these, less that of the whitened rows; NaN if they have no density.

    Both by the same estimator, whose bias grows with the columns and is much the same for both.
    """
    rows, columns = unit.shape
    if rows <= columns + NEAREST or singular[-1] <= 1e-10 * singular[0]:  # too few, or in a hyperplane
        return float("nan")
    normal = np.random.default_rng(0).standard_normal((rows, columns))
    return max(_entropy(_white(normal)) - _entropy(_white(unit)), 0.0)


def _white(x: FloatArray) -> FloatArray:
    left = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)[0]
    return np.unique(left * np.sqrt(len(x)), axis=0)  # repeated rows have no density


def _entropy(x: FloatArray) -> float:
    """Nats, by the distances to the fourth neighbour (Kozachenko and Leonenko 1987); NaN for too few rows."""
    rows, columns = x.shape
    if rows <= NEAREST:
        return float("nan")
    distance = np.maximum(KDTree(x).query(x, k=NEAREST + 1)[0][:, NEAREST], 1e-12)
    ball = 0.5 * columns * np.log(np.pi) - gammaln(0.5 * columns + 1)
    return float(digamma(rows) - digamma(NEAREST) + ball + columns * np.log(distance).mean())


@dataclass(frozen=True)
class Modes:
    """`count` modes with these `shares` of the rows, largest first.

    `groups` sets of core rows lie pairwise at least `distance` apart (the rows' units), each with `mass` of all rows or
    more: of the ways to join modes by their distance, the one that asks for the largest Lipschitz constant; groups = 1 and
    distance = 0 without one. `lipschitz`: that constant (`lipschitz_needed`). `width`: the smallest deviation, in any
    direction, of the core rows of any set.
    """

    count: int
    shares: tuple[float, ...]
    groups: int
    distance: float
    mass: float
    width: float
    lipschitz: float


def lipschitz_needed(groups: int, distance: float, mass: float) -> float:
    """Flows N(0, I) -> rows of a smaller Lipschitz constant are off by more than 0.01 in total variation.

    For every law that gives the `distance` / 4 neighbourhood of each group at least `mass`: the neighbourhoods lie at
    least `distance` / 2 apart, and `least_lipschitz` holds for them. 0 without groups.
    """
    return least_lipschitz(groups, distance / 2, VARIATION, min(groups * mass, 1.0)) if groups > 1 else 0.0


def find_modes(unit: FloatArray, rng: np.random.Generator) -> Modes:
    """Finds the modes of rows in units of their columns' deviations, of shape (rows, columns)."""
    chosen = np.sort(rng.permutation(len(unit))[:ROWS])
    sample = unit[chosen]
    k = int(np.clip(np.sqrt(len(sample)), 8, 40))
    k = min(k, len(sample) - 1)
    distances, near = KDTree(sample).query(sample, k=k + 1)
    log_density = -unit.shape[1] * np.log(np.maximum(distances[:, -1], 1e-12))
    labels = _peaks(log_density, np.asarray(near)[:, 1:], HEIGHT / np.sqrt(k) * np.sqrt(2.0))
    labels = _large(labels, sample)
    core = log_density >= np.quantile(log_density, 1 - CORE)
    shares = np.sort(np.bincount(labels) / len(labels))[::-1]
    groups, distance, mass, width, needed = _separation(sample[core], labels[core], len(sample))
    return Modes(len(shares), tuple(float(s) for s in shares), groups, distance, mass, width, needed)


def _peaks(log_density: FloatArray, near: IntArray, height: float) -> IntArray:
    """A label for each row: the peak it climbs to, peaks lower than `height` over their saddle merged upward."""
    graph: list[list[int]] = [list(map(int, row)) for row in near]
    for i, row in enumerate(near):
        for j in row:
            graph[j].append(i)
    parent = np.full(len(log_density), -1)

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    for i in np.argsort(-log_density, kind="stable"):
        peaks = {root(j) for j in graph[i] if parent[j] >= 0}
        best = max(peaks, key=lambda r: (log_density[r], -r), default=i)
        parent[i] = best
        for peak in peaks - {best}:
            if log_density[peak] - log_density[i] < height:
                parent[peak] = best
    return np.unique([root(i) for i in range(len(parent))], return_inverse=True)[1].astype(np.int64)


def _large(labels: IntArray, rows: FloatArray) -> IntArray:
    """Reassign rows of small peaks to the nearest mode."""
    counts = np.bincount(labels)
    large = counts >= max(SHARE * len(labels), 2)
    if not large.any():
        return np.zeros_like(labels)
    inside = large[labels]
    moved = labels.copy()
    if not inside.all():
        nearest = KDTree(rows[inside]).query(rows[~inside])[1]
        moved[~inside] = labels[inside][nearest]
    return np.unique(moved, return_inverse=True)[1].astype(np.int64)


def _separation(rows: FloatArray, labels: IntArray, total: int) -> tuple[int, float, float, float, float]:
    """The sets of modes that lie apart: modes are joined in the order of their distance; see `Modes`."""
    present = np.unique(labels)
    if len(present) < 2:
        return 1, 0.0, 1.0, _width(rows), 0.0
    trees = [KDTree(rows[labels == i]) for i in present]
    sizes = np.array([tree.n for tree in trees])
    apart = np.zeros((len(present), len(present)))
    for a in range(len(present)):
        for b in range(a):
            apart[a, b] = apart[b, a] = trees[a].query(trees[b].data)[0].min()
    joined = linkage(squareform(apart), "single")
    best, sets, most = (1, 0.0, 1.0), np.ones(len(present), np.int64), 0.0
    for most_groups, distance in zip(range(len(present), 1, -1), joined[:, 2], strict=True):
        group = fcluster(joined, most_groups, "maxclust")  # fewer where distances are equal
        ids = np.unique(group)
        count, mass = len(ids), float(min(sizes[group == g].sum() for g in ids) / total)
        needed = lipschitz_needed(count, distance, mass) if distance > 0 else 0.0
        if needed > most:
            best, sets, most = (count, float(distance), mass), group, needed
    of_rows = sets[np.searchsorted(present, labels)]
    return *best, min(_width(rows[of_rows == g]) for g in np.unique(sets)), most


def _width(rows: FloatArray) -> float:
    return float(np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)[-1] / np.sqrt(len(rows)))
