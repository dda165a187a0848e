"""How few layers a matrix needs: docs/dev/mathematics.md 2.4. Witnesses come from searches, obstructions from proofs.

Theorem C: some matrices need six.
If diag(X, W) = L U L U L, then spec(X^{-1} Δ) = spec(W Δ') for some positive diagonals Δ, Δ'; for U L U L U the same
with X and W exchanged. A class of matrices whose spectra all have one form, whatever the positive diagonal, refutes it:

- symmetric positive definite S: S Δ has a positive spectrum; a positive diagonal is such an S;
- symmetric S: S Δ has a real spectrum (it is similar to Δ^{1/2} S Δ^{1/2});
- skew-symmetric K: K Δ has an imaginary spectrum;
- a weighted cycle of length d >= 3: the spectrum is all d-th roots of one real number, at most two of them real and
  at most two imaginary.

All four are decided on exact floating-point entries; invertible matrices have no zero eigenvalue.

A number is `proved` where a witness meets a lower bound that was proved, `searched` where fewer layers are not excluded
by a proof but every attempt at them failed, and `undecided` where nothing up to six was found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from shoal._errors import InputError, NumericalFailure
from shoal._scalars import FloatArray
from shoal.theory.linear._factorization import Factorization
from shoal.theory.linear._inputs import FactorProblem, prepare
from shoal.theory.linear._layer import Kind, product, scaled
from shoal.theory.linear._one_to_four import four_layers, one_layer, three_layers, two_layers
from shoal.theory.linear._routes import accepted, finished, solve

Spectrum = Literal["real", "imaginary", "cycle"]
SEARCHES = {1: one_layer, 2: two_layers, 3: three_layers, 4: four_layers}  # beyond: `solve`


@dataclass(frozen=True)
class Obstruction:
    """Why five layers can not give diag(X, W): the forms of the two spectra, for both orders of layers."""

    lower_first: tuple[str, str]
    upper_first: tuple[str, str]


@dataclass(frozen=True, eq=False)
class FewestLayers:
    """What is known of the fewest layers of a matrix.

    `at_most` with its `witness`; `at_least`, proved; `status`; `obstruction`: Theorem C's certificate where it applies;
    `best_residuals`: (layers, least relative residual seen) of the attempts that failed.
    """

    at_least: int
    at_most: int
    status: Literal["proved", "searched", "undecided"]
    witness: Factorization | None
    obstruction: Obstruction | None
    best_residuals: tuple[tuple[int, float], ...]

    def __str__(self) -> str:
        if self.status == "proved":
            return f"{self.at_most} layers, proved"
        if self.status == "searched":
            return (
                f"{self.at_most} layers (fewer than {self.at_least} excluded by proof, the others by search)"
            )
        return f"undecided between {self.at_least} and {self.at_most}"


def fewest_layers(
    T: Any,
    *,
    kept: Sequence[int] | None = None,
    tolerance: float = 1e-12,
) -> FewestLayers:
    """The fewest affine coupling layers whose product is diag(signs) T, both orders (lower or upper first) tried.

    **Arguments:** `T`: (n, n), n even, invertible; `kept`: the index set S; `tolerance`: relative residual of a witness.
    **Returns:** `FewestLayers`. **Raises:** InputError as `factor`, and for odd n.
    """
    orders: tuple[Kind, Kind] = ("lower", "upper")
    problems = [prepare(T, kept, first) for first in orders]
    if len(problems[0].matrix) % 2:
        raise InputError(f"`fewest_layers` needs an even size; got {len(problems[0].matrix)}.")
    obstruction = needs_six(problems[0].matrix, problems[0].p)
    failed: list[tuple[int, float]] = []
    linear = all(np.linalg.cond(p.matrix[: p.p, p.p :]) < 1e13 for p in problems)
    first = at_least = 6 if obstruction else 1
    for count in range(first, 7):
        best = np.inf
        for problem in problems:
            made, residual = _attempt(problem, count, tolerance)
            if made is not None:
                status = "proved" if at_least == count else "searched"
                return FewestLayers(at_least, count, status, made, obstruction, tuple(failed))
            best = min(best, residual)
        failed.append((count, best))
        # one and two are read off; three is a linear system if T12 and T21 are invertible
        if at_least == count and count <= (3 if linear else 2):
            at_least = count + 1
    return FewestLayers(at_least, 6, "undecided", None, obstruction, tuple(failed))


def _attempt(problem: FactorProblem, count: int, tolerance: float) -> tuple[Factorization | None, float]:
    """The factorization, None where there is none within the tolerance; the relative residual that was seen."""
    residual = np.inf
    try:
        if count == 1:  # a multiple of a layer is none: look at T itself
            return _read_off(problem, tolerance)
        if count not in SEARCHES:
            layers, route = solve(problem, count, None)
            return finished(problem, layers, route, tolerance), residual
        with np.errstate(all="ignore"):
            layers = SEARCHES[count](problem.matrix, problem.p)
        if layers is None:
            return None, residual
        residual = float(np.linalg.norm(problem.matrix - product(layers)) / np.linalg.norm(problem.matrix))
        if not residual <= tolerance:
            return None, residual
        full = scaled(layers, problem.shift, count - 2) if problem.shift else layers
        return finished(problem, full, f"{count} layers", tolerance), residual
    except (ValueError, NumericalFailure):
        return None, residual


def _read_off(problem: FactorProblem, tolerance: float) -> tuple[Factorization | None, float]:
    """T as one layer, as `_attempt`."""
    matrix = np.ldexp(problem.matrix, round(problem.shift / np.log(2.0)))
    if problem.scales is not None:
        matrix = problem.scales[0][:, None] * matrix * problem.scales[1]
    layers = one_layer(matrix, problem.p)
    if layers is None:
        return None, np.inf
    residual = float(np.linalg.norm(matrix - product(layers)) / np.linalg.norm(matrix))
    return (accepted(problem, layers, "1 layers", tolerance) if residual <= tolerance else None), residual


def needs_six(matrix: FloatArray, p: int) -> Obstruction | None:
    """Theorem C's certificate that five layers are not enough, in either order; None where it does not apply."""
    if np.any(matrix[:p, p:]) or np.any(matrix[p:, :p]) or 2 * p != len(matrix):
        return None
    x, w = spectrum_form(matrix[:p, :p]), spectrum_form(matrix[p:, p:])
    if x is None or w is None or x == w:
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
