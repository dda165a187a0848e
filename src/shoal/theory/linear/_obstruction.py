"""Proofs that a matrix needs more layers, decided without rounding: docs/dev/mathematics.md 2.4.

Theorem B1, against four. If T = L U L U, then C^{-1} T11 and B Q, Q = (T^{-1})22, have one characteristic polynomial for
some positive diagonals C, B: for k = 1 ... d

    sum_{|I| = k} det T11[I] / c_I = sum_{|I| = k} b_I det Q[I],

[I] a principal submatrix, c_I the product of the c_i in I. So L U L U is impossible where for some k < d all minors on one
side are >= 0, all on the other <= 0, and one is not 0. U L U L is the mirror image. det Q[I] = det T[I^c] / det T: only
signs of minors of T count, which are taken in whole numbers.
For odd n the larger block has the eigenvalue 1: det(I - B Q) = sum_I b_I det(-Q[I]) = 0, the empty I with 1 among them, if
the rest is larger, else det(I - C^{-1} T11) = 0. So one minor of -Q, or of -T11, must be negative.

Theorem C, against five. If diag(X, W) = L U L U L, then spec(X^{-1} Δ) = spec(W Δ') for some positive diagonals Δ, Δ'; for
U L U L U the same with X and W exchanged. A class of matrices whose spectra all have one form, whatever the positive
diagonal, refutes it:

- symmetric positive definite S: S Δ has a positive spectrum; a positive diagonal is such an S;
- symmetric S: S Δ has a real spectrum (it is similar to Δ^{1/2} S Δ^{1/2});
- skew-symmetric K: K Δ has an imaginary spectrum;
- a weighted cycle of length d >= 3: the spectrum is all d-th roots of one real number, at most two of them real and
  at most two imaginary.

The inverse of such a matrix is of the same class; invertible matrices have no zero eigenvalue.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Literal, TypeAlias

import numpy as np

from shoal._scalars import FloatArray, multiples
from shoal.theory.linear._inputs import FactorProblem

Spectrum: TypeAlias = Literal["real", "imaginary", "cycle"]
Integers: TypeAlias = list[list[int]]
WORK = 1e7  # minors times n^3 up to which the minors of one size are looked at
UNSURE = 1e-9  # relative to Hadamard's bound: a float64 determinant below has no sign


@dataclass(frozen=True)
class Obstruction:
    """Why `layers` layers can not give T: the reasons for both orders of layers. Exact for the float64 entries."""

    layers: int
    lower_first: str
    upper_first: str


def excludes_four(problem: FactorProblem) -> str | None:
    """Theorem B1's certificate against four layers with the problem's kind first; None where it does not apply."""
    d, n = problem.p, len(problem.matrix)
    if n != 2 * d:
        return _excludes_four_of_odd(problem)
    names = _blocks(problem)
    rows: Integers | None = None
    for k in range(1, d):
        if comb(d, k) * n**3 > WORK:
            continue
        kept = [list(chosen) for chosen in combinations(range(d), k)]
        others = [_complement(chosen, problem) for chosen in kept]
        rough = [_rough_signs(problem.matrix, sets) for sets in (kept, others)]
        if not any(np.all(rough[0] * way >= 0) and np.all(rough[1] * way <= 0) for way in (1, -1)):
            continue
        if rows is None:
            rows = whole_numbers(problem.inner())
            if determinant(rows) <= 0:
                return None
        signs = [{_sign(determinant(_minor(rows, chosen))) for chosen in sets} for sets in (kept, others)]
        for way, words in ((1, (">= 0", "<= 0")), (-1, ("<= 0", ">= 0"))):
            one_sided = -way not in signs[0] and way not in signs[1]
            if one_sided and (signs[0] | signs[1]) != {0}:
                size = "diagonal entries" if k == 1 else f"principal minors of size {k}"
                return f"all {size} of {names[0]} are {words[0]}, all of {names[1]} {words[1]}"
    return None


def _excludes_four_of_odd(problem: FactorProblem) -> str | None:
    """The same where one part is larger: no minor of -T11, or of -(T^{-1})22, of that part is negative."""
    n, p = len(problem.matrix), problem.p
    first, size = 2 * p > n, max(p, n - p)
    if n == 1 or 2**size * n**3 > WORK:
        return None
    minors = [[list(part) for part in combinations(range(size), k)] for k in range(1, size + 1)]
    if not first:
        minors = [[_complement(part, problem) for part in sets] for sets in minors]
    if any(np.any(_rough_signs(problem.matrix, sets) * (-1) ** k < 0) for k, sets in enumerate(minors, 1)):
        return None
    rows = whole_numbers(problem.inner())
    exact = (
        (-1) ** k * _sign(determinant(_minor(rows, part)))
        for k, sets in enumerate(minors, 1)
        for part in sets
    )
    if determinant(rows) <= 0 or any(sign < 0 for sign in exact):
        return None
    return f"no principal minor of -{_blocks(problem)[0 if first else 1]} is negative"


def _blocks(problem: FactorProblem) -> tuple[str, str]:
    """The names of T11 and (T^{-1})22 of the problem, whose parts are swapped where an upper layer is first."""
    return ("T11", "(T^-1)22") if problem.first == "lower" else ("T22", "(T^-1)11")


def _complement(part: Sequence[int], problem: FactorProblem) -> list[int]:
    """All coordinates but those of a part of the rest: det Q[I] = det T[I^c] / det T."""
    return [i for i in range(len(problem.matrix)) if i - problem.p not in part]


def _rough_signs(matrix: FloatArray, sets: Sequence[list[int]]) -> FloatArray:
    """Signs of principal minors in float64, 0 where rounding may have made them."""
    stack = np.stack([matrix[np.ix_(chosen, chosen)] for chosen in sets])
    bound = np.prod(np.linalg.norm(stack, axis=2), axis=1)
    values = np.linalg.det(stack)
    return np.sign(values) * (np.abs(values) > UNSURE * bound)


def whole_numbers(matrix: FloatArray) -> Integers:
    """Each row times a power of two that makes its entries whole: no sign of a minor changes."""
    return [multiples(row) for row in matrix]


def determinant(rows: Integers) -> int:
    """The determinant by elimination without fractions (Bareiss 1968): every division leaves no remainder."""
    work, sign, before = [row[:] for row in rows], 1, 1
    for k in range(len(work) - 1):
        at = next((i for i in range(k, len(work)) if work[i][k]), None)
        if at is None:
            return 0
        if at != k:
            work[k], work[at], sign = work[at], work[k], -sign
        top, pivot = work[k], work[k][k]
        for i in range(k + 1, len(work)):
            row, head = work[i], work[i][k]
            work[i] = [(x * pivot - head * y) // before for x, y in zip(row, top, strict=True)]
        before = pivot
    return sign * work[-1][-1]


def _minor(rows: Integers, chosen: Sequence[int]) -> Integers:
    return [[rows[i][j] for j in chosen] for i in chosen]


def _sign(x: int) -> int:
    return (x > 0) - (x < 0)


def excludes_five(problem: FactorProblem) -> Obstruction | None:
    """Theorem C's certificate that five layers are not enough, in either order; None where it does not apply."""
    matrix, p = problem.inner(), problem.p
    if np.any(matrix[:p, p:]) or np.any(matrix[p:, :p]) or 2 * p != len(matrix):
        return None
    x, w = spectrum_form(matrix[:p, :p]), spectrum_form(matrix[p:, p:])
    if x is None or w is None or x == w:
        return None
    return Obstruction(5, _one_spectrum(x, w), _one_spectrum(w, x))


def _one_spectrum(first: Spectrum, second: Spectrum) -> str:
    words = {"real": "a real one", "imaginary": "an imaginary one", "cycle": "all roots of one number"}
    return f"one spectrum would be {words[first]} and {words[second]}"


def spectrum_form(block: FloatArray) -> Spectrum | None:
    """The form that the spectra of block Δ and of block^{-1} Δ have for every positive diagonal Δ, if one is known."""
    if np.array_equal(block, block.T):
        return "real"
    if np.array_equal(block, -block.T):
        return "imaginary"
    return "cycle" if len(block) >= 3 and _is_cycle(block) else None


def _is_cycle(block: FloatArray) -> bool:
    """Whether the pattern is one cycle through all d indices: one entry in each row and column, one orbit."""
    used = block != 0
    if not (np.all(used.sum(0) == 1) and np.all(used.sum(1) == 1)):
        return False
    step, at, length = np.argmax(used, axis=1), 0, 0
    while length == 0 or at != 0:
        at, length = int(step[at]), length + 1
    return length == len(block)
