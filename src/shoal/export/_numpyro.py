"""A flow as a numpyro distribution. Importing this module needs numpyro."""

from typing import Any

import numpy as np
from numpyro import distributions as numpyro
from numpyro.distributions import constraints

from shoal._types import Array, ArrayLike, Key
from shoal.bijections import Support, layers_of
from shoal.distributions import Flow


class FlowDistribution(numpyro.Distribution):
    """The flow, given the context where it has one: batch shape that of the contexts, event shape (n,)."""

    pytree_data_fields = ("flow", "context")
    reparametrized_params = ()

    def __init__(self, flow: Flow, context: Array | None = None, *, validate_args: bool | None = None):
        self.flow, self.context = flow, context
        batch = () if context is None else context.shape[:-1]
        numpyro.Distribution.__init__(self, batch, flow.shape, validate_args=validate_args)

    @property
    def support(self) -> Any:
        """R^n, or the intervals that all columns keep to where they are of one kind."""
        return support_of(self.flow)

    def sample(self, key: Key, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws of shape `sample_shape` + batch shape + (n,)."""
        return self.flow.sample(key, sample_shape, self.context)

    def log_prob(self, value: ArrayLike, intermediates: Any = None) -> Array:
        """log p, in nats."""
        return self.flow.log_prob(value, self.context)


def support_of(flow: Flow) -> Any:
    """The constraint: intervals, half-lines with a lower or an upper bound, or R^n, which stands for mixed ones, too."""
    last = layers_of(flow.bijection)[-1]
    if not isinstance(last, Support):
        return constraints.real_vector
    low, high = (np.broadcast_to(np.asarray(part), last.shape) for part in (last.low, last.high))
    if np.isfinite([low, high]).all():
        return constraints.independent(constraints.interval(low, high), 1)
    if np.isfinite(low).all() and np.isinf(high).all():
        return constraints.independent(constraints.greater_than(low), 1)
    if np.isfinite(high).all() and np.isinf(low).all():
        return constraints.independent(constraints.less_than(high), 1)
    return constraints.real_vector
