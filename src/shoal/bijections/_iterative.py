"""Layers that are evaluated by iteration in at least one direction, and what became of the iteration.

Inside a compiled program nothing raises: a direction that did not converge gives NaN from `forward_and_log_det` or
`inverse_and_log_det`, never a half-done number, while `solve_forward` and `solve_inverse` give the last iterate with an
`Outcome`, and `convergence` says for a batch which layer failed, in how many rows, and why.
"""

import abc
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp

from shoal._errors import InputError
from shoal._names import Direction
from shoal._types import Array, Batch, Context, ContextBatch, Int, Scalar, Vector
from shoal.bijections._base import AbstractBijection, layer_name, layers_of, positive, whole
from shoal.bijections._compose import Inverse


class Result(eqx.Enumeration):
    """Why an iteration ended: the value's text is the reason, empty for `successful`."""

    successful = ""
    max_steps = "the largest number of steps was reached"
    not_finite = "a value on the way was not finite"


class Outcome(eqx.Module):
    """How an iteration ended, for one vector.

    `result`: `Result.successful`, or why it stopped short; `steps`: iterations, or function evaluations where
    the docstring of the layer says so; `error`: the error estimate that was compared with the tolerance, in the units of
    the layer's output (0 for a closed form).
    """

    result: Result
    steps: Int[Array, ""]
    error: Scalar

    @property
    def converged(self) -> Array:
        """Whether the iteration met its tolerance."""
        return self.result == Result.successful


def result_of(met: Array, finite: Array) -> Result:
    """Why an iteration ended that met its tolerance or not, and whose values are finite or not."""
    return Result.where(finite, Result.where(met, Result.successful, Result.max_steps), Result.not_finite)


def closed_form(like: Vector) -> Outcome:
    """The outcome of a direction that needs no iteration."""
    return Outcome(Result.successful, jnp.zeros((), jnp.int32), jnp.zeros((), like.dtype))


def check_solver(name: str, tolerance: float, max_steps: int) -> tuple[float, int]:
    """Tolerance and largest number of steps. **Raises:** InputError unless both are positive and finite."""
    return positive(f"{name}(tolerance=...)", tolerance), whole(f"{name}(max_steps=...)", max_steps)


class AbstractIterative(AbstractBijection):
    """A layer with a direction that is solved for; `tolerance` is the stated absolute error of that direction's output.

    A tolerance is met in the precision that the input has: a layer documents what it does below the dtype's resolution.
    `solve_forward` and `solve_inverse` check their input (`check_input`).
    """

    tolerance: eqx.AbstractVar[float]

    @abc.abstractmethod
    def solve_forward(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar, Outcome]:
        """x = f(z), log|det dx/dz| and the outcome; the last iterate where it did not converge."""

    @abc.abstractmethod
    def solve_inverse(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar, Outcome]:
        """z = f^{-1}(x), log|det dz/dx| and the outcome; the last iterate where it did not converge."""

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and log|det dx/dz|; NaN where the iteration did not converge."""
        return _or_nan(*self.solve_forward(z, context))

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and log|det dz/dx|; NaN where the iteration did not converge."""
        return _or_nan(*self.solve_inverse(x, context))


def _or_nan(value: Vector, log_det: Scalar, outcome: Outcome) -> tuple[Vector, Scalar]:
    kept = lambda a: jnp.where(outcome.converged, a, jnp.full_like(a, jnp.nan))
    return kept(value), kept(log_det)


@dataclass(frozen=True)
class Convergence:
    """One iterative layer over a batch: `failed` of `rows` rows did not meet its tolerance.

    `layer`: forward order, from 0; `steps`: the most that a row took; `error`: the largest error estimate; `reason`: what
    the solver said of the first failed row, or "".
    """

    layer: int
    name: str
    direction: Direction
    rows: int
    failed: int
    steps: int
    error: float
    tolerance: float
    reason: str

    def __str__(self) -> str:
        """One sentence, as logs and reports use it."""
        head = f"layer {self.layer} ({self.name}), {self.direction}: "
        if not self.failed:
            return f"{head}all {self.rows} rows converged in at most {self.steps} steps"
        return f"{head}{self.failed} of {self.rows} rows did not reach {self.tolerance:g}; {self.reason}"


def convergence(
    bijection: AbstractBijection, x: Batch, context: ContextBatch = None, direction: Direction = "inverse"
) -> tuple[Convergence, ...]:
    """How every iterative layer fared over a batch, in the order in which the batch meets them.

    Layers pass their last iterates on, so that one that failed does not hide those behind it.
    **Arguments:** `x`: (rows, n), data for "inverse", latents for "forward"; `context`: (rows, c) or None.
    **Returns:** one `Convergence` a layer that iterates; empty where none does.
    **Raises:** InputError for any other `direction`.
    """
    if direction not in ("forward", "inverse"):
        raise InputError(f'`direction` must be "forward" or "inverse"; got {direction!r}.')
    layers = list(enumerate(layers_of(bijection)))
    found = []
    for i, layer in layers if direction == "forward" else reversed(layers):
        x, outcome = _step(layer, x, context, direction)
        inner = _unwrapped(layer)
        if outcome is None or not isinstance(inner, AbstractIterative):
            continue
        bad = ~outcome.converged
        reason = _reason(outcome, int(jnp.argmax(bad))) if bool(jnp.any(bad)) else ""
        found.append(
            Convergence(
                i,
                layer_name(layer),
                direction,
                len(x),
                int(jnp.sum(bad)),
                int(jnp.max(outcome.steps, initial=0)),
                float(jnp.max(outcome.error, initial=0.0)),
                inner.tolerance,
                reason,
            )
        )
    return tuple(found)


def _unwrapped(layer: AbstractBijection) -> AbstractBijection:
    return layer.bijection if isinstance(layer, Inverse) else layer


@eqx.filter_jit
def _step(
    layer: AbstractBijection, v: Array, context: Array | None, direction: Direction
) -> tuple[Array, Outcome | None]:
    inner, forward = _unwrapped(layer), direction == "forward"
    if isinstance(inner, AbstractIterative):
        solve = inner.solve_forward if forward == (inner is layer) else inner.solve_inverse
        out, _, outcome = jax.vmap(solve)(v, context)
        return out, outcome
    return jax.vmap(layer.forward if forward else layer.inverse)(v, context), None


def _reason(outcome: Outcome, row: int) -> str:
    return Result[jax.tree.map(lambda a: a[row], outcome.result)]
