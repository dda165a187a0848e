"""Float64 numbers as integers, without rounding."""

import numpy as np
from numpy.typing import NDArray


def multiples(numbers: NDArray[np.float64]) -> list[int]:
    """Finite numbers (n,) in units of one power of two of which all are multiples: exact."""
    mantissas, exponents = np.frexp(numbers)
    digits, powers = np.ldexp(mantissas, 53).astype(np.int64).tolist(), exponents.tolist()
    low = min((e for digit, e in zip(digits, powers, strict=True) if digit), default=0)
    return [digit << (e - low) if digit else 0 for digit, e in zip(digits, powers, strict=True)]
