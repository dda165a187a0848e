"""What the constructions share: input, checked and made NumPy, and the coupling that interpolates between knots."""

from typing import Literal, TypeAlias

import jax.numpy as jnp
import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import Array, ArrayLike
from shoal.bijections import Affine, Coupling, ExponentialScale, KnotConditioner, Partition

DType: TypeAlias = Literal["float32", "float64"]
MOST_COLUMNS = 64


def checked(samples: object, epsilon: object, weights: object) -> tuple[FloatArray, float, FloatArray]:
    """Samples (M, n) in float64, epsilon, weights (M,) as they are given; rows of weight 0 are left out.

    **Raises:** InputError that names the argument, what was found, and what to do.
    """
    try:
        x = np.asarray(samples, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"`samples` must be an array of numbers: {error}.") from error
    if x.ndim != 2 or not 2 <= x.shape[1] <= MOST_COLUMNS or len(x) < 1:
        raise InputError(
            f"`samples` must have shape (rows, n) with 2 <= n <= {MOST_COLUMNS} and at least one row; got {x.shape}."
        )
    bad = ~np.isfinite(x)
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"`samples` has {x[row, column]} in row {row}, column {column}; leave out rows that are not finite."
        )
    if isinstance(epsilon, bool) or not np.isscalar(epsilon) or not 0 < float(epsilon) < np.inf:  # pyright: ignore[reportArgumentType]
        raise InputError(f"`epsilon` must be a positive number, in the data's units; got {epsilon!r}.")
    if weights is None:
        return x, float(epsilon), np.ones(len(x))  # pyright: ignore[reportArgumentType]
    w = np.asarray(weights, np.float64)
    if w.shape != (len(x),) or not np.isfinite(w).all() or (w < 0).any() or not w.any():
        raise InputError(
            f"`weights` must be {len(x)} numbers of at least 0, one a row, not all 0; got shape {w.shape}."
        )
    used = w > 0
    return x[used], float(epsilon), w[used]  # pyright: ignore[reportArgumentType]


def shares(weights: FloatArray) -> FloatArray:
    """Weights with sum 1, each within a few eps of itself."""
    scaled = weights / weights.max()
    return scaled / scaled.sum()


def checked_dtype(dtype: DType | None, *, optional: bool = False) -> DType:
    """The dtype of a flow; None, where `optional`: float64 where JAX's is switched on, else float32.

    **Raises:** InputError for another one, and for float64 where JAX's is off.
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


def checked_whole(name: str, value: object, least: int, most: int) -> None:
    """**Raises:** InputError unless the argument of this name is a whole number in that range."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InputError(f"`{name}` must be a whole number from {least} to {most}; got {value!r}.")


def stored(a: ArrayLike, dtype: DType) -> Array:
    """As an array of a layer."""
    return jnp.asarray(np.asarray(a), dtype)


def knot_coupling(
    kept: range, direction: ArrayLike, knots: ArrayLike, values: ArrayLike, dtype: DType, *constant: ArrayLike
) -> Coupling:
    """The affine coupling of 2 d coordinates whose log-scales and shifts are linear between knots along `direction`.

    `kept`: the d coordinates it reads; `values`: (knots, outputs), the last outputs; `constant`: the first ones, if they
    are constant.
    """
    net = KnotConditioner(*(stored(a, dtype) for a in (direction, knots, values, *constant)))
    return Coupling(Partition(2 * len(kept), kept), Affine(ExponentialScale()), net)


def coordinate_coupling(
    i: int, kept: range, knots: FloatArray, log_scale: FloatArray, shift: FloatArray, dtype: DType
) -> Coupling:
    """The coupling that moves coordinate i of the half that is not kept, by what coordinate i of the kept half says."""
    d = len(kept)
    values = np.zeros((len(knots), 2 * d))
    values[:, i], values[:, d + i] = log_scale, shift
    return knot_coupling(kept, np.eye(d)[i], knots, values, dtype)
