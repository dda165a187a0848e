"""A flow: the image of a base distribution under a bijection."""

import equinox as eqx
import jax
import numpy as np

from shoal._types import Array, ArrayLike, Context, ContextBatch, Float, Key, Scalar, Vector
from shoal.bijections import AbstractBijection
from shoal.conditioning import JaxMap, from_bijection
from shoal.distributions._base import AbstractDistribution, given_context
from shoal.distributions._inputs import as_array


class Flow(AbstractDistribution):
    """x = f(z), z ~ base: log p(x) = log base(f^{-1}(x)) + log|det df^{-1}/dx|.

    **Arguments:** `base`: the latent distribution; `bijection`: f, latent -> data; `columns`, `context_columns`:
    names of the data's and the context's columns, by which tables are read.
    Direction: `forward` = `to_data` is z -> x, `inverse` = `to_latent` is x -> z.
    """

    base: AbstractDistribution
    bijection: AbstractBijection
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)
    columns: tuple[str, ...] | None = eqx.field(static=True)
    context_columns: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        base: AbstractDistribution,
        bijection: AbstractBijection,
        *,
        columns: tuple[str, ...] | None = None,
        context_columns: tuple[str, ...] | None = None,
    ):
        if base.shape != bijection.shape:
            raise ValueError(f"`Flow`: base has shape {base.shape}, bijection {bijection.shape}.")
        if base.context_shape is not None:
            raise ValueError("`Flow`: the base must not need a context; give the context to the bijection.")
        if columns is not None and len(columns) != base.shape[0]:
            raise ValueError(f"`Flow`: {len(columns)} column names for {base.shape[0]} coordinates.")
        context_shape = bijection.context_shape
        if context_columns is not None and (len(context_columns),) != (context_shape or (0,)):
            raise ValueError(
                f"`Flow`: {len(context_columns)} context columns for a context of shape {context_shape}."
            )
        self.base, self.bijection = base, bijection
        self.shape, self.context_shape = base.shape, context_shape
        self.columns = None if columns is None else tuple(columns)
        self.context_columns = None if context_columns is None else tuple(context_columns)

    def log_prob_one(self, x: Vector, context: Context = None) -> Scalar:
        """log p(x | c) of one vector."""
        z, log_det = self.bijection.inverse_and_log_det(x, context)
        return self.base.log_prob_one(z, None) + log_det

    def sample_rows(
        self, key: Key, rows: int, context: ContextBatch = None
    ) -> tuple[Float[Array, "rows n"], Float[Array, "rows"]]:
        """Samples and their log_prob, in one pass through the bijection."""
        z, log_base = self.base.sample_rows(key, rows, None)
        axes = (0, None if context is None else 0)
        x, log_det = jax.vmap(self.bijection.forward_and_log_det, in_axes=axes)(z.astype(self.dtype), context)
        return x, log_base.astype(x.dtype) - log_det

    def to_map(self) -> JaxMap:
        """The bijection with its layers, as `shoal.conditioning` measures it."""
        return from_bijection(self.bijection)

    def forward(self, z: ArrayLike, context: ArrayLike | None = None) -> Float[Array, "... n"]:
        """x = f(z), latent -> data, for any leading batch shape."""
        z = as_array(z, None, self.shape[0], self.dtype, "z")
        return _transform(self, z, given_context(self, context, z.shape[:-1]), True)

    def inverse(self, x: ArrayLike, context: ArrayLike | None = None) -> Float[Array, "... n"]:
        """z = f^{-1}(x), data -> latent, for any leading batch shape."""
        x = as_array(x, self.columns, self.shape[0], self.dtype, "x")
        return _transform(self, x, given_context(self, context, x.shape[:-1]), False)

    def to_data(self, z: ArrayLike, context: ArrayLike | None = None) -> Float[Array, "... n"]:
        """The same as `forward`: latent -> data."""
        return self.forward(z, context)

    def to_latent(self, x: ArrayLike, context: ArrayLike | None = None) -> Float[Array, "... n"]:
        """The same as `inverse`: data -> latent."""
        return self.inverse(x, context)


@eqx.filter_jit
def _transform(flow: Flow, v: Array, context: Array | None, forward: bool) -> Array:
    batch = v.shape[:-1]
    v = v.reshape((int(np.prod(batch)), *flow.shape))
    c = None if context is None else context.reshape((v.shape[0], context.shape[-1]))
    function = flow.bijection.forward if forward else flow.bijection.inverse
    out = jax.vmap(function, in_axes=(0, None if c is None else 0))(v, c)
    return out.reshape(batch + flow.shape)
