"""What `audit` takes, as an `AbstractMap` and float64 rows; bad input gets one sentence."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import Array, ArrayLike
from shoal.bijections import AbstractBijection
from shoal.conditioning._jax_map import Pair, from_bijection, from_callables
from shoal.conditioning._map import AbstractMap


def as_map(
    map: Any, inverse: Callable | None, layers: Sequence[Any] | None, shape: tuple[int, ...]
) -> tuple[AbstractMap, bool]:
    """The map, and whether it was given as bare callables. **Raises:** ValueError where it can not be audited."""
    whole = map.to_map() if hasattr(map, "to_map") else map
    if isinstance(whole, AbstractBijection):
        whole = from_bijection(whole)
    if isinstance(whole, AbstractMap):
        if inverse is not None or layers is not None:
            raise ValueError(
                f"`inverse` and `layers` go with a callable; {type(map).__name__} brings its own inverse and layers."
            )
        return whole, False
    if not callable(whole):
        raise InputError(
            f"`audit` takes an object with `to_map()`, an `AbstractMap` such as shoal.adapters.zuko(flow) returns, or "
            f"a callable with `inverse`; got {type(map).__name__}."
        )
    pairs = _pairs(layers)
    if inverse is None:
        if not pairs:
            raise ValueError(
                "`audit` needs the inverse of a callable: give `inverse`, or `layers` as (forward, inverse) pairs; "
                "a flow of another library goes through shoal.adapters."
            )
        inverse = _Composed(tuple(pair[1] for pair in reversed(pairs)))
    if len(shape) != 2:
        raise ValueError(f"`x` must have shape (points, n); got {shape}.")
    return from_callables(whole, inverse, shape[1], pairs), True


def as_points(x: ArrayLike, context: ArrayLike | None, size: int) -> tuple[FloatArray, FloatArray | None]:
    """`x` and `context` as float64 rows. **Raises:** ValueError unless x is finite, (points, n), at least one row."""
    points = np.asarray(x, np.float64)
    if points.ndim != 2 or points.shape[1] != size or len(points) == 0:
        raise ValueError(f"`x` must have shape (points, {size}), at least one row; got {points.shape}.")
    bad = ~np.isfinite(points).all(axis=1)
    if bad.any():
        raise ValueError(
            f"`x` has {int(bad.sum())} rows that are not finite; the first is row {int(bad.argmax())}."
        )
    if context is None:
        return points, None
    given = np.asarray(context, np.float64)
    if given.ndim != 2 or len(given) != len(points):
        raise ValueError(f"`context` must have shape ({len(points)}, c), a row a point; got {given.shape}.")
    return points, given


def _pairs(layers: Sequence[Any] | None) -> tuple[Pair, ...]:
    pairs = tuple(layers or ())
    for i, pair in enumerate(pairs):
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and all(map(callable, pair))):
            raise ValueError(
                f"`layers` must hold (forward, inverse) pairs of callables; layer {i} is not one."
            )
    return tuple((pair[0], pair[1]) for pair in pairs)


class _Composed(eqx.Module):
    """One callable after another."""

    functions: tuple[Callable, ...]

    def __call__(self, v: Array) -> Array:
        """The last one's value."""
        for function in self.functions:
            v = function(v)
        return v
