"""Flows and tables for the training tests: small, and of few shapes, so that little is compiled."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import msgspec
import numpy as np
import pytest

from shoal import flows
from shoal._types import Context, Float, Scalar, Vector
from shoal.bijections import AbstractBijection, Chain
from shoal.distributions import Flow, StandardNormal
from shoal.training import FitResult, Settings, _run
from shoal.training._step import advance

ROWS, VALIDATION = 640, 200
SHORT = Settings(batch_size=64, max_epochs=6, learning_rate=1e-2)


def short(**changes: Any) -> Settings:
    """`SHORT` with these changes."""
    return replace(SHORT, **changes)


def settled(settings: Settings = SHORT, **arguments: Any) -> dict[str, Any]:
    """Arguments of `fit`: those that are named as a field of `Settings` are put into `settings`."""
    names = {field.name for field in fields(Settings)}
    changes = {name: arguments.pop(name) for name in names & arguments.keys()}
    return {**arguments, "settings": replace(settings, **changes)}


def banana(rows: int, seed: int = 0) -> np.ndarray:
    """x0 ~ N(0, 1), x1 = x0^2 + N(0, 1)."""
    z = np.random.default_rng(seed).normal(size=(rows, 2))
    return np.stack([z[:, 0], z[:, 1] + z[:, 0] ** 2], axis=1).astype(np.float32)


TRAIN, VALID = banana(ROWS), banana(VALIDATION, seed=1)


def realnvp(seed: int = 0) -> Flow:
    return flows.realnvp(jax.random.key(seed), 2, 2, hidden=(8,))


class Fragile(AbstractBijection):
    """x = exp(a) z, whose inverse is NaN where |a| is above `limit` in some coordinate."""

    a: Float[jax.Array, "n"]
    limit: float = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, dim: int, limit: float):
        self.a, self.limit, self.shape, self.context_shape = jnp.zeros(dim), limit, (dim,), None

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        return z * jnp.exp(self.a), jnp.sum(self.a)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        z = jnp.where(jnp.abs(self.a) > self.limit, jnp.nan, x * jnp.exp(-self.a))
        return z, -jnp.sum(self.a)


class SquareRoot(AbstractBijection):
    """The identity, with |a|^(1/2) times 0 added: at a = 0 its values are finite, its gradient is not."""

    a: Float[jax.Array, ""]
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, dim: int):
        self.a, self.shape, self.context_shape = jnp.zeros(()), (dim,), None

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        return z, jnp.zeros((), z.dtype)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        return x + 0.0 * jnp.sqrt(jnp.abs(self.a)), jnp.zeros((), x.dtype)


def scales() -> Flow:
    """Two free scales and nothing else: compiles at once."""
    return chained(Fragile(2, 1e3))


def chained(*middle: AbstractBijection) -> Flow:
    """Standard normal, `middle`, and a free scale as the last layer."""
    return Flow(StandardNormal(2), Chain([*middle, Fragile(2, 1e3)]))


def fragile(limit: float = 0.3) -> Flow:
    """Layer 1 of 3 breaks when a step carries its scale too far; a smaller learning rate does not."""
    return chained(Fragile(2, 1e3), Fragile(2, limit))


def compilations() -> int:
    """How many step programs are compiled."""
    return advance.program()._cache_size()  # pyright: ignore[reportFunctionMemberAccess]


def weights_of(flow: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(eqx.filter(flow, eqx.is_inexact_array))]


def same_bits(a: FitResult, b: FitResult) -> bool:
    """Equal histories and first values (but for the seconds), rollbacks and weights, to the last bit."""
    curves = [[*r.history, *([] if r.first is None else [r.first])] for r in (a, b)]
    rows = [[msgspec.structs.replace(row, seconds=0.0) for row in curve] for curve in curves]
    weights = zip(weights_of(a.flow), weights_of(b.flow), strict=True)
    return (
        rows[0] == rows[1]
        and a.rollbacks == b.rollbacks
        and a.best_epoch == b.best_epoch
        and all(x.tobytes() == y.tobytes() for x, y in weights)
    )


@contextmanager
def chunks_of(lengths: Sequence[int]) -> Iterator[None]:
    """Within, compiled calls do these numbers of steps, in turn, instead of what the clock says."""
    calls = iter(range(10**9))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_run.Chunks, "next", lambda self, left: lengths[next(calls) % len(lengths)])
        yield
