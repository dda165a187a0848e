"""Continuous normalizing flows (Chen et al. 2018) with free-form velocity, FFJORD (Grathwohl et al. 2019).

dz/dt = v(z, t, c) from the latent at t = 0 to the data at t = 1; d log|det dz(t)/dz(0)| / dt = tr dv/dz.
"""

from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp

from shoal._errors import InputError
from shoal._types import Array, Context, Float, Key, Scalar, Vector
from shoal.bijections._base import check_input, whole
from shoal.bijections._iterative import AbstractIterative, Outcome, result_of
from shoal.bijections._ode import (
    AbstractAdjoint,
    AbstractSteps,
    AdaptiveSteps,
    DiscreteAdjoint,
    Solution,
    Solver,
    check_method,
    integrate,
)
from shoal.bijections._traces import AbstractTrace, ExactTrace, value_and_divergence
from shoal.bijections.conditioners import Activation, DenseConditioner

Arguments: TypeAlias = tuple[DenseConditioner, Context, Float[Array, "k n"]]  # velocity, context, probes


class FFJORD(AbstractIterative):
    r"""x = z(1) where dz/dt = v(z, t, c), z(0) = z; log|det dx/dz| is the integral of tr dv/dz over t in [0, 1].

    v = A [z, t, c] + b + net([z, t, c]), zero at the start, so that the map is the identity; smooth activations only.

    - **Log-det**: solved along with the state. `ExactTrace`: n products of dv/dz at each evaluation; `HutchinsonTrace`: as
      many as it has probes, unbiased. **Inverse**: the same problem from t = 1 to t = 0, at the same cost.
    - **Accuracy**: both directions are solutions by `solver` with `steps`, good to a few times the tolerance, and inverse to
      each other as far. `Outcome.steps` counts evaluations of v; `Outcome.error` is the error that the last step was
      allowed (inf for `FixedSteps`: not known). One that needs more than `max_steps` is NaN, and `convergence` says so.
    - **Bi-Lipschitz**: exp(-L) |z - z'| <= |x - x'| <= exp(L) |z - z'|, L the largest sup over t of Lip(v) in z; with tanh,
      L <= |A_z| + |last| |W_k| ... |W_1,z| (2-norms).
    - **Parameters**: n (n + 1 + c) + n in A and b, and the net's.
    - Grathwohl et al. show on tables and images that a free-form dv/dz with Hutchinson's estimate, one network for the whole
      depth, reaches the likelihoods of discrete flows with fewer parameters, at the cost of many evaluations.
    - It can not: change the orientation or the topology of the latent (as every homeomorphism that is a flow in time:
      paths do not cross); give second derivatives through a solution; be as exact as a closed form.

    **Arguments:** `dim`: n; `hidden`: widths of the net; `context_dim`: c; `trace`, `steps`, `adjoint`: values; `solver`:
    "tsit5", "dopri5" or "dopri8"; `activation`: "tanh", "silu" or "gelu". Time and tolerances have the input's dtype.
    **Raises:** InputError for a bad size, solver or activation.
    """

    velocity: DenseConditioner
    trace: AbstractTrace
    steps: AbstractSteps
    adjoint: AbstractAdjoint
    solver: Solver = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        *,
        hidden: tuple[int, ...] = (64, 64),
        context_dim: int = 0,
        trace: AbstractTrace | None = None,
        steps: AbstractSteps | None = None,
        adjoint: AbstractAdjoint | None = None,
        solver: Solver = "tsit5",
        activation: Activation = "tanh",
        key: Key,
    ):
        whole("FFJORD(dim=...)", dim)
        self.velocity = DenseConditioner(
            dim + 1, dim, hidden=hidden, context=context_dim, activation=activation, key=key
        )
        self.trace = ExactTrace() if trace is None else trace
        self.steps = AdaptiveSteps() if steps is None else steps
        self.adjoint = DiscreteAdjoint() if adjoint is None else adjoint
        self.solver = solver
        self.shape = (dim,)
        self.context_shape = (context_dim,) if context_dim else None

    def __check_init__(self) -> None:
        check_method(self.solver)
        if self.velocity.activation == "relu":
            raise InputError('`FFJORD` needs a smooth activation, "tanh", "silu" or "gelu"; got "relu".')

    @property
    def tolerance(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]  (it follows `steps`)
        """The error that a step is allowed in a coordinate of size 1."""
        return self.steps.tolerance

    def solve_forward(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar, Outcome]:
        """x, log|det dx/dz| and the outcome."""
        return self._solve(z, context, backward=False)

    def solve_inverse(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar, Outcome]:
        """z, log|det dz/dx| and the outcome."""
        return self._solve(x, context, backward=True)

    def _solve(self, start: Vector, context: Context, *, backward: bool) -> tuple[Vector, Scalar, Outcome]:
        check_input(self, start, context)
        given = context if self.context_shape else None
        probes = jax.lax.stop_gradient(self.trace.probes(start))
        solution = integrate(
            _rates,
            (start, jnp.zeros((), start.dtype)),
            (self.velocity, given, probes),
            backward=backward,
            method=self.solver,
            steps=self.steps,
            adjoint=self.adjoint,
        )
        end, log_det = solution.y
        return end, log_det, self._outcome(solution, end, log_det)

    def _outcome(self, solution: Solution, end: Vector, log_det: Scalar) -> Outcome:
        finite = jnp.all(jnp.isfinite(end)) & jnp.isfinite(log_det)
        error = jnp.max(self.steps.allowed(jax.lax.stop_gradient(end)))
        return Outcome(result_of(solution.reached, finite), solution.evaluations, error)


def _rates(t: Scalar, state: tuple[Vector, Scalar], arguments: Arguments) -> tuple[Vector, Scalar]:
    velocity, context, probes = arguments
    time: Array = t.astype(state[0].dtype)[None]
    return value_and_divergence(lambda z: velocity(jnp.concatenate([z, time]), context), state[0], probes)
