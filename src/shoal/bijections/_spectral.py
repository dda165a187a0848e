"""Upper bounds of the spectral norm, differentiable and rigorous in floating point, and weights that are held below one.

A bound is a value with a method: `bound(W) >= sigma_max(W)` in the dtype of W, rounding of the bound itself included. Power
iteration is not here: it converges to sigma_max from below and certifies nothing. Bounds serve every layer whose
Lipschitz constant has to be known (i-ResNet: Behrmann et al. 2019).
"""

import abc

import equinox as eqx
import jax.numpy as jnp

from shoal._products import matmul
from shoal._types import Array, Float, Scalar
from shoal.bijections._base import whole

Matrix = Float[Array, "o i"]


class AbstractSpectralBound(eqx.Module):
    """W -> a number that is at least sigma_max(W), for every finite W."""

    @abc.abstractmethod
    def scaled_bound(self, weight: Matrix) -> Scalar:
        """The bound of a matrix whose largest entry is 1 in absolute value, rounding included."""

    def bound(self, weight: Matrix) -> Scalar:
        """A number >= sigma_max(W).

        **Arguments:** `weight`: W, shape (outputs, inputs), of any size and scale. **Returns:** the bound; it holds
        2 tiny sqrt(outputs * inputs) for entries below tiny, the smallest normal number, which may be flushed to zero.
        """
        info = jnp.finfo(weight.dtype)
        floor = jnp.asarray(2.0 * float(info.tiny) * max(weight.size, 1) ** 0.5, weight.dtype)
        if weight.size == 0:
            return floor
        top = jnp.max(jnp.abs(weight))
        none = top <= info.tiny
        scale = jnp.where(none, jnp.ones_like(top), top)
        unit = jnp.where(none, jnp.ones_like(weight), weight / scale)
        return jnp.where(none, floor, scale * self.scaled_bound(unit) + floor)


class ExactNorm(AbstractSpectralBound):
    """sigma_max by singular value decomposition, times 1 + 4 (o + i + 8) eps: O(o i min(o, i)), for small layers."""

    def scaled_bound(self, weight: Matrix) -> Scalar:
        """The largest singular value and the margin."""
        return jnp.linalg.svd(weight, compute_uv=False)[0] * (1.0 + 4.0 * slack(weight))


class HoelderBound(AbstractSpectralBound):
    """min(|W|_F, sqrt(|W|_1 |W|_inf)), from sigma_max^2 <= |W^T W|_inf <= |W^T|_inf |W|_inf: O(o i), at most
    sqrt(min(o, i)) times too large."""

    def scaled_bound(self, weight: Matrix) -> Scalar:
        """The smaller of the two, and the margin."""
        size = jnp.abs(weight)
        columns, rows = jnp.max(jnp.sum(size, axis=0)), jnp.max(jnp.sum(size, axis=1))
        return jnp.minimum(_frobenius(weight), jnp.sqrt(columns * rows)) * (1.0 + slack(weight))


class GramBound(AbstractSpectralBound):
    r"""Gram iteration (Delattre et al. 2023): |W|_2 <= |(W^T W)^{2^k}|_F^{1 / 2^{k+1}}, k = `squarings`.

    It converges from above: at most min(o, i)^{1 / 2^{k+2}} times too large in exact arithmetic (k = 6, 64 x 64: 1.7 %).
    Cost: k products of min(o, i) x min(o, i) matrices, no decomposition. Each product is of a matrix of Frobenius
    norm 1, so nothing overflows. Rounding: a computed product of two such matrices of order m differs from the exact one by
    at most d = (m + 8) eps in the Frobenius norm, hence lambda_max(G)^2 <= lambda_max(computed G^2) + d; the bound is
    u_k = |G_k|_F, u_i = |G_i|_F sqrt(u_{i+1} + d), taken backwards, each norm with its own margin.
    """

    squarings: int = eqx.field(static=True, default=6)

    def __check_init__(self):
        """Raise an InputError for a number of squarings that is not a whole one from 0."""
        whole("GramBound(squarings)", self.squarings, 0)

    def scaled_bound(self, weight: Matrix) -> Scalar:
        """The iteration, its norms taken back through the square roots."""
        margin = slack(weight)
        wide = weight if weight.shape[0] <= weight.shape[1] else weight.T
        norms = [_frobenius(wide)]
        gram = matmul(wide / norms[0], (wide / norms[0]).T)
        for _ in range(self.squarings):
            norms.append(_frobenius(gram))
            gram = matmul(gram / norms[-1], gram / norms[-1])
        bound = _frobenius(gram) * (1.0 + margin)
        for norm in reversed(norms):
            bound = norm * (1.0 + margin) * jnp.sqrt(bound + margin)
        return bound


def held_below(weight: Matrix, limit: float, norm: AbstractSpectralBound) -> Matrix:
    """W min(1, limit / bound(W)): a matrix of spectral norm <= `limit`, rounding included; W itself where it is small."""
    safe = jnp.asarray(limit * (1.0 - 2.0 * slack(weight)), weight.dtype)
    return weight * (safe / jnp.maximum(norm.bound(weight), safe))


def slack(weight: Matrix) -> float:
    """(o + i + 8) eps: at least the relative error of a sum over rows and columns, and of a product, of such a matrix.

    eps is that of float32 in float64 too, so that a model is one map in both.
    """
    eps = max(float(jnp.finfo(weight.dtype).eps), float(jnp.finfo(jnp.float32).eps))
    return (sum(weight.shape) + 8) * eps


def _frobenius(matrix: Matrix) -> Scalar:
    return jnp.sqrt(jnp.sum(jnp.sum(matrix * matrix, axis=0)))
