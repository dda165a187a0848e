"""The one place where figures are computed in another precision than the flow's own.

JAX's global precision is never touched: `jax.enable_x64` is used as a scoped, thread-local switch around a
computation on a cast copy, and the result comes back as NumPy.
"""

from typing import get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from shoal._errors import InputError
from shoal._names import Precision as Precision
from shoal._scalars import Function


def cast(tree: PyTree, precision: Precision) -> PyTree:
    """A copy of any pytree with every floating array in the given precision, other leaves as they are.

    Call it where that precision is on (`compute` does): JAX stores no float64 array while its switch is off.
    """
    dtype = jnp.dtype(precision)
    floating = lambda a: isinstance(a, jax.Array | np.ndarray) and jnp.issubdtype(a.dtype, jnp.floating)
    stays = lambda a: not floating(a) or (isinstance(a, jax.Array) and a.dtype == dtype)
    return jax.tree.map(lambda a: a if stays(a) else jnp.asarray(np.asarray(a).astype(dtype)), tree)


def compute(function: Function, *arguments: object, precision: Precision) -> PyTree:
    """`function(*arguments)` on copies cast to `precision`; arrays of the result as NumPy arrays, bfloat16 as float32.

    **Raises:** InputError for any other precision.
    """
    if precision not in get_args(Precision):
        raise InputError(f"`precision` must be one of {', '.join(get_args(Precision))}; got {precision!r}.")
    with jax.enable_x64(precision == "float64"):
        out = function(*cast(arguments, precision))
        return jax.tree.map(lambda a: _numpy(a) if eqx.is_array(a) else a, out)


def unit_roundoff(precision: Precision) -> float:
    """u = eps / 2: 2^-53, 2^-24 and 2^-8."""
    return float(jnp.finfo(precision).eps) / 2


def resolved(precision: Precision) -> float:
    """1/eps, the largest condition number that says more than that a matrix is singular in this precision."""
    return 0.5 / unit_roundoff(precision)


def _numpy(array: jax.Array | np.ndarray) -> np.ndarray:
    return np.asarray(array, np.float32) if array.dtype == jnp.bfloat16 else np.asarray(array)
