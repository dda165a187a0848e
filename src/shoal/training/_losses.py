"""The maximum-likelihood loss of a batch.

Sign convention: a *loss* is a mean of -log p(x) (minimised); everything that is reported is a log-likelihood in
nats per row (higher is better).
"""

from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._data import Rows


@runtime_checkable
class HasLogProb(Protocol):
    """Anything with a batched `log_prob(x, context=None)`: a `Flow` or another distribution."""

    def log_prob(self, x: Any, context: Any = None) -> Any: ...


def negative_log_likelihood(flow: HasLogProb, rows: Rows) -> Float[Array, ""]:
    r"""$-\frac1m\sum_i w_i \log p(x_i \mid c_i)$ over the $m$ rows of a batch ($w_i = 1$ where there are none).

    The weights have mean 1 over the whole table, so a batch's loss is an unbiased estimate of the table's.

    **Arguments:** `flow`, the density; `rows`, the batch.

    **Returns:** a scalar, non-finite where a log-density is.
    """
    log_prob = flow.log_prob(rows.x, rows.context)
    return -jnp.mean(log_prob if rows.weights is None else rows.weights * log_prob)
