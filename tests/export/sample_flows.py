"""Tiny flows at large random parameters, one for each kind of layer that leaves Shoal."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal import flows
from shoal.bijections import (
    ActNorm,
    Chain,
    DenseLinear,
    Inverse,
    LogTails,
    LULinear,
    OnPart,
    Partition,
    Permutation,
    SignFlip,
    Standardize,
    StandardizedContext,
    Support,
    Whitening,
    marginals,
)
from shoal.distributions import Flow, GaussianMixture, StandardNormal

DIM = 3


def moved(flow: Any, size: float = 0.4) -> Any:
    """Every float that is trained moved by normal draws of that size."""
    leaves, tree = jax.tree.flatten(flow)
    rng = np.random.default_rng(5)
    new = [
        leaf + jnp.asarray(size * rng.normal(size=leaf.shape), leaf.dtype)
        if eqx.is_inexact_array(leaf)
        else leaf
        for leaf in leaves
    ]
    return jax.tree.unflatten(tree, new)


def of_family(name: str, **settings: object) -> Flow:
    return moved(getattr(flows, name)(jr.key(0), DIM, 2, hidden=(5,), **settings))


def behind_fronts() -> Flow:
    """Couplings on a mixture, behind whitening, tails, marginals and units: what a ladder may deliver, and more."""
    rng = np.random.default_rng(1)
    inner = moved(flows.realnvp(jr.key(0), DIM, 2, hidden=(5,)), 0.2).bijection
    rows = rng.uniform(-1.5, 1.5, size=(200, DIM)) ** 3
    curves = marginals(rows, None)
    curves = eqx.tree_at(
        lambda m: (m.free_heights, m.free_slopes, m.raw_tails),
        curves,
        replace_fn=lambda a: a + jnp.asarray(0.3 * rng.normal(size=a.shape), a.dtype),
    )
    white = moved(Whitening(jnp.zeros(DIM), jnp.zeros((DIM, DIM)), jnp.zeros(DIM)), 0.2)
    tails = moved(LogTails(DIM, start=2.0), 0.1)
    units = Standardize(jnp.array([1.0, -2.0, 0.3]), jnp.array([0.5, 0.3, 0.2]))
    factors = jnp.asarray(rng.normal(size=(2, DIM, DIM)), jnp.float32)
    base = GaussianMixture(jnp.array([0.3, -0.2]), factors[:, 0], factors, factors[:, 1] * 0.3)
    parts: Any = [inner, tails, white, curves, units]
    return Flow(base, Chain(parts), columns=("a", "b", "c"))


def bounded() -> Flow:
    """Columns on an interval, on half-lines either way."""
    inner = moved(flows.realnvp(jr.key(0), DIM, 2, hidden=(5,)), 0.2)
    units = Standardize(jnp.array([0.5, -1.0, 0.3]), jnp.array([0.5, 0.3, 0.2]))
    bounds = Support(DIM, low=(-np.inf, -3.0, 0.0), high=(1.0, np.inf, 90.0), alpha=0.0)
    return Flow(inner.base, Chain([inner.bijection, units, bounds]), columns=("a", "b", "c"))


def of_linear_layers() -> Flow:
    """Matrices, permutations, signs, a part, and an inverse."""
    keys = jr.split(jr.key(2), 4)
    part = OnPart(DenseLinear(2, key=keys[0]), Partition(DIM, (1,)))
    layers = [
        ActNorm(DIM),
        DenseLinear(DIM, key=keys[1]),
        part,
        Permutation([2, 0, 1]),
        Inverse(LULinear(DIM, spread=0.3, key=keys[2])),
        SignFlip(DIM, (0, 2)),
        LULinear(DIM, spread=0.3, key=keys[3]),
    ]
    return moved(Flow(StandardNormal(DIM), Chain(layers)), 0.2)


def conditional() -> Flow:
    """Autoregressive splines with a context in units of its own."""
    inner = of_family("nsf", context_dim=2, bins=4)
    body = StandardizedContext(inner.bijection, jnp.array([10.0, -1.0]), jnp.array([3.0, 0.1]))
    return Flow(inner.base, body, context_columns=("s", "t"))


def context_rows(count: int) -> np.ndarray:
    return np.random.default_rng(9).normal(size=(count, 2)) * [3.0, 0.1] + [10.0, -1.0]


FLOWS: dict[str, Callable[[], Flow]] = {
    "additive": lambda: of_family("nice"),
    "affine": lambda: of_family("realnvp", activation="silu"),
    "coupling splines": lambda: of_family("spline", bins=4),
    "autoregressive affine": lambda: of_family("maf", activation="relu"),
    "inverse autoregressive": lambda: of_family("iaf", activation="gelu"),
    "autoregressive splines": lambda: of_family("nsf", bins=16),
    "fronts": behind_fronts,
    "bounds": bounded,
    "linear": of_linear_layers,
    "conditional": conditional,
}
