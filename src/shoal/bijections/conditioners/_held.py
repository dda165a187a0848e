"""A dense conditioner whose weight matrices act with spectral norms below a limit: spectral normalisation with a certified.

(Miyato et al. 2018 divide by a power iteration's estimate, which lies below the norm; the bounds here lie above it.)
"""

import math

import equinox as eqx

from shoal._types import Array, Context, Float, Vector
from shoal.bijections._spectral import AbstractSpectralBound, GramBound, held_below
from shoal.bijections.conditioners._base import AbstractConditioner
from shoal.bijections.conditioners._dense import DenseConditioner


class HeldConditioner(AbstractConditioner):
    """A `DenseConditioner` with every matrix W (`skip`, hidden weights, `last`) used as W min(1, limit / bound(W)).

    Then Lip <= limit + limit^k for k matrices of the net and an activation of slopes of at most 1 (tanh, ReLU), rounding
    included. The free weights are those of `conditioner`; a matrix below the limit is used as it is.
    **Raises:** ValueError for a limit that is not positive and finite.
    """

    conditioner: DenseConditioner
    norm: AbstractSpectralBound
    limit: float = eqx.field(static=True)

    def __init__(
        self, conditioner: DenseConditioner, limit: float = 1.0, *, norm: AbstractSpectralBound | None = None
    ):
        if not (math.isfinite(limit) and limit > 0):
            raise ValueError(f"`HeldConditioner(limit=...)` must be positive and finite; got {limit}.")
        self.conditioner, self.limit = conditioner, float(limit)
        self.norm = GramBound() if norm is None else norm

    @property
    def inputs(self) -> int:
        """Of the conditioner that is held."""
        return self.conditioner.inputs

    @property
    def outputs(self) -> int:
        """Of the conditioner that is held."""
        return self.conditioner.outputs

    @property
    def context(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of the conditioner that is held."""
        return self.conditioner.context

    @property
    def lipschitz(self) -> float:
        """limit + limit^k, an upper bound of the Lipschitz constant for activations of slopes of at most 1."""
        layers = len(self.conditioner.weights) + 1
        return self.limit + (self.limit**layers if layers > 1 else 0.0)

    def held(self) -> DenseConditioner:
        """The conditioner with the weights as they act."""
        where = lambda c: (c.skip, *c.weights, c.last)
        acting = tuple(held_below(w, self.limit, self.norm) for w in where(self.conditioner))
        return eqx.tree_at(where, self.conditioner, acting)

    def __call__(self, x: Vector, context: Context = None) -> Float[Array, "o"]:
        """The outputs for one vector."""
        return self.held()(x, context)
