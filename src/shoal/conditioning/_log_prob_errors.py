r"""Error bars on log p: what rounding, layer by layer, does to the log-density of a row.

With $h_L = x$ and, from data to latent, $h_{k-1} = g_k(h_k)$, $\log p(x) = \log \pi(h_0) + \sum_k \ell_k(h_k)$. In a working
precision a layer gives $g_k(h_k) + \delta_k$ and $\ell_k + \varepsilon_k$. To first order log p is off by
$$\sum_k \langle s_{k-1}, \delta_k \rangle + \varepsilon_k, \qquad s_{k-1} = \nabla \log q_{k-1}(h_{k-1}),$$
where $q_{k-1}$ is the density that the layers before k, those next to the latent, give $h_{k-1}$. The slopes s follow one
from another, from the latent on, by one transposed Jacobian a layer. $\delta_k, \varepsilon_k$ are not measured: each
operation of a layer has an error of known size, and its share in the sum is an adjoint times that size (`_rounding`).

That says why log p can be right where round trips are lost. $\delta_k$ moves the point that comes back by the product of the
Jacobians from $h_{k-1}$ to the data. It moves log p by the slope of one density, in which no such product stands: the
computed latent is that of another row, far off where the map stretches, and nearly as likely.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from shoal._compiling import quickly
from shoal._names import Precision
from shoal._pieces import in_pieces, piece
from shoal._scalars import FloatArray, Function
from shoal._types import Array
from shoal.conditioning._map import AbstractMap, AbstractParametric
from shoal.conditioning._precision import compute, unit_roundoff
from shoal.conditioning._rounding import rounding_errors
from shoal.conditioning._walks import summarize_round_trip, through
from shoal.records.audit import LogProbErrors as Record
from shoal.records.audit import RowError, Trip
from shoal.records.figures import Kind

USABLE = 1e-2  # nats of a row: one per cent of a density
MISSED = 1e-5  # of rows whose error may exceed the bound, if roundings are independent
DEVIATIONS = math.sqrt(2.0 * math.log(2.0 / MISSED))  # 4.94
FEWEST, ROWS = 16, 256  # of a piece of a whole density
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


@dataclass(frozen=True)
class LogProbErrors:
    """Errors of log p at each row, in nats.

    `log_prob`, `single`: computed in float64 and in float32; `of_input`: what rounding the row itself to float32 moves
    log p by, to first order; in units of the unit roundoff, `deviation`: the standard deviation of what the layers round, if
    roundings are independent, and `worst`: the most they can, if all conspire; `layers`: share of each layer in the mean
    variance, forward order.
    """

    log_prob: FloatArray
    single: FloatArray
    of_input: FloatArray
    deviation: FloatArray
    worst: FloatArray
    layers: tuple[float, ...] = ()

    @property
    def measured(self) -> FloatArray:
        """|`single` - `log_prob`|, (rows,); NaN where one is not finite."""
        with np.errstate(invalid="ignore"):
            error = np.abs(self.single.astype(np.float64) - self.log_prob)
        return np.where(np.isfinite(error), error, np.nan)

    @property
    def bound(self) -> FloatArray:
        """Of the float32 error, (rows,): to first order and for independent roundings, exceeded in one of 100,000 rows."""
        return self.bound_in("float32")

    def bound_in(self, precision: Literal["float32", "float64"]) -> FloatArray:
        """The bound for either precision; float64 takes rows as they are."""
        rounded = 0.0 if precision == "float64" else np.abs(self.of_input)
        return rounded + DEVIATIONS * unit_roundoff(precision) * self.deviation

    @property
    def worst_case(self) -> FloatArray:
        """First-order bound of the float32 error whatever the roundings are, (rows,)."""
        return np.abs(self.of_input) + unit_roundoff("float32") * self.worst

    @property
    def kinds(self) -> dict[str, Kind]:
        """Figure -> its kind."""
        return {"log_prob_measured": "exact", "log_prob_bound": "estimate"}

    @property
    def outside(self) -> np.ndarray:
        """Which rows have an error above the bound, or none that is finite beside a finite log p, (rows,)."""
        return np.isfinite(self.log_prob) & ~(self.measured <= self.bound)

    @property
    def order(self) -> np.ndarray:
        """The rows, those with the largest bound first; NaN before all."""
        return np.argsort(-np.nan_to_num(self.bound, nan=np.inf), kind="stable")

    def to_record(self, trip: Trip, max_round_trip: float, rows: int = 20) -> Record:
        """What the report is drawn from. `trip`: of the data in float32; `max_round_trip`: the most of a healthy flow."""
        known = np.isfinite(self.log_prob)
        lost = int((known & np.isnan(self.measured)).sum())
        kept = known if known.any() else slice(None)
        figures = [summarize_round_trip(e[kept]) for e in (self.measured, self.bound, self.worst_case)]
        measured, bound, worst_case = figures
        return Record(
            measured=measured,
            bound=bound,
            worst_case=worst_case,
            float64=float(np.max(self.bound_in("float64")[kept])),
            outside=int(self.outside.sum()),
            lost=lost,
            layers=list(self.layers),
            rows=[
                RowError(
                    int(i), *(float(v[i]) for v in (self.log_prob, self.measured, self.bound, self.of_input))
                )
                for i in self.order[:rows]
            ],
            sentence=_sentence(measured.max, bound.max, lost, trips_lost=not trip.max <= max_round_trip),
        )


def _sentence(measured: float, bound: float, lost: int, *, trips_lost: bool) -> str:
    """What the figures amount to."""
    if lost:
        return (
            f"log p in float32 is not finite at {lost} rows where float64 has a value: compute it in float64."
        )
    if not max(measured, bound) <= USABLE:
        return f"log p in float32 is off by up to {measured:.2g} nats (bound {bound:.2g}): compute it in float64."
    sentence = f"log p in float32 is right to {measured:.2g} nats at every row (bound {bound:.2g})."
    if trips_lost:
        return (
            f"{sentence} Round trips are lost, log p is not: log p is usable, samples are not inverse of it."
        )
    return sentence


def log_prob_errors(
    map: AbstractMap, x: FloatArray, context: FloatArray | None = None
) -> LogProbErrors | None:
    """The errors of log p at rows of data, the latent standard normal; None where it is meant to be another law, and for
    a map or layer without a log-det or a derivative.

    **Arguments:** `x`: (rows, n); `context`: (rows, c) or None. Rows that are not finite have NaN.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        return _walked(map, np.asarray(x, np.float64), context)


def _walked(map: AbstractMap, x: FloatArray, context: FloatArray | None) -> LogProbErrors | None:
    """To the latent, and back with the slopes."""
    if map.latent != AbstractMap.latent:
        return None
    layers = map.layers()
    states: list[FloatArray] = [x]
    log_dets: list[FloatArray] = []
    for _, layer in through(layers, "inverse", context=context):
        h, log_det = layer.apply(states[-1])
        if log_det is None:
            return None
        states.append(h)
        log_dets.append(log_det)
    sums = np.cumsum([*log_dets, _log_normal(states[-1])], axis=0)
    slopes, *of_base = compute(_normal_rounding, states[-1], precision="float64")
    found, of_input = [of_base, _rounded_sums(sums)], np.zeros(len(x))
    for layer, h in zip(layers, states[-2::-1], strict=True):
        try:
            slopes, *sizes = layer.at("inverse", context=context).rounding(h, slopes)
        except NotImplementedError:
            if not isinstance(layer, AbstractParametric):
                return None
            slopes, *sizes = _black_box(layer, h, slopes, context)
        found.append(sizes[:2])
        if len(sizes) > 2 and context is not None:
            of_input += np.sum(sizes[2] * _lost(context), axis=1)
    worst, variances = np.moveaxis(np.array(found), 1, 0)
    total, known = np.sum(variances, axis=0), np.isfinite(sums[-1])
    kept = lambda values: np.where(known, values, np.nan)
    return LogProbErrors(
        log_prob=sums[-1],
        single=_single(map, x, context),
        of_input=kept(of_input + np.sum(slopes * _lost(x), axis=1)),
        deviation=kept(np.sqrt(total)),
        worst=kept(np.sum(worst, axis=0)),
        layers=tuple((variances[2:, known].sum(axis=1) / total[known].sum()).tolist()),
    )


def _black_box(
    layer: AbstractParametric, h: FloatArray, cotangents: FloatArray, context: FloatArray | None
) -> tuple[FloatArray, ...]:
    """As `MapView.rounding` of a layer whose operations are not seen, as if it were one operation.

    Its input, image and log-det are taken as off by one multiple of the unit roundoff: the root mean square over rows, and
    at most the largest, of what float32 gives beside float64 at the same input.
    """
    slopes = -layer.loss_step(h, -cotangents, context)[1]
    start = np.asarray(h, np.float32)
    pairs = [layer.at("inverse", p, context).apply(start) for p in ("float32", "float64")]
    (single, log_single), (image, log_det) = ((v, np.zeros(len(h)) if d is None else d) for v, d in pairs)
    error = np.sum(cotangents * (single - image), axis=1) + (log_single - log_det)
    squares = (
        np.sum((slopes * h) ** 2, axis=1) + np.sum((cotangents * image) ** 2, axis=1) + np.square(log_det)
    )
    units = np.abs(error) / unit_roundoff("float32")
    size = np.sqrt(squares)
    largest = np.nanmax(units / np.where(size > 0, size, np.inf), initial=0.0)
    spread = np.nanmean(units**2) / np.nanmean(squares)
    return slopes, max(largest, DEVIATIONS * spread**0.5) * size, spread * squares


def density_errors(log_prob_one: Function, x: FloatArray, context: FloatArray | None = None) -> LogProbErrors:
    """The same of a density that is one JAX program, `log_prob_one(row, context)`, whatever its parts are.

    **Arguments:** `log_prob_one`: an Equinox module or a bound method of one; `x`, `context`: as in `log_prob_errors`.
    """
    size, rows = piece(len(x), FEWEST, ROWS), np.asarray(x, np.float64)
    values = [
        in_pieces(lambda r, c, p=p: compute(_value, log_prob_one, r, c, precision=p), size, rows, context)[0]
        for p in get_args(Precision)[:2]
    ]
    run = lambda r, c: compute(_program_rounding, log_prob_one, r, c, precision="float64")
    worst, variance, *slopes = in_pieces(run, size, rows, context)
    with np.errstate(invalid="ignore"):
        of_input = np.sum(slopes[0] * _lost(rows), axis=1)
        if context is not None:
            of_input = of_input + np.sum(slopes[1] * _lost(context), axis=1)
    exact, single = values
    kept = lambda figures: np.where(np.isfinite(exact), figures, np.nan)
    return LogProbErrors(exact, single, kept(of_input), kept(np.sqrt(variance)), kept(worst))


@quickly
def _value(log_prob_one: Function, x: Array, context: Array | None) -> Array:
    return jax.vmap(log_prob_one)(x, context)


@quickly
def _program_rounding(log_prob_one: Function, x: Array, context: Array | None) -> tuple[Array, ...]:
    def one(x: Array, context: Array | None) -> tuple[Array, ...]:
        given = (x,) if context is None else (x, context)
        program = lambda x, c=None: [log_prob_one(x, c)]
        slopes, worst, variance = rounding_errors(program, given, (jnp.ones((), x.dtype),))
        return worst, variance, *slopes

    return jax.vmap(one)(x, context)


def _single(map: AbstractMap, x: FloatArray, context: FloatArray | None) -> FloatArray:
    """log p in float32."""
    z, log_det = map.at("inverse", "float32", context).apply(np.asarray(x, np.float32))
    assert log_det is not None
    return np.asarray(log_det, np.float32) + _log_normal(np.asarray(z, np.float32))


def _log_normal(z: FloatArray) -> FloatArray:
    """log N(z; 0, I) of each row, in the precision of z."""
    return -z.dtype.type(0.5) * np.sum(z * z, axis=1) - z.dtype.type(z.shape[1] * _HALF_LOG_2PI)


@quickly
def _normal_rounding(z: Array) -> tuple[Array, ...]:
    """Of log N(z; 0, I) at each row: its gradient, and what computing it rounds."""

    def one(z: Array) -> tuple[Array, ...]:
        function = lambda z: [-0.5 * jnp.sum(z * z) - len(z) * _HALF_LOG_2PI]
        (slopes,), worst, variance = rounding_errors(function, (z,), (jnp.ones((), z.dtype),))
        return slopes, worst, variance

    return jax.vmap(one)(z)


def _rounded_sums(sums: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What the running sums of log-dets round, at most and as a variance; (layers + 1, rows), the first is no sum."""
    power = np.where(
        sums[1:] == 0, 0.0, 2.0 ** np.floor(np.log2(np.abs(np.where(sums[1:] == 0, 1.0, sums[1:]))))
    )
    return power.sum(axis=0), (power**2 / 3).sum(axis=0)


def _lost(rows: FloatArray) -> FloatArray:
    """What rounding to float32 adds to each number."""
    exact = np.asarray(rows, np.float64)
    return exact.astype(np.float32).astype(np.float64) - exact
