"""Affine coupling of channels with a convolutional conditioner (Glow, Kingma and Dhariwal 2018)."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._products import matmul
from shoal._types import Array, Context, Float, Key, Scalar, Vector
from shoal.bijections._base import AbstractBijection, check_input
from shoal.bijections._conditioners import Activation, activation_function, check_hidden
from shoal.bijections._images import checked_image_shape, size_of
from shoal.bijections._partition import AbstractPartition
from shoal.bijections._scale_maps import AbstractScaleMap, scale_or


class ConvolutionalConditioner(eqx.Module):
    """y = A [x, c] + b at every pixel, plus net([x, c]): convolutions `kernel`, 1, ..., 1, `kernel` with `hidden`
    channels.

    The last convolution is zero at the start, so the conditioner starts affine and pixelwise linear couplings are
    members. A convolution's weight is (outputs, kernel * kernel * inputs); borders are padded by zeros; the context
    is a constant image.
    """

    skip: Float[Array, "o i"]
    bias: Float[Array, "o"]
    weights: tuple[Float[Array, "_o _i"], ...]
    biases: tuple[Float[Array, "_o"], ...]
    last: Float[Array, "o h"]
    kernel: int = eqx.field(static=True)
    activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        hidden: tuple[int, ...],
        kernel: int,
        context: int,
        activation: Activation,
        key: Key,
    ):
        check_hidden(hidden)
        activation_function(activation)
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"`kernel` must be odd and at least 1; got {kernel}.")
        self.kernel, self.activation = int(kernel), activation
        total = inputs + context
        self.skip, self.bias = jnp.zeros((outputs, total)), jnp.zeros(outputs)
        weights, biases, fan = [], [], kernel**2 * total
        for width, k in zip(hidden, jr.split(key, max(len(hidden), 1)), strict=False):
            kw, kb = jr.split(k)
            bound = fan**-0.5
            weights.append(jr.uniform(kw, (width, fan), minval=-bound, maxval=bound))
            biases.append(jr.uniform(kb, (width,), minval=-bound, maxval=bound))
            fan = width
        self.weights, self.biases = tuple(weights), tuple(biases)
        self.last = jnp.zeros((outputs, kernel**2 * fan if hidden else 0))

    def __call__(self, x: Float[Array, "height width i"], context: Context) -> Float[Array, "height width o"]:
        """The outputs at every pixel."""
        h = x
        if context is not None:
            h = jnp.concatenate([x, jnp.broadcast_to(context, (*x.shape[:2], *context.shape))], axis=-1)
        y = convolved(h, self.skip, 1) + self.bias[None, None, :]
        if not self.weights:
            return y
        act = activation_function(self.activation)
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = act(convolved(h, w, 1 if i else self.kernel) + b[None, None, :])
        return y + convolved(h, self.last, self.kernel)


class ConvolutionalCoupling(AbstractBijection):
    """x_moved = z_moved * s + t at every pixel, log s = scale_map(raw), (raw, t) = conditioner(z_kept, c), kept and
    moved channels.

    **Arguments:** `image_shape`: (height, width, channels); `partition`: of the channels; `hidden`: channels inside the
    conditioner; `kernel`: odd, of its first and last convolution; `scale`, `context_dim`, `activation`: as
    `AffineCoupling`. log|det dx/dz| = the sum of log s over pixels and moved channels; both directions cost one
    conditioner, the inverse is exact. Bi-Lipschitz on bounded sets only, as every affine coupling (the scale map
    bounds the diagonal part). Parameters with kernel k, kept K, moved M, hidden (h1, h2): 2M(K + 1) + h1(k^2 K + 1) +
    h2(h1 + 1) + 2M k^2 h2. (Kingma and Dhariwal 2018; there 512 hidden channels, kernels 3, 1, 3.) One coupling sees
    k x k pixels around each.
    """

    partition: AbstractPartition
    conditioner: ConvolutionalConditioner
    scale: AbstractScaleMap
    image_shape: tuple[int, ...] = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        image_shape: tuple[int, ...],
        partition: AbstractPartition,
        *,
        hidden: tuple[int, ...] = (32, 32),
        kernel: int = 3,
        context_dim: int = 0,
        scale: AbstractScaleMap | None = None,
        activation: Activation = "relu",
        key: Key,
    ):
        self.image_shape = checked_image_shape("ConvolutionalCoupling", image_shape)
        if partition.dim != self.image_shape[2]:
            raise ValueError(
                f"`ConvolutionalCoupling`: a partition of {partition.dim} channels for an image of shape {self.image_shape}."
            )
        self.partition = partition
        self.conditioner = ConvolutionalConditioner(
            partition.kept_size,
            2 * (partition.dim - partition.kept_size),
            hidden=hidden,
            kernel=kernel,
            context=context_dim,
            activation=activation,
            key=key,
        )
        self.scale = scale_or(scale, 2.0)
        self.shape = (size_of(self.image_shape),)
        self.context_shape = (context_dim,) if context_dim else None

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and the sum of log s."""
        check_input(self, z, context)
        kept, moved = self._split(z)
        log_scale, shift = self._parameters(kept, context)
        return self._join(kept, moved * jnp.exp(log_scale) + shift), jnp.sum(log_scale)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and minus the sum of log s."""
        check_input(self, x, context)
        kept, moved = self._split(x)
        log_scale, shift = self._parameters(kept, context)
        return self._join(kept, (moved - shift) * jnp.exp(-log_scale)), -jnp.sum(log_scale)

    def _split(self, v: Vector) -> tuple[Array, Array]:
        by_pixel = jax.vmap(self.partition.split)(v.reshape(-1, self.image_shape[2]))
        h, w, _ = self.image_shape
        return by_pixel[0].reshape(h, w, -1), by_pixel[1].reshape(h, w, -1)

    def _join(self, kept: Array, moved: Array) -> Vector:
        pixels = self.image_shape[0] * self.image_shape[1]
        join = jax.vmap(self.partition.join)
        return join(kept.reshape(pixels, -1), moved.reshape(pixels, -1)).reshape(-1)

    def _parameters(self, kept: Array, context: Context) -> tuple[Array, Array]:
        out = self.conditioner(kept, context if self.context_shape else None)
        moved = out.shape[-1] // 2
        return self.scale.log_scale(out[..., :moved]), out[..., moved:]


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
