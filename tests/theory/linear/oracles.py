"""The product of a factorization's layers in rational arithmetic; shares no code with `shoal.linear`.

A float64 is a dyadic rational, so blocks, signs and T enter without error. exp(log_scale) is the one thing that is not
rational: a Taylor sum with its remainder encloses it, and the width of that enclosure is carried to the end.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

EPS = 2.0**-52
WIDTH = Fraction(1, 2**120)  # an exponential's enclosure, relative to itself


@dataclass(frozen=True)
class Exact:
    """`residual`: an upper bound of |T - product| / |T| (Frobenius); `kappa`: | |M_1| ... |M_m| | / |T|, at least 1.

    `kappa` is the condition number of the product: changing every entry of every layer by at most eps of itself
    changes the product by at most (m eps + O(eps^2)) * kappa * |T|.
    """

    residual: float
    kappa: float


def exact(made: Any) -> Exact:
    """The product of the layers of a `Factorization`, against its target."""
    n, order = len(made.target), [*made.kept, *sorted(set(range(len(made.target))) - set(made.kept))]
    target = rational(made.target)[np.ix_(order, order)]
    signs = rational(made.signs)[order]
    total, size = rational(np.eye(n)), rational(np.eye(n))
    for layer in made.layers:
        matrix = written_out(layer, n)
        total, size = total @ matrix, size @ abs(matrix)
    inexact = any(np.any(layer.log_scale) for layer in made.layers)
    slack = 2 * len(made.layers) * WIDTH * root(np.sum(size * size)) if inexact else Fraction(0)
    missed = root(np.sum((target - signs[:, None] * total) ** 2)) + slack
    scale = 1 / root(1 / np.sum(target * target))
    return Exact(up(missed / scale), max(up(root(np.sum(size * size)) / scale), 1.0))


def written_out(layer: Any, n: int) -> np.ndarray:
    """A layer as an (n, n) array of Fractions, its scales the centres of their enclosures."""
    out, d = rational(np.eye(n)), len(layer.log_scale)
    moved, kept = (slice(n - d, n), slice(0, n - d)) if layer.kind == "lower" else (slice(0, d), slice(d, n))
    out[moved, kept] = rational(layer.block)
    for i, x in enumerate(layer.log_scale, start=moved.start):
        out[i, i] = exponential(float(x))
    return out


def rational(x: Any) -> np.ndarray:
    """The same numbers as Fractions."""
    x = np.asarray(x, np.float64)
    return np.array([Fraction(v) for v in x.ravel().tolist()] + [None], dtype=object)[:-1].reshape(x.shape)


def exponential(x: float) -> Fraction:
    """e with |exp(x) - e| <= WIDTH * e.

    For y = |x| / 2^k in [0, 1/2] the first 40 terms leave between 0 and 2 y^40 / 40!; both ends are squared k times and
    rounded outward to 200 bits.
    """
    k = max(0, math.frexp(abs(x))[1] + 1)
    y = Fraction(abs(x)) / 2**k
    term = low = Fraction(1)
    for i in range(1, 40):
        term = term * y / i
        low += term
    ends = [_rounded(low, math.floor), _rounded(low + 2 * term * y / 40, math.ceil)]
    for _ in range(k):
        ends = [_rounded(ends[0] ** 2, math.floor), _rounded(ends[1] ** 2, math.ceil)]
    low, high = ends if x >= 0 else (_rounded(1 / ends[1], math.floor), _rounded(1 / ends[0], math.ceil))
    if not high - low <= WIDTH * low:
        raise ValueError(f"exp({x}) is enclosed to {float((high - low) / low)} only.")
    return low


def root(square: Any) -> Fraction:
    """An upper bound of the square root, within 2^-100 of it."""
    if square == 0:
        return Fraction(0)
    shift = max(0, 120 - (square.numerator.bit_length() - square.denominator.bit_length()) // 2)
    return Fraction(math.isqrt(math.ceil(square * 4**shift)) + 1, 2**shift)


def up(x: Fraction) -> float:
    """A float that is not below x."""
    return math.nextafter(float(x), math.inf) if x else 0.0


def _rounded(x: Fraction, to: Any) -> Fraction:
    shift = 200 - (x.numerator.bit_length() - x.denominator.bit_length())
    return Fraction(to(x * Fraction(2) ** shift)) / Fraction(2) ** shift


def inverse(matrix: np.ndarray) -> np.ndarray:
    """The inverse of an array of Fractions, by Gauss-Jordan. **Raises:** ZeroDivisionError where there is none."""
    n = len(matrix)
    work = np.concatenate([matrix, rational(np.eye(n))], axis=1)
    for i in range(n):
        at = next((j for j in range(i, n) if work[j, i] != 0), i)
        work[[i, at]] = work[[at, i]]
        work[i] = work[i] / work[i, i]
        for j in range(n):
            if j != i:
                work[j] = work[j] - work[j, i] * work[i]
    return work[:, n:]


def characteristic(matrix: np.ndarray) -> list[Fraction]:
    """The coefficients of det(x I - matrix), leading one first, by Faddeev and LeVerrier's recursion."""
    eye, m, out = rational(np.eye(len(matrix))), rational(np.zeros(matrix.shape)), [Fraction(1)]
    for k in range(1, len(matrix) + 1):
        m = matrix @ m + out[-1] * eye
        out.append(-np.trace(matrix @ m) / k)
    return out
