"""What `construct` takes, checked and made NumPy."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import jax.numpy as jnp
import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray

DType: TypeAlias = Literal["float32", "float64"]
Gradients: TypeAlias = Callable[[FloatArray], FloatArray] | Sequence[Callable[[FloatArray], FloatArray]]
MOST_COLUMNS = 64


def checked(samples: Any, epsilon: Any, weights: Any) -> tuple[FloatArray, float, FloatArray]:
    """Samples (M, n) in float64, epsilon, weights (M,) with sum 1; rows of weight 0 are left out.

    **Raises:** ValueError that names the argument, what was found, and what to do.
    """
    try:
        x = np.asarray(samples, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"`samples` must be an array of numbers: {error}.") from error
    if x.ndim != 2 or not 2 <= x.shape[1] <= MOST_COLUMNS or len(x) < 1:
        raise InputError(
            f"`samples` must have shape (rows, n) with 2 <= n <= {MOST_COLUMNS} and at least one row; got {x.shape}."
        )
    _finite(x)
    if isinstance(epsilon, bool) or not np.isscalar(epsilon) or not 0 < float(epsilon) < np.inf:  # pyright: ignore[reportArgumentType]
        raise InputError(f"`epsilon` must be a positive number, in the data's units; got {epsilon!r}.")
    if weights is None:
        return x, float(epsilon), np.full(len(x), 1 / len(x))  # pyright: ignore[reportArgumentType]
    w = np.asarray(weights, np.float64)
    if w.shape != (len(x),) or not np.isfinite(w).all() or (w < 0).any() or not w.sum() > 0:
        raise InputError(
            f"`weights` must be {len(x)} numbers of at least 0, one a row, not all 0; got shape {w.shape}."
        )
    used = w > 0
    return x[used], float(epsilon), w[used] / w[used].sum()  # pyright: ignore[reportArgumentType]


def _finite(x: FloatArray) -> None:
    bad = ~np.isfinite(x)
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"`samples` has {x[row, column]} in row {row}, column {column}; leave out rows that are not finite."
        )


def checked_dtype(dtype: Any, *, optional: bool = False) -> DType:
    """The dtype of a flow; None, where `optional`: float64 where JAX's is switched on, else float32.

    **Raises:** ValueError for another one, and for float64 where JAX's is off.
    """
    wide = jnp.zeros(()).dtype == jnp.float64
    if dtype is None and optional:
        return "float64" if wide else "float32"
    if dtype not in ("float32", "float64"):
        none = "None, " if optional else ""
        raise InputError(f"`dtype` must be {none}'float32' or 'float64'; got {dtype!r:.40}.")
    if dtype == "float64" and not wide:
        raise InputError(
            '`dtype="float64"` needs JAX\'s float64, which is off: `jax.config.update("jax_enable_x64", True)`.'
        )
    return dtype


def checked_knots(knots: Any) -> None:
    """**Raises:** ValueError unless this is a number of knots that a layer may have."""
    if isinstance(knots, bool) or not isinstance(knots, int) or not 16 <= knots <= 100_000:
        raise InputError(f"`knots` must be a whole number from 16 to 100000; got {knots!r}.")


def listed(potential_gradient: Gradients) -> list[Callable[[FloatArray], FloatArray]]:
    """One gradient a coordinate. **Raises:** ValueError where there is none."""
    gradients = [potential_gradient] if callable(potential_gradient) else list(potential_gradient)
    if not gradients:
        raise InputError("`potential_gradient` must hold at least one function.")
    return gradients
