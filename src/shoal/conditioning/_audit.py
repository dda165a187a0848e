"""`audit`: everything that this package measures, for one map at given points, and what it amounts to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import msgspec
import numpy as np

from shoal._compiling import make_room
from shoal._errors import InputError
from shoal._names import Direction, Precision, Way
from shoal._scalars import FloatArray, Function
from shoal._types import ArrayLike
from shoal.conditioning._agreement import disagreement, unsteady, wrong_log_det
from shoal.conditioning._attack import attack
from shoal.conditioning._diagnosis import Findings, diagnose, effective_rank
from shoal.conditioning._inputs import as_map, as_points, checked_scale, unit_scale
from shoal.conditioning._jax_map import JaxMap
from shoal.conditioning._layer_bounds import lipschitz_bounds
from shoal.conditioning._log_prob_errors import log_prob_errors
from shoal.conditioning._map import AbstractMap
from shoal.conditioning._profile import WORST, Profile, profile, profile_points
from shoal.conditioning._reach import reach
from shoal.conditioning._result import Audit
from shoal.conditioning._spectrum import DENSE, Spectrum, order_statistics, spectrum
from shoal.conditioning._support import support
from shoal.conditioning._walks import first_nonfinite, measured_trip, through
from shoal.records.audit import Diagnosis, Limits, NonFinite, Reach, Trip
from shoal.records.figures import LayerProfile

TRIPS = 240  # points of a round-trip set, beside the worst ones
PREDICTED = 64  # points at which a set's kappa is measured
TAILS = (2.0, 4.0, 8.0)
SLACK = 1.0  # bounds of the uniform noise lie so many ranges outside the data


# Fourteen arguments: each says another thing that only the caller knows, and all but two have a default.
def audit(
    map: object,
    x: ArrayLike,
    *,
    inverse: Function | None = None,
    layers: Sequence[object] | None = None,
    context: ArrayLike | None = None,
    scale: ArrayLike | None = None,
    start: object = None,
    ood: Mapping[str, ArrayLike] | None = None,
    attack_radius: float | None = None,
    max_condition: float = 1e4,
    max_round_trip: float = 1e-3,
    dense: bool | None = None,
    steps: int = 60,
    seed: int = 0,
) -> Audit:
    """Measure how close an invertible map, latent z -> data x, comes to singular, and which layer is at fault.

    **Main arguments:**
    - `map`: an object with `to_map()` (every Shoal flow), a Shoal bijection, an `AbstractMap` (what
      `shoal.adapters.<library>(flow)` returns), or an unbatched JAX callable z -> x;
    - `x`: points in data space, (points, n);
    - `inverse`, `layers`: with a callable `map` only: the unbatched inverse x -> z, and a sequence of (forward, inverse)
      pairs in forward order. Without `inverse` the layers' inverses are composed.

    **Other arguments:**
    - `context`: (points, c); `ood`: names -> further points (rows, n) for round trips (without context only);
    - `scale`: (n,), divides the data: singular values are those of latent -> x / scale. By default the scale that a Shoal
      flow's `Standardize` holds, else, for flows, the columns' deviations, or 1 where all of these are within a factor of 2
      of 1; 1 for callables, whose output is taken as it is;
    - `start`: the same map before training, for a second layer profile;
    - `attack_radius`: attack the worst points within this radius (in units of `scale`);
    - `max_condition`, `max_round_trip`: what counts as healthy: bounds on the 99 % quantile of κ and on the largest float32
      round trip of data and samples;
    - `dense`: whole spectra (the default up to 256 coordinates) or the two ends by `steps` steps of Golub-Kahan-Lanczos;
    - `seed`: of the latents, the noise and the choice of points.

    Everything is computed in float64 on a cast copy, the round trips in float64, float32 and bfloat16; the caller's arrays
    and precision stay as they are. **Raises:** InputError for inputs that do not fit together.
    """
    whole, as_given = as_map(map, inverse, layers, np.shape(x))
    points, context_rows = as_points(x, context, whole.size)
    others = _ood(ood or {}, whole.size, context_rows)
    units = _units(whole, points, scale, as_given)
    dense = whole.size <= DENSE if dense is None else dense
    before = None if start is None else as_map(start, None, None, points.shape)[0]
    make_room()
    given = _Given(whole, points, context_rows, units, dense, steps, seed)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _measured(given, before, others, attack_radius, Limits(max_condition, max_round_trip))


def _measured(
    given: "_Given",
    start: AbstractMap | None,
    ood: Mapping[str, FloatArray],
    attack_radius: float | None,
    limits: Limits,
) -> Audit:
    """Everything, in the order in which one figure needs another."""
    whole, x = given.map, given.x
    z = np.asarray(whole.at("inverse", context=given.context)(x), np.float64)
    found = spectrum(whole, x, given.context, z=z, scale=given.scale, dense=given.dense, steps=given.steps)
    kappas = np.nan_to_num(found.condition_numbers, nan=np.inf)
    rows, worst = profile_points(found.condition_numbers, given.seed)
    walked = given.profile(whole, rows, worst)
    at, c = given.part(slice(2 * TRIPS))
    chance = unsteady(whole, at, c)
    if chance is None:
        _check_layers(walked.latents, z[rows], found.condition_numbers[rows])
    trips, runaway = given.trips(found, ood), given.runaway()
    bad = given.nonfinite(trips)
    profiled = _bounded(walked.rows, whole, z, given.context)
    broken = None
    if attack_radius is not None:
        worst_rows, its_context = given.part(rows[worst])
        broken = attack(whole, worst_rows, attack_radius, its_context, scale=given.scale)
    findings = Findings(
        rows=profiled,
        kappa=order_statistics(kappas, 0.99)[0],
        typical=float(np.median(kappas)),
        trip=_largest(trips, "float32"),
        chance=chance,
        disagreement=disagreement(
            whole, at, given.samples(len(at)), c, dense=given.dense, most=limits.max_round_trip
        ),
        log_det=wrong_log_det(whole, x, given.context, found.log_dets, kappas),
        nonfinite=next((b for b in bad if not b.points.startswith("tails")), None),
        runaway=next((r for r in runaway if r.runs_away), None),
        rank=effective_rank(x),
        size=whole.size,
    )
    predicted = {"data": walked.trip_data, "latent": walked.trip_latent}
    return Audit(
        name=whole.name,
        x=x,
        z=z,
        scale=given.scale,
        spectrum=found,
        layers=profiled,
        start=None if start is None else given.profile(start, rows, worst).rows,
        round_trips=trips,
        nonfinite=bad,
        diagnosis=given.placed(diagnose(findings, limits), runaway[0]),
        attack=broken,
        predicted={way: float(np.max(values, initial=0.0)) for way, values in predicted.items()},
        limits=limits,
        seed=given.seed,
        reach=runaway,
        log_prob_errors=log_prob_errors(whole, x, given.context),
    )


@dataclass(frozen=True)
class _Given:
    """What an audit is asked about, checked; its methods measure parts of it."""

    map: AbstractMap
    x: FloatArray
    context: FloatArray | None
    scale: FloatArray
    dense: bool
    steps: int
    seed: int

    def part(self, rows: np.ndarray | slice) -> tuple[FloatArray, FloatArray | None]:
        """Some points and their context."""
        return self.x[rows], None if self.context is None else self.context[rows]

    def profile(self, map: AbstractMap, rows: np.ndarray, worst: np.ndarray) -> Profile:
        """The layers of `map` at some points."""
        at, c = self.part(rows)
        settings = {"dense": self.dense, "steps": self.steps, "seed": self.seed}
        return profile(map.layers(), at, c, self.scale, worst, **settings)

    def samples(self, rows: int) -> FloatArray:
        """z ~ N(0, I); the first rows are the same for every number of rows."""
        return np.random.default_rng(self.seed).standard_normal((rows, self.map.size))

    def trips(self, found: Spectrum, ood: Mapping[str, FloatArray]) -> dict[str, dict[str, Trip]]:
        """Set -> precision -> trip; x -> z -> x for data, noise in the data's box widened by its width to each side, and
        the sets that were given, cut or repeated to the data's length, so that one program serves all; z -> x -> z for
        samples and these scaled.
        """
        rows = np.random.default_rng(self.seed).permutation(len(self.x))[:TRIPS]
        worst = np.argsort(-np.nan_to_num(found.condition_numbers, nan=np.inf), kind="stable")[:WORST]
        rows = np.unique(np.concatenate([rows, worst]))
        at, c = self.part(rows)
        low, high = at.min(axis=0), at.max(axis=0)
        wide = SLACK * (high - low)
        noise = np.random.default_rng(self.seed + 1).uniform(low - wide, high + wide, at.shape)
        sets: list[tuple[Way, str, FloatArray]] = [("data", "data", at), ("data", "uniform noise", noise)]
        sets.extend(("data", name, p[np.arange(len(at)) % len(p)]) for name, p in ood.items())
        sets.extend(("latent", name, p) for name, p in _latent_sets(self.samples(len(at))).items())
        out: dict[str, dict[str, Trip]] = {}
        for way, name, p in sets:
            amplified = None
            if name == "data":
                amplified = found.condition_numbers[rows] * np.linalg.norm(at / self.scale, axis=1)
            elif self.dense:
                amplified = self.amplified(p[:PREDICTED], None if c is None else c[:PREDICTED], way)
            out[name] = {
                precision: measured_trip(
                    self.map, p, c, self.scale, way=way, precision=precision, amplified=amplified
                )
                for precision in get_args(Precision)
            }
        return out

    def amplified(self, p: FloatArray, context: FloatArray | None, way: Way) -> FloatArray:
        """kappa |start| at points of a set."""
        x, z = (p, None) if way == "data" else (self.map.at(context=context)(p), p)
        kappa = spectrum(self.map, x, context, z=z, scale=self.scale, dense=True).condition_numbers
        return kappa * np.linalg.norm(p / self.scale if way == "data" else p, axis=1)

    def nonfinite(self, trips: Mapping[str, Mapping[str, Trip]]) -> tuple[NonFinite, ...]:
        """First non-finite layer of data (inverse) and latents (forward), there and on the way back, for the sets and
        precisions that lost points.
        """
        found, layers = [], self.map.layers()
        at, c = self.part(slice(2 * TRIPS))
        z = self.samples(len(at))
        sets: list[tuple[Direction, str, FloatArray]] = [("inverse", "data", at), ("forward", "data", at)]
        sets.extend(("forward", name, p) for name, p in _latent_sets(z).items())
        sets.append(("inverse", "samples", z))
        for direction, name, points in sets:
            for precision in ("float32", "float64"):
                if trips[name][precision].nonfinite == 0:
                    continue
                start, given = points, c
                if (direction, name) in (("forward", "data"), ("inverse", "samples")):
                    start, given = _way_back(layers, points, c, direction, precision)
                hit = first_nonfinite(
                    layers, start, given, direction=direction, precision=precision, name=name
                )
                if hit is not None:
                    found.append(hit)
        return tuple(found)

    def runaway(self) -> tuple[Reach, Reach]:
        """Data back to the latent, and samples to the data."""
        layers, (at, c) = self.map.layers(), self.part(slice(2 * TRIPS))
        z = self.samples(len(at))
        return (
            reach(layers, at, c, direction="inverse", name="data"),
            reach(layers, z, c, direction="forward", name="samples"),
        )

    def placed(self, diagnosis: Diagnosis, data: Reach) -> Diagnosis:
        """A healthy verdict, with the part of the space that the map reaches where some doubled data left it."""
        if not (diagnosis.healthy and data.outside):
            return diagnosis
        said = support(self.map, *self.part(slice(2 * TRIPS)))
        return msgspec.structs.replace(diagnosis, sentence=f"{diagnosis.sentence} {said}".strip())


def _latent_sets(z: FloatArray) -> dict[str, FloatArray]:
    """Latents, and the same points scaled by 2, 4 and 8."""
    return {"samples": z, **{f"tails x{t:g}": t * z for t in TAILS}}


def _units(map: AbstractMap, x: FloatArray, scale: ArrayLike | None, as_given: bool) -> FloatArray:
    if scale is not None:
        return checked_scale(scale, map.size)
    if as_given:
        return np.ones(map.size)
    own = getattr(map, "scale", None)
    return unit_scale(x) if own is None else checked_scale(own, map.size)


def _check_layers(composed: FloatArray, whole: FloatArray, kappa: FloatArray) -> None:
    """**Raises:** InputError where the layers' composition is another map, beyond round-off and the solvers' tolerances."""
    allowed = 1e-3 + 1e3 * float(np.finfo(np.float64).eps) * kappa
    gap = np.max(np.abs(composed - whole), axis=1) / (1 + np.max(np.abs(whole), axis=1))
    if (gap > allowed).any():
        raise InputError(
            f"the layers do not compose to the map: their latents differ by {np.nanmax(gap):.3g} of their size; "
            "give all layers, in forward order (the first acts first on z)."
        )


def _ood(ood: Mapping[str, ArrayLike], size: int, context: FloatArray | None) -> dict[str, FloatArray]:
    if ood and context is not None:
        raise InputError("`ood` sets have no context; audit them as `x` of their own, with their context.")
    return {name: as_points(p, None, size)[0] for name, p in ood.items()}


def _way_back(
    layers: Sequence[AbstractMap],
    points: FloatArray,
    context: FloatArray | None,
    direction: Direction,
    precision: Precision,
) -> tuple[FloatArray, FloatArray | None]:
    """The images of points from which a way in `direction` leads back to them, and their context, where these are finite."""
    for _, layer in through(layers, "inverse" if direction == "forward" else "forward", precision, context):
        points = layer(points)
    finite = np.isfinite(points).all(axis=1)
    return points[finite], None if context is None else context[finite]


def _bounded(
    rows: tuple[LayerProfile, ...], map: AbstractMap, z: FloatArray, context: FloatArray | None
) -> tuple[LayerProfile, ...]:
    """The rows with upper bounds of the Lipschitz constants on the box of the latents; none known with a context, or for
    maps that are no Shoal bijection.
    """
    finite = z[np.isfinite(z).all(axis=1)]
    if not isinstance(map, JaxMap) or map.bijection is None or context is not None or not len(finite):
        return rows
    bounds = lipschitz_bounds(map.bijection, finite.min(axis=0), finite.max(axis=0))
    return tuple(
        msgspec.structs.replace(r, lipschitz_bound=b.forward, inverse_lipschitz_bound=b.inverse)
        for r, b in zip(rows, bounds, strict=True)
    )


def _largest(trips: dict[str, dict[str, Trip]], precision: str) -> float:
    """Of data and samples; NaN where one was not finite."""
    return float(np.max([trips[name][precision].max for name in ("data", "samples")]))
