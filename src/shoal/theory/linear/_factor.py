"""`factor`: any invertible matrix as few linear couplings; `frontier`: the best worst-layer condition for each number.

docs/dev/mathematics.md 2.3; what no layers can be below: `_condition_bounds.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from shoal._errors import InputError, NumericalFailure
from shoal.records import factorization as records
from shoal.theory.linear._condition_bounds import ConditionBounds
from shoal.theory.linear._continuation import FEWEST, MOST, USUAL
from shoal.theory.linear._factorization import Factorization
from shoal.theory.linear._inputs import FactorProblem, prepare
from shoal.theory.linear._layer import Kind
from shoal.theory.linear._routes import finished, handed_on, solve
from shoal.theory.linear._search import Effort
from shoal.theory.linear._symplectic import symplectic

F = TypeVar("F")  # what was found: a Factorization, or GaussianFactors


class FrontierRow(records.FrontierRow, Generic[F], frozen=True, kw_only=True, eq=False):
    """One number of layers: the figures, and the `factors` that have them; None where nothing was found.

    `condition`: that of the worst layer; `lower_bound`: no factorization has less; `first`: the kind of the leftmost layer;
    `route`: the way that was taken ("handed on": from the row before); `seconds`: the time for this row.
    """

    factors: F | None

    def to_record(self) -> records.FrontierRow:
        """The figures alone."""
        names = records.FrontierRow.__struct_fields__
        return records.FrontierRow(**{name: getattr(self, name) for name in names})

    def __str__(self) -> str:
        if self.factors is None:
            return f"{self.layers:2d} layers: {self.reason}"
        return (
            f"{self.layers:2d} layers: condition {self.condition:.4g}, at least {self.lower_bound:.4g}, "
            f"residual {self.residual_float64:.1e} ({self.route}, {self.seconds:.1f} s)"
        )


@dataclass(frozen=True, eq=False)
class Frontier(Generic[F]):
    """What `frontier` or `gaussian_frontier` found: a row for each number of layers, ascending; conditions never rise."""

    size: int
    kept: tuple[int, ...]
    rows: tuple[FrontierRow[F], ...]

    def within(self, max_condition: float) -> F | None:
        """That of the fewest layers whose worst condition number is at most `max_condition`; None where no row is."""
        fits = (
            row.factors for row in self.rows if row.condition is not None and row.condition <= max_condition
        )
        return next(fits, None)

    def to_record(self) -> records.FrontierRecord:
        """What `shoal.report` draws."""
        rows = [row.to_record() for row in self.rows]
        return records.FrontierRecord(size=self.size, kept=list(self.kept), rows=rows)

    def __repr__(self) -> str:
        lines = "\n".join(f"  {row}" for row in self.rows)
        return f"Frontier({self.size}x{self.size}:\n{lines}\n)"


def factor(
    T: object,
    layers: int | Literal["auto"] | None = None,
    *,
    group: Literal["linear", "symplectic"] = "linear",
    first: Kind = "lower",
    kept: Sequence[int] | None = None,
    max_condition: float | None = None,
    tolerance: float = 1e-12,
    effort: Effort | None = None,
) -> Factorization:
    """T = diag(signs) @ L U L U ...: an invertible (n, n) matrix as exactly `layers` linear affine couplings.

    **Arguments:** `T`: square, real, finite, invertible. `layers`: 5 ... 11, or "auto" with `max_condition`: the fewest
    whose worst condition number is within it; None is 6, which every T has (5: almost every one). `first`: the kind of
    the leftmost layer. `kept`: the index set S of the partition, n // 2 indices; default the first ones. `tolerance`:
    the largest relative residual that is accepted. `effort`: how long conditions are improved (see `Effort`). `group`:
    "symplectic" for a T with T^T J T = J, J = [[0, I], [-I, 0]] in the order (kept, rest): 5 (or 6) additive layers whose
    blocks are symmetric.

    **Returns:** a `Factorization`. Its `route` says how: "rotation" (Theorem A, closed form, blocks at most 3, even n),
    "polar" (a rotation in low precision: closed form, then continuation), "scalar" (near a multiple of I, even n),
    "continuation", "five" (the last of six layers led to the identity), "nine" and "svd" (closed forms for even n with
    bounds whatever n: nine layers, κ < 6 κ(T)^2 or so, and eleven, κ <= 49 max(1, σ1) max(1, 1/σn); eleven layers are the
    better of the two), "extended" (more layers than needed), "symplectic".

    **Raises:** InputError: T not square, not finite or singular, or a number of layers that T does not
    allow; NumericalFailure: no factorization within `tolerance` was found.

    Reference: Koehler, Mehta, Risteski 2021, Theorems 2 and 3; the project's `docs/linear.md`.
    """
    if group not in ("linear", "symplectic"):
        raise InputError(f'`group` must be "linear" or "symplectic"; got {group!r}.')
    if group == "symplectic":
        if layers == "auto" or max_condition is not None or effort is not None:
            raise InputError('`group="symplectic"` takes no `max_condition`, `effort` or `layers="auto"`.')
        return symplectic(T, layers, first=first, kept=kept, tolerance=tolerance)
    if layers == "auto":
        if max_condition is None or not max_condition >= 1.0:
            raise InputError(f'`layers="auto"` needs `max_condition` of at least 1; got {max_condition!r}.')
        return _fewest_within(prepare(T, kept, first), max_condition, tolerance, effort)
    if max_condition is not None:
        raise InputError('`max_condition` is for `layers="auto"`.')
    problem = prepare(T, kept, first)
    count = layers if layers is not None else USUAL
    if not isinstance(count, int) or isinstance(count, bool) or not FEWEST <= count <= MOST:
        raise InputError(f'`layers` must be {FEWEST} ... {MOST}, or "auto"; got {layers!r}.')
    return finished(problem, *solve(problem, count, effort), tolerance)


def _fewest_within(
    problem: FactorProblem, budget: float, tolerance: float, effort: Effort | None
) -> Factorization:
    """The first of ever more layers, each found from the one before, that meets the budget."""
    best: Factorization | None = None
    for _, made, _, _ in handed_on(problem, range(FEWEST, MOST + 1), tolerance, effort):
        if made is not None and (best is None or made.conditions.largest < best.conditions.largest):
            best = made
        if best is not None and best.conditions.largest <= budget:
            return best
    found = (
        "none was found"
        if best is None
        else f"the best found has {best.conditions.largest:.4g} with {len(best.layers)} layers"
    )
    raise NumericalFailure(f"no number of layers up to {MOST} meets `max_condition={budget:g}`: {found}.")


def frontier(
    T: object,
    layers: Sequence[int] = (5, 6, 7, 8, 9, 10, 11),
    *,
    first: Kind = "lower",
    kept: Sequence[int] | None = None,
    effort: Effort | None = None,
    seconds: float | None = None,
    tolerance: float = 1e-12,
    progress: Callable[[FrontierRow[Factorization]], None] | None = None,
) -> Frontier[Factorization]:
    """Depth against conditioning: for each m the least max_i κ(layer i) found, beside what none can be below.

    That is the larger of max(κ(T), σ1, 1/σn)^(1/m) and of what the angles by which T turns vectors ask for.

    Each row starts from the one before with an identity layer more, so conditions never rise with m. Five layers need
    T12 or T21 of full rank; where only the other kind can stand first, the row says so by `first`.

    **Arguments:** `T`, `first`, `kept`, `effort`, `tolerance`: as in `factor`. `layers`: which m, each in 5 ... 11.
    `seconds`: the time for descent in all rows together; solutions to start from take what they need. `progress`: is
    called with each row when it is done.

    **Returns:** a `Frontier`. A row for which nothing was found (m too small for T, or `tolerance` missed) is kept, with
    its `reason`.

    **Raises:** InputError: T not square, not finite or singular, or another argument out of its range.

    ```python
    print(shoal.linear.frontier(T, (5, 6, 8), seconds=60))
    ```
    """
    counts = tuple(sorted(set(layers)))
    if not counts or any(isinstance(m, bool) or not FEWEST <= m <= MOST for m in counts):
        raise InputError(f"`layers` must hold numbers in {FEWEST} ... {MOST}; got {tuple(layers)}.")
    if seconds is not None and not seconds >= 0.0:
        raise InputError(f"`seconds` must be at least 0; got {seconds}.")
    problem = prepare(T, kept, first)
    bounds = ConditionBounds.of(problem)
    rows: list[FrontierRow[Factorization]] = []
    for count, made, reason, spent in handed_on(problem, counts, tolerance, effort, seconds):
        asked = made is None or made.layers[0].kind == first
        row = FrontierRow(
            layers=count,
            condition=None if made is None else made.conditions.largest,
            lower_bound=bounds.bound(count, "lower" if asked else "upper"),
            residual_float64=None if made is None else made.residual.float64,
            residual_float32=None if made is None else made.residual.float32,
            first="" if made is None else made.layers[0].kind,
            route="" if made is None else made.route,
            seconds=spent,
            reason=reason,
            factors=made,
        )
        rows.append(row)
        if progress is not None:
            progress(row)
    return Frontier(len(problem.target), problem.kept, tuple(rows))
