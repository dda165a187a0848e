"""Where the first non-finite value arises: walks any map layer by layer, in either direction and precision."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from shoal._scalars import FloatArray
from shoal.bijections import Direction
from shoal.conditioning._map import AbstractMap
from shoal.conditioning._precision import Precision


@dataclass(frozen=True)
class NonFinite:
    """The first layer (forward order, from 0) whose output or log-det is not finite, and in how many of the rows."""

    layer: int
    name: str
    direction: Direction
    precision: Precision
    points: str
    rows: int

    def __str__(self) -> str:
        """One phrase, as tables and reports use it."""
        return (
            f"layer {self.layer} ({self.name}), {self.direction} in {self.precision}: "
            f"not finite in {self.rows} rows of {self.points}"
        )

    def to_record(self) -> dict[str, Any]:
        """The fields as a dict."""
        return asdict(self)


def first_nonfinite(
    layers: Sequence[AbstractMap],
    points: FloatArray,
    context: FloatArray | None = None,
    *,
    direction: Direction,
    precision: Precision = "float32",
    name: str = "points",
) -> NonFinite | None:
    """Walk `points` (data for "inverse", latents for "forward"); None where all stays finite."""
    order = list(enumerate(layers))
    for k, layer in order if direction == "forward" else reversed(order):
        points, log_det = layer.at(direction, precision, context).apply(points)
        bad = ~np.isfinite(points).all(axis=1)
        if log_det is not None:
            bad |= ~np.isfinite(log_det)
        if bad.any():
            return NonFinite(k, layer.name, direction, precision, name, int(bad.sum()))
    return None
