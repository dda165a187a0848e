"""From a sample to atoms: duplicates merged, then k-means where fewer atoms are enough.

With masses and centroids of clusters, W2(atoms, sample)^2 <= sum w |x - centroid(x)|^2 =: quantization^2, because every
point may go to its own centroid: an upper bound for any clustering, so k-means need not have converged.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray, IntArray

DIRECT = 1024  # more atoms than this by k-means inside the cells of a first k-means


@dataclass(frozen=True)
class Atoms:
    """`points`: (N, n), distinct; `weights`: (N,), positive, sum 1; `quantization`: W2 to the sample, an upper bound.

    `labels`: (M,), the atom of each row that has weight.
    """

    points: FloatArray
    weights: FloatArray
    quantization: float
    labels: IntArray

    def __len__(self) -> int:
        return len(self.weights)


def distinct(samples: FloatArray, weights: FloatArray) -> Atoms:
    """The distinct rows, with the sums of their weights; quantization 0."""
    points, labels = np.unique(samples, axis=0, return_inverse=True)
    labels = labels.reshape(-1)
    return Atoms(points, np.bincount(labels, weights, len(points)).astype(np.float64), 0.0, labels)


def quantize(whole: Atoms, count: int, seed: int) -> Atoms:
    """About `count` atoms by k-means (scikit-learn); all points if there are no more than that.

    Above 1,024 in two levels: clusters, then k-means inside each, with centres in proportion to the cluster's share of
    sum w |x - c|^2 to the power n / (n + 2), which is where they lower it most (Zador's law).
    **Raises:** `InputError` where scikit-learn is not installed.
    """
    if count >= len(whole):
        return whole
    clusters = _kmeans if count <= DIRECT else _two_levels
    return merged(whole, clusters(whole.points, whole.weights, count, seed))


def merged(whole: Atoms, labels: IntArray) -> Atoms:
    """The atoms of a clustering: masses and centroids."""
    _, labels = np.unique(labels, return_inverse=True)
    labels = labels.reshape(-1)
    count = int(labels.max()) + 1
    mass = np.bincount(labels, whole.weights, count).astype(np.float64)
    centres = np.stack(
        [np.bincount(labels, whole.weights * column, count) / mass for column in whole.points.T], axis=1
    )
    error = float(np.sqrt(whole.weights @ np.square(whole.points - centres[labels]).sum(axis=1)))
    return Atoms(centres, mass, error, labels[whole.labels])


def _two_levels(points: FloatArray, weights: FloatArray, count: int, seed: int) -> IntArray:
    coarse = _kmeans(points, weights, int(np.sqrt(count)), seed)
    first = merged(Atoms(points, weights, 0.0, np.arange(len(points))), coarse)
    coarse = first.labels
    squares = np.square(points - first.points[coarse]).sum(axis=1) * weights
    n = points.shape[1]
    spread = np.bincount(coarse, squares, len(first)).astype(np.float64)
    share = first.weights ** (2 / (n + 2)) * spread ** (n / (n + 2))
    sizes = np.bincount(coarse, minlength=len(first))
    inside = np.clip(np.round(count * share / max(share.sum(), 1e-300)).astype(int), 1, sizes)
    starts = np.concatenate([[0], np.cumsum(inside)])
    labels = np.empty(len(coarse), np.intp)
    order = np.argsort(coarse, kind="stable")
    for i, rows in enumerate(np.split(order, np.cumsum(sizes)[:-1])):
        fine = (
            np.arange(len(rows))
            if inside[i] >= len(rows)
            else _kmeans(points[rows], weights[rows], int(inside[i]), seed + 1 + i, 5)
        )
        labels[rows] = starts[i] + fine
    return labels


def _kmeans(points: FloatArray, weights: FloatArray, count: int, seed: int, iterations: int = 25) -> IntArray:
    if count <= 1:
        return np.zeros(len(points), np.intp)
    rng = np.random.default_rng(seed)
    start = points[rng.choice(len(points), count, replace=False, p=weights / weights.sum())]
    settings: Any = {"init": start, "n_init": 1, "max_iter": iterations, "tol": 1e-3}
    if len(points) > 50_000:  # centres from a part, then every point to the nearest
        part = rng.choice(len(points), 50_000, replace=False)
        made = _estimator(count, settings).fit(points[part], sample_weight=weights[part])
        return made.predict(points)
    return _estimator(count, settings).fit(points, sample_weight=weights).labels_


def _estimator(count: int, settings: dict[str, Any]) -> Any:
    try:
        from sklearn.cluster import KMeans  # an extra: only samples that are quantized need it
    except ImportError as error:
        raise InputError(
            "Fewer atoms than points need scikit-learn's k-means: pip install shoal[universal]."
        ) from error
    return KMeans(count, **settings)
