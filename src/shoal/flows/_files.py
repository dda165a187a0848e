"""Flows on disk: a folder with `model.json` and a safetensors file.

`model.json` is a tree of registered classes with their static fields; the arrays lie in the weights file. There is no
pickle: loading runs no code of the file. The format is number 1; every later version of Shoal reads it. Arrays never come
back with fewer digits than the file has, unless the caller says so.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as _from_bytes
from safetensors.numpy import save as _to_bytes

from shoal import __version__
from shoal._errors import InputError
from shoal.distributions import AbstractFlow, Dequantized, Mixed
from shoal.flows._consistency import check_flow
from shoal.flows._tree import check_finite, decode, encode
from shoal.records import MODEL, damaged, read_document, write_document

SWITCH = '`jax.config.update("jax_enable_x64", True)`'
_FLOATS = ("float32", "float64")


@runtime_checkable
class Fitted(Protocol):
    """An estimator that holds a flow, such as `shoal.FlowDensity`."""

    flow_: AbstractFlow | Mixed


def save(flow: AbstractFlow | Dequantized | Mixed | Fitted, folder: str | os.PathLike[str]) -> None:
    """Writes a flow to a folder, so that `load` gives back the same bits of log_prob.

    The folder is made where it does not exist. A model that lies in it is replaced in one step: whoever reads sees the
    old model or the new one, whole.

    **Arguments:** `flow`: a flow made of Shoal's classes and of classes given to `register`, or a fitted
    `shoal.FlowDensity`, of which the flow is written; `folder`: its place.
    **Raises:** `InputError` for a class that is not registered, a field that has no place in a file, weights that are
    not finite, or a folder that can not be written.
    """
    if isinstance(flow, Fitted):
        flow = flow.flow_
    if not isinstance(flow, AbstractFlow | Dequantized | Mixed):
        raise InputError(
            f"`save` takes a Flow (or a Padded, or a Dequantized one); got {type(flow).__name__} "
            "(a bijection f becomes one by `Flow(StandardNormal(n), f)`)."
        )
    tree, arrays = encode(flow)
    content = {"shoal": __version__, "dtype": common_dtype(arrays), "tree": tree}
    write_document(Path(folder), content, _to_bytes(arrays))


def load(folder: str | os.PathLike[str], dtype: Literal["float32", "float64"] | None = None) -> Any:
    """Reads a flow that `save` (or `shoal fit`) wrote.

    **Arguments:** `folder`: its place; `dtype`: None for the weights as they are, "float32" or "float64" to convert
    them knowingly. float64 needs JAX's switch, `jax.config.update("jax_enable_x64", True)`.
    **Returns:** the `Flow` (`Padded`, `Dequantized`), built without running any constructor.
    **Raises:** `InputError`, one sentence, where the folder holds no model or a damaged or changed one, a class that is
    not registered, a format of a later version, or float64 weights while float64 is off.
    """
    folder = Path(folder)
    document, data = read_document(folder)
    file = folder / MODEL
    arrays = _unpacked(data, folder / document.weights)
    if document.dtype != common_dtype(arrays):
        raise damaged(file, f"`dtype` is {document.dtype!r:.40}, the weights are {common_dtype(arrays)}")
    flow = decode(document.tree, arrays, to_jax(arrays, dtype, folder), file)
    if not isinstance(flow, AbstractFlow | Dequantized | Mixed):
        raise damaged(file, f"the top of the tree is {type(flow).__name__}, not Flow")
    check_flow(flow, file)
    return flow


def _unpacked(data: bytes, file: Path) -> dict[str, np.ndarray]:
    try:
        return _from_bytes(data)
    except (SafetensorError, KeyError, ValueError) as error:  # KeyError: a dtype that NumPy does not have
        raise damaged(
            file, f"it is not a safetensors file that Shoal wrote ({str(error)[:120]!r})"
        ) from error


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
