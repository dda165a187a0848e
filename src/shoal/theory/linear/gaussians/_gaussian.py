"""`gaussian`: N(mean, Σ) as few affine couplings, exactly and without training, and the price of depth in conditioning.

docs/dev/mathematics.md 2.5. T z + mean with T T^T = Σ has this law for z ~ N(0, I), so T may be followed by any rotation:
the freedom is spent on fewer layers and on their conditions. One pair L U is enough for every Gaussian. One layer is not:
it leaves the half that it keeps as it was, standard normal, so that it needs Σ_kept = I.

Lower bound of the worst condition of m layers: max(κ(T), σ1, 1/σn)^{1/m}, the same for all roots T of Σ, and, with τ^2 the
eigenvalues of Σ_kept, max(τ1 / τp, τ1, 1/τp)^{1/(m-1)}.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from shoal._errors import InputError, NumericalFailure
from shoal._scalars import FloatArray
from shoal.theory.linear._condition_bounds import lower_bound
from shoal.theory.linear._factor import Frontier, FrontierRow, factor
from shoal.theory.linear._factorization import Factorization, LayerConditions, assembled
from shoal.theory.linear._inputs import check_layers, checked_gaussian, partition
from shoal.theory.linear._layer import Kind, Layer, product
from shoal.theory.linear._routes import default_effort
from shoal.theory.linear._search import Effort
from shoal.theory.linear.gaussians._covariance_equations import root_of
from shoal.theory.linear.gaussians._solve import BOUNDED, FEWEST, bounded, solved

LARGEST = 128  # beyond, nothing is searched: four layers in closed form, or the symmetric root is factored


@dataclass(frozen=True, eq=False)
class GaussianFactors:
    """N(mean, covariance) as the law of T z + mean, z ~ N(0, I): T T^T = covariance, det T > 0.

    **Fields:** `factors`: the `Factorization` of T, its target being the exact root of the covariance that is nearest to
    the layers' product; `mean`: (n,); `covariance`: (n, n).
    """

    factors: Factorization
    mean: FloatArray
    covariance: FloatArray

    @property
    def conditions(self) -> LayerConditions:
        """κ of each layer, from left to right, and the largest."""
        return self.factors.conditions

    @cached_property
    def residual(self) -> float:
        """|P P^T - Σ| / |Σ| in the Frobenius norm, P the product of the layers, in units of standard deviations."""
        scale = np.sqrt(np.diag(self.covariance))
        made = self.factors.matrix() / scale[:, None]
        target = self.covariance / scale / scale[:, None]
        return float(np.linalg.norm(made @ made.T - target) / np.linalg.norm(target))

    @cached_property
    def kl(self) -> float:
        """KL(N(mean, Σ) || flow) = sum_i (λ_i - 1 - log λ_i) / 2, λ the eigenvalues of P^{-1} Σ P^{-T}.

        From λ - 1, so that no two large numbers are subtracted; the flow's mean is `mean`.
        """
        root = root_of(self.covariance, 0, FEWEST).root
        white = self.factors.inverse(root.T).T
        off = np.linalg.eigvalsh(white @ white.T - np.eye(len(white)))
        return float(np.sum(off - np.log1p(off)) / 2)

    def log_prob(self, x: FloatArray) -> FloatArray:
        """The log density of each vector of x (..., n), by the layers."""
        z = self.factors.inverse(np.asarray(x, np.float64) - self.mean)
        n = len(self.mean)
        return -0.5 * np.sum(z * z, axis=-1) - self.factors.log_abs_det - 0.5 * n * np.log(2 * np.pi)

    def __repr__(self) -> str:
        pattern = " ".join(layer.kind[0].upper() for layer in self.factors.layers)
        return (
            f"GaussianFactors(n = {len(self.mean)}, {len(self.factors.layers)} layers {pattern}, KL {self.kl:.1e}, "
            f"largest condition {self.conditions.largest:.4g})"
        )


def gaussian(
    mean: object,
    covariance: object,
    layers: int = 4,
    *,
    first: Kind = "lower",
    kept: Sequence[int] | None = None,
    tolerance: float = 1e-12,
    effort: Effort | None = None,
) -> GaussianFactors:
    """N(mean, Σ) as exactly `layers` linear affine couplings: T T^T = Σ, T = L U L U ..., det T > 0.

    With a sample mean and a sample covariance this is the maximum-likelihood Gaussian, without training.

    **Arguments:** `mean`: (n,). `covariance`: Σ, (n, n), symmetric, positive definite. `layers`: 2 or more; more layers
    are better conditioned (`gaussian_frontier` says how much). Beyond n = 128 four layers are Theorem C1's closed form
    (even n; at unit deviations κ < 6 κ(Σ) for det Σ = 1), and five or more are those of Σ^{1/2}. `first`: the kind of the
    leftmost layer, the one that acts last. `kept`: the index set S of the partition, n // 2 indices; default the first
    ones. `tolerance`: the largest `residual` that is accepted. `effort`: how long conditions are improved (see `Effort`).

    **Returns:** `GaussianFactors`. The scales of the coordinates enter the conditions: standardise first if you can.

    **Raises:** InputError: a covariance that is not symmetric, finite or positive definite (with its numerical rank),
    fewer than two layers, or, beyond n = 128, fewer than four (odd n: five); NumericalFailure: no layers within `tolerance`.

    Reference: Koehler, Mehta, Risteski 2021, Remark 3; the project's `docs/linear.md`.
    """
    problem = _Problem.of(mean, covariance, first, kept, (layers,))
    n = len(problem.mean)
    if n > LARGEST and n % 2 == 0 and layers == BOUNDED:
        return problem.finished(bounded(problem.inner), tolerance)
    if n > LARGEST:
        values, vectors = np.linalg.eigh(problem.covariance)
        root = (vectors * np.sqrt(values)) @ vectors.T
        return problem.accepted(factor(root, layers, first=first, kept=kept, effort=effort), tolerance)
    return problem.finished(problem.layers(layers, effort), tolerance)


def gaussian_frontier(
    covariance: object,
    layers: Sequence[int] = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11),
    *,
    first: Kind = "lower",
    kept: Sequence[int] | None = None,
    tolerance: float = 1e-12,
    effort: Effort | None = None,
    progress: Callable[[FrontierRow[GaussianFactors]], None] | None = None,
) -> Frontier[GaussianFactors]:
    """Depth against conditioning for N(mean, Σ): the least max_i κ(layer i) found for each number of layers.

    **Arguments:** `covariance`, `first`, `kept`, `tolerance`, `effort`: as in `gaussian`. `layers`: which numbers of
    layers. `progress`: is called with each row when it is done.
    **Returns:** a `Frontier` of `GaussianFactors`; a row's residual is that of the covariance. Each row starts anew and
    also from the row before, with identity layers added.
    **Raises:** InputError and NumericalFailure as `gaussian`; n is at most 128 here.
    """
    counts = sorted(set(layers))
    if not counts:
        raise InputError("`layers` must hold at least one number of layers.")
    problem = _Problem.of(
        np.zeros(len(np.atleast_1d(np.asarray(covariance)))), covariance, first, kept, counts
    )
    n = len(problem.mean)
    if n > LARGEST:
        raise InputError(f"`gaussian_frontier` searches up to n = {LARGEST}; got n = {n}.")
    rows: list[FrontierRow[GaussianFactors]] = []
    given: tuple[Layer, ...] | None = None
    for count in counts:
        begun = time.monotonic()
        given = problem.layers(count, effort, given)
        made = problem.finished(given, tolerance)
        row = FrontierRow(
            layers=count,
            condition=made.conditions.largest,
            lower_bound=_condition_bound(problem.inner, problem.p, count),
            residual_float64=made.residual,
            residual_float32=None,
            first=first,
            route="gaussian",
            seconds=time.monotonic() - begun,
            reason="",
            factors=made,
        )
        rows.append(row)
        if progress is not None:
            progress(row)
    return Frontier(n, problem.kept, tuple(rows))


@dataclass(frozen=True, eq=False)
class _Problem:
    """A checked Gaussian; `inner`: the covariance in the `order` of the lower-first problem, whose first part has size p."""

    mean: FloatArray
    covariance: FloatArray
    first: Kind
    kept: tuple[int, ...]
    order: list[int]
    p: int
    inner: FloatArray

    @staticmethod
    def of(
        mean: object, covariance: object, first: Kind, kept: Sequence[int] | None, counts: Sequence[int]
    ) -> "_Problem":
        """The checked problem, for these numbers of layers. **Raises:** InputError."""
        shift, matrix = checked_gaussian(mean, covariance)
        chosen, order, p = partition(len(shift), kept, first)
        inner = matrix[np.ix_(order, order)]
        for count in counts:
            check_layers(count, inner, p)
        return _Problem(shift, matrix, first, chosen, order, p, inner)

    def layers(
        self, count: int, effort: Effort | None, given: tuple[Layer, ...] | None = None
    ) -> tuple[Layer, ...]:
        """`count` layers, lower first; `given`: fewer ones to start from too."""
        return solved(self.inner, self.p, count, effort or default_effort(len(self.mean)), given)

    def finished(self, layers: tuple[Layer, ...], tolerance: float) -> GaussianFactors:
        """The result: T is the root of Σ that is nearest to the layers' product."""
        n = len(self.mean)
        root = root_of(self.inner, self.p, len(layers))
        left, _, right = np.linalg.svd(root.inverse @ product(layers))
        target = np.empty((n, n))
        target[np.ix_(self.order, self.order)] = root.root @ (left @ right)
        return self.accepted(
            assembled(target, layers, np.ones(n), self.kept, "gaussian", self.first), tolerance
        )

    def accepted(self, factors: Factorization, tolerance: float) -> GaussianFactors:
        """The result, once its residual is within `tolerance`. **Raises:** NumericalFailure."""
        made = GaussianFactors(factors, self.mean, self.covariance)
        if not made.residual <= tolerance:
            raise NumericalFailure(
                f"the {len(factors.layers)} layers found miss the covariance by {made.residual:.2e} relative to it; "
                f"`tolerance` is {tolerance:g}. Try more `layers`, or a larger tolerance."
            )
        return made


def _condition_bound(covariance: FloatArray, p: int, count: int) -> float:
    """No `count` layers, lower first, have a smaller worst condition number; 1 for n = 1, where no coordinate is kept."""
    if len(covariance) == 1:
        return 1.0
    deviations = lambda s: np.sqrt(np.linalg.eigvalsh(s))[::-1]
    whole, half = deviations(covariance), deviations(covariance[:p, :p])
    return max(lower_bound(whole, count), lower_bound(half, count - 1))
