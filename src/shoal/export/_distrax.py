"""A flow as a distrax distribution. Importing this module needs distrax."""

import distrax

from shoal._types import Array, ArrayLike, Key
from shoal.distributions import Flow


class FlowDistribution(distrax.Distribution):
    """The flow, given the context where it has one: batch shape that of the contexts, event shape (n,)."""

    def __init__(self, flow: Flow, context: Array | None = None):
        distrax.Distribution.__init__(self)
        self.flow, self.context = flow, context

    @property
    def event_shape(self) -> tuple[int, ...]:
        """(n,)."""
        return self.flow.shape

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """That of the contexts."""
        return () if self.context is None else self.context.shape[:-1]

    def log_prob(self, value: ArrayLike) -> Array:
        """log p, in nats."""
        return self.flow.log_prob(value, self.context)

    def _sample_n(self, key: Key, n: int) -> Array:
        return self.flow.sample(key, (n,), self.context)

    def _sample_n_and_log_prob(self, key: Key, n: int) -> tuple[Array, Array]:
        return self.flow.sample_and_log_prob(key, (n,), self.context)
