"""The affine transformer (RealNVP, Dinh et al. 2017; Koehler, Mehta and Risteski 2021, Definition 1)."""

import jax.numpy as jnp

from shoal._types import Vector
from shoal.bijections.transformers._base import AbstractTransformer, Raw
from shoal.bijections.transformers._scale_maps import AbstractScaleMap, scale_or


class Affine(AbstractTransformer):
    """x = s z + t with log s = scale(raw), two parameters: the raw scale, then t. The log slope is log s.

    **Arguments:** `scale`: the scale map (a value), by default `SoftBoundedScale(3)`. **Raises:** ValueError for anything
    else.
    """

    scale: AbstractScaleMap

    def __init__(self, scale: AbstractScaleMap | None = None):
        self.scale = scale_or(scale, 3.0)

    @property
    def parameters(self) -> int:
        """2."""
        return 2

    def forward(self, raw: Raw, z: Vector) -> tuple[Vector, Vector]:
        """s z + t and log s."""
        m = z.shape[0]
        log_scale = self.scale.log_scale(raw[:m])
        return z * jnp.exp(log_scale) + raw[m:], log_scale

    def inverse(self, raw: Raw, x: Vector) -> tuple[Vector, Vector]:
        """(x - t) / s and -log s."""
        m = x.shape[0]
        log_scale = self.scale.log_scale(raw[:m])
        return (x - raw[m:]) * jnp.exp(-log_scale), -log_scale

    def linear(self, log_scale: Vector, shift: Vector, *, layer: str = "this layer") -> Raw:
        """The scale map's raw value, and t. **Raises:** ValueError, naming `layer`, outside the scale map's range."""
        return jnp.concatenate([self.scale.raw(log_scale, layer=layer), shift])
