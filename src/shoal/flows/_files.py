"""Flows on disk: a folder with `model.json` and a safetensors file.

`model.json` is a tree of registered classes with their static fields; the arrays lie in the weights file. There is no
pickle: loading runs no code of the file. The format is number 1; every later version of Shoal reads it.
"""

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as _from_bytes
from safetensors.numpy import save as _to_bytes

from shoal import __version__
from shoal._errors import InputError
from shoal.distributions import Dequantized, Flow, Padded
from shoal.flows._consistency import check_flow
from shoal.flows._precision import common_dtype, to_jax
from shoal.flows._tree import decode, encode
from shoal.records import MODEL, damaged, read_document, write_document


def save(flow: Flow | Padded | Dequantized, folder: str | os.PathLike[str]) -> None:
    """Writes a flow to a folder, so that `load` gives back the same bits of log_prob.

    The folder is made where it does not exist. A model that lies in it is replaced in one step: whoever reads sees the
    old model or the new one, whole.

    **Arguments:** `flow`: a flow made of Shoal's classes and of classes given to `register`; `folder`: its place.
    **Raises:** ValueError for a class that is not registered, a field that has no place in a file, weights that are
    not finite, or a folder that can not be written.
    """
    if not isinstance(flow, Flow | Padded | Dequantized):
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
    **Raises:** ValueError, one sentence, where the folder holds no model or a damaged or changed one, a class that is
    not registered, a format of a later version, or float64 weights while float64 is off.
    """
    folder = Path(folder)
    document, data = read_document(folder)
    file = folder / MODEL
    arrays = _unpacked(data, folder / document["weights"])
    if document["dtype"] != common_dtype(arrays):
        raise damaged(file, f"`dtype` is {document['dtype']!r:.40}, the weights are {common_dtype(arrays)}")
    flow = decode(document["tree"], arrays, to_jax(arrays, dtype, folder), file)
    if not isinstance(flow, Flow | Padded | Dequantized):
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
