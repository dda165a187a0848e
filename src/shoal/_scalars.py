"""NumPy-only aliases, and float64 numbers as exact integers, for the parts that never load JAX."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.floating[Any]]
IntArray: TypeAlias = NDArray[np.integer[Any]]
BoolArray: TypeAlias = NDArray[np.bool_]
Function: TypeAlias = Callable[..., Any]  # somebody's: nothing is known of what it takes


def multiples(numbers: FloatArray) -> list[int]:
    """Finite float64 numbers (n,) in units of one power of two of which all are multiples: exact."""
    mantissas, exponents = np.frexp(np.asarray(numbers, np.float64))
    digits, powers = np.ldexp(mantissas, 53).astype(np.int64).tolist(), exponents.tolist()
    low = min((e for digit, e in zip(digits, powers, strict=True) if digit), default=0)
    return [digit << (e - low) if digit else 0 for digit, e in zip(digits, powers, strict=True)]
