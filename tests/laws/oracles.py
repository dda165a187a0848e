"""Compiled evaluations that the laws share: values in both directions, and derivatives by automatic differentiation.

Each is compiled once for a structure of bijection, whatever its parameters. Linear algebra on Jacobians is NumPy's,
in float64. Precision is scoped here, so that a law can use float32 and float64 side by side.
"""

# Laws and mutants reach into families by their own attributes, which the base class does not have.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalMemberAccess=false
# pyright: reportCallIssue=false, reportIncompatibleVariableOverride=false, reportIncompatibleMethodOverride=false

import os
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shoal._types import Array
from shoal.bijections import AbstractBijection

# Oracles are compiled with little optimisation: they run on few points, and compiling is what costs. (Options of XLA for a
# CPU; elsewhere they are unknown.)
_QUICK: dict[str, bool | int | str] = (
    {
        "xla_backend_optimization_level": 0,
        "xla_llvm_disable_expensive_passes": True,
        "xla_cpu_use_fusion_emitters": False,
        "xla_cpu_parallel_codegen_split_count": 1,
    }
    if jax.default_backend() == "cpu"
    else {}
)


# The float32 evaluations too, but in `make test-long`, which compiles them as users do.
_SUITE = "--xla_backend_optimization_level=0" in os.environ.get("XLA_FLAGS", "")


class Points(NamedTuple):
    """Latents (points, n), contexts (points, c) or None, and the condition number of dx/dz at each."""

    z: np.ndarray
    context: np.ndarray | None
    kappa: np.ndarray


class Values(NamedTuple):
    """Forward at z and inverse at x."""

    x: np.ndarray
    log_det: np.ndarray
    z: np.ndarray
    log_det_inverse: np.ndarray


class Jacobians(NamedTuple):
    """dx/dz at z and dz/dx at x, each (points, n, n)."""

    forward: np.ndarray
    inverse: np.ndarray


class Gradients(NamedTuple):
    """Of (x, log-det) at z, and of (z, log-det) at x: to the input, (points, n + 1, n), and to every parameter."""

    forward_input: np.ndarray
    forward_parameters: Any
    inverse_input: np.ndarray
    inverse_parameters: Any


def values(bijection: AbstractBijection, z: np.ndarray, x: np.ndarray, context: np.ndarray | None) -> Values:
    """Both directions in the dtype of z (float32 with float64 switched off)."""
    with jax.enable_x64(z.dtype == np.float64):
        return Values(*_numpy(_values(cast(bijection, z.dtype), *_arrays(z, x, context))))


def values_and_jacobians(
    bijection: AbstractBijection, z: np.ndarray, x: np.ndarray, context: np.ndarray | None
) -> tuple[Values, Jacobians]:
    """Both directions and their Jacobians by forward mode, in float64."""
    with jax.enable_x64(True):
        (jf, (x, ld)), (ji, (z, ldi)) = _numpy(
            _forward_mode(cast(bijection, np.float64), *_arrays(z, x, context))
        )
    return Values(x, ld, z, ldi), Jacobians(jf, ji)


def gradients(
    bijection: AbstractBijection, z: np.ndarray, x: np.ndarray, context: np.ndarray | None
) -> Gradients:
    """Derivatives to inputs and parameters by reverse mode, in float64."""
    with jax.enable_x64(True):
        (pf, vf), (pi, vi) = _numpy(_reverse_mode(cast(bijection, np.float64), *_arrays(z, x, context)))
    return Gradients(vf, pf, vi, pi)


def data(bijection: AbstractBijection, points: Points) -> np.ndarray:
    """x = f(z) at the points, in float64."""
    return values_and_jacobians(bijection, points.z, points.z, points.context)[0].x


def kappas(jacobian: np.ndarray) -> np.ndarray:
    """sigma_max / sigma_min of each matrix (NumPy's SVD), inf where it is not finite."""
    finite = np.all(np.isfinite(jacobian), axis=(1, 2))
    sigma = np.linalg.svd(np.where(finite[:, None, None], jacobian, 0.0), compute_uv=False)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(finite & (sigma[:, -1] > 0), sigma[:, 0] / sigma[:, -1], np.inf)


def cast(bijection: AbstractBijection, dtype: Any) -> AbstractBijection:
    """The bijection with its floating-point arrays in `dtype`."""
    return jax.tree.map(lambda a: jnp.asarray(a, dtype) if eqx.is_inexact_array(a) else a, bijection)


def _batched(function, context: Array | None):
    return jax.vmap(function, in_axes=(0, None if context is None else 0))


@eqx.filter_jit(compiler_options=_QUICK if _SUITE else {})
def _values(bijection: AbstractBijection, z: Array, x: Array, context: Array | None):
    forward = _batched(bijection.forward_and_log_det, context)(z, context)
    return *forward, *_batched(bijection.inverse_and_log_det, context)(x, context)


@eqx.filter_jit(compiler_options=_QUICK)
def _forward_mode(bijection: AbstractBijection, z: Array, x: Array, context: Array | None):
    def both(function, v):
        def with_aux(v, c):
            out = function(v, c)
            return out[0], out

        return _batched(jax.jacfwd(with_aux, has_aux=True), context)(v, context)

    return both(bijection.forward_and_log_det, z), both(bijection.inverse_and_log_det, x)


@eqx.filter_jit(compiler_options=_QUICK)
def _reverse_mode(bijection: AbstractBijection, z: Array, x: Array, context: Array | None):
    free, rest = eqx.partition(bijection, eqx.is_inexact_array)

    def both(name, v):
        def outputs(free, v, c):
            out, log_det = getattr(eqx.combine(free, rest), name)(v, c)
            return jnp.concatenate([out, log_det[None]])

        return _batched(lambda v, c: jax.jacrev(outputs, argnums=(0, 1))(free, v, c), context)(v, context)

    return both("forward_and_log_det", z), both("inverse_and_log_det", x)


def _arrays(*arrays: np.ndarray | None) -> list[Array | None]:
    return [None if a is None else jnp.asarray(a) for a in arrays]


def _numpy(tree: Any) -> Any:
    return jax.tree.map(np.asarray, tree)
