"""What constructors guarantee, checked for a flow that was read without running them.

Shapes are checked by evaluating log_prob and sampling abstractly (no numbers are computed); index arrays, sizes and
names, which shapes do not show, one class at a time.
"""

from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal.bijections import (
    ArrayPartition,
    KnotConditioner,
    Partition,
    Permutation,
    Scan,
    SoftBoundedScale,
    Standardize,
    StandardizedContext,
)
from shoal.distributions import (
    MOST_TURNS,
    AbstractFlow,
    Categorical,
    Dequantized,
    Filling,
    Flow,
    Mixed,
    Padded,
    Turns,
)
from shoal.flows._tree import one_line
from shoal.records import damaged


def check_flow(flow: AbstractFlow | Dequantized | Mixed, file: Path) -> None:
    """**Raises:** `InputError`, naming `file`, unless the parts of the flow fit together."""
    for module, stacked in _modules(flow, 0):
        holds = _LAWS.get(type(module))
        if holds is None:
            continue
        try:
            whole = holds(module, stacked)
        except Exception as error:
            raise damaged(
                file, f"its {type(module).__name__} has fields of the wrong kind ({one_line(error)})"
            ) from error
        if not whole:
            raise damaged(file, f"the sizes or values of its {type(module).__name__} contradict each other")
    try:
        shapes = eqx.filter_eval_shape(_evaluate, flow)
    except Exception as error:
        raise damaged(file, f"its parts do not fit together ({one_line(error)})") from error
    if shapes != ((), (2, *flow.shape), (2,)):
        raise damaged(file, f"log_prob and samples of the flow have shapes {shapes}")


def _evaluate(flow: AbstractFlow | Dequantized | Mixed) -> Any:
    x = jnp.zeros(flow.shape, flow.dtype)
    c = None if flow.context_shape is None else jnp.zeros((2, *flow.context_shape), flow.dtype)
    log_prob = flow.log_prob_one(x, None if c is None else c[0])
    samples, density = flow.sample_rows(jr.key(0), 2, c)
    return log_prob.shape, samples.shape, density.shape


def _modules(value: Any, stacked: int) -> Iterator[tuple[eqx.Module, int]]:
    """Every module, with the number of leading axes that the `Scan`s around it give to its arrays."""
    if isinstance(value, eqx.Module):
        yield value, stacked
        for field in fields(value):
            yield from _modules(getattr(value, field.name), stacked + isinstance(value, Scan))
    elif isinstance(value, tuple):
        for part in value:
            yield from _modules(part, stacked)


def _flow(flow: Flow, stacked: int) -> bool:
    contexts = {flow.base.context_shape, flow.bijection.context_shape} - {None}
    return _named(flow) and flow.base.shape == flow.shape and contexts == {flow.context_shape} - {None}


def _padded(padded: Padded, stacked: int) -> bool:
    (m,) = padded.shape
    fits = m >= 1 and padded.joint.shape == (m + padded.padding.size,)
    return _named(padded) and fits and padded.context_shape == padded.joint.context_shape


def _named(flow: AbstractFlow) -> bool:
    (n,), (c,) = flow.shape, flow.context_shape or (0,)
    both = ((flow.columns, n), (flow.context_columns, c))
    return all(names is None or _names(names, count) for names, count in both)


def _dequantized(made: Dequantized, stacked: int) -> bool:
    return made.levels >= 2 and made.shape == made.density.shape


def _names(names: Any, count: int) -> bool:
    return isinstance(names, tuple) and len(names) == count and all(isinstance(n, str) for n in names)


def _scan(scan: Scan, stacked: int) -> bool:
    arrays = jax.tree.leaves(eqx.filter(scan.unit, eqx.is_array))
    return 1 <= scan.unroll <= scan.length and all(a.shape[stacked] == scan.length for a in arrays)


def _partition(p: Partition, stacked: int) -> bool:
    return len(p.kept) == p.kept_size


def _array_partition(p: ArrayPartition, stacked: int) -> bool:
    both = np.concatenate([p.kept, p.moved], axis=-1)
    return (
        p.kept.shape[-1] == p.kept_size and p.order.shape[-1] == p.dim and _inverse(both, np.asarray(p.order))
    )


def _permutation(p: Permutation, stacked: int) -> bool:
    return _inverse(np.asarray(p.order), np.asarray(p.inverse_order))


def _inverse(order: np.ndarray, inverse: np.ndarray) -> bool:
    """The last axes of both are permutations, inverse to each other (leading axes: the repetitions of a `Scan`)."""
    index = np.broadcast_to(np.arange(order.shape[-1]), order.shape)
    if order.shape != inverse.shape or not np.array_equal(np.sort(order, axis=-1), index):
        return False
    return np.array_equal(np.take_along_axis(order, inverse, axis=-1), index)


def _knots(net: KnotConditioner, stacked: int) -> bool:
    knots = np.asarray(net.knots)
    fits = net.values.shape[:-1] == knots.shape and net.constant.ndim == net.direction.ndim == stacked + 1
    return fits and knots.shape[-1] >= 1 and bool((np.diff(knots, axis=-1) > 0).all())


_LAWS: dict[type, Callable[[Any, int], bool]] = {
    Flow: _flow,
    Padded: _padded,
    Dequantized: _dequantized,
    Categorical: lambda c, _: (
        c.shape == (len(c.sizes),) and c.bias.shape == (sum(c.sizes),) and c.smoothing.shape == c.shape
    ),
    Filling: lambda f, _: f.curves.shape == f.mean.shape == f.scale.shape == (len(f.gates),),
    Turns: lambda t, _: len(t.periods) == len(t.centers) and sum(p > 0 for p in t.periods) <= MOST_TURNS,
    Scan: _scan,
    Partition: _partition,
    ArrayPartition: _array_partition,
    Permutation: _permutation,
    KnotConditioner: _knots,
    Standardize: lambda s, _: bool(np.all(np.asarray(s.scale) > 0)),
    StandardizedContext: lambda s, _: bool(np.all(np.asarray(s.scale) > 0)),
    SoftBoundedScale: lambda s, _: 0 < s.bound < float("inf") and s.range == (-s.bound, s.bound),
}
