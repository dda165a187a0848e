r"""Sylvester layer (van den Berg et al. 2018): x = z + Q R tanh(R~ Q^T z + b), Q orthonormal, R and R~ upper triangular.

With y = Q^T z, v = Q^T x: v = y + R tanh(R~ y + b), a triangular system: row i has the unknown y_i and those after it.
Row i increases in y_i if and only if R_ii R~_ii >= -1 (Sylvester's identity gives the same: det = det of the small system).
Q is the first m columns of a product of Householder reflections, orthonormal to rounding without any iteration.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal._errors import InputError
from shoal._products import matmul
from shoal._types import Array, Context, Float, Key, Scalar, Vector
from shoal.bijections._base import between, check_input, whole
from shoal.bijections._householder import reflected
from shoal.bijections._iterative import AbstractIterative, Outcome, check_solver, closed_form
from shoal.bijections._monotone import outcome, projected, slope_of_tanh, solve
from shoal.bijections.conditioners import Activation, DenseConditioner
from shoal.bijections.conditioners._dense import amortizer, moved


class Sylvester(AbstractIterative):
    r"""x = z + Q R tanh(R~ Q^T z + b) with m bumps: Q n by m, R and R~ upper triangular, R_ii R~_ii > δ - 1.

    A planar layer is a case of m = 2 (of m = 1 where u is along w). R's diagonal is projected as `Planar` projects u,
    δ = `least_slope`; `upper` and `upper_tilde` hold the triangles row by row.
    log|det dx/dz| = sum log(1 + R_ii R~_ii tanh'_i). Cost: O(mn), and O(m²n) for Q once a batch (a row with a context).
    **Inverse:** m scalar equations one after another, each by Newton's method in a bracket, to the rounding of the dtype;
    then an error estimate of first order, which fails the layer where it is above `tolerance` and rounding does not explain
    it. **Singular values:** n - m are 1, the rest those of A = 1 + R tanh' R~; Lipschitz constants at most L = 1 + |R||R~|,
    and max(1, L^(m-1) / prod min(1, 1 + R_ii R~_ii)) for the inverse.
    **Parameters:** m(m + 1) + m + kn, k reflections.
    **Arguments:** `rank`: m <= n; `reflections`: k (default m: with it every Q is reached); `context_dim`, `hidden`,
    `activation`: of the net by which a context moves all parameters (0: none); `least_slope`, `tolerance`, `max_steps`: as
    in `Planar`. **Raises:** InputError for a rank outside 1 ... n and numbers out of range.
    Van den Berg et al. use it as the posterior of a VAE with parameters from the encoder; on the image sets they
    try it does better than planar layers. **Can not:** act outside the m directions of Q.
    """

    vectors: Float[Array, "k n"]
    upper: Float[Array, "triangle"]
    upper_tilde: Float[Array, "triangle"]
    b: Float[Array, "m"]
    conditioner: DenseConditioner | None
    least_slope: float = eqx.field(static=True)
    tolerance: float = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        rank: int,
        *,
        reflections: int | None = None,
        context_dim: int = 0,
        hidden: tuple[int, ...] = (64, 64),
        activation: Activation = "tanh",
        least_slope: float = 1e-2,
        tolerance: float = 1e-10,
        max_steps: int = 128,
        key: Key,
    ):
        if not 1 <= rank <= dim:
            raise InputError(f"`Sylvester(dim, rank)` needs 1 <= rank <= dim; got {dim} and {rank}.")
        count = rank if reflections is None else reflections
        whole("Sylvester(reflections=...)", count)
        kv, ku, kt, kc = jr.split(key, 4)
        self.vectors = jr.normal(kv, (count, dim))
        size = rank * (rank + 1) // 2
        self.upper, self.upper_tilde = 0.01 * jr.normal(ku, (size,)), jr.normal(kt, (size,)) / rank**0.5
        self.b = jnp.zeros(rank)
        self.conditioner = amortizer(self._arrays(), context_dim, hidden, activation, kc)
        self.least_slope = between("Sylvester(least_slope=...)", least_slope)
        self.tolerance, self.max_steps = check_solver("Sylvester", tolerance, max_steps)
        self.shape, self.context_shape = (dim,), (context_dim,) if context_dim else None

    def solve_forward(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar, Outcome]:
        """x and the sum of log(1 + R_ii R~_ii tanh'_i), in closed form."""
        check_input(self, z, context)
        vectors, r, tilde, b = self._parameters(context)
        a = matmul(tilde, self._to_small(vectors, z)) + b
        log_det = jnp.sum(jnp.log1p(jnp.diag(r) * jnp.diag(tilde) * slope_of_tanh(a)))
        return z + self._from_small(vectors, matmul(r, jnp.tanh(a))), log_det, closed_form(z)

    def solve_inverse(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar, Outcome]:
        """z and minus the sum of log(1 + R_ii R~_ii tanh'_i); the outcome's steps are those of all rows together."""
        check_input(self, x, context)
        vectors, r, tilde, b = self._parameters(context)
        v = self._to_small(vectors, x)
        y, solved, steps = self._rows(r, tilde, b, v)
        a = matmul(tilde, y) + b
        h, slopes = jnp.tanh(a), slope_of_tanh(a)
        z = x - self._from_small(vectors, matmul(r, h))
        log_det = -jnp.sum(jnp.log1p(jnp.diag(r) * jnp.diag(tilde) * slopes))
        error = _error(*jax.lax.stop_gradient((y + matmul(r, h) - v, r, tilde, slopes)))
        return z, log_det, outcome(solved, error, steps, self.tolerance)

    def _rows(self, r: Array, tilde: Array, b: Array, v: Array) -> tuple[Array, Array, Array]:
        """y with y + R tanh(R~ y + b) = v, from the last row to the first, whether each was solved, and all steps."""

        def row(carry: tuple[Array, ...], i: Array) -> tuple[tuple[Array, ...], None]:
            y, h, solved, steps = carry
            others = jnp.arange(len(v)) > i
            s = matmul(jnp.where(others, tilde[i], 0.0), y) + b[i]
            t = v[i] - matmul(jnp.where(others, r[i], 0.0), h)
            root = solve(r[i, i], tilde[i, i], s, t, max_steps=self.max_steps)
            y, h = y.at[i].set(root.y), h.at[i].set(jnp.tanh(tilde[i, i] * root.y + s))
            return (y, h, solved & root.solved, steps + root.steps), None

        start = (jnp.zeros_like(v), jnp.zeros_like(v), jnp.ones((), bool), jnp.zeros((), jnp.int32))
        y, _, solved, steps = jax.lax.scan(row, start, jnp.arange(len(v)), reverse=True)[0]
        return y, solved, steps

    def _to_small(self, vectors: Array, z: Vector) -> Array:
        return reflected(vectors, z, back=True)[: self.b.shape[0]]

    def _from_small(self, vectors: Array, y: Array) -> Vector:
        return reflected(vectors, jnp.pad(y, (0, self.shape[0] - y.shape[0])))

    def _arrays(self) -> tuple[Array, Array, Array, Array]:
        return self.vectors, self.upper, self.upper_tilde, self.b

    def _parameters(self, context: Context) -> tuple[Array, Array, Array, Array]:
        vectors, upper, tilde, b = moved(self.conditioner, context, self._arrays())
        upper, tilde = _triangular(upper, len(b)), _triangular(tilde, len(b))
        own = jax.vmap(lambda u, w: projected(u[None], w[None], self.least_slope)[0][0])
        diagonal = own(jnp.diag(upper), jnp.diag(tilde))
        return vectors, jnp.triu(upper, 1) + jnp.diag(diagonal), tilde, b


def _triangular(entries: Float[Array, "triangle"], size: int) -> Float[Array, "m m"]:
    return jnp.zeros((size, size), entries.dtype).at[np.triu_indices(size)].set(entries)


def _error(residual: Array, r: Array, tilde: Array, slopes: Array) -> Scalar:
    """The error of z to first order: |residual - A^{-1} residual|, A = 1 + R tanh' R~ the derivative of v in y."""
    inner = matmul(r, slopes[:, None] * tilde)
    matrix = inner + jnp.eye(len(residual), dtype=residual.dtype)
    return jnp.linalg.norm(residual - jax.scipy.linalg.solve_triangular(matrix, residual, lower=False))
