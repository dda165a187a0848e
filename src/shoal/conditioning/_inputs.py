"""What is measured, as an `AbstractMap`, float64 rows and their units; bad input gets one sentence.

Units: condition numbers are those of latent -> standardised data, so that they do not depend on what x is measured in.
"""

from collections.abc import Sequence

import jax
import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray, Function
from shoal._types import Array, ArrayLike
from shoal.bijections import AbstractBijection
from shoal.conditioning._jax_map import Pair, from_bijection, from_callables
from shoal.conditioning._map import AbstractMap

_EPS = float(np.finfo(np.float64).eps)
_NEAR = 2.0  # columns whose deviations lie within this factor of 1 count as standardised already


def as_map(
    map: object, inverse: Function | None, layers: Sequence[object] | None, shape: tuple[int, ...]
) -> tuple[AbstractMap, bool]:
    """The map, and whether it was given as bare callables. **Raises:** InputError where it can not be audited."""
    whole = map.to_map() if hasattr(map, "to_map") else map  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(whole, AbstractBijection):
        whole = from_bijection(whole)
    if isinstance(whole, AbstractMap):
        if inverse is not None or layers is not None:
            raise InputError(
                f"`inverse` and `layers` go with a callable; {type(map).__name__} brings its own inverse and layers."
            )
        return whole, False
    if not callable(whole):
        raise InputError(
            f"`audit` takes an object with `to_map()`, an `AbstractMap` such as shoal.adapters.to_map(flow) returns, or "
            f"a callable with `inverse`; got {type(map).__name__}."
        )
    pairs = _pairs(layers)
    if inverse is None:
        if not pairs:
            raise InputError(
                "`audit` needs the inverse of a callable: give `inverse`, or `layers` as (forward, inverse) pairs; "
                "a flow of another library goes through shoal.adapters."
            )
        inverse = jax.tree_util.Partial(_one_after_another, [pair[1] for pair in reversed(pairs)])
    if len(shape) != 2:
        raise InputError(f"`x` must have shape (points, n); got {shape}.")
    return from_callables(whole, inverse, shape[1], pairs), True


def as_points(x: ArrayLike, context: ArrayLike | None, size: int) -> tuple[FloatArray, FloatArray | None]:
    """`x` and `context` as float64 rows. **Raises:** InputError unless x is finite, (points, n), at least one row."""
    points = checked_rows("x", x, size, fewest=1)
    bad = ~np.isfinite(points).all(axis=1)
    if bad.any():
        raise InputError(
            f"`x` has {int(bad.sum())} rows that are not finite; the first is row {int(bad.argmax())}."
        )
    if context is None:
        return points, None
    given = np.asarray(context, np.float64)
    if given.ndim != 2 or len(given) != len(points):
        raise InputError(f"`context` must have shape ({len(points)}, c), a row a point; got {given.shape}.")
    return points, given


def checked_rows(name: str, given: ArrayLike, size: int, *, fewest: int = 0) -> FloatArray:
    """Rows of `size` coordinates as float64. **Raises:** InputError for another shape, or fewer rows."""
    rows = np.asarray(given, np.float64)
    if rows.ndim != 2 or rows.shape[1] != size or len(rows) < fewest:
        enough = ", at least one row" if fewest else ""
        raise InputError(f"`{name}` must have shape (rows, {size}){enough}; got {rows.shape}.")
    return rows


def unit_scale(x: FloatArray) -> FloatArray:
    """(n,): the deviation of each column, or ones where all deviations are within a factor of 2 of 1.

    Data that a table's standardisation has been through differ from unit deviation by sampling error only;
    dividing by it would measure the sample and not the flow. A column that is constant, but for
    its rounding, has the scale 1.
    """
    values = np.asarray(x, np.float64)
    deviation = values.std(axis=0) if len(x) else np.ones(x.shape[1])
    rounding = (8 + len(x)) * _EPS * np.abs(values).max(axis=0, initial=0.0)  # of a column's mean, summed
    deviation = np.where(np.isfinite(deviation) & (deviation > rounding), deviation, 1.0)
    near = (deviation >= 1 / _NEAR) & (deviation <= _NEAR)
    return np.ones_like(deviation) if near.all() else deviation


def checked_scale(scale: ArrayLike | None, size: int) -> FloatArray:
    """`scale` as (n,) float64, ones for None. **Raises:** InputError unless it is positive and of length n."""
    if scale is None:
        return np.ones(size)
    scale = np.asarray(scale, np.float64)
    if scale.shape != (size,) or not (np.isfinite(scale) & (scale > 0)).all():
        raise InputError(
            f"`scale` must be {size} positive numbers, one a coordinate; got shape {scale.shape}."
        )
    return scale


def _pairs(layers: Sequence[object] | None) -> tuple[Pair, ...]:
    pairs: list[Pair] = []
    for i, pair in enumerate(layers or ()):
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and all(map(callable, pair))):
            raise InputError(
                f"`layers` must hold (forward, inverse) pairs of callables; layer {i} is not one."
            )
        pairs.append((pair[0], pair[1]))
    return tuple(pairs)


def _one_after_another(functions: list[Function], v: Array) -> Array:
    for function in functions:
        v = function(v)
    return v
