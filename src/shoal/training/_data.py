"""Training tables: checks at the entry, normalised weights, the shuffle on the device, digests for resuming.

A table is (rows, columns); a context has one row per data row. Rows of weight 0 are left out (a density of 0 there
would make 0 * inf of them), and the other weights are scaled to mean 1.
"""

import hashlib
import math
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from shoal._errors import InputError
from shoal._types import ArrayLike
from shoal.distributions import named_columns

Names: TypeAlias = tuple[str, ...] | None


class Rows(eqx.Module):
    """Data rows with their context and weights, all with the same leading axis."""

    x: Float[Array, "rows columns"]
    context: Float[Array, "rows context"] | None
    weights: Float[Array, " rows"] | None

    def __len__(self) -> int:
        return int(self.x.shape[0])

    def take(self, index: Int[Array, " batch"]) -> "Rows":
        """The rows at `index`, in that order."""
        return jax.tree.map(lambda leaf: leaf[index], self)


def make_rows(
    name: str,
    data: ArrayLike,
    context: ArrayLike | None,
    weights: ArrayLike | None,
    dtype: np.dtype,
    columns: tuple[Names, Names] = (None, None),
    like: Rows | None = None,
) -> Rows:
    """Check a table, its context and its weights, and put them on the device.

    **Arguments:** `name`, what the messages call the table; `data` (rows, columns); `context` (rows, k) or None;
    `weights` (rows,) or None; `dtype`, that of the flow's parameters; `columns`, the names by which the columns of
    data frames are taken, for data and context (None: as they stand); `like`, a table whose columns must agree.

    **Raises:** `InputError` for a wrong shape, a non-numeric, complex or non-finite entry, or weights that are
    negative or all zero.
    """
    prefix = "" if name == "data" else f"{name}_"
    x = _matrix(name, data, dtype, columns[0])
    if len(x) == 0:
        raise InputError(f"`{name}` has no rows; pass a table with at least one row.")
    extra = None if context is None else _matrix(f"{prefix}context", context, dtype, columns[1])
    if extra is not None and len(extra) != len(x):
        raise InputError(
            f"`{prefix}context` has {len(extra)} rows but `{name}` has {len(x)}; they need the same number."
        )
    if like is not None:
        _same_columns(name, "data", x.shape[1], like.x.shape[1])
        if (extra is None) != (like.context is None):
            raise InputError("`context` and `validation_context` go together: pass both, or neither.")
        if extra is not None and like.context is not None:
            _same_columns(f"{prefix}context", "context", extra.shape[1], like.context.shape[1])
    scaled = None
    if weights is not None:
        array = _weights(f"{prefix}weights", weights, len(x))
        kept = array > 0
        x, extra, array = x[kept], None if extra is None else extra[kept], array[kept]
        scaled = jnp.asarray((array / array.mean()).astype(dtype))
    return Rows(jnp.asarray(x), None if extra is None else jnp.asarray(extra), scaled)


def _matrix(name: str, values: ArrayLike, dtype: np.dtype, columns: Names) -> np.ndarray:
    array = np.asarray(named_columns(values, columns, name))
    if array.dtype.kind not in "fiub":
        raise InputError(f"`{name}` has dtype {array.dtype}; pass real numbers.")
    if array.ndim != 2 or array.shape[1] == 0:
        raise InputError(f"`{name}` has shape {array.shape}; pass a table of shape (rows, columns).")
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, dtype=dtype)
    check_finite(name, array)
    return array


def check_finite(name: str, array: np.ndarray, first: int = 0) -> None:
    """**Raises:** `InputError` naming the first entry that is not finite; `first`: the number of the first row."""
    finite = np.isfinite(array)
    if not finite.all():
        row, column = (int(i) for i in np.argwhere(~finite)[0])
        raise InputError(
            f"`{name}` is {array[row, column]} in {array.dtype.name} at row {first + row}, column {column} "
            "(counted from 0); remove or rescale such entries."
        )


def _same_columns(name: str, other: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise InputError(
            f"`{name}` has {found} columns but `{other}` has {wanted}; they need the same number."
        )


def _weights(name: str, values: ArrayLike, rows: int) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "fiub" or array.shape != (rows,):
        raise InputError(
            f"`{name}` has shape {array.shape} and dtype {array.dtype}; pass {rows} real numbers, one per row."
        )
    array = array.astype(np.float64)
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(f"`{name}` is {array[row]} at row {row} (counted from 0); pass finite weights >= 0.")
    if not array.any():
        raise InputError(f"`{name}` is zero in every row; at least one row needs a positive weight.")
    return array


def shuffle(key: PRNGKeyArray, rows: int) -> Int[Array, " rows"]:
    """A random permutation of `rows` row numbers, from sorts of single 32-bit words.

    Each pass sorts words of (random bits, position), which is a stable radix sort by fresh random bits; passes are
    added until there are 2 log2(rows) random bits a row. On a CPU this is 3 to 6 times faster than
    `jax.random.permutation`, which sorts pairs.
    """
    low = max(1, (rows - 1).bit_length())
    passes = max(1, math.ceil(2 * math.log2(max(rows, 2)) / (32 - low)))
    position = jnp.arange(rows, dtype=jnp.uint32)
    order = position
    for key_of_pass in jax.random.split(key, passes):
        word = (jax.random.bits(key_of_pass, (rows,), jnp.uint32) << low) | position
        order = order[jax.lax.sort(word) & jnp.uint32(2**low - 1)]
    return order.astype(jnp.int32)


def digest(tree: PyTree) -> str:
    """SHA-256 of the paths, shapes, dtypes and bytes of the arrays of a pytree."""
    total = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(leaf, order="C")
        total.update(f"{jax.tree_util.keystr(path)} {array.shape} {array.dtype};".encode())
        total.update(array.data if array.ndim else array.tobytes())
    return total.hexdigest()
