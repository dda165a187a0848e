"""Modes and how far apart they are.

Modes: peaks of the k-nearest-neighbour density, merged along the neighbour graph unless their height over the saddle is
significant (persistence; Chazal, Guibas, Oudot and Skraba 2013). The density's logarithm has an error of 1 / sqrt(k).
Separation: the distance between the rows of different modes, which is exact for the rows that are compared.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from shoal._scalars import FloatArray, IntArray
from shoal.theory.hardness import least_lipschitz

ROWS = 2000  # the density is estimated on this many rows, chosen at random
SHARE = 0.03  # a peak with a smaller share of the rows is no mode
HEIGHT = 3.0  # standard errors of the log density: a lower peak over its saddle is no mode
VARIATION = 0.01  # total variation that a flow may be off, for the Lipschitz constant that it needs
CORE = 0.95  # of the rows, the densest: separation is measured between these


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
    least `distance` / 2 apart, and `shoal.hardness.least_lipschitz` holds for them. 0 without groups.
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
    parent = np.full(len(log_density), -1)
    graph: list[list[int]] = [list(map(int, row)) for row in near]
    for i, row in enumerate([tuple(row) for row in graph]):
        for j in row:
            graph[j].append(i)
    for i in np.argsort(-log_density, kind="stable"):
        above = [j for j in graph[i] if parent[j] >= 0]
        parent[i] = i
        if not above:
            continue
        roots = {_root(parent, j) for j in above}
        best = max(roots, key=lambda r: (log_density[r], -r))
        parent[i] = best
        for root in roots - {best}:
            if log_density[root] - log_density[i] < height:
                parent[root] = best
    roots = np.array([_root(parent, i) for i in range(len(parent))])
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)


def _root(parent: Any, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = int(parent[i])
    return i


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
    apart = np.zeros((len(present), len(present)))
    for a in range(len(present)):
        for b in range(a):
            apart[a, b] = apart[b, a] = trees[a].query(trees[b].data)[0].min()
    group = np.arange(len(present))
    best, sets, most = (1, 0.0, 1.0), np.zeros_like(group), 0.0
    while len(np.unique(group)) > 1:
        across = np.where(group[:, None] != group[None, :], apart, np.inf)
        distance = float(across.min())
        ids = np.unique(group)
        mass = float(min(sum(trees[i].n for i in np.flatnonzero(group == g)) for g in ids) / total)
        needed = lipschitz_needed(len(ids), distance, mass) if distance > 0 else 0.0
        if needed > most:
            best, sets, most = (len(ids), distance, mass), group.copy(), needed
        a, b = np.unravel_index(int(across.argmin()), across.shape)
        group[group == group[a]] = group[b]
    of_rows = sets[np.searchsorted(present, labels)]
    return *best, min(_width(rows[of_rows == g]) for g in np.unique(sets)), most


def _width(rows: FloatArray) -> float:
    return float(np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)[-1] / np.sqrt(len(rows)))
