"""Local principal components: how many directions the rows vary in near a row, and how unequally.

Around an anchor the k nearest rows are centred; the square roots of their covariance's eigenvalues are the local
deviations. k neighbours blur what is finer than their own spread, so the figures are estimates: curvature adds
directions, and a true local ratio of 1 shows as up to (1 + s) / (1 - s) with s = sqrt(d / k).
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree
from scipy.special import digamma, gammaln

from shoal._scalars import FloatArray

ANCHORS = 400
NEAREST = 4  # neighbour whose distance measures entropy
FLAT = 0.1  # of the largest local deviation: a smaller one does not count as a direction


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


def _flat(rows: int, columns: int, singular: FloatArray) -> bool:
    """Too few rows, or rows in a hyperplane: no density."""
    return rows <= columns + NEAREST or bool(singular[-1] <= 1e-10 * singular[0])


def _negentropy(unit: FloatArray, singular: FloatArray) -> float:
    """Entropy of normal rows, as many as these, less that of the whitened rows; NaN if they have no density.

    Both by the same estimator, whose bias grows with the columns and is much the same for both.
    """
    rows, columns = unit.shape
    if _flat(rows, columns, singular):
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
