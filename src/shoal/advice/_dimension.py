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
FLAT = 0.1  # of the largest local deviation: a smaller one does not count as a direction


@dataclass(frozen=True)
class Local:
    """`dimension`: median number of local directions; `condition`, `condition_q90`: quantiles of the local ratio.

    `global_condition`: the largest over the smallest deviation of all rows together, which is kappa of the Gaussian with
    their covariance. `negentropy`: nats a row by which that Gaussian misses the rows (nearest-neighbour estimate, at
    least 0). `neighbours`: k.
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


def _negentropy(unit: FloatArray, singular: FloatArray, k: int = 4) -> float:
    """Entropy of the Gaussian less that of the rows (Kozachenko and Leonenko 1987), on whitened rows; NaN if it has none."""
    rows, columns = unit.shape
    if rows <= columns + k or singular[-1] <= 1e-10 * singular[0]:
        return float("nan")
    centred = unit - unit.mean(axis=0)
    _, s, axes = np.linalg.svd(centred, full_matrices=False)
    white = centred @ axes.T / s * np.sqrt(rows)
    white = np.unique(white, axis=0)  # repeated rows have no density
    if len(white) <= k:
        return float("nan")
    distance = KDTree(white).query(white, k=k + 1)[0][:, k]
    distance = np.maximum(distance, 1e-12)
    ball = 0.5 * columns * np.log(np.pi) - gammaln(0.5 * columns + 1)
    entropy = digamma(len(white)) - digamma(k) + ball + columns * np.log(distance).mean()
    gaussian = 0.5 * columns * np.log(2 * np.pi * np.e)
    return max(float(gaussian - entropy), 0.0)
