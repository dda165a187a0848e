"""Where the first non-finite value arises: walks any map layer by layer, in either direction and precision."""

from collections.abc import Sequence

import numpy as np

from shoal._names import Direction, Precision
from shoal._scalars import FloatArray
from shoal.conditioning._map import AbstractMap
from shoal.records.audit import NonFinite


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
