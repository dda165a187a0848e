"""Shape aliases for the parts that use JAX. `n` is the number of coordinates, `c` that of the context.

Importing this module loads JAX; parts that must not (`tables`, `records`, `report`) use `_scalars`.
"""

from typing import Any, TypeAlias

from jaxtyping import Array as Array
from jaxtyping import Bool as Bool
from jaxtyping import Float as Float
from jaxtyping import Int as Int
from jaxtyping import PRNGKeyArray as PRNGKeyArray
from jaxtyping import Shaped as Shaped

Vector: TypeAlias = Float[Array, "n"]
Context: TypeAlias = Float[Array, "c"] | None
Scalar: TypeAlias = Float[Array, ""]
Batch: TypeAlias = Float[Array, "rows n"]
ContextBatch: TypeAlias = Float[Array, "rows c"] | None
ArrayLike: TypeAlias = Any  # NumPy, JAX, polars, pandas: checked and converted at the entry
Key: TypeAlias = PRNGKeyArray
