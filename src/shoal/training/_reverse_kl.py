r"""The loss of a flow q that is to sample a known density p: reverse Kullback-Leibler divergence, by its path gradient.

$KL(q | p/Z) = E_z[\log q(f(z)) - \log p(f(z))] + \log Z$, z drawn from the base. The gradient in the weights goes through
the points f(z) only, not through the weights in log q: the term that is left out has expectation zero, and without it
the gradient of a flow that is p vanishes draw by draw ("sticking the landing": Roeder, Wu, Duvenaud 2017; for flows:
Vaitl, Nicoli, Nakajima, Kessel 2022). Annealing: log p is multiplied by β, which rises to 1 while the weights move.
"""

from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp

from shoal._types import Array, Float, Key, Scalar, Vector
from shoal.distributions import AbstractFlow

RISING = 0.5  # of the progress: what β takes to reach 1


@dataclass(frozen=True)
class ReverseKL:
    """`log_density(x)` of one vector, log p up to a constant; `coldest`: β at the start, 1 for no annealing."""

    log_density: Callable[[Vector], Scalar]
    coldest: float = 1.0

    def beta(self, progress: Array) -> Array:
        """β at this share of the planned steps: linear from `coldest` to 1 over the first half, and 1 from there on."""
        return jnp.minimum(self.coldest + (1.0 - self.coldest) * progress / RISING, 1.0)

    def draws(self, flow: AbstractFlow, key: Key, rows: int) -> Float[Array, "rows n"]:
        """Latents, from the base."""
        return flow.joint.base.sample_rows(key, rows, None)[0].astype(flow.dtype)

    def value(self, flow: AbstractFlow, z: Float[Array, "rows n"], beta: Array) -> Scalar:
        """Mean of log q - β log p at f(z); its derivative in the weights is the path gradient."""
        params, rest = eqx.partition(flow, eqx.is_inexact_array)
        held = eqx.combine(jax.lax.stop_gradient(params), rest)

        def one(latent: Vector) -> Scalar:
            x = flow.bijection.forward(latent)
            return held.log_prob_one(x, None) - beta.astype(x.dtype) * self.log_density(x).astype(x.dtype)

        return jnp.mean(jax.vmap(one)(z))

    def weighted(
        self, flow: AbstractFlow, z: Float[Array, "rows n"]
    ) -> tuple[Float[Array, "rows n"], Float[Array, "rows"]]:
        """f(z), and log p - log q there: its mean is the evidence lower bound, at most log Z."""

        def one(latent: Vector) -> tuple[Vector, Scalar]:
            x, log_det = flow.bijection.forward_and_log_det(latent)
            log_q = flow.joint.base.log_prob_one(latent, None) - log_det
            return x, self.log_density(x).astype(x.dtype) - log_q

        return jax.vmap(one)(z)
