"""Parameters that a context moves: a layer's own arrays, plus the outputs of a conditioner that sees the context alone.

The conditioner's last layer is zero at the start, so that an untrained layer ignores its context.
"""

import math
from typing import Any

import jax.numpy as jnp

from shoal._types import Array, Context, Key
from shoal.bijections.conditioners import Activation, DenseConditioner


def amortizer(
    arrays: tuple[Array, ...], context_dim: int, hidden: tuple[int, ...], activation: Activation, key: Key
) -> DenseConditioner | None:
    """The conditioner that moves these arrays, or None where there is no context."""
    if not context_dim:
        return None
    outputs = sum(a.size for a in arrays)
    return DenseConditioner(0, outputs, hidden=hidden, context=context_dim, activation=activation, key=key)


def moved(conditioner: DenseConditioner | None, context: Context, arrays: tuple[Array, ...]) -> Any:
    """The arrays, each plus its part of the conditioner's outputs for this context; as they are without one."""
    if conditioner is None or context is None:
        return arrays
    out, parts, start = conditioner(context[:0], context), [], 0
    for a in arrays:
        end = start + math.prod(a.shape)
        parts.append(a + jnp.reshape(out[start:end], a.shape))
        start = end
    return tuple(parts)
