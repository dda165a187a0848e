"""A figure with its kind, so that a bound is never taken for a likelihood."""

from typing import Literal, TypeAlias

import equinox as eqx

from shoal._types import Array, Float

Kind: TypeAlias = Literal["exact", "lower_bound", "estimate"]


class Estimate(eqx.Module):
    """`value` of shape (...), and its `kind`.

    "lower_bound": its expectation over the noise lies below the figure; "estimate": it tends to the figure with more samples.
    """

    value: Float[Array, "..."]
    kind: Kind = eqx.field(static=True)
