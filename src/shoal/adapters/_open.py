"""`to_map`, the one door: the library of a flow is read from its class, and that library's file alone is imported.

An object of a library is proof that it is installed, so none of them has to be. `importlib` imports the file, in place of an
import statement: the files import their libraries at their head.
"""

import importlib

from shoal._errors import InputError
from shoal.conditioning import AbstractMap

# the package of a flow's class, or of one that it derives from -> the file here
_FILES = {
    "zuko": "_zuko",
    "nflows": "_nflows",
    "normflows": "_normflows",
    "FrEIA": "_freia",
    "flowjax": "_flowjax",
    "distrax": "_distrax",
    "sbi": "_sbi",
    "tensorflow_probability": "_tfp",
    "numpyro": "_numpyro",
    "pyro": "_pyro",
    "torchflows": "_torchflows",
    "pzflow": "_pzflow",
    "bayesflow": "_bayesflow",
}


def to_map(flow: object, *, shape: tuple[int, ...] | None = None) -> AbstractMap:
    """A flow of another library, as it is now, as a map that `shoal.audit` and `shoal.conditioning` measure.

    `forward` is latent z -> data x, whatever the library calls its directions; the layers are the library's single maps. The
    page of this reference says for each library what it takes, what its context is and what can not be measured.

    **Arguments:** `flow`: a flow, a posterior, or a single transform, of a library that `shoal.adapters` knows; its
    parameters are copied; `shape`: of one latent point, where the flow can not tell, as with a lone transform.

    **Returns:** the map. What comes of a torch library is computed on the CPU, on copies in each precision, in evaluation
    mode.

    **Raises:** InputError for an object of no known library, one that is no map of points, or a missing `shape`.
    """
    found = library(flow)
    if found is None:
        kind = type(flow)
        raise InputError(
            f"`adapters.to_map` takes a flow of {', '.join(_FILES)}; got {kind.__module__}.{kind.__name__}."
        )
    return importlib.import_module(f"shoal.adapters.{_FILES[found]}").to_map(flow, shape)


def library(flow: object) -> str | None:
    """The library of an object, by its class and those that it derives from; None where none is known."""
    roots = (kind.__module__.partition(".")[0] for kind in type(flow).__mro__)
    return next((root for root in roots if root in _FILES), None)
