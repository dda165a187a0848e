"""The spectrum of a map at points of data space, latent -> data, with the kind of every figure.

Dense: J_f(z) gives the upper half of the singular values and J_{f^-1}(x) = J_f(z)^{-1} the lower half, so that both ends
have full relative accuracy. Matrix-free: the two ends only, by `extremes`. kappa above 1/eps is `unresolved`.
"""

from dataclasses import dataclass

import numpy as np

from shoal._scalars import BoolArray, FloatArray
from shoal.conditioning._dense import condition_numbers, jacobian_singular_values
from shoal.conditioning._krylov import extremes
from shoal.conditioning._map import AbstractMap
from shoal.records.figures import Kind

DENSE = 256  # coordinates up to which whole spectra are computed
RESOLVED = 1.0 / float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class LogDets:
    """log|det dx/dz| at each point: the map's `own` (None: it reports none), of the matrix, and from the spectrum."""

    own: FloatArray | None
    slogdet: FloatArray
    sum_of_logs: FloatArray

    @property
    def gap(self) -> float:
        """Largest difference between two of them at any point; NaN where one is not finite."""
        ways = [w for w in (self.own, self.slogdet, self.sum_of_logs) if w is not None]
        stacked = np.stack(ways)
        return float(np.max(stacked.max(axis=0) - stacked.min(axis=0), initial=0.0))


@dataclass(frozen=True)
class Spectrum:
    """Singular values, descending, (points, n), or (points, 2) where only the ends are known; of D^{-1} J, D the scale."""

    values: FloatArray
    dense: bool
    user_units: FloatArray  # kappa of J itself, (points,)
    log_dets: LogDets | None
    residual: float | None = None

    @property
    def condition_numbers(self) -> FloatArray:
        """sigma_max / sigma_min at each point; inf where sigma_min is 0, NaN where the Jacobian is not finite."""
        return condition_numbers(self.values)

    @property
    def unresolved(self) -> BoolArray:
        """Points whose kappa is above 1/eps of float64, or NaN: a singular matrix to that precision, not a figure."""
        return ~(self.condition_numbers <= RESOLVED)

    @property
    def kinds(self) -> dict[str, Kind]:
        """The kind of each figure."""
        ends: tuple[Kind, Kind, Kind] = (
            ("exact", "exact", "exact") if self.dense else ("lower_bound", "upper_bound", "lower_bound")
        )
        return {
            "singular_values": "exact" if self.dense else "estimate",
            "sigma_max": ends[0],
            "sigma_min": ends[1],
            "condition_numbers": "unresolved" if self.unresolved.any() else ends[2],
            "residual": "estimate",
        }


def spectrum(
    map: AbstractMap,
    x: FloatArray,
    z: FloatArray,
    context: FloatArray | None,
    scale: FloatArray,
    *,
    dense: bool,
    steps: int = 60,
) -> Spectrum:
    """Spectra at the data points `x` with latents `z` = f^{-1}(x), in float64; `scale` (n,) divides the data."""
    if not dense:
        found = extremes(map, z, context, steps=steps, scale=scale)
        raw = found if (scale == 1).all() else extremes(map, z, context, steps=steps)
        values = np.stack([found.sigma_max, found.sigma_min], axis=1)
        residual = float(np.max(found.residuals, initial=0.0))
        return Spectrum(values, False, raw.condition_numbers, None, residual)
    forward, backward = map.jacobian(z, context), map.jacobian(x, context, direction="inverse")
    values = _both(forward / scale[:, None], backward * scale)
    raw = values if (scale == 1).all() else _both(forward, backward)
    own = map.apply(z, context)[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        slog = np.linalg.slogdet(forward)[1] if len(z) else np.zeros(0)
        logs = np.log(raw).sum(axis=1)
    return Spectrum(
        values, True, condition_numbers(raw), LogDets(None if own is None else np.asarray(own), slog, logs)
    )


def _both(forward: FloatArray, backward: FloatArray) -> FloatArray:
    """Values above the geometric mean of the ends from J, those below it from its inverse."""
    large, small = jacobian_singular_values(forward), jacobian_singular_values(backward)
    with np.errstate(divide="ignore", invalid="ignore"):
        small = 1.0 / small[:, ::-1]
        middle = np.sqrt(large[:, :1]) * np.sqrt(small[:, -1:])
        return -np.sort(-np.where(large >= middle, large, small), axis=1)
