"""The conditioner of couplings of an image's channels: a convolutional net (Glow, Kingma and Dhariwal 2018)."""

import math

import equinox as eqx
import jax.numpy as jnp

from shoal._errors import InputError
from shoal._products import matmul
from shoal._types import Array, Context, Float, Key, Vector
from shoal.bijections._images import checked_image_shape
from shoal.bijections.conditioners._dense import (
    AbstractConditioner,
    Activation,
    activation_function,
    hidden_layers,
)


class ConvolutionalConditioner(AbstractConditioner):
    """y = A [x, c] + b at every pixel, plus net([x, c]): convolutions `kernel`, 1, ..., 1, `kernel` with `hidden`
    channels.

    Of an image (h, w, k), as a vector, to P images (h, w, m), one after the other: parameter by parameter.
    The last convolution is zero at the start, so the conditioner starts affine and pixelwise linear couplings are
    members. A convolution's weight is (outputs, kernel * kernel * inputs); borders are padded by zeros; the context
    is a constant image.
    **Arguments:** `image_shape`: (h, w, k), the kept channels; `moved`: m; `parameters`: P, of the transformer; `kernel`:
    odd, of the first and the last convolution; `hidden`, `context`, `activation`: as in `DenseConditioner`. With hidden
    channels (h1, h2) it has P m (k + 1) + h1 (kernel^2 k + 1) + h2 (h1 + 1) + P m kernel^2 h2 parameters.
    (Kingma and Dhariwal 2018; there 512 hidden channels, kernels 3, 1, 3.)
    """

    skip: Float[Array, "o i"]
    bias: Float[Array, "o"]
    weights: tuple[Float[Array, "_o _i"], ...]
    biases: tuple[Float[Array, "_o"], ...]
    last: Float[Array, "o h"]
    image_shape: tuple[int, ...] = eqx.field(static=True)
    parameters: int = eqx.field(static=True)
    kernel: int = eqx.field(static=True)
    context: int = eqx.field(static=True)
    activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        image_shape: tuple[int, ...],
        moved: int,
        parameters: int,
        *,
        hidden: tuple[int, ...] = (32, 32),
        kernel: int = 3,
        context: int = 0,
        activation: Activation = "relu",
        key: Key,
    ):
        activation_function(activation)
        if kernel < 1 or kernel % 2 == 0:
            raise InputError(f"`kernel` must be odd and at least 1; got {kernel}.")
        self.image_shape = checked_image_shape("ConvolutionalConditioner", image_shape)
        self.parameters, self.context = int(parameters), int(context)
        self.kernel, self.activation = int(kernel), activation
        total, outputs = self.image_shape[2] + context, parameters * moved
        self.skip, self.bias = jnp.zeros((outputs, total)), jnp.zeros(outputs)
        self.weights, self.biases, width = hidden_layers(key, kernel**2 * total, hidden)
        self.last = jnp.zeros((outputs, kernel**2 * width if hidden else 0))

    @property
    def inputs(self) -> int:
        """h w k."""
        return math.prod(self.image_shape)

    @property
    def outputs(self) -> int:
        """P h w m."""
        return math.prod(self.image_shape[:2]) * self.bias.shape[-1]

    def __call__(self, x: Vector, context: Context = None) -> Float[Array, "o"]:
        """The P images for one vector."""
        y = jnp.split(self._at_pixels(x.reshape(self.image_shape), context), self.parameters, axis=-1)
        return jnp.concatenate([part.reshape(-1) for part in y])

    def _at_pixels(
        self, x: Float[Array, "height width i"], context: Context
    ) -> Float[Array, "height width o"]:
        h = x
        if context is not None and self.context:
            h = jnp.concatenate([x, jnp.broadcast_to(context, (*x.shape[:2], *context.shape))], axis=-1)
        y = convolved(h, self.skip, 1) + self.bias[None, None, :]
        if not self.weights:
            return y
        act = activation_function(self.activation)
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = act(convolved(h, w, 1 if i else self.kernel) + b[None, None, :])
        return y + convolved(h, self.last, self.kernel)


def convolved(x: Float[Array, "h w i"], weight: Float[Array, "o ki"], kernel: int) -> Float[Array, "h w o"]:
    """The convolution of an image with zero padding, as one matrix product and shifts of the smaller side of it.

    On a CPU, XLA's own convolution takes ten times as long inside a loop, and training and `Scan` are loops.
    """
    outputs, inputs = weight.shape[0], x.shape[-1]
    if inputs <= outputs:
        return matmul(jnp.concatenate(_shifted(x, kernel), axis=-1), weight.T)
    taps = weight.reshape(outputs, kernel**2, inputs).transpose(2, 1, 0).reshape(inputs, -1)
    products = jnp.split(matmul(x, taps), kernel**2, axis=-1)
    parts = [_shifted(part, kernel)[i] for i, part in enumerate(products)]
    return sum(parts[1:], start=parts[0])


def _shifted(x: Array, kernel: int) -> list[Array]:
    """The image at every offset of the kernel, row by row, zero beyond its borders."""
    h, w, _ = x.shape
    border = kernel // 2
    padded = jnp.pad(x, ((border, border), (border, border), (0, 0)))
    return [padded[a : a + h, b : b + w] for a in range(kernel) for b in range(kernel)]
