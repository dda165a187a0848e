"""Initial value problems on t in [0, 1], by Diffrax: the choice of steps, of the method and of the derivatives as values.

Derivatives are those of the discrete solution (steps held fixed), in forward mode and in reverse mode alike; one value,
`BacksolveAdjoint`, replaces the reverse mode by the continuous adjoint. No third mode: second derivatives through a
solution are refused by JAX. Diffrax mixes dtypes and ranks inside, so the strict switches of JAX are off around it; the
state, the times and the results have one dtype, that of the start.
"""

import abc
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from shoal._errors import InputError
from shoal._scalars import Function
from shoal._types import Array, Scalar
from shoal.bijections._base import whole
from shoal.bijections._linearized import linearized

Solver: TypeAlias = Literal["tsit5", "dopri5", "dopri8"]
_METHODS: dict[str, type[diffrax.AbstractSolver[Any]]] = {
    "tsit5": diffrax.Tsit5,
    "dopri5": diffrax.Dopri5,
    "dopri8": diffrax.Dopri8,
}
_STAGES = {"tsit5": 6, "dopri5": 6, "dopri8": 13}  # new evaluations of the velocity in a step: one is kept
DType: TypeAlias = np.dtype | type  # of floats
RESOLUTION = 4.0  # times eps: tolerances below are raised to it


class AbstractSteps(eqx.Module):
    """How long the steps are, and how many there may be."""

    max_steps: eqx.AbstractVar[int]

    @abc.abstractmethod
    def tolerances(self, dtype: DType) -> tuple[float, float]:
        """rtol and atol of a step in that dtype; 0 and inf where its error is not controlled."""

    @property
    def tolerance(self) -> float:
        """The error that a step is allowed in a coordinate of size 1."""
        return sum(self.tolerances(jnp.float64))

    def allowed(self, y: Array) -> Array:
        """The error that a step is allowed in each coordinate of y: atol + rtol |y|."""
        rtol, atol = (jnp.asarray(t, y.dtype) for t in self.tolerances(y.dtype))
        return atol + rtol * jnp.abs(y)

    @abc.abstractmethod
    def controller(self, dtype: DType) -> tuple[diffrax.AbstractStepSizeController[Any, Any], float]:
        """The controller, and the first step."""


class AdaptiveSteps(AbstractSteps):
    """Steps as long as the estimated error of each stays within atol + rtol |y|, at most `max_steps` tried.

    The tolerances are those of one step, state and log-det together (root mean square); the error at the end is the sum of
    them, each carried along by the flow: usually a few times the tolerance, and never certified. Both are raised to 4 eps
    of the dtype where they lie below it.
    """

    rtol: float = eqx.field(static=True)
    atol: float = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)

    def __init__(self, rtol: float = 1e-5, atol: float = 1e-5, max_steps: int = 512):
        self.rtol, self.atol, self.max_steps = float(rtol), float(atol), max_steps

    def __check_init__(self) -> None:
        if not (0 < self.rtol < 1 and 0 < self.atol < float("inf")):
            raise InputError(
                f"`AdaptiveSteps` needs 0 < rtol < 1 and a positive, finite atol; got {self.rtol}, {self.atol}."
            )
        whole("AdaptiveSteps(max_steps=...)", self.max_steps)

    def controller(self, dtype: DType) -> tuple[diffrax.AbstractStepSizeController[Any, Any], float]:
        """Diffrax's PID controller with its defaults, from a step of 0.01 on."""
        rtol, atol = self.tolerances(dtype)
        return diffrax.PIDController(rtol=rtol, atol=atol), 0.01

    def tolerances(self, dtype: DType) -> tuple[float, float]:
        """Both, or 4 eps."""
        least = RESOLUTION * float(jnp.finfo(dtype).eps)
        return max(self.rtol, least), max(self.atol, least)


class FixedSteps(AbstractSteps):
    """`count` steps of equal length: the same program at every input, and no control of the error at all.

    The map is what the steps make of it, invertible up to their error only.
    """

    count: int = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)  # `count` + 1, for a last step that rounding leaves over

    def __init__(self, count: int):
        whole("FixedSteps(count=...)", count)
        self.count, self.max_steps = count, count + 1

    def __check_init__(self) -> None:
        if self.max_steps != self.count + 1:
            raise InputError(f"`FixedSteps`: {self.count} steps, and max_steps {self.max_steps}.")

    def tolerances(self, dtype: DType) -> tuple[float, float]:
        """No error is known."""
        return 0.0, float("inf")

    def controller(self, dtype: DType) -> tuple[diffrax.AbstractStepSizeController[Any, Any], float]:
        """Constant steps."""
        return diffrax.ConstantStepSize(), 1.0 / self.count


class AbstractAdjoint(eqx.Module):
    """How reverse mode goes through a solution."""

    @abc.abstractmethod
    def reverse(self) -> diffrax.AbstractAdjoint:
        """Diffrax's way."""


class DiscreteAdjoint(AbstractAdjoint):
    """The derivative of the discrete solution, exactly; memory of `checkpoints` states (None: about sqrt(2 max_steps)),
    between which steps are done again. The solution itself is done once more in the reverse pass.
    """

    checkpoints: int | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        if self.checkpoints is not None:
            whole("DiscreteAdjoint(checkpoints=...)", self.checkpoints)

    def reverse(self) -> diffrax.AbstractAdjoint:
        """Recursive checkpointing."""
        return diffrax.RecursiveCheckpointAdjoint(checkpoints=self.checkpoints)


class BacksolveAdjoint(AbstractAdjoint):
    """The continuous adjoint of Chen et al. (2018), a second problem solved from the end to the start: constant memory.

    Gradients are right up to the tolerance, not to rounding. Forward mode stays that of the discrete solution.
    """

    def reverse(self) -> diffrax.AbstractAdjoint:
        """Backwards in time, with the solver and the tolerances of the forward pass."""
        return diffrax.BacksolveAdjoint()


class Solution(NamedTuple):
    """The end state, whether it was reached, and the evaluations of the velocity that it took."""

    y: PyTree
    reached: PyTree  # one boolean
    evaluations: PyTree  # int32


def check_method(method: str) -> None:
    """Raise an InputError for a method that is none of `Solver`."""
    if method not in _METHODS:
        raise InputError(f"`solver` must be one of {', '.join(get_args(Solver))}; got {method!r}.")


def integrate(
    field: Callable[[Scalar, PyTree, PyTree], PyTree],
    y: PyTree,
    arguments: PyTree,
    *,
    backward: bool,
    method: Solver,
    steps: AbstractSteps,
    adjoint: AbstractAdjoint,
) -> Solution:
    """y(1) from y(0) (`backward`: y(0) from y(1)) of dy/dt = field(t, y, arguments).

    `y` and `arguments`: trees; every array that a derivative is taken to must be in them. Where `max_steps` did not do,
    the state that was reached.
    """
    forward = diffrax.ForwardMode()

    def run(y: PyTree, arguments: PyTree, through: diffrax.AbstractAdjoint) -> Solution:
        return _solve(field, y, arguments, through, backward, method, steps)

    @eqx.filter_custom_jvp
    def solved(y: PyTree, arguments: PyTree) -> Solution:
        return run(y, arguments, forward)

    @solved.def_jvp
    def _(primals: PyTree, tangents: PyTree) -> PyTree:
        out = run(primals[0], primals[1], forward)
        moved = jax.tree.map(lambda t: t is not None, tangents, is_leaf=lambda t: t is None)
        free, fixed = eqx.partition(primals, moved)
        fixed, static = eqx.partition(fixed, eqx.is_array)
        free, free_tree = jax.tree.flatten(free)
        fixed, fixed_tree = jax.tree.flatten(fixed)
        values, values_tree = jax.tree.flatten(out.y)

        def program(through: diffrax.AbstractAdjoint) -> Callable[..., list[Array]]:
            def end(*arrays: Array) -> list[Array]:
                parts = jax.tree.unflatten(free_tree, arrays[: len(free)])
                rest = jax.tree.unflatten(fixed_tree, arrays[len(free) :])
                y, given = eqx.combine(parts, rest, static)
                return jax.tree.leaves(run(y, given, through).y)

            return end

        v = jax.tree.leaves(tangents)
        w = linearized(program(forward), program(adjoint.reverse()), [*free, *fixed], v, values)
        return out, Solution(jax.tree.unflatten(values_tree, w), None, None)

    return solved(y, arguments)


def _solve(
    field: Function,
    y: PyTree,
    arguments: PyTree,
    through: diffrax.AbstractAdjoint,
    backward: bool,
    method: Solver,
    steps: AbstractSteps,
) -> Solution:
    dtype = jnp.result_type(*jax.tree.leaves(y))
    ends = jnp.asarray([1.0, 0.0] if backward else [0.0, 1.0], dtype)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        controller, first = steps.controller(dtype)
        got = diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            _METHODS[method](),
            t0=ends[0],
            t1=ends[1],
            dt0=jnp.asarray(-first if backward else first, dtype),
            y0=y,
            args=arguments,
            stepsize_controller=controller,
            adjoint=through,
            max_steps=steps.max_steps,
            throw=False,
        )
        tried = jnp.asarray(got.stats["num_steps"], jnp.int32)
        end = jax.tree.map(lambda a: a[0], got.ys)
    return Solution(end, got.result == diffrax.RESULTS.successful, tried * _STAGES[method] + 1)
