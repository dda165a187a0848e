"""Where the first non-finite value arises: walks a bijection layer by layer over a batch."""

from dataclasses import dataclass
from typing import Literal

import equinox as eqx
import jax.numpy as jnp

from shoal._types import Array, Batch, ContextBatch
from shoal.bijections._base import AbstractBijection, layer_name, layers_of, over_batch

Direction = Literal["forward", "inverse"]


@dataclass(frozen=True)
class Trace:
    """The first non-finite value on the way: layer (forward order, from 0; -1: the input itself), class, rows hit."""

    layer: int
    name: str
    direction: Direction
    quantity: Literal["input", "value", "log_det"]
    rows: int

    def __str__(self) -> str:
        """One phrase, as logs and reports use it."""
        where = "the input" if self.layer < 0 else f"layer {self.layer} ({self.name})"
        return f"{where}, {self.direction}: {self.quantity} not finite in {self.rows} rows"


def trace(
    bijection: AbstractBijection, x: Batch, context: ContextBatch = None, direction: Direction = "inverse"
) -> Trace | None:
    """The first layer whose output or log-det is not finite for some row of `x`, or None where all are finite.

    **Arguments:** `x`: (rows, n), data for "inverse", latents for "forward"; `context`: (rows, c) or None.
    **Raises:** ValueError for any other `direction`.
    """
    check_direction(direction)
    layers = list(enumerate(layers_of(bijection)))
    hit = _rows(x)
    if hit:
        return Trace(-1, "", direction, "input", hit)
    for i, layer in layers if direction == "forward" else reversed(layers):
        x, log_det = _step(layer, x, context, direction)
        for_value, for_log_det = _rows(x), _rows(log_det[:, None])
        if for_value or for_log_det:
            quantity = "value" if for_value else "log_det"
            return Trace(i, layer_name(layer), direction, quantity, for_value or for_log_det)
    return None


def check_direction(direction: str) -> None:
    """Raise a ValueError for anything but the two directions."""
    if direction not in ("forward", "inverse"):
        raise ValueError(f'`direction` must be "forward" or "inverse"; got {direction!r}.')


@eqx.filter_jit
def _step(
    layer: AbstractBijection, x: Array, context: Array | None, direction: Direction
) -> tuple[Array, Array]:
    function = layer.forward_and_log_det if direction == "forward" else layer.inverse_and_log_det
    return over_batch(function, x, context)


def _rows(values: Array) -> int:
    return int(jnp.sum(~jnp.all(jnp.isfinite(values), axis=-1)))
