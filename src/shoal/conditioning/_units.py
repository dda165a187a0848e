"""Units: condition numbers are those of latent -> standardised data, so that they do not depend on what x is measured in."""

import numpy as np

from shoal._scalars import FloatArray

_EPS = float(np.finfo(np.float64).eps)
_NEAR = 2.0  # columns whose deviations lie within this factor of 1 count as standardised already


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


def checked_scale(scale: FloatArray | None, size: int) -> FloatArray:
    """`scale` as (n,) float64, ones for None. **Raises:** ValueError unless it is positive and of length n."""
    if scale is None:
        return np.ones(size)
    scale = np.asarray(scale, np.float64)
    if scale.shape != (size,) or not (np.isfinite(scale) & (scale > 0)).all():
        raise ValueError(
            f"`scale` must be {size} positive numbers, one a coordinate; got shape {scale.shape}."
        )
    return scale
