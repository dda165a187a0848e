"""One bijection of the channels at every pixel: `PixelWise(LULinear(c), ...)` is an invertible 1x1 convolution."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from shoal._types import Batch, Context, ContextBatch, Scalar, Vector
from shoal.bijections._base import (
    AbstractBijection,
    AbstractComposite,
    check_input,
    initialize_part,
    layers_of,
)
from shoal.bijections._images import checked_image_shape, size_of


class PixelWise(AbstractComposite):
    """x[i, j] = f(z[i, j]; c) at every pixel (i, j) of an image, f a bijection of the channels.

    `PixelWise(LULinear(c), shape)`, `PixelWise(DenseLinear(c), shape)` and `PixelWise(from_factors(factor(W)),
    shape)` are invertible 1x1 convolutions (Kingma and Dhariwal 2018) in LU form, plain, and as six couplings;
    `PixelWise(ActNorm(c), shape)` is Glow's actnorm. **Arguments:** `bijection`: acts on R^channels; `image_shape`:
    (height, width, channels). The log-det is the sum over pixels: for a linear f, height * width times that of f.
    Inverse: f's inverse at every pixel. The Jacobian is block diagonal, so singular values are those of f's
    Jacobians. The context goes to every pixel.
    """

    bijection: AbstractBijection
    image_shape: tuple[int, ...] = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, bijection: AbstractBijection, image_shape: tuple[int, ...]):
        self.image_shape = checked_image_shape("PixelWise", image_shape)
        if bijection.shape != self.image_shape[2:]:
            raise ValueError(
                f"`PixelWise`: the bijection acts on {bijection.shape}, an image of shape {self.image_shape} has "
                f"{self.image_shape[2]} channels."
            )
        self.bijection = bijection
        self.shape, self.context_shape = (size_of(self.image_shape),), bijection.context_shape

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """f at every pixel, and the sum of its log-dets."""
        check_input(self, z, context)
        return self._run("forward_and_log_det", z, context)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """f^{-1} at every pixel, and the sum of its log-dets."""
        check_input(self, x, context)
        return self._run("inverse_and_log_det", x, context)

    def layers(self) -> tuple[AbstractBijection, ...]:
        """The layers of f, each at every pixel, in forward order."""
        if not isinstance(self.bijection, AbstractComposite):
            return (self,)
        return tuple(PixelWise(layer, self.image_shape) for layer in layers_of(self.bijection))

    def initialized(self, x: Batch, context: ContextBatch) -> "PixelWise":
        """f initialised from the pixels of all images."""
        channels, pixels = self.image_shape[2], self.image_shape[0] * self.image_shape[1]
        repeated = None if context is None else jnp.repeat(context, pixels, axis=0)
        inner = initialize_part(self.bijection, x.reshape(-1, channels), repeated)
        return eqx.tree_at(lambda p: p.bijection, self, inner)

    def _run(
        self, name: Literal["forward_and_log_det", "inverse_and_log_det"], v: Vector, context: Context
    ) -> tuple[Vector, Scalar]:
        function = getattr(self.bijection, name)
        out, log_dets = jax.vmap(function, in_axes=(0, None))(v.reshape(-1, self.image_shape[2]), context)
        return out.reshape(-1), jnp.sum(log_dets)
