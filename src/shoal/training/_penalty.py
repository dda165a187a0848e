"""Penalties: terms that training adds to the loss of every k-th step. The history's `train` is the likelihood without them.

A penalty is a hashable value (a frozen dataclass), part of what the step is compiled for and of what a resumed run must
share.
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._errors import InputError
from shoal._types import Array, Key, Scalar, Vector

from ._checks import positive, whole_number
from ._data import Rows


class AbstractPenalty(abc.ABC):
    """`value(flow, rows, key)` is added to the loss of the steps 0, `every`, 2 `every`, ... of a run."""

    every: int

    @abc.abstractmethod
    def value(self, flow: Any, rows: Rows, key: Key) -> Scalar:
        """The term for one batch, differentiable in the flow's weights; `key` is the step's own."""


@dataclass(frozen=True)
class JacobianPenalty(AbstractPenalty):
    r"""$\gamma$ times the batch mean of $|J_{f^{-1}}(x) v|^2 + |J_f(z) w|^2$, v and w random unit vectors, z = f^{-1}(x).

    Its expectation is $\gamma (|J_{f^{-1}}|_F^2 + |J_f|_F^2) / n$: both directions are held back, so neither end of the
    spectrum may run away. (Behrmann et al. 2021, by finite differences, with the defaults here.)

    **Arguments:** `coefficient`: gamma; `every`: steps from one penalised step to the next; `step`: None for exact
    derivatives (jvp), or the length of a finite difference. **Raises:** `InputError` for numbers that are not positive.
    """

    coefficient: float = 1e-4
    every: int = 10
    step: float | None = None

    def __post_init__(self) -> None:
        positive("coefficient", self.coefficient)
        whole_number("every", self.every)
        if self.step is not None:
            positive("step", self.step)

    def value(self, flow: Any, rows: Rows, key: Key) -> Scalar:
        """The weighted mean over the batch."""
        points = jax.vmap(flow.extended)(rows.x)
        directions = jr.normal(key, (2, *points.shape), points.dtype)
        directions = directions / jnp.linalg.norm(directions, axis=-1, keepdims=True)

        def one(x: Vector, context: Array | None, v: Vector, w: Vector) -> Scalar:
            z, back = self._along(lambda p: flow.bijection.inverse(p, context), x, v)
            _, there = self._along(lambda p: flow.bijection.forward(p, context), z, w)
            return jnp.sum(back**2) + jnp.sum(there**2)

        axes = (0, None if rows.context is None else 0, 0, 0)
        stretch = jax.vmap(one, in_axes=axes)(points, rows.context, directions[0], directions[1])
        weighted = stretch if rows.weights is None else rows.weights * stretch
        return jnp.asarray(self.coefficient, stretch.dtype) * jnp.mean(weighted)

    def _along(self, function: Callable[[Vector], Vector], at: Vector, v: Vector) -> tuple[Vector, Vector]:
        """The image, and the derivative along v."""
        if self.step is None:
            return jax.jvp(function, (at,), (v,))
        image, h = function(at), jnp.asarray(self.step, at.dtype)
        return image, (function(at + h * v) - image) / h


def due(penalty: AbstractPenalty, flow: Any, rows: Rows, count: Array, key: Key) -> Scalar:
    """The penalty at step `count` of the run, 0 at the steps between; only the due ones pay for it."""
    dtype = rows.x.dtype
    value: Callable[[], Scalar] = lambda: penalty.value(flow, rows, key).astype(dtype)
    return jax.lax.cond(count % penalty.every == 0, value, lambda: jnp.zeros((), dtype))


def check_penalty(penalty: Any) -> None:
    """Raise `InputError` unless `penalty` is None, or a hashable penalty."""
    if penalty is None:
        return
    if not isinstance(penalty, AbstractPenalty):
        raise InputError(f"`penalty` must be a penalty such as JacobianPenalty(); got {penalty!r}.")
    if type(penalty).__hash__ is None:
        raise InputError(f"`penalty` must be hashable, such as a frozen dataclass; got {penalty!r}.")
