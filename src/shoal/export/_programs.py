"""The three functions of a flow that leave Shoal, each of one row: log p, data to latent, and noise to data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import Array, Float
from shoal.distributions import (
    AbstractDistribution,
    DiagonalNormal,
    Flow,
    GaussianMixture,
    Mixed,
    Mixture,
    Padded,
    StandardNormal,
)


@dataclass(frozen=True)
class Program:
    """A function of one row of each input, which are named with their lengths, and the name of its output."""

    name: str
    function: Callable[..., Any]
    inputs: Mapping[str, int]
    output: str


def checked(flow: object) -> Flow:
    """The flow. **Raises:** `InputError`, one sentence, for what has no density in closed form."""
    if isinstance(flow, Mixed):
        what = "periodic columns" if flow.mass is None else "columns of words, counts or missing cells"
        raise InputError(
            f"This model is a law of whole rows with {what}, which a graph of numbers can not express; fit the other "
            "columns alone, or use `shoal score` and `shoal sample`."
        )
    if isinstance(flow, Padded):
        raise InputError(
            "This model adds random coordinates to the data, so that its log p is an estimate by draws, which a graph can "
            "not express; fit a family without padding."
        )
    if not isinstance(flow, Flow):
        raise InputError(f"Only a `Flow` is exported; got {type(flow).__name__}.")
    return flow


def in_float64(flow: Flow) -> Flow:
    """The same numbers as float64; call it where float64 is on."""
    return jax.tree.map(lambda a: a.astype(jnp.float64) if eqx.is_inexact_array(a) else a, flow)


def programs(flow: Flow) -> tuple[Program, ...]:
    """log_prob, inverse and sample of a flow; those of a conditional one take the context beside.

    `sample` takes standard normal numbers and, where the base is a mixture, one uniform number more, which chooses the
    component; the latent of a standard normal base is the normal numbers themselves.
    """
    (n,), base, f = flow.shape, flow.base, flow.bijection
    context = {} if flow.context_shape is None else {"context": flow.context_shape[0]}
    _, more = draw_of(base)
    sampling = {"normal": n, **({"uniform": 1} if more else {}), **context}

    def sample(normal: Array, *rest: Array) -> Array:
        c = rest[-1] if context else None
        return f.forward(latent(base, normal, rest[0] if more else None, c), c)

    return (
        Program("log_prob", lambda x, c=None: flow.log_prob_one(x, c), {"x": n, **context}, "log_prob"),
        Program("inverse", lambda x, c=None: f.inverse(x, c), {"x": n, **context}, "z"),
        Program("sample", sample, sampling, "x"),
    )


def draw_of(base: AbstractDistribution) -> tuple[str, bool]:
    """The kind of base, and whether a draw of it takes a uniform number. **Raises:** `InputError` for another base."""
    if isinstance(base, StandardNormal | DiagonalNormal):
        return "normal", False
    if isinstance(base, Mixture | GaussianMixture):
        return "mixture", True
    raise InputError(f"A flow on the base {type(base).__name__} is not exported.")


def latent(
    base: AbstractDistribution,
    normal: Float[Array, "n"],
    uniform: Float[Array, "1"] | None,
    context: Float[Array, "c"] | None,
) -> Float[Array, "n"]:
    """A draw of the base made of standard normal numbers and one uniform number."""
    if isinstance(base, DiagonalNormal):
        return base.mean + jnp.exp(base.log_scale) * normal
    if not isinstance(base, Mixture | GaussianMixture) or uniform is None:
        return normal
    if isinstance(base, GaussianMixture):
        spread = _inverse_factors(base)
        each = base.means + jnp.sum(spread * normal[None, None, :], axis=2)
        logs = base.log_weights(context)
    else:
        each = base.means + jnp.exp(base.log_scales) * normal[None, :]
        logs = jax.nn.log_softmax(base.logits)
    ends = jnp.cumsum(jnp.exp(logs))[:-1]
    past = uniform[0] >= ends
    yes = jnp.ones((1,), bool)
    hot = jnp.concatenate([yes, past]) & ~jnp.concatenate([past, ~yes])
    return jnp.sum(jnp.where(hot[:, None], each, 0.0), axis=0)


def latents(flow: Flow, inputs: Mapping[str, FloatArray]) -> FloatArray:
    """The latents, in float64, that `sample` makes of its inputs (rows, ...)."""
    with jax.enable_x64(True):
        base = in_float64(flow).base
        parts = [inputs.get(name) for name in ("normal", "uniform", "context")]
        rows = (None if part is None else jnp.asarray(part, jnp.float64) for part in parts)
        return np.asarray(jax.vmap(lambda *one: latent(base, *one))(*rows))


def _inverse_factors(base: GaussianMixture) -> Float[Array, "k n n"]:
    """P_k^{-T}."""
    eye = jnp.eye(base.shape[0], dtype=base.means.dtype)
    factors = jnp.triu(base.uppers, 1) + jnp.exp(base.log_diagonals)[:, None, :] * eye
    solve = lambda p: jax.scipy.linalg.solve_triangular(p, eye, lower=False, trans=1)
    return jax.vmap(solve)(factors)
