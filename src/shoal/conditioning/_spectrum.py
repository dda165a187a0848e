"""Singular values of a map's Jacobian at points, latent -> data, and the condition numbers that follow.

Dense: J_f(z) gives the upper half of the singular values and J_{f^-1}(x) = J_f(z)^{-1} the lower half, so that both ends
have full relative accuracy. Matrix-free: the two ends only, by `extremes`. kappa = sigma_max / sigma_min (2-norm). A kappa
above 1 / eps of the precision that it was computed in says only that the matrix is singular to that precision: it is
counted as `unresolved`, not quoted.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from shoal._errors import InputError
from shoal._names import Precision
from shoal._scalars import BoolArray, FloatArray
from shoal.conditioning._krylov import extremes
from shoal.conditioning._map import AbstractMap
from shoal.conditioning._precision import resolved
from shoal.records.figures import ConditionSummary, Kind

DENSE = 256  # coordinates up to which whole spectra are computed
_LARGE = 1 << 22  # rows x n^3 from which on decompositions run side by side


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
    user_units: FloatArray  # kappa of J itself, or of J in other units, (points,)
    log_dets: LogDets | None
    residual: float | None = None
    precision: Precision = "float64"

    @property
    def condition_numbers(self) -> FloatArray:
        """sigma_max / sigma_min at each point; inf where sigma_min is 0, NaN where the Jacobian is not finite."""
        return condition_numbers(self.values)

    @property
    def unresolved(self) -> BoolArray:
        """Points whose kappa is above 1/eps, or NaN: a singular matrix to that precision, not a figure."""
        return ~(self.condition_numbers <= resolved(self.precision))

    @property
    def kinds(self) -> dict[str, Kind]:
        """The kind of each figure."""
        whole: Kind = "exact" if self.dense and self.precision == "float64" else "estimate"
        ends: tuple[Kind, Kind, Kind] = (
            (whole, whole, whole) if self.dense else ("lower_bound", "upper_bound", "lower_bound")
        )
        return {
            "singular_values": whole,
            "sigma_max": ends[0],
            "sigma_min": ends[1],
            "condition_numbers": "unresolved" if self.unresolved.any() else ends[2],
            "residual": "estimate",
        }


def spectrum(
    map: AbstractMap,
    x: FloatArray,
    context: FloatArray | None = None,
    *,
    z: FloatArray | None = None,
    scale: FloatArray | None = None,
    user_scale: FloatArray | None = None,
    dense: bool | None = None,
    steps: int = 60,
    one_half: float = 0.0,
) -> Spectrum:
    """Spectra of latent -> data at the data points `x`, (rows, n), in float64.

    **Arguments:** `z`: the latents of `x` (None: computed); `scale`: (n,), divides the data, `user_scale`: the same for
    `user_units` alone (None: ones); `dense`: whole spectra (None: up to 256 coordinates) or the two ends, by `steps` of
    Golub-Kahan-Lanczos; `one_half`: up to this kappa the inverse's Jacobian is thought to be enough, whose largest singular
    value is known to eps and whose smallest to eps kappa, and the map's own is not computed.
    Log-dets are there where every point has both Jacobians and `user_scale` is None.
    """
    ones = np.ones(map.size)
    units = [ones if s is None else s for s in (scale, user_scale)]
    same = np.array_equal(units[0], units[1])
    if not (map.size <= DENSE if dense is None else dense):
        z = map.at("inverse", context=context)(x) if z is None else z
        found = extremes(map, z, context, steps=steps, scale=units[0])
        raw = found if same else extremes(map, z, context, steps=steps, scale=units[1])
        residual = float(np.max(found.residuals, initial=0.0))
        return Spectrum(found.values, False, raw.condition_numbers, None, residual)
    inverse = map.at("inverse", context=context).jacobian(x)
    values = [inverse_singular_values(inverse * s) for s in units[: 1 if same else 2]]
    more = np.any([~(condition_numbers(v) <= one_half) for v in values], axis=0)
    log_dets = None
    if more.any() or one_half == 0:
        c = None if context is None else context[more]
        at = map.at("inverse", context=c)(x[more]) if z is None else z[more]
        forward = map.at("forward", context=c).jacobian(at)
        for v, s in zip(values, units, strict=False):
            v[more] = _joined(singular_values(forward / s[:, None]), v[more])
        if one_half == 0 and user_scale is None:
            own = map.at("forward", context=c).apply(at)[1]
            with np.errstate(divide="ignore", invalid="ignore"):
                slog = np.linalg.slogdet(forward)[1] if len(at) else np.zeros(0)
                log_dets = LogDets(own, slog, np.log(values[-1]).sum(axis=1))
    return Spectrum(values[0], True, condition_numbers(values[-1]), log_dets)


def _joined(large: FloatArray, small: FloatArray) -> FloatArray:
    """Values above the geometric mean of the ends from `large`, those of J, below it from those of its inverse."""
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = np.sqrt(large[:, :1]) * np.sqrt(small[:, -1:])
        return -np.sort(-np.where(large >= middle, large, small), axis=1)


def singular_values(jacobian: FloatArray) -> FloatArray:
    """Singular values, descending, of a stack of matrices (rows, n, n); NaN where a matrix is not finite."""
    values = np.full(jacobian.shape[:2], np.nan)
    finite = np.isfinite(jacobian).all(axis=(1, 2))
    rows = np.flatnonzero(finite)
    parts = (
        np.array_split(rows, min(len(rows), os.cpu_count() or 1))
        if len(rows) * jacobian.shape[1] ** 3 > _LARGE
        else [rows]
    )
    with ThreadPoolExecutor(len(parts)) as pool:  # NumPy lets go of the interpreter inside
        found = pool.map(lambda part: np.linalg.svd(jacobian[part], compute_uv=False), parts)
        for part, value in zip(parts, found, strict=True):
            values[part] = value
    return values


def inverse_singular_values(jacobian: FloatArray) -> FloatArray:
    """Singular values, descending, of the inverses of a stack of matrices: inf where a matrix is singular."""
    with np.errstate(divide="ignore"):
        return 1.0 / singular_values(jacobian)[:, ::-1]


def condition_numbers(values: FloatArray) -> FloatArray:
    """sigma_max / sigma_min of each row of descending singular values; inf where sigma_min = 0, NaN stays NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values[:, -1] == 0, np.inf, values[:, 0] / values[:, -1])


def order_statistics(values: FloatArray, *levels: float) -> list[float]:
    """The quantiles at `levels`, of two neighbours the larger one; NaN counts as the largest and comes back as NaN."""
    ordered = np.sort(values)
    return [float(ordered[int(np.ceil(level * (len(ordered) - 1)))]) for level in levels]


def summarize(kappa: FloatArray, *, precision: Precision = "float64") -> ConditionSummary:
    """Median, 99 % quantile, maximum. Unresolved points (NaN, or above 1/eps) count as infinitely ill-conditioned."""
    if kappa.size == 0:
        raise InputError("`summarize` needs at least one condition number.")
    unresolved = ~(kappa <= resolved(precision))
    median, q99, largest = order_statistics(np.where(unresolved, np.inf, kappa), 0.5, 0.99, 1.0)
    return ConditionSummary(median, q99, largest, int(unresolved.sum()))
