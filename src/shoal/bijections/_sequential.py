"""The sequential pass of an autoregressive map: x_i = f(z_i; raw_i), one coordinate after the other.

Hidden units are sorted by degree, so each step computes only those that just became known, and the whole pass costs
about one parallel pass instead of n.
"""

import jax
import jax.numpy as jnp
import numpy as np

from shoal._types import Array, Float, Scalar, Vector
from shoal.bijections.conditioners import MaskedConditioner
from shoal.bijections.conditioners._dense import activation_function, column, product
from shoal.bijections.transformers import AbstractTransformer

IN_LINE_TO = 32  # parameters: up to here the steps are written out, beyond it (longer to compile) they are one `lax.scan`


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


def _scanned(
    net: MaskedConditioner, transformer: AbstractTransformer, z: Vector, context: Float[Array, "c"]
) -> tuple[Vector, Vector]:
    """The same by `lax.scan`: what is not known yet is zero."""
    blocks, act = net.blocks(), activation_function(net.activation)

    def step(carry: tuple, xs: tuple) -> tuple[tuple, Scalar]:
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
    (x, _), log_slopes = jax.lax.scan(step, start, (np.eye(net.inputs, dtype=bool), z, blocks))
    return x, log_slopes
