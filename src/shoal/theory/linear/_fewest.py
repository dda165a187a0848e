"""How few layers a matrix needs: docs/dev/mathematics.md 2.4. Witnesses come from searches, obstructions from proofs.

A number is `proved` where a witness meets a lower bound that was proved, `searched` where fewer layers are not excluded
by a proof but every attempt at them failed, and `undecided` where nothing up to six was found.

Four of n = 4 are decided: where T11 is invertible and the diagonals p of T11 and q of Q = (T^{-1})22 have no zero, L U L U
exists if and only if the certificate of `_obstruction.py` does not apply. Determinants fix b1 b2 = det T11 / (c1 c2 det Q)
= det T / (c1 c2) > 0, so that only the traces p . (1/c) = q . b must agree; each side takes all large values of the sign of
any of its numbers, and at a large trace the eigenvalues are distinct.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from shoal._errors import NumericalFailure
from shoal.theory.linear._continuation import extended
from shoal.theory.linear._factorization import Factorization
from shoal.theory.linear._inputs import FactorProblem, prepare
from shoal.theory.linear._layer import Kind, product, scaled
from shoal.theory.linear._obstruction import Obstruction, excludes_five, excludes_four
from shoal.theory.linear._one_to_four import four_layers, one_layer, three_layers, two_layers
from shoal.theory.linear._routes import accepted, default_effort, finished, solve

SEARCHES = {1: one_layer, 2: two_layers, 3: three_layers, 4: four_layers}  # beyond: `solve`


@dataclass(frozen=True, eq=False)
class FewestLayers:
    """What is known of the fewest layers of a matrix.

    `at_most` with its `witness`; `at_least`, proved; `status`; `obstruction`: what excludes `at_least` - 1 layers in both
    orders, exactly (Theorem B1 four, Theorem C five), where it applies;
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
    T: object,
    *,
    kept: Sequence[int] | None = None,
    most: int = 6,
    tolerance: float = 1e-12,
) -> FewestLayers:
    """The fewest affine coupling layers whose product is diag(signs) T, both orders (lower or upper first) tried.

    **Arguments:** `T`: (n, n), invertible (for odd n three and four layers are not looked for); `kept`: the index set S;
    `most`: more layers are not looked for, as with 3, where what is not excluded by a proof is all that is wanted;
    `tolerance`: relative residual of a witness.
    **Returns:** `FewestLayers`. **Raises:** InputError as `factor`.
    """
    orders: tuple[Kind, Kind] = ("lower", "upper")
    problems = [prepare(T, kept, first) for first in orders]
    obstruction, against_four = excludes_five(problems[0]), [excludes_four(problem) for problem in problems]
    lower, upper = against_four
    if obstruction is None and lower and upper:
        obstruction = Obstruction(4, lower, upper)
    failed: list[tuple[int, float]] = []
    decided = all(_three_decided(problem) for problem in problems)
    # L U L U holds both products of three, so that one order excluded means four at least
    first = at_least = obstruction.layers + 1 if obstruction else 4 if lower or upper else 1
    for count in range(first, most + 1):
        best = np.inf
        for problem, against in zip(problems, against_four, strict=True):
            if count == 4 and against:
                continue
            made, residual = _attempt(problem, count, tolerance)
            if made is not None:
                status = "proved" if at_least == count else "searched"
                return FewestLayers(at_least, count, status, made, obstruction, tuple(failed))
            best = min(best, residual)
        failed.append((count, best))
        # one and two are read off
        if at_least == count and count <= (3 if decided else 2):
            at_least = count + 1
    return FewestLayers(at_least, 6, "undecided", None, obstruction, tuple(failed))


def _three_decided(problem: FactorProblem) -> bool:
    """Whether a search for L U L that finds none is a proof: a linear system for T12 invertible; no more than L U for 0."""
    t12 = problem.inner()[: problem.p, problem.p :]
    if 2 * problem.p != len(problem.matrix):
        return False
    return not np.any(t12) or bool(np.linalg.cond(problem.matrix[: problem.p, problem.p :]) < 1e13)


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
        if count == 4:  # T has a whole manifold of these: a well-conditioned one, in all digits
            effort = default_effort(len(problem.matrix))
            return finished(problem, extended(problem, layers, count, effort), "four", tolerance), residual
        residual = float(np.linalg.norm(problem.matrix - product(layers)) / np.linalg.norm(problem.matrix))
        if not residual <= tolerance:
            return None, residual
        full = scaled(layers, problem.shift, count - 2) if problem.shift else layers
        return finished(problem, full, f"{count} layers", tolerance), residual
    except (ValueError, NumericalFailure):
        return None, residual


def _read_off(problem: FactorProblem, tolerance: float) -> tuple[Factorization | None, float]:
    """T as one layer, as `_attempt`."""
    matrix = problem.inner()
    layers = one_layer(matrix, problem.p)
    if layers is None:
        return None, np.inf
    size = np.max(np.abs(matrix))  # no square overflows
    with np.errstate(over="ignore"):
        residual = float(np.linalg.norm((matrix - product(layers)) / size) / np.linalg.norm(matrix / size))
    return (accepted(problem, layers, "1 layers", tolerance) if residual <= tolerance else None), residual
