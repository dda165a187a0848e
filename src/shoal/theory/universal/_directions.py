"""Which columns a layer of `construct(layers=4, 8, 16)` keeps, and along which direction of these it looks.

A knot conditioner reads one linear functional of the kept columns. It is chosen, for each moved column, among the kept
columns themselves and the directions of two classical reductions of b for the regression of v on it: sliced inverse
regression (Li 1991: where the means of b in slices of v spread) and sliced average variance estimation (Cook and Weisberg
1991: where its covariances in the slices differ). The one whose mutual information with v is largest is taken.
"""

import numpy as np
from scipy.stats import rankdata

from shoal._scalars import FloatArray

SLICES, CELLS = 10, 20  # of v for the reductions; of each of the two in the table of their mutual information


def halves(n: int, stage: int) -> tuple[np.ndarray, np.ndarray]:
    """The two halves of the columns in this pair of layers: those with a 0 and those with a 1 in one binary digit.

    After ceil(log2 n) stages any two columns have been in different halves. Then the columns are permuted; with two there is
    nothing to permute.
    """
    cycle, bit = divmod(stage, max(1, (n - 1).bit_length()))
    order = np.random.default_rng(cycle).permutation(n) if cycle and n > 2 else np.arange(n)
    digit = np.arange(n) >> bit & 1
    return order[digit == 0], order[digit == 1]


def direction(b: FloatArray, v: FloatArray, weights: FloatArray) -> FloatArray:
    """The unit vector w, (k,), whose <w, b> tells most of v, for rows b (M, k) and v (M,)."""
    if b.shape[1] == 1:
        return np.ones(1)
    found = [w / np.linalg.norm(w) for w in (*np.eye(b.shape[1]), *_reductions(b, v, weights))]
    cells = _cells(v, CELLS)
    return found[int(np.argmax([_information(_cells(b @ w, CELLS), cells, weights) for w in found]))]


def _cells(v: FloatArray, count: int) -> np.ndarray:
    """Of each row the cell among `count` of equally many rows."""
    return ((rankdata(v, "ordinal") - 1) * count // len(v)).astype(int)


def _reductions(b: FloatArray, v: FloatArray, weights: FloatArray) -> list[FloatArray]:
    k = b.shape[1]
    centred = b - weights @ b
    values, vectors = np.linalg.eigh((centred.T * weights) @ centred)
    white = vectors / np.sqrt(np.maximum(values, 1e-9))
    z, slices = centred @ white, _cells(v, SLICES)
    means, spreads = np.zeros((k, k)), np.zeros((k, k))
    for s in range(SLICES):
        rows, w = z[slices == s], weights[slices == s]
        if w.sum() > 0:
            share, mean = w.sum(), w @ rows / w.sum()
            apart = rows - mean
            less = np.eye(k) - (apart.T * w) @ apart / share
            means, spreads = means + share * np.outer(mean, mean), spreads + share * less @ less
    return [white @ w for m in (means, spreads) for w in np.linalg.eigh(m)[1].T]


def _information(first: np.ndarray, second: np.ndarray, weights: FloatArray) -> float:
    """Mutual information of two cell numbers, in nats."""
    table = np.bincount(first * CELLS + second, weights, CELLS**2).reshape(CELLS, CELLS)
    table = table / table.sum()
    apart = table.sum(1, keepdims=True) * table.sum(0)
    used = table > 0
    return float((table[used] * np.log(table[used] / apart[used])).sum())
