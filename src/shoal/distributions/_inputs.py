"""What a distribution accepts: NumPy and JAX arrays, polars and pandas tables (columns taken by name)."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from shoal._types import Array, ArrayLike


def as_array(x: ArrayLike, names: tuple[str, ...] | None, dim: int, dtype: Any, what: str) -> Array:
    """`x` as an array of shape (..., dim) and of `dtype`.

    A table with named columns gives the columns `names`, in that order, whatever its own order.
    **Raises:** ValueError for a missing column, a wrong last axis, or values that are not real numbers.
    """
    if hasattr(x, "columns") and hasattr(x, "to_numpy"):
        x = _from_table(x, names, what)
    if not hasattr(x, "dtype"):
        x = np.asarray(x)
    if x.dtype == object or not (jnp.issubdtype(x.dtype, np.number) or x.dtype == bool) or np.iscomplexobj(x):
        raise ValueError(f"`{what}` must hold real numbers; got dtype {x.dtype}.")
    if x.ndim == 0 or x.shape[-1] != dim:
        raise ValueError(f"`{what}` must have shape (..., {dim}); got {x.shape}.")
    return jnp.asarray(x, dtype)


def _from_table(table: Any, names: tuple[str, ...] | None, what: str) -> np.ndarray:
    present = [str(c) for c in table.columns]
    if names is None:
        return table.to_numpy()
    missing = [n for n in names if n not in present]
    if missing:
        raise ValueError(f"`{what}` has no column {missing[0]!r}; it has {', '.join(present)}.")
    return table[list(names)].to_numpy()
