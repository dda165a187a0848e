"""Autoregressive layers (MAF, Papamakarios et al. 2017; with splines, Durkan et al. 2019). An `Inverse` of one is IAF
(Kingma et al. 2016).

forward: x_i = f(z_i; raw_i(x_1 ... x_{i-1}, c)), one coordinate after the other; inverse: z_i = f^{-1}(x_i; raw_i), all at
once. The Jacobian is lower triangular; log|det dx/dz| = sum log f'. Hidden units are sorted by degree, so each step of
forward computes only those that just became known, and the whole pass costs about one parallel pass instead of n.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from shoal._errors import InputError
from shoal._types import Array, Bool, Context, Float, Key, Scalar, Vector
from shoal.bijections._base import AbstractBijection, check_input
from shoal.bijections.conditioners import MaskedConditioner
from shoal.bijections.conditioners._dense import activation_function, column, product
from shoal.bijections.conditioners._masked import Blocks
from shoal.bijections.transformers import AbstractTransformer

IN_LINE_TO = 32  # parameters: up to here the steps are written out, beyond it (longer to compile) they are one `lax.scan`


class Autoregressive(AbstractBijection):
    """x_i = f(z_i; raw_i), raw_i from x_1 ... x_{i-1} and c; `reverse=True` takes the coordinates in the order n, ..., 1.

    **Arguments:** `transformer`: f; `conditioner`: of `transformer.parameters` outputs a coordinate.
    Cost: inverse one conditioner; forward n steps that together cost about one conditioner.
    n = 1 works: the parameters are then constants (and functions of the context).
    **Raises:** InputError where the sizes do not fit.
    """

    transformer: AbstractTransformer
    conditioner: MaskedConditioner
    reverse: Bool[Array, ""]

    def __init__(
        self, transformer: AbstractTransformer, conditioner: MaskedConditioner, reverse: bool = False
    ):
        self.transformer, self.conditioner, self.reverse = transformer, conditioner, jnp.array(bool(reverse))

    def __check_init__(self) -> None:
        n, outputs = self.conditioner.inputs, self.transformer.parameters * self.conditioner.inputs
        if self.conditioner.outputs != outputs:
            raise InputError(
                f"`Autoregressive` needs a conditioner of {outputs} outputs for {n} inputs; got {self.conditioner.outputs}."
            )

    @property
    def shape(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]  (the conditioner's)
        """(n,)."""
        return (self.conditioner.inputs,)

    @property
    def context_shape(self) -> tuple[int, ...] | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """(c,), or None where the conditioner takes no context."""
        return (self.conditioner.context,) if self.conditioner.context else None

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and log|det dz/dx|, in parallel."""
        check_input(self, x, context)
        x = self._ordered(x)
        z, log_slopes = self.transformer.inverse(self.conditioner(x, context), x)
        return self._ordered(z), jnp.sum(log_slopes)

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and log|det dx/dz|, one coordinate after the other."""
        check_input(self, z, context)
        c = context.astype(z.dtype) if context is not None and self.context_shape else z[:0]
        x, log_slopes = sequential(self.conditioner, self.transformer, self._ordered(z), c)
        return self._ordered(x), jnp.sum(log_slopes)

    def _ordered(self, v: Float[Array, "n"]) -> Float[Array, "n"]:
        return jnp.where(self.reverse, v[::-1], v)


def masked_autoregressive(
    dim: int,
    transformer: AbstractTransformer,
    *,
    context_dim: int = 0,
    reverse: bool = False,
    key: Key,
    **net: Any,
) -> Autoregressive:
    """The autoregressive layer of n = `dim` coordinates with a new `MaskedConditioner`, `net` its `hidden`, `activation`."""
    made = MaskedConditioner(dim, transformer.parameters, context=context_dim, key=key, **net)
    return Autoregressive(transformer, made, reverse)


def sequential(
    net: MaskedConditioner, transformer: AbstractTransformer, z: Vector, context: Float[Array, "c"]
) -> tuple[Vector, Vector]:
    """x and the log slopes of all coordinates; `context` has length 0 where there is none."""
    return (_in_line if net.outputs <= IN_LINE_TO else _scanned)(net, transformer, z, context)


def _in_line(
    net: MaskedConditioner, transformer: AbstractTransformer, z: Vector, context: Float[Array, "c"]
) -> tuple[Vector, Vector]:
    """Coordinate i, then the hidden units of degree i, then their part in all sums that still wait.

    Only entries that the masks allow are read. Running sums instead of lists of what is known: under `vmap` nothing
    is transposed. The barrier keeps the compiler from fusing one layer into the next and computing it again.
    """
    n, p, act = net.inputs, net.parameters, activation_function(net.activation)
    order = net.by_coordinate().reshape(-1)  # all of coordinate 1, all of coordinate 2, ...
    skip, last = net.skip[order], net.last[order]
    edges = [np.searchsorted(net.degrees(b.shape[0]), np.arange(n + 1)) for b in net.biases]
    waiting = [column(b, z[:1]) for b in net.biases]  # sums of the hidden units not yet known, layer by layer
    out = column(net.bias[order], z[:1])  # sums of the outputs not yet used
    if context.size:
        out = out + product(context, skip[:, n:])
        waiting[:1] = [w + product(context, net.weights[0][:, n:]) for w in waiting[:1]]
    x, log_slopes = [], []
    for i in range(n):
        new, span = None, (0, 0)
        for j in range(len(waiting)):
            low, high = int(edges[j][i]), int(edges[j][i + 1])
            if new is not None:
                waiting[j] = waiting[j] + product(new, net.weights[j][low:, span[0] : span[1]])
            new = act(waiting[j][: high - low]) if high > low else None
            waiting[j], span = waiting[j][high - low :], (low, high)
        if new is not None:
            out = out + product(new, last[p * i :, span[0] : span[1]])
        moved, log_slope = transformer.forward(out[:p], z[i : i + 1])
        x.append(moved)
        log_slopes.append(log_slope)
        if i + 1 < n:
            out = out[p:] + product(moved, skip[p * (i + 1) :, i : i + 1])
            waiting[:1] = [
                w + product(moved, net.weights[0][edges[0][i + 1] :, i : i + 1]) for w in waiting[:1]
            ]
    return jax.lax.optimization_barrier(jnp.concatenate(x)), jnp.concatenate(log_slopes)


_Known = tuple[Array, tuple[Array, ...]]  # x and the hidden units, 0 where they are not known yet


def _scanned(
    net: MaskedConditioner, transformer: AbstractTransformer, z: Vector, context: Float[Array, "c"]
) -> tuple[Vector, Vector]:
    """The same by `lax.scan`: what is not known yet is zero."""
    blocks, act = net.blocks(), activation_function(net.activation)

    def step(carry: _Known, xs: tuple[Array, Array, Blocks]) -> tuple[_Known, Array]:
        (x, hidden), (here, z_i, block) = carry, xs
        known = inputs = jnp.concatenate([x, context])
        new = []
        for h, w, b in zip(hidden, block.weights, block.biases, strict=True):
            # `where`, not an update at an index: under `vmap` that would be a scatter
            new.append(jnp.where(here[:, None], act(product(inputs, w) + b), h))
            inputs = new[-1].reshape(-1)
        y = product(known, block.skip) + block.bias + (product(inputs, block.last) if new else 0.0)
        moved, log_slope = transformer.forward(y, z_i[None])
        return (jnp.where(here, moved, x), tuple(new)), log_slope[0]

    start = (jnp.zeros_like(z), tuple(jnp.zeros(b.shape, z.dtype) for b in blocks.biases))
    (x, _), log_slopes = jax.lax.scan(step, start, (jnp.eye(net.inputs, dtype=bool), z, blocks))
    return x, log_slopes
