"""The points of an audit for the linked charts: coordinates, the first two principal axes, κ and distance from the mean.

κ above 1/eps of float64 is not resolved: such points have no place on the axis of κ and are drawn black.
"""

import dataclasses

import numpy as np

from ..records import AuditRecord
from ..records.fit import PointsRecord
from ._points import Points, points_of

RESOLVED = 2.0**52
DISTANCE = "distance from the mean, in deviations"


def audit_points(record: AuditRecord) -> Points | None:
    """The points of a record; None where none is there."""
    shown = record.shown
    if not shown.x:
        return None
    x = np.array(shown.x, np.float64)
    x[~np.isfinite(x)] = np.nan
    names, values = column_names(record), x
    axes = principal(x)
    if axes is not None:
        names, values = ["principal axis 1", "principal axis 2", *names], np.concatenate([axes, x], axis=1)
    found = points_of(
        PointsRecord(
            columns=names,
            data=values.tolist(),
            condition=[resolved(k) for k in shown.condition],
            log_prob=distance(x).tolist(),
            row=shown.rows,
            samples=[],
        )
    )
    return None if found is None else dataclasses.replace(found, level_name=DISTANCE)


def column_names(record: AuditRecord) -> list[str]:
    """The record's columns, or x0, x1, ..."""
    return record.columns or [f"x{i}" for i in range(record.size)]


def resolved(kappa: float) -> float | None:
    """κ where it is a figure, None where it is above 1/eps or not finite."""
    return kappa if kappa <= RESOLVED else None


def distance(x: np.ndarray) -> np.ndarray:
    """Root mean square over coordinates of (x - mean) / deviation; a column without deviation is left as it is."""
    deviation = x.std(axis=0)
    usual = np.where(np.isfinite(deviation) & (deviation > 0), deviation, 1.0)
    return np.sqrt(np.mean(((x - x.mean(axis=0)) / usual) ** 2, axis=1))


def principal(x: np.ndarray) -> np.ndarray | None:
    """The places (rows, 2) on the first two principal axes of the standardised columns; None for n < 3 or one row."""
    if x.shape[1] < 3 or len(x) < 2 or not np.isfinite(x).all():
        return None
    deviation = x.std(axis=0)
    centred = (x - x.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    signs = np.where(left[np.abs(left[:, :2]).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)
    return left[:, :2] * values[:2] * signs
