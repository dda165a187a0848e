"""A conditioner that is written down: a one-hidden-layer ReLU network of one linear functional, evaluated by its knots.

y(x) = (constant, values interpolated linearly at u = <direction, x> between ascending knots, and constant outside).
As a ReLU network: y = values[0] + sum_j (slope_j - slope_{j-1}) relu(u - knot_j); see `as_relu`. The interpolation has
none of that sum's cancellation and costs log K instead of K: it is how constructions with 10^5 units are evaluated.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from shoal._errors import InputError
from shoal._types import Array, Context, Float, Vector
from shoal.bijections.conditioners._dense import AbstractConditioner


class ReLUNetwork(NamedTuple):
    """y = offset + last @ relu(weight @ x + bias): (K, i), (K,), (o, K), (o,)."""

    weight: np.ndarray
    bias: np.ndarray
    last: np.ndarray
    offset: np.ndarray


class KnotConditioner(AbstractConditioner):
    """y = (constant, interp(<direction, x>)).

    **Arguments:** `direction`: (i,); `knots`: (K,), strictly ascending, K >= 1; `values`: (K, o), the outputs at the knots;
    `constant`: (c,), outputs that do not depend on x, put in front (log-scales of a coupling, say), default none.
    Between two knots of equal values the output is exactly that value. Takes no context.
    Training moves all four; knots that change places make the function another one, so constructions are best kept as
    they are.
    **Raises:** InputError for shapes that do not fit and for knots that do not ascend.
    """

    direction: Float[Array, "i"]
    knots: Float[Array, "k"]
    values: Float[Array, "k o"]
    constant: Float[Array, "c"]

    def __init__(
        self,
        direction: Float[Array, "i"],
        knots: Float[Array, "k"],
        values: Float[Array, "k o"],
        constant: Float[Array, "c"] | None = None,
    ):
        self.direction, self.knots, self.values = direction, knots, values
        self.constant = jnp.zeros(0, values.dtype) if constant is None else constant

    def __check_init__(self) -> None:
        knots, values = np.asarray(self.knots), self.values
        if knots.ndim != 1 or len(knots) < 1 or values.ndim != 2 or len(values) != len(knots):
            raise InputError(
                f"`KnotConditioner` needs (K,) knots and (K, o) values, K >= 1; got {knots.shape} and {values.shape}."
            )
        if not (np.diff(knots) > 0).all():
            raise InputError("`KnotConditioner(knots=...)` must ascend strictly, in their own dtype.")

    @property
    def inputs(self) -> int:
        """The length of `direction`."""
        return self.direction.shape[-1]

    @property
    def outputs(self) -> int:
        """The constants and the interpolated outputs."""
        return self.constant.shape[-1] + self.values.shape[-1]

    @property
    def context(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """0: it takes none."""
        return 0

    def __call__(self, x: Vector, context: Context = None) -> Float[Array, "o"]:
        """The outputs for one vector; NaN where x is NaN."""
        u = jnp.sum(self.direction * x)
        last = self.knots.shape[0] - 1
        right = jnp.clip(jnp.searchsorted(self.knots, u, side="right"), 0, last)
        left = jnp.maximum(right - 1, 0)
        low, high = self.knots[left], self.knots[right]
        gap = jnp.where(high > low, high - low, jnp.ones_like(low))
        part = jnp.clip((u - low) / gap, 0.0, 1.0)
        start, end = self.values[left], self.values[right]
        return jnp.concatenate([self.constant.astype(start.dtype), start + part * (end - start)])

    def as_relu(self) -> ReLUNetwork:
        """The same function as the weights of a dense one-hidden-layer ReLU network, in float64.

        K hidden units relu(<direction, x> - knot_j); the last weights are the changes of slope at the knots, of which
        the first begins and the last ends the slope. `constant` is part of `offset`.
        """
        knots, values = np.asarray(self.knots, np.float64), np.asarray(self.values, np.float64)
        slopes = np.diff(values, axis=0) / np.diff(knots)[:, None]
        ends = np.zeros((1, values.shape[1]))
        changes = np.diff(np.concatenate([ends, slopes, ends]), axis=0)
        constant = np.asarray(self.constant, np.float64)
        last = np.concatenate([np.zeros((len(constant), len(knots))), changes.T])
        weight = np.tile(np.asarray(self.direction, np.float64), (len(knots), 1))
        return ReLUNetwork(weight, -knots, last, np.concatenate([constant, values[0]]))
