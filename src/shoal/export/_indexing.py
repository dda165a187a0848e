"""Products, gathers and slices at constant places as ONNX: more rules, in the form of `_rules`."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from shoal._errors import InputError
from shoal.export._graph import Graph, Value, Var
from shoal.export._rules import RULES as RULES
from shoal.export._rules import moved, reshaped, rule, transposed


@rule("dot_general")
def _product(graph: Graph, inputs: list[Value], shape: tuple[int, ...], dtype: Any, more: Any) -> Value:
    """Both sides as (batch, free, summed) and (batch, summed, free); a constant left side is put to the right."""
    (left_axes, right_axes), (left_batch, right_batch) = more["dimension_numbers"]
    left, right = inputs
    if not isinstance(left, Var):
        made = _two_sided(graph, (right, right_axes, right_batch), (left, left_axes, left_batch))
        b, m = len(left_batch), left.ndim - len(left_axes) - len(left_batch)
        rest = len(shape) - b - m  # the free axes of the tensor, which come first here and last in the result
        order = (*range(b), *range(b + rest, len(shape)), *range(b, b + rest))
        return transposed(graph, made, order)
    return _two_sided(graph, (left, left_axes, left_batch), (right, right_axes, right_batch))


def _two_sided(graph: Graph, first: tuple[Value, Any, Any], second: tuple[Value, Any, Any]) -> Value:
    (x, x_sum, x_batch), (y, y_sum, y_batch) = first, second
    x_free = [i for i in range(len(x.shape)) if i not in {*x_sum, *x_batch}]
    y_free = [i for i in range(len(y.shape)) if i not in {*y_sum, *y_batch}]
    size = lambda v, axes: math.prod(v.shape[i] for i in axes)
    k, batch = size(x, x_sum), [x.shape[i] for i in x_batch]
    rows = [size(x, x_free)] if x_free or batch or isinstance(y, Var) else []
    a = reshaped(graph, transposed(graph, x, (*x_batch, *x_free, *x_sum)), (*batch, *rows, k))
    b = reshaped(graph, transposed(graph, y, (*y_batch, *y_sum, *y_free)), (*batch, k, size(y, y_free)))
    assert isinstance(a, Var)
    shape = (*batch, *(x.shape[i] for i in x_free), *(y.shape[i] for i in y_free))
    if not isinstance(b, Var):
        return reshaped(graph, graph.times(a, b), shape)
    return reshaped(graph, graph.add("MatMul", a, b, shape=(*a.shape[:-1], b.shape[-1])), shape)


@rule("gather")
def _gather(graph: Graph, inputs: list[Value], shape: tuple[int, ...], dtype: Any, more: Any) -> Value:
    x, places = inputs
    if isinstance(x, Var):
        if isinstance(places, Var):
            raise InputError("The flow looks up a place that depends on the row in an array that does, too.")
        return moved(
            graph, x, _sources(x.shape, lambda at: lax.gather_p.bind(at, jnp.asarray(places), **more))
        )
    assert isinstance(places, Var)
    return _looked_up(graph, x, places, shape, more)


def _looked_up(graph: Graph, table: np.ndarray, places: Var, shape: tuple[int, ...], more: Any) -> Value:
    """Single entries of a constant array at places that depend on the row."""
    if any(size != 1 for size in more["slice_sizes"]):
        raise InputError("The flow looks up whole slices at places that depend on the row.")
    numbers, kept = more["dimension_numbers"], places.shape[:-1]
    strides = [math.prod(table.shape[i + 1 :]) for i in range(table.ndim)]
    whole = lambda v: np.asarray(v, np.int64)
    flat: Value = np.zeros((1,) * len(kept), np.int64)
    for axis, at in zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True):
        along = [-1 if i == at else 1 for i in range(len(kept))]
        flat = flat + strides[axis] * np.arange(table.shape[axis]).reshape(along)
    for k, axis in enumerate(numbers.start_index_map):
        one = graph.add("Gather", places, whole(k), shape=kept, axis=len(kept) + 1)
        one = graph.add("Max", one, whole(0), shape=kept)
        one = graph.add("Min", one, whole(table.shape[axis] - 1), shape=kept)
        scaled = one if strides[axis] == 1 else graph.add("Mul", one, whole(strides[axis]), shape=kept)
        flat = graph.add("Add", scaled, flat, shape=kept)
    found = graph.add("Gather", table.reshape(-1), flat, shape=kept, dtype=table.dtype, axis=0)
    return reshaped(graph, found, shape)


@rule("dynamic_slice")
def _part(graph: Graph, inputs: list[Value], shape: tuple[int, ...], dtype: Any, more: Any) -> Value:
    x, *places = inputs
    if not isinstance(x, Var) or any(isinstance(place, Var) for place in places):
        raise InputError("The flow takes a slice at a place that depends on the row.")
    starts = [jnp.asarray(place) for place in places]
    return moved(graph, x, _sources(x.shape, lambda at: lax.dynamic_slice_p.bind(at, *starts, **more)))


@rule("dynamic_update_slice")
def _updated(graph: Graph, inputs: list[Value], shape: tuple[int, ...], dtype: Any, more: Any) -> Value:
    x, new, *places = inputs
    return _merged(
        graph,
        x,
        new,
        places,
        lambda at, change, *to: lax.dynamic_update_slice_p.bind(at, change, *to, **more),
    )


@rule("scatter")
def _scattered(graph: Graph, inputs: list[Value], shape: tuple[int, ...], dtype: Any, more: Any) -> Value:
    x, places, new = inputs
    return _merged(graph, x, new, [places], lambda at, change, to: lax.scatter_p.bind(at, to, change, **more))


def _merged(graph: Graph, x: Value, new: Value, places: list[Value], put: Any) -> Value:
    """x with the entries of `new` at constant places, where `put` puts them."""
    if any(isinstance(place, Var) for place in places):
        raise InputError("The flow changes entries at a place that depends on the row.")
    sizes = [math.prod(part.shape) for part in (x, new)]
    flat = [reshaped(graph, v, (n,)) for v, n in zip((x, new), sizes, strict=True)]
    tensors = [v if isinstance(v, Var) else graph.with_batch(v) for v in flat]
    both = graph.add("Concat", *tensors, shape=(sum(sizes),), axis=1)
    change = jnp.arange(sizes[0], sum(sizes)).reshape(new.shape)
    at = [jnp.asarray(place) for place in places]
    return moved(graph, both, _sources(x.shape, lambda one: put(one, change, *at)))


def _sources(shape: tuple[int, ...], move: Any) -> np.ndarray:
    """Which entry of an array, counted flat, stands where after a primitive that only moves entries."""
    found = np.asarray(move(jnp.arange(math.prod(shape)).reshape(shape)))
    if found.size and found.min() < 0:
        raise InputError("The flow reads beyond the end of an array, which no ONNX graph of Shoal holds.")
    return found
