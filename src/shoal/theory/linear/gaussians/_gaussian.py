"""`gaussian`: N(mean, Σ) as few affine couplings, exactly and without training; docs/dev/mathematics.md 2.5.

T z + mean with T T^T = Σ has this law for z ~ N(0, I), so T may be followed by any rotation: the freedom is spent on
fewer layers and on their conditions. One pair L U is enough for every Gaussian. One layer is not: it leaves the half
that it keeps as it was, standard normal, so that it needs Σ_kept = I.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from shoal._errors import NumericalFailure
from shoal._scalars import FloatArray
from shoal.theory.linear._factor import factor
from shoal.theory.linear._factorization import Factorization, LayerConditions, assembled
from shoal.theory.linear._layer import Kind, Layer, identity_layer, kinds, product
from shoal.theory.linear._prepare import partition
from shoal.theory.linear._routes import default_effort
from shoal.theory.linear._search import Effort, lower_conditions, newton, worst_condition
from shoal.theory.linear.gaussians._checks import check_layers, checked_gaussian
from shoal.theory.linear.gaussians._covariance_equations import CovarianceEquations, root_of, unknowns
from shoal.theory.linear.gaussians._starts import continued, random_layers, turned_pair

FEWEST = 2
LARGEST = 128  # beyond: the symmetric root is factored, five layers or more (eight for odd n)
PAIRS = 3  # starts of a pair: its condition depends on them, that of three layers or more hardly
TRIES = 8


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
    mean: Any,
    covariance: Any,
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
    are better conditioned (`gaussian_frontier` says how much). `first`: the kind of the leftmost layer, the one that acts
    last. `kept`: the index set S of the partition, n // 2 indices; default the first ones. `tolerance`: the largest
    `residual` that is accepted. `effort`: how long conditions are improved (see `Effort`).

    **Returns:** `GaussianFactors`. The scales of the coordinates enter the conditions: standardise first if you can.

    **Raises:** ValueError: a covariance that is not symmetric, finite or positive definite (with its numerical rank),
    fewer than two layers, or, beyond n = 128, fewer than `factor` allows; NumericalFailure: no layers within `tolerance`.

    Reference: Koehler, Mehta, Risteski 2021, Remark 3; the project's `docs/linear.md`.
    """
    shift, matrix = checked_gaussian(mean, covariance)
    n = len(shift)
    chosen, order, p = partition(n, kept, first)
    inner = matrix[np.ix_(order, order)]
    check_layers(layers, inner, p)
    if n > LARGEST:
        values, vectors = np.linalg.eigh(matrix)
        root = (vectors * np.sqrt(values)) @ vectors.T
        return accepted(factor(root, layers, first=first, kept=kept, effort=effort), shift, matrix, tolerance)
    found = solved(inner, p, layers, effort or default_effort(n))
    return finished_gaussian(shift, matrix, found, (chosen, order), first, tolerance)


def solved(
    covariance: FloatArray, p: int, count: int, effort: Effort, given: tuple[Layer, ...] | None = None
) -> tuple[Layer, ...]:
    """`count` layers T, lower first, with T T^T = `covariance`; `given`: others to start from too, fewer or as many.

    The search starts on the correlation matrix; the standard deviations go into the first two layers.
    """
    q = len(covariance) - p
    if p + q == 1:
        lone = Layer("lower", np.zeros((1, 0)), 0.5 * np.log(covariance[0]))
        return (lone, *(identity_layer(kind, 0, 1) for kind in kinds(count)[1:]))
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / scale / scale[:, None]
    starts = (
        [] if given is None else [(*given, *(identity_layer(k, p, q) for k in kinds(count)[len(given) :]))]
    )
    wanted = len(starts) + (PAIRS if count == FEWEST else 1)
    for attempt in range(TRIES):
        if len(starts) == wanted:
            break
        pair = count == FEWEST and attempt == 0
        start = turned_pair(p, q) if pair else random_layers(p, q, count, np.random.default_rng(attempt))
        arrived = continued(correlation, start)
        if arrived is not None:
            starts.append(_stretched(arrived, scale))
    root = root_of(covariance, p, count)
    best: tuple[float, tuple[Layer, ...]] | None = None
    for start in starts:
        here = newton(CovarianceEquations(root, unknowns(start)))
        if here is None:
            continue
        made = (newton(here.at(lower_conditions(here, effort))) or here).layers()
        if best is None or worst_condition(made) < best[0]:
            best = worst_condition(made), made
    if best is None:
        raise NumericalFailure(f"no {count} layers were found for this covariance; try more `layers`.")
    return best[1]


def finished_gaussian(
    mean: FloatArray,
    covariance: FloatArray,
    layers: tuple[Layer, ...],
    partition: tuple[tuple[int, ...], list[int]],
    first: Kind,
    tolerance: float,
) -> GaussianFactors:
    """The result from layers of the ordered problem: T is the root of Σ that is nearest to their product."""
    kept, order = partition
    n = len(mean)
    root = root_of(covariance[np.ix_(order, order)], len(kept), len(layers))
    left, _, right = np.linalg.svd(root.inverse @ product(layers))
    target = np.empty((n, n))
    target[np.ix_(order, order)] = root.root @ (left @ right)
    made = assembled(target, layers, np.ones(n), kept, "gaussian", first)
    return accepted(made, mean, covariance, tolerance)


def accepted(
    factors: Factorization, mean: FloatArray, covariance: FloatArray, tolerance: float
) -> GaussianFactors:
    """The result, once its residual is within `tolerance`. **Raises:** NumericalFailure."""
    made = GaussianFactors(factors, mean, covariance)
    if not made.residual <= tolerance:
        raise NumericalFailure(
            f"the {len(factors.layers)} layers found miss the covariance by {made.residual:.2e} relative to it; "
            f"`tolerance` is {tolerance:g}. Try more `layers`, or a larger tolerance."
        )
    return made


def _stretched(layers: tuple[Layer, ...], scale: FloatArray) -> tuple[Layer, ...]:
    """diag(scale) times the product, taken up by the first two layers."""
    lower, upper, p = layers[0], layers[1], layers[0].kept
    s, r = scale[:p], scale[p:]
    one = Layer("lower", r[:, None] * lower.block / s, lower.log_scale + np.log(r))
    return (one, Layer("upper", s[:, None] * upper.block, upper.log_scale + np.log(s)), *layers[2:])
