"""The stored arrays as JAX arrays: never with fewer digits than the file has, unless the caller says so."""

from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from shoal._errors import InputError
from shoal.flows._tree import check_finite

SWITCH = '`jax.config.update("jax_enable_x64", True)`'
_FLOATS = ("float32", "float64")


def common_dtype(arrays: Mapping[str, np.ndarray]) -> str | None:
    """The widest floating dtype of the arrays, or None where there is none."""
    floats = [a.dtype for a in arrays.values() if a.dtype.kind == "f"]
    return str(np.result_type(*floats)) if floats else None


def to_jax(arrays: Mapping[str, np.ndarray], dtype: str | None, folder: Path) -> dict[str, jax.Array]:
    """The arrays in JAX, the floating ones in `dtype` if one is given.

    **Raises:** `InputError` for 64-bit arrays where JAX's float64 is off and no dtype was asked for, for a dtype that
    JAX can not hold now, for values that are not finite or do not fit the dtype.
    """
    if dtype is not None and dtype not in _FLOATS:
        raise InputError(f"`dtype` must be None, {' or '.join(map(repr, _FLOATS))}; got {dtype!r:.40}.")
    wide = bool(jax.config.jax_enable_x64)  # pyright: ignore[reportAttributeAccessIssue]  (defined while running)
    if dtype == "float64" and not wide:
        raise InputError(f"`dtype='float64'` needs JAX's float64, which is off; switch it on with {SWITCH}.")
    for name, array in arrays.items():
        check_finite(array, f"The array `{name}` in {folder}", "restore the folder, or fit again")
        if dtype is None and not wide and array.dtype.itemsize == 8:
            raise InputError(
                f"The model in {folder} has {array.dtype} arrays and JAX's float64 is off; switch it on with {SWITCH}, "
                "or load with `dtype='float32'` to give up digits knowingly."
            )
    return {name: jnp.array(_converted(name, a, dtype, wide, folder)) for name, a in arrays.items()}


def _converted(name: str, array: np.ndarray, dtype: str | None, wide: bool, folder: Path) -> np.ndarray:
    if array.dtype.kind == "f":
        if dtype is None:
            return array
        with np.errstate(over="ignore"):
            result = array.astype(dtype)
        check_finite(
            result, f"The array `{name}` in {folder}, as {dtype},", "load it as it is, with float64 on"
        )
        return result
    if wide or array.dtype.itemsize < 8:
        return array
    narrow = np.dtype(f"{array.dtype.kind}4")
    if array.size and not np.array_equal(array.astype(narrow), array):
        raise InputError(
            f"The array `{name}` in {folder} has values beyond {narrow}; switch float64 on with {SWITCH}."
        )
    return array.astype(narrow)
