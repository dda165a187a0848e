"""Theorem C: some matrices need six layers. docs/dev/mathematics.md 2.4.

If diag(X, W) = L U L U L, then spec(X^{-1} Δ) = spec(W Δ') for some positive diagonals Δ, Δ'; for U L U L U the same
with X and W exchanged. A class of matrices whose spectra all have one form, whatever the positive diagonal, refutes it:

- symmetric positive definite S: S Δ has a positive spectrum; a positive diagonal is such an S;
- symmetric S: S Δ has a real spectrum (it is similar to Δ^{1/2} S Δ^{1/2});
- skew-symmetric K: K Δ has an imaginary spectrum;
- a weighted cycle of length d >= 3: the spectrum is all d-th roots of one real number, at most two of them real and
  at most two imaginary.

All four are decided on exact floating-point entries; invertible matrices have no zero eigenvalue.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from shoal._scalars import FloatArray

Spectrum = Literal["real", "imaginary", "cycle"]
CLASHES: frozenset[frozenset[str]] = frozenset(
    {frozenset({"real", "imaginary"}), frozenset({"real", "cycle"}), frozenset({"imaginary", "cycle"})}
)


@dataclass(frozen=True)
class Obstruction:
    """Why five layers can not give diag(X, W): the forms of the two spectra, for both orders of layers."""

    lower_first: tuple[str, str]
    upper_first: tuple[str, str]


def needs_six(matrix: FloatArray, p: int) -> Obstruction | None:
    """Theorem C's certificate that five layers are not enough, in either order; None where it does not apply."""
    if np.any(matrix[:p, p:]) or np.any(matrix[p:, :p]) or 2 * p != len(matrix):
        return None
    x, w = spectrum_form(matrix[:p, :p]), spectrum_form(matrix[p:, p:])
    if x is None or w is None or frozenset({x, w}) not in CLASHES:
        return None
    return Obstruction((x, w), (w, x))


def spectrum_form(block: FloatArray) -> Spectrum | None:
    """The form that the spectra of block Δ and of block^{-1} Δ have for every positive diagonal Δ, if one is known.

    The inverse of a symmetric, skew-symmetric or weighted-cycle matrix is of the same class.
    """
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
