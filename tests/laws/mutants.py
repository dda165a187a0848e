"""Seeded mistakes: functions that turn a bijection into one that is wrong in one way.

A direction is a function of (bijection, vector, context). Mistakes inside the library's own code are made by replacing
a private function while the mutant is traced; each mutant is its own class to JAX, so no compiled program is shared.
"""

# Laws and mutants reach into families by their own attributes, which the base class does not have.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalMemberAccess=false
# pyright: reportCallIssue=false, reportIncompatibleVariableOverride=false, reportIncompatibleMethodOverride=false

from collections.abc import Callable
from unittest import mock

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shoal.bijections import AbstractBijection, Chain, Partition


def right_forward(b, z, c):
    return b.forward_and_log_det(z, c)


def right_inverse(b, x, c):
    return b.inverse_and_log_det(x, c)


class Mutant(AbstractBijection):
    """`right` with one or both directions replaced. Other attributes, such as `partition`, are those of `right`."""

    right: AbstractBijection
    to_data: Callable = eqx.field(static=True, default=right_forward)
    to_latent: Callable = eqx.field(static=True, default=right_inverse)

    @property
    def shape(self):
        return self.right.shape

    @property
    def context_shape(self):
        return self.right.context_shape

    def __getattr__(self, name):
        if name == "right":
            raise AttributeError(name)
        return getattr(self.right, name)

    def forward_and_log_det(self, z, context=None):
        return self.to_data(self.right, z, context)

    def inverse_and_log_det(self, x, context=None):
        return self.to_latent(self.right, x, context)


def replaced(forward: Callable | None = None, inverse: Callable | None = None) -> Callable:
    """Makes the mutant whose directions are these functions."""
    return lambda b: Mutant(b, forward or right_forward, inverse or right_inverse)


def log_det_times(factor: float, function: Callable) -> Callable:
    """The direction with its log-det multiplied: -1 is the wrong sign, 0.5 a sum over half of the coordinates."""

    def wrong(b, v, c):
        out, log_det = function(b, v, c)
        return out, factor * log_det

    return wrong


def swapped_partition(function: Callable) -> Callable:
    """The direction with kept and moved part exchanged."""

    def wrong(b, v, c):
        return function(
            eqx.tree_at(
                lambda m: m.partition, b, b.partition.swapped(), is_leaf=lambda m: isinstance(m, Partition)
            ),
            v,
            c,
        )

    return wrong


def no_context(function: Callable) -> Callable:
    """The direction without its context."""
    return lambda b, v, c: function(b, v, jnp.zeros_like(c))


def patched(owner: object, name: str, make: Callable, function: Callable) -> Callable:
    """The direction run with `owner.name` replaced by `make` of what it was."""

    def wrong(b, v, c):
        with mock.patch.object(owner, name, make(getattr(owner, name))):
            return function(b, v, c)

    return wrong


def off_by_one_knot(search: Callable) -> Callable:
    """A search that gives the bin before the one that holds x."""

    def wrong(knots, x, axis):
        u0, _, v0, *_ = search(knots, x, axis)
        return search(knots, (u0, v0)[axis] - 1e-6, axis)

    return wrong


def mask_shifted(by: int) -> Callable:
    """A mask of the affine part that lets output i see input i + `by` too; 0 is >= in place of >."""

    def make(masked: Callable) -> Callable:
        def wrong(self):
            skip, inner, last = masked(self)
            more = np.tile(np.eye(self.inputs, skip.shape[1], k=by, dtype=bool), (self.parameters, 1))
            return jnp.where(more, self.skip, skip), inner, last

        return wrong

    return make


def mask_too_strict(masked: Callable) -> Callable:
    """A mask of the affine part that leaves out input i - 1, and no net."""

    def wrong(self):
        skip, inner, last = masked(self)
        before = np.tile(np.eye(self.inputs, skip.shape[1], k=-1, dtype=bool), (self.parameters, 1))
        return jnp.where(before, 0.0, skip), inner, jnp.zeros_like(last)

    return wrong


def no_exponential(b, x, c):
    """The affine coupling's inverse with the log-scale where the scale belongs."""
    kept, moved = b.partition.split(x)
    raw = b.conditioner(kept, c)
    log_scale, shift = b.transformer.scale.log_scale(raw[: len(moved)]), raw[len(moved) :]
    return b.partition.join(kept, (moved - shift) / log_scale), -jnp.sum(log_scale)


def forward_order(b, x, c):
    """A chain's inverse that runs its parts first to last."""
    total = jnp.zeros((), x.dtype)
    for part in b.bijections:
        x, log_det = part.inverse_and_log_det(x, c)
        total = total + log_det
    return x, total


def fold(b, z, c):
    """z_0 goes through -|z_0| where positive: det changes its sign at 0."""
    x, log_det = b.forward_and_log_det(z.at[0].set(-jnp.abs(z[0])), c)
    return x, log_det


def rounded(b, z, c):
    """In float32 with the digits of bfloat16."""
    x, log_det = b.forward_and_log_det(z, c)
    return jax.lax.reduce_precision(x, 8, 7) if x.dtype == jnp.float32 else x, log_det


def detached(function: Callable) -> Callable:
    """Gradients do not reach the parameters."""
    return lambda b, v, c: function(jax.tree.map(jax.lax.stop_gradient, b), v, c)


@jax.custom_jvp
def _tripled(v):
    return v


@_tripled.defjvp
def _tripled_jvp(primals, tangents):
    return primals[0], 3.0 * tangents[0]


def wrong_derivative(b, x, c):
    z, log_det = b.inverse_and_log_det(x, c)
    return _tripled(z), log_det


def only_when_traced(b, z, c):
    """Another value under jit than without."""
    x, log_det = b.forward_and_log_det(z, c)
    return (x + 1.0 if isinstance(z, jax.core.Tracer) else x), log_det


def widened(b, z, c):
    """The log-det in JAX's widest dtype."""
    x, log_det = b.forward_and_log_det(z, c)
    return x, log_det.astype(jnp.result_type(float))


def uses_context(b, z, c):
    """A context shifts x, though none is taken."""
    x, log_det = b.forward_and_log_det(z, c)
    return (x if c is None else x + c[0]), log_det


def nothing_checked(b, z, c):
    """A vector that is too long is cut."""
    return b.forward_and_log_det(z[: b.shape[0]], c)


def touches_kept(b, z, c):
    """Every entry, kept ones included, is off by one rounding."""
    x, log_det = b.forward_and_log_det(z, c)
    return x * (1.0 + jnp.finfo(z.dtype).eps), log_det


def stretched(b, z, c):
    """The last entry is off by one rounding."""
    x, log_det = b.forward_and_log_det(z, c)
    return x.at[-1].multiply(1.0 + jnp.finfo(z.dtype).eps), log_det


def sheared(b, z, c):
    """The first entry depends a little on the second."""
    x, log_det = b.forward_and_log_det(z, c)
    return x.at[0].add(1e-6 * z[1]), log_det


def upper_only(b, z, c):
    """L and U the wrong way round: U L z."""
    upper = jnp.triu(b.upper, 1) + jnp.diag(jnp.exp(b.log_diagonal))
    return upper @ (z + jnp.tril(b.lower, -1) @ z) + b.bias, jnp.sum(b.log_diagonal)


def not_inverted(b, z, c):
    """The wrapped bijection's forward, where its inverse belongs."""
    return b.bijection.forward_and_log_det(z, c)


class LayersBackwards(AbstractBijection):
    """A chain whose `layers()` come last to first."""

    right: Chain

    @property
    def shape(self):
        return self.right.shape

    @property
    def context_shape(self):
        return self.right.context_shape

    def layers(self):
        """Last to first."""
        return self.right.layers()[::-1]

    def forward_and_log_det(self, z, context=None):
        return self.right.forward_and_log_det(z, context)

    def inverse_and_log_det(self, x, context=None):
        return self.right.inverse_and_log_det(x, context)
