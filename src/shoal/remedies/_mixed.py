"""Chosen layers of a map in float64, the rest as they are: an evaluation in NumPy, layer by layer.

JAX stores no float64 while its switch is off, so no layer inside a compiled float32 flow can be in float64; here the
layers are compiled one by one, the named ones under the scoped switch, and the state between them is NumPy.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import numpy as np

from shoal._scalars import FloatArray
from shoal._types import Array, ArrayLike, Key
from shoal.conditioning import AbstractMap, MapView, Precision, Quantity, compute
from shoal.distributions import Flow


class MixedMap(AbstractMap):
    """A map whose layers `named` (forward order, from 0) run in float64, whatever precision is asked for.

    Images and round trips are those of the mixed evaluation, derivatives those of the whole map in the precision that is
    asked for (float64 where every layer is named).
    """

    def __init__(self, whole: AbstractMap, layers: Sequence[AbstractMap], named: Collection[int]):
        self.name, self.size, self.scale = whole.name, whole.size, getattr(whole, "scale", None)
        self._whole, self._singles, self.named = whole, tuple(layers), frozenset(named)

    def evaluate(self, quantity: Quantity, view: MapView, *arrays: FloatArray) -> tuple[FloatArray, ...]:
        """Layer by layer: a state is rounded to the precision where it enters a layer that is not named."""
        if quantity != "apply":
            whole = len(self.named) == len(self._singles)
            precision: Precision = "float64" if whole else view.precision
            return self._whole.evaluate(
                quantity, replace(view, map=self._whole, precision=precision), *arrays
            )
        (state,) = arrays
        total, known = np.zeros(len(state)), True
        order = range(len(self._singles)) if view.direction == "forward" else range(len(self._singles))[::-1]
        with np.errstate(over="ignore", invalid="ignore"):
            for i in order:
                chosen: Precision = "float64" if i in self.named else view.precision
                state, log_det = self._singles[i].at(view.direction, chosen, view.context).apply(state)
                known = known and log_det is not None
                total = total + (0.0 if log_det is None else np.asarray(log_det, np.float64))
        return (state, total) if known else (state,)

    def layers(self) -> tuple[AbstractMap, ...]:
        """The single layers, the named ones always in float64."""
        if len(self._singles) == 1:
            return (self,)
        pairs = enumerate(self._singles)
        return tuple(MixedMap(layer, (layer,), {0}) if i in self.named else layer for i, layer in pairs)


class MixedPrecision:
    """A flow with the layers `layers` (forward order, from 0) in float64 and the rest in float32; NumPy in and out.

    What it mends: round-off that the named layers make themselves, and numbers that leave float32's range inside them.
    What it can not: round-off made in another layer and amplified by a named one stays, and so does what a float32 layer
    loses when it is handed a state that float32 can not hold. Between two named layers in a row nothing is rounded. For
    evaluation only; training stays in the flow's own precision. The base distribution is evaluated in float64.

    **Arguments:** `flow`: a Shoal `Flow`, or an `AbstractMap` (then without `log_prob` and `sample`); `layers`: numbers, as
    an `Audit` counts them. **Raises:** ValueError for a number that is not one of a layer.
    """

    def __init__(self, flow: Flow | AbstractMap, layers: Collection[int]):
        whole = flow if isinstance(flow, AbstractMap) else flow.to_map()
        singles, named = whole.layers(), frozenset(int(i) for i in layers)
        wrong = sorted(i for i in named if not 0 <= i < len(singles))
        if wrong:
            raise ValueError(f"`layers` must be numbers from 0 to {len(singles) - 1}; got {wrong[0]}.")
        self._map = MixedMap(whole, singles, named)
        self._base = flow.base if isinstance(flow, Flow) else None

    def to_map(self) -> MixedMap:
        """The mixed evaluation as `conditioning.audit` measures it: float32 there means float32 but for the named layers."""
        return self._map

    def forward(self, z: ArrayLike, context: ArrayLike | None = None) -> FloatArray:
        """x = f(z), latent -> data, rows (points, n)."""
        points, c = _rows(z, context)
        return self._map.at("forward", "float32", c)(points)

    def inverse(self, x: ArrayLike, context: ArrayLike | None = None) -> FloatArray:
        """z = f^{-1}(x), data -> latent, rows (points, n)."""
        points, c = _rows(x, context)
        return self._map.at("inverse", "float32", c)(points)

    def log_prob(self, x: ArrayLike, context: ArrayLike | None = None) -> FloatArray:
        """log p(x | c) in nats, (points,), log-dets summed in float64. **Raises:** ValueError for a map without a base."""
        points, c = _rows(x, context)
        z, log_det = self._map.at("inverse", "float32", c).apply(points)
        if self._base is None or log_det is None:
            raise ValueError("`log_prob` needs a Shoal flow; a map has no base distribution.")
        return np.asarray(compute(_log_base, self._base, z, precision="float64"), np.float64) + log_det

    def sample(self, key: Key, rows: int, context: ArrayLike | None = None) -> FloatArray:
        """`rows` samples. **Raises:** ValueError for a map without a base."""
        if self._base is None:
            raise ValueError("`sample` needs a Shoal flow; a map has no base distribution.")
        return self.forward(self._base.sample_rows(key, rows, None)[0], context)


@eqx.filter_jit
def _log_base(base: Any, z: Array) -> Array:
    return jax.vmap(lambda row: base.log_prob_one(row, None))(z)


def _rows(points: ArrayLike, context: ArrayLike | None) -> tuple[FloatArray, FloatArray | None]:
    rows = np.asarray(points)
    if rows.ndim != 2:
        raise ValueError(f"Points are rows (points, n); got shape {rows.shape}.")
    return rows, None if context is None else np.asarray(context)
