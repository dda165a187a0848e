"""Shape aliases for the parts that use JAX. `n` is the number of coordinates, `c` that of the context.

Importing this module loads JAX; parts that must not (`tables`, `records`, `report`) use `_scalars`.
"""

from typing import Any, TypeAlias

from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

Vector: TypeAlias = Float[Array, "n"]
Context: TypeAlias = Float[Array, "c"] | None
Scalar: TypeAlias = Float[Array, ""]
Batch: TypeAlias = Float[Array, "rows n"]
ContextBatch: TypeAlias = Float[Array, "rows c"] | None
ArrayLike: TypeAlias = Any  # NumPy, JAX, polars, pandas: checked and converted at the entry
Key: TypeAlias = PRNGKeyArray

__all__ = [
    "Array",
    "ArrayLike",
    "Batch",
    "Bool",
    "Context",
    "ContextBatch",
    "Float",
    "Int",
    "Key",
    "PRNGKeyArray",
    "Scalar",
    "Shaped",
    "Vector",
]
