"""Losses of a batch: maximum likelihood, and penalties, terms that training adds to the loss of every k-th step.

Sign convention: a *loss* is a mean of -log p(x) (minimised); everything that is reported is a log-likelihood in
nats per row (higher is better), without penalties. A penalty is a hashable value (a frozen dataclass), part of what the
step is compiled for and of what a resumed run must share.
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._errors import InputError
from shoal._types import Array, Key, Scalar, Vector
from shoal.bijections import whole
from shoal.distributions import AbstractFlow

from ._checks import positive
from ._data import Rows

Density: TypeAlias = (
    Any  # a flow, or anything with a batched `log_prob(x, context=None)`: `make_tables` checks it
)
Loss: TypeAlias = Callable[[Density, Rows], Scalar]


def negative_log_likelihood(flow: Density, rows: Rows) -> Scalar:
    r"""$-\frac1m\sum_i w_i \log p(x_i \mid c_i)$ over the $m$ rows of a batch ($w_i = 1$ where there are none).

    The weights have mean 1 over the whole table, so a batch's loss is an unbiased estimate of the table's.

    **Arguments:** `flow`, the density; `rows`, the batch.

    **Returns:** a scalar, non-finite where a log-density is.
    """
    log_prob = flow.log_prob(rows.x, rows.context)
    return -jnp.mean(log_prob if rows.weights is None else rows.weights * log_prob)


class AbstractPenalty(abc.ABC):
    """`value(flow, rows, key)` is added to the loss of the steps 0, `every`, 2 `every`, ... of a run."""

    every: int

    @abc.abstractmethod
    def value(self, flow: AbstractFlow, rows: Rows, key: Key) -> Scalar:
        """The term for one batch, differentiable in the flow's weights; `key` is the step's own."""


@dataclass(frozen=True)
class JacobianPenalty(AbstractPenalty):
    r"""$\gamma$ times the batch mean of $|J_{f^{-1}}(x) v|^2 + |J_f(z) w|^2$, v and w random unit vectors, z = f^{-1}(x).

    Its expectation is $\gamma (|J_{f^{-1}}|_F^2 + |J_f|_F^2) / n$: both directions are held back, so neither end of the
    spectrum may run away. (Behrmann et al. 2021, by finite differences, with the defaults here; here they are exact.)

    **Arguments:** `coefficient`: gamma; `every`: steps from one penalised step to the next. **Raises:** `InputError` for
    numbers that are not positive.
    """

    coefficient: float = 1e-4
    every: int = 10

    def __post_init__(self) -> None:
        positive("coefficient", self.coefficient)
        whole("every", self.every)

    def value(self, flow: AbstractFlow, rows: Rows, key: Key) -> Scalar:
        """The weighted mean over the batch."""
        points = jax.vmap(flow.extended)(rows.x)
        directions = jr.normal(key, (2, *points.shape), points.dtype)
        directions = directions / jnp.linalg.norm(directions, axis=-1, keepdims=True)

        def one(x: Vector, context: Array | None, v: Vector, w: Vector) -> Scalar:
            z, back = jax.jvp(lambda p: flow.bijection.inverse(p, context), (x,), (v,))
            _, there = jax.jvp(lambda p: flow.bijection.forward(p, context), (z,), (w,))
            return jnp.sum(back**2) + jnp.sum(there**2)

        stretch = jax.vmap(one)(points, rows.context, directions[0], directions[1])
        weighted = stretch if rows.weights is None else rows.weights * stretch
        return jnp.asarray(self.coefficient, stretch.dtype) * jnp.mean(weighted)


def due(penalty: AbstractPenalty, flow: AbstractFlow, rows: Rows, count: Array, key: Key) -> Scalar:
    """The penalty at step `count` of the run, 0 at the steps between; only the due ones pay for it."""
    dtype = rows.x.dtype
    value: Callable[[], Scalar] = lambda: penalty.value(flow, rows, key).astype(dtype)
    return jax.lax.cond(count % penalty.every == 0, value, lambda: jnp.zeros((), dtype))


def check_penalty(penalty: object) -> None:
    """Raise `InputError` unless `penalty` is None, or a hashable penalty."""
    if penalty is None:
        return
    if not isinstance(penalty, AbstractPenalty):
        raise InputError(f"`penalty` must be a penalty such as JacobianPenalty(); got {penalty!r}.")
    if type(penalty).__hash__ is None:
        raise InputError(f"`penalty` must be hashable, such as a frozen dataclass; got {penalty!r}.")
