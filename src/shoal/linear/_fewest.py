"""How few layers a matrix needs: docs/dev/mathematics.md 2.4.

Witnesses come from closed forms and searches, obstructions from proofs.

A number is `proved` where a witness meets a lower bound that was proved, `searched` where fewer layers are not excluded
by a proof but every attempt at them failed, and `undecided` where nothing up to six was found.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from shoal._errors import NumericalFailure
from shoal.linear._factorization import Factorization
from shoal.linear._few import four_layers, one_layer, three_layers, two_layers
from shoal.linear._layer import Kind, product, scaled
from shoal.linear._obstruction import Obstruction, needs_six
from shoal.linear._prepare import Problem, prepare
from shoal.linear._solve import default_effort, finished, solve

SEARCHES = ((1, one_layer), (2, two_layers), (3, three_layers), (4, four_layers))


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
    **Returns:** `FewestLayers`. **Raises:** ValueError as `factor`, and for odd n.
    """
    orders: tuple[Kind, Kind] = ("lower", "upper")
    problems = [prepare(T, kept, first) for first in orders]
    if len(problems[0].matrix) % 2:
        raise ValueError(f"`fewest_layers` needs an even size; got {len(problems[0].matrix)}.")
    obstruction = needs_six(problems[0].matrix, problems[0].p)
    failed: list[tuple[int, float]] = []
    at_least = 6 if obstruction else 1
    if obstruction is None:
        for count, search in SEARCHES:
            best = np.inf
            for problem in problems:
                made, residual = _attempt(problem, search, tolerance)
                if made is not None:
                    return FewestLayers(
                        at_least,
                        count,
                        "proved" if at_least == count else "searched",
                        made,
                        None,
                        tuple(failed),
                    )
                best = min(best, residual)
            failed.append((count, best))
            if at_least == count and (count < 3 or (count == 3 and _both_invertible(problems))):
                at_least = (
                    count + 1
                )  # one and two are read off; three is a linear system if T12 and T21 are invertible
    for count in (5, 6) if obstruction is None else (6,):
        for problem in problems:
            try:
                layers, route = solve(problem, count, default_effort(len(problem.matrix)))
                made = finished(problem, layers, route, tolerance)
            except (ValueError, NumericalFailure):
                continue
            status = "proved" if count == at_least else "searched"
            return FewestLayers(at_least, count, status, made, obstruction, tuple(failed))
        failed.append((count, np.inf))
    return FewestLayers(at_least, 6, "undecided", None, obstruction, tuple(failed))


def _attempt(problem: Problem, search: Any, tolerance: float) -> tuple[Factorization | None, float]:
    if search is one_layer and problem.shift:  # a multiple of a layer is none: look at T itself
        problem = replace(
            problem, matrix=np.ldexp(problem.matrix, round(problem.shift / np.log(2.0))), shift=0.0
        )
    with np.errstate(all="ignore"):
        layers = search(problem.matrix, problem.p)
    if layers is None:
        return None, np.inf
    size = float(np.linalg.norm(problem.matrix))
    residual = float(np.linalg.norm(problem.matrix - product(layers)) / size)
    if not residual <= tolerance:
        return None, residual
    try:
        full = scaled(layers, problem.shift, len(layers) - 2) if problem.shift else layers
        return finished(problem, full, f"{len(layers)} layers", tolerance), residual
    except (ValueError, NumericalFailure):
        return None, residual


def _both_invertible(problems: list[Problem]) -> bool:
    return all(np.linalg.cond(problem.matrix[: problem.p, problem.p :]) < 1e13 for problem in problems)
