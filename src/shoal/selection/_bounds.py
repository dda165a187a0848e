"""Numbers that keep to an interval, or to a circle, as numbers of the whole line, on which flows are trained; and back."""

import jax
import jax.numpy as jnp
import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import Array
from shoal.bijections import Support
from shoal.conditioning import compute
from shoal.distributions import MOST_TURNS, Turns
from shoal.tables import Table


def turns_of(table: Table) -> Turns | None:
    """The periodic ones among the table's numbers. **Raises:** `InputError` for too many of them."""
    columns = () if table.schema is None else table.schema.continuous
    periods = tuple(c.period or 0.0 for c in columns)
    if sum(p > 0 for p in periods) > MOST_TURNS:
        raise InputError(f"{table.source}: at most {MOST_TURNS} periodic columns are modelled together.")
    return Turns(periods, tuple(c.center for c in columns)) if any(periods) else None


def support_of(table: Table) -> Support | None:
    """The intervals that the table's numbers keep to."""
    bounds = [] if table.schema is None else [c.support for c in table.schema.continuous]
    if all(np.isinf(ends).all() for ends in bounds):
        return None
    low, high = zip(*bounds, strict=True)
    return Support(len(bounds), low=low, high=high)


def unbounded(
    whole: FloatArray,
    table: Table,
    turns: Turns | None,
    support: Support | None,
    seed: np.random.SeedSequence,
) -> tuple[FloatArray, FloatArray | None]:
    """Numbers without bounds in place of those that keep to an interval, and what log p of the latter has beyond.

    A periodic number goes to one of its two places, at u with probability cos^2 of a quarter turn times (u - center) / P,
    which tends to 0 at the ends of both turns: log p(x) >= E[log p(u) - log of that].
    """
    if support is None and turns is None:
        return whole, None
    k = len(table.names)
    x, extra, rng = whole[:, :k].copy(), np.zeros(len(whole)), np.random.default_rng(seed)
    present = np.ones(x.shape, bool) if table.present is None else table.present
    circles = [] if turns is None else list(zip(turns.periods, turns.centers, strict=True))
    for j, (period, center) in enumerate(circles):
        if period > 0:
            x[:, j], share = _placed(x[:, j], period, center, rng)
            extra -= np.where(present[:, j], np.log(share), 0.0)
    if support is None:
        return np.hstack([x, whole[:, k:]]), extra
    inside = [np.median(x[there, j]) if there.any() else np.nan for j, there in enumerate(present.T)]
    x = np.where(present, x, inside)  # in cells that are not looked at
    z, log_slopes = (np.asarray(part) for part in compute(_inverse, support, x, precision="float64"))
    extra -= np.where(present, log_slopes, 0.0).sum(axis=1)
    return np.hstack([z, whole[:, k:]]), extra


def _placed(
    x: FloatArray, period: float, center: float, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """One of the two places of each periodic number, and its probability."""
    away = np.mod(x - center + 0.5 * period, period) - 0.5 * period
    near = np.cos(0.5 * np.pi * away / period) ** 2
    far = rng.random(len(x)) > near
    return center + np.where(far, away - np.copysign(period, away), away), np.where(far, 1.0 - near, near)


def _inverse(support: Support, x: Array) -> tuple[Array, Array]:
    z = jax.vmap(support.inverse)(x)
    return z, jax.vmap(support.log_slopes)(z)


def bounded(z: FloatArray, table: Table, support: Support | None) -> FloatArray:
    """Numbers in the table's units from those without bounds; angles as the table writes them."""
    if support is not None:
        z = np.asarray(compute(_forward, support, jnp.asarray(z), precision="float64"))
    return z if table.schema is None else table.schema.turned(z)


def _forward(support: Support, z: Array) -> Array:
    return jax.vmap(support.forward)(z)
