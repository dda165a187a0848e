"""The additive transformer (NICE, Dinh et al. 2015): strictly volume preserving."""

import jax.numpy as jnp
import numpy as np

from shoal._types import Vector
from shoal.bijections.transformers._base import AbstractTransformer, Raw


class Additive(AbstractTransformer):
    """x = z + t, one parameter: t. The log slope is 0, exactly."""

    @property
    def parameters(self) -> int:
        """1."""
        return 1

    def forward(self, raw: Raw, z: Vector) -> tuple[Vector, Vector]:
        """z + t and 0."""
        return z + raw, jnp.zeros(z.shape, z.dtype)

    def inverse(self, raw: Raw, x: Vector) -> tuple[Vector, Vector]:
        """x - t and 0."""
        return x - raw, jnp.zeros(x.shape, x.dtype)

    def linear(self, log_scale: Vector, shift: Vector, *, layer: str = "this layer") -> Raw:
        """t. **Raises:** ValueError, naming `layer`, for a log-scale that is not 0."""
        scaled = np.flatnonzero(np.asarray(log_scale))
        if scaled.size:
            first = int(scaled[0])
            raise ValueError(
                f"{layer}: coordinate {first} needs log-scale {float(log_scale[first]):.6g}; Additive has 0 alone."
            )
        return shift
