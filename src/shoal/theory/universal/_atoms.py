"""From a sample to atoms: duplicates merged, then k-means where fewer atoms are enough.

With masses and centroids of clusters, W2(atoms, sample)^2 <= sum w |x - centroid(x)|^2 =: quantization^2, because every
point may go to its own centroid: an upper bound for any clustering, so k-means need not have converged.

Masses are sums of the rows' weights without rounding: a float64 is an integer times a power of two, so all weights are
integers times the same power, whose sums Python makes exactly. The unit does not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import gcd

import numpy as np
from scipy.spatial import KDTree

from shoal._scalars import FloatArray, IntArray, multiples

DIRECT = 1024  # more atoms than this by k-means inside the cells of a first k-means
PART = 50_000  # points that centres are found from
STILL = 1e-3  # centres whose moves, squared and summed, are a smaller share of a column's variance stay


@dataclass(frozen=True)
class Atoms:
    """`points`: (N, n), distinct; `masses`: N positive integers, exact; `quantization`: W2 to the sample, an upper bound.

    `labels`: (M,), the atom of each row that has weight.
    """

    points: FloatArray
    masses: tuple[int, ...]
    quantization: float
    labels: IntArray

    def __len__(self) -> int:
        return len(self.masses)

    @cached_property
    def weights(self) -> FloatArray:
        """The masses over their sum, (N,), each rounded once."""
        total = sum(self.masses)
        return np.array([mass / total for mass in self.masses])


def distinct(samples: FloatArray, weights: FloatArray) -> Atoms:
    """The distinct rows, with the sums of their positive weights (of any sum); quantization 0."""
    points, labels = np.unique(samples, axis=0, return_inverse=True)
    labels = labels.reshape(-1)
    return Atoms(points, _summed(labels, integers(weights), len(points)), 0.0, labels)


def integers(weights: FloatArray) -> list[int]:
    """Positive float64 weights in units of one number of which all are multiples: exact."""
    whole = multiples(weights)
    unit = gcd(*whole)
    return [number // unit for number in whole]


def _summed(labels: IntArray, masses: Sequence[int], count: int) -> tuple[int, ...]:
    """The sum of the masses of each label."""
    total = [0] * count
    for label, mass in zip(labels.tolist(), masses, strict=True):
        total[label] += mass
    return tuple(total)


def quantize(whole: Atoms, count: int, seed: int) -> Atoms:
    """About `count` atoms by k-means; all points if there are no more than that.

    Above 1,024 in two levels: clusters, then k-means inside each, with centres in proportion to the cluster's share of
    sum w |x - c|^2 to the power n / (n + 2), which is where they lower it most (Zador's law).
    """
    if count >= len(whole):
        return whole
    if count > DIRECT:
        return merged(whole, _two_levels(whole, count, seed))
    return merged(whole, _kmeans(whole.points, whole.weights, count, seed))


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
    return Atoms(centres, _summed(labels, whole.masses, count), error, labels[whole.labels])


def _two_levels(whole: Atoms, count: int, seed: int) -> IntArray:
    points, weights = whole.points, whole.weights
    coarse = _kmeans(points, weights, int(np.sqrt(count)), seed)
    first = merged(replace(whole, labels=np.arange(len(points))), coarse)
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
    """The cluster of each point: Lloyd's iteration from `count` of the points, on at most `PART` of them."""
    if count <= 1:
        return np.zeros(len(points), np.intp)
    rng = np.random.default_rng(seed)
    centres = points[rng.choice(len(points), count, replace=False, p=weights / weights.sum())]
    part = np.arange(len(points)) if len(points) <= PART else rng.choice(len(points), PART, replace=False)
    x, w = points[part], weights[part]
    enough = STILL * float(x.var(axis=0).mean())
    for _ in range(iterations):
        labels = _nearest(x, centres)
        mass = np.bincount(labels, w, count)
        sums = np.stack([np.bincount(labels, w * column, count) for column in x.T], axis=1)
        moved = np.where(mass[:, None] > 0, sums / np.maximum(mass, 1e-300)[:, None], centres)
        shift, centres = float(np.square(moved - centres).sum()), moved
        if shift <= enough:
            break
    return _nearest(points, centres)


def _nearest(points: FloatArray, centres: FloatArray) -> IntArray:
    """The nearest centre of each point: by a tree in few dimensions, else by |c|^2 - 2 x c, some rows at a time."""
    if points.shape[1] <= 6:
        return np.asarray(KDTree(centres).query(points)[1])
    half, rows = 0.5 * np.square(centres).sum(axis=1), max(2**22 // len(centres), 1)
    starts = range(0, len(points), rows)
    return np.concatenate([np.argmax(points[i : i + rows] @ centres.T - half, axis=1) for i in starts])
