"""`factor`: any invertible matrix as few linear couplings, and the fewest layers within a budget of conditioning."""

from collections.abc import Sequence
from typing import Any, Literal

from shoal._errors import NumericalFailure
from shoal.theory.linear._continuation import EVEN, FEWEST, MOST, ODD
from shoal.theory.linear._factorization import Factorization
from shoal.theory.linear._layer import Kind
from shoal.theory.linear._prepare import FactorProblem, prepare
from shoal.theory.linear._routes import finished, handed_on, solve
from shoal.theory.linear._search import Effort


def factor(
    T: Any,
    layers: int | Literal["auto"] | None = None,
    *,
    first: Kind = "lower",
    kept: Sequence[int] | None = None,
    max_condition: float | None = None,
    tolerance: float = 1e-12,
    effort: Effort | None = None,
) -> Factorization:
    """T = diag(signs) @ L U L U ...: an invertible (n, n) matrix as exactly `layers` linear affine couplings.

    **Arguments:** `T`: square, real, finite, invertible. `layers`: 5 ... 11, or "auto" with `max_condition`: the fewest
    whose worst condition number is within it; None is 6 for even n, 8 for odd n. `first`: the kind of the leftmost
    layer. `kept`: the index set S of the partition, n // 2 indices; default the first ones. `tolerance`: the largest
    relative residual that is accepted. `effort`: how long conditions are improved (see `Effort`).

    **Returns:** a `Factorization`. Its `route` says how: "rotation" (Theorem A, closed form, blocks at most 3, any n),
    "polar" (a rotation in low precision: closed form, then continuation), "continuation", "five" (Theorem B's start),
    "svd" (11 layers, κ <= 49 max(1, σ1) max(1, 1/σn)), "bordered" (odd n), "extended" (more layers than needed).

    **Raises:** ValueError: T not square, not finite or singular, or a number of layers that T or its size does not
    allow; NumericalFailure: no factorization within `tolerance` was found.

    Reference: Koehler, Mehta, Risteski 2021, Theorems 2 and 3; the project's `docs/linear.md`.
    """
    if layers == "auto":
        if max_condition is None or not max_condition >= 1.0:
            raise ValueError(f'`layers="auto"` needs `max_condition` of at least 1; got {max_condition!r}.')
        return _fewest_within(prepare(T, kept, first), max_condition, tolerance, effort)
    if max_condition is not None:
        raise ValueError('`max_condition` is for `layers="auto"`.')
    problem = prepare(T, kept, first)
    low, usual = (FEWEST, EVEN) if len(problem.matrix) % 2 == 0 else (ODD, ODD)
    count = usual if layers is None else layers
    if not isinstance(count, int) or isinstance(count, bool) or not low <= count <= MOST:
        size = "even" if low == FEWEST else "odd"
        raise ValueError(f'`layers` must be {low} ... {MOST} for {size} n, or "auto"; got {layers!r}.')
    return finished(problem, *solve(problem, count, effort), tolerance)


def _fewest_within(
    problem: FactorProblem, budget: float, tolerance: float, effort: Effort | None
) -> Factorization:
    """The first of ever more layers, each found from the one before, that meets the budget."""
    best: Factorization | None = None
    low = FEWEST if len(problem.matrix) % 2 == 0 else ODD
    for step in handed_on(problem, range(low, MOST + 1), effort=effort, tolerance=tolerance):
        made = step.factors
        if made is None:
            continue
        if made.conditions.largest <= budget:
            return made
        if best is None or made.conditions.largest < best.conditions.largest:
            best = made
    found = (
        "none was found"
        if best is None
        else f"the best found has {best.conditions.largest:.4g} with {len(best.layers)} layers"
    )
    raise NumericalFailure(f"no number of layers up to {MOST} meets `max_condition={budget:g}`: {found}.")
