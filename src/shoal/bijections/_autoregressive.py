"""Masked autoregressive flow (MAF, Papamakarios et al. 2017). Its `Inverse` is IAF (Kingma et al. 2016).

forward: x_i = z_i * s(x_1 ... x_{i-1}, c) + t(x_1 ... x_{i-1}, c), one coordinate after the other;
inverse: z_i = (x_i - t) / s, all at once. The Jacobian is lower triangular; log|det dx/dz| = sum log s.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shoal._types import Array, Context, Float, Key, Scalar, Vector
from shoal.bijections._base import AbstractBijection, check_input
from shoal.bijections._conditioners import Activation, activation_function, product
from shoal.bijections._masks import MaskedConditioner
from shoal.bijections._scale_maps import AbstractScaleMap, SoftBoundedScale

_IN_LINE_TO = 16  # the sequential pass is written out up to this many coordinates


class MaskedAutoregressive(AbstractBijection):
    """Affine autoregressive map; `reverse=True` takes the coordinates in the order n, ..., 1.

    Cost: inverse one conditioner; forward n steps that together cost about one conditioner.
    n = 1 works: the map is then affine in z (and in the context's features).
    """

    conditioner: MaskedConditioner
    scale: AbstractScaleMap
    reverse: bool = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        *,
        hidden: tuple[int, ...] = (64, 64),
        context_dim: int = 0,
        scale: AbstractScaleMap | None = None,
        activation: Activation = "silu",
        reverse: bool = False,
        key: Key,
    ):
        self.conditioner = MaskedConditioner(
            dim, hidden=hidden, context=context_dim, activation=activation, key=key
        )
        self.scale = SoftBoundedScale() if scale is None else scale
        self.reverse = bool(reverse)
        self.shape = (dim,)
        self.context_shape = (context_dim,) if context_dim else None

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and log|det dz/dx|, in parallel."""
        check_input(self, x, context)
        x = self._ordered(x)
        out = self.conditioner(x, context if self.context_shape else None)
        n = self.shape[0]
        log_scale = self.scale.log_scale(out[:n])
        return self._ordered((x - out[n:]) * jnp.exp(-log_scale)), -jnp.sum(log_scale)

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and log|det dx/dz|, one coordinate after the other."""
        check_input(self, z, context)
        c = context.astype(z.dtype) if context is not None and self.context_shape else z[:0]
        run = self._in_line if self.shape[0] <= _IN_LINE_TO else self._scanned
        x, log_scales = run(self._ordered(z), c)
        return self._ordered(x), jnp.sum(log_scales)

    def _in_line(self, z: Vector, context: Float[Array, "c"]) -> tuple[Vector, Vector]:
        """The steps written out: each multiplies only what is known by then."""
        n, blocks = self.shape[0], self.conditioner.blocks()
        act = activation_function(self.conditioner.activation)
        x, log_scales, hidden = [], [], [[] for _ in blocks.weights]
        for i in range(n):
            inputs = jnp.concatenate([*x, context])
            seen = np.r_[:i, n : n + context.size]
            y = product(inputs, blocks.skip[i][:, seen]) + blocks.bias[i]
            for h, w, b in zip(hidden, blocks.weights, blocks.biases, strict=True):
                h.append(act(product(inputs, w[i][:, seen]) + b[i]))
                inputs, seen = jnp.concatenate(h), np.arange((i + 1) * b.shape[1])
            if hidden:
                y = y + product(inputs, blocks.last[i][:, seen])
            log_scales.append(self.scale.log_scale(y[:1]))
            x.append(z[i : i + 1] * jnp.exp(log_scales[-1]) + y[1:])
        return jnp.concatenate(x), jnp.concatenate(log_scales)

    def _scanned(self, z: Vector, context: Float[Array, "c"]) -> tuple[Vector, Vector]:
        """The same by `lax.scan`, for many coordinates: what is not known yet is zero."""
        n, blocks = self.shape[0], self.conditioner.blocks()
        act = activation_function(self.conditioner.activation)

        def step(carry: tuple, xs: tuple) -> tuple[tuple, Scalar]:
            (x, hidden), (here, z_i, block) = carry, xs
            known = inputs = jnp.concatenate([x, context])
            new = []
            for h, w, b in zip(hidden, block.weights, block.biases, strict=True):
                # `where`, not an update at an index: under `vmap` that would be a scatter
                new.append(jnp.where(here[:, None], act(product(inputs, w) + b), h))
                inputs = new[-1].reshape(-1)
            y = product(known, block.skip) + block.bias + (product(inputs, block.last) if new else 0.0)
            log_scale = self.scale.log_scale(y[:1])[0]
            x = jnp.where(here, z_i * jnp.exp(log_scale) + y[1], x)
            return (x, tuple(new)), log_scale

        start = (jnp.zeros_like(z), tuple(jnp.zeros(b.shape, z.dtype) for b in blocks.biases))
        (x, _), log_scales = jax.lax.scan(step, start, (np.eye(n, dtype=bool), z, blocks))
        return x, log_scales

    def _ordered(self, v: Float[Array, "n"]) -> Float[Array, "n"]:
        return v[::-1] if self.reverse else v
