"""`MixedMap`: chosen layers of a map in float64, the rest as they are: an evaluation in NumPy, layer by layer.

JAX stores no float64 while its switch is off, so no layer inside a compiled float32 flow can be in float64; here the
layers are compiled one by one, the named ones under the scoped switch, and the state between them is NumPy.
"""

from collections.abc import Collection
from dataclasses import replace

import equinox as eqx
import jax
import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import Array
from shoal.conditioning import AbstractMap, MapView, Precision, Quantity, compute
from shoal.distributions import AbstractDistribution, Flow


class MixedMap(AbstractMap):
    """A map whose layers `named` (forward order, from 0, as an `Audit` counts them) run in float64, whatever is asked for.

    What it mends: round-off that the named layers make themselves, and numbers that leave float32's range inside them.
    What it can not: round-off made in another layer and amplified by a named one stays, and so does what a float32 layer
    loses when it is handed a state that float32 can not hold. Between two named layers in a row nothing is rounded.
    Images and round trips are those of the mixed evaluation, derivatives those of the whole map in the precision that is
    asked for (float64 where every layer is named). For evaluation only; training stays in the flow's own precision.

    **Arguments:** `whole`: the map, such as `flow.to_map()`. **Raises:** InputError for a number that is not one of a layer.
    """

    def __init__(self, whole: AbstractMap, named: Collection[int]):
        self.name, self.size, self.scale = whole.name, whole.size, getattr(whole, "scale", None)
        self._whole, self._singles, self.named = whole, whole.layers(), frozenset(named)
        wrong = sorted(i for i in self.named if not 0 <= i < len(self._singles))
        if wrong:
            raise InputError(f"`named` must be numbers from 0 to {len(self._singles) - 1}; got {wrong[0]}.")

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
        return tuple(MixedMap(layer, {0}) if i in self.named else layer for i, layer in pairs)


def mixed_log_prob(flow: Flow, named: Collection[int], x: FloatArray) -> FloatArray:
    """log p(x) in nats, (points,), with the layers `named` and the base in float64, the others in float32."""
    z, log_det = MixedMap(flow.to_map(), named).at("inverse", "float32").apply(x)
    assert log_det is not None  # every layer of Shoal has one
    return np.asarray(compute(_log_base, flow.base, z, precision="float64"), np.float64) + log_det


@eqx.filter_jit
def _log_base(base: AbstractDistribution, z: Array) -> Array:
    return jax.vmap(lambda row: base.log_prob_one(row, None))(z)
