"""Images as vectors: (height, width, channels) in row-major order, channels last.

Every bijection acts on vectors, so an image layer is given its `image_shape` and reshapes inside, which costs nothing.
"""

import math
from typing import TypeAlias

import equinox as eqx
import jax.numpy as jnp

from shoal._errors import InputError
from shoal._types import Context, Scalar, Vector
from shoal.bijections._base import AbstractBijection, check_input

ImageShape: TypeAlias = tuple[int, int, int]


def checked_image_shape(name: str, image_shape: tuple[int, ...]) -> ImageShape:
    """The shape as three ints. **Raises:** InputError, naming the class, for anything but three positive numbers."""
    if len(image_shape) != 3 or any(int(s) != s or s < 1 for s in image_shape):
        raise InputError(
            f"`{name}` needs an image shape (height, width, channels) of positive integers; got {tuple(image_shape)}."
        )
    return (int(image_shape[0]), int(image_shape[1]), int(image_shape[2]))


class Squeeze(AbstractBijection):
    """Space to depth (RealNVP, Dinh et al. 2017, section 3.6): data (h, w, c) <-> latent (h / k, w / k, k^2 c).

    Channel (a k + b) c + j of latent pixel (I, J) is channel j of the data pixel (I k + a, J k + b).

    A permutation of coordinates: log-det 0, singular values 1, no parameters, no context, both directions free.
    **Arguments:** `image_shape`: (h, w, c) on the data side; `factor`: k. **Raises:** InputError where k does not
    divide h and w.
    """

    image_shape: tuple[int, ...] = eqx.field(static=True)
    factor: int = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, image_shape: tuple[int, ...], factor: int = 2):
        self.image_shape = checked_image_shape("Squeeze", image_shape)
        h, w, _ = self.image_shape
        if factor < 1 or h % factor or w % factor:
            raise InputError(
                f"`Squeeze(factor=...)` must divide height and width, {h} and {w}; got {factor}."
            )
        self.factor = int(factor)
        self.shape, self.context_shape = (math.prod(self.image_shape),), None

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(h / k, w / k, k^2 c): the image on the latent side."""
        h, w, c = self.image_shape
        return h // self.factor, w // self.factor, self.factor**2 * c

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """Channels to blocks of pixels, and 0."""
        check_input(self, z, context)
        h, w, c, k = *self.image_shape, self.factor
        blocks = z.reshape(h // k, w // k, k, k, c)
        return jnp.transpose(blocks, (0, 2, 1, 3, 4)).reshape(-1), jnp.zeros((), z.dtype)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """Blocks of pixels to channels, and 0."""
        check_input(self, x, context)
        h, w, c, k = *self.image_shape, self.factor
        blocks = x.reshape(h // k, k, w // k, k, c)
        return jnp.transpose(blocks, (0, 2, 1, 3, 4)).reshape(-1), jnp.zeros((), x.dtype)
