"""`audit`: everything that this package measures, for one map at given points, and what it amounts to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from shoal._names import Direction, Precision, Way
from shoal._scalars import FloatArray
from shoal._types import ArrayLike
from shoal.conditioning._attack import attack
from shoal.conditioning._dense import order_statistics
from shoal.conditioning._diagnosis import diagnose, effective_rank
from shoal.conditioning._first_nonfinite import first_nonfinite
from shoal.conditioning._inputs import as_map, as_points
from shoal.conditioning._jax_map import JaxMap
from shoal.conditioning._lipschitz import lipschitz_bounds
from shoal.conditioning._map import AbstractMap
from shoal.conditioning._precision import unit_roundoff
from shoal.conditioning._profile import WORST, Profile, profile, profile_points
from shoal.conditioning._reach import reach
from shoal.conditioning._result import Audit
from shoal.conditioning._roundtrip import round_trip
from shoal.conditioning._spectrum import DENSE, Spectrum, spectrum
from shoal.conditioning._trips import (
    all_precisions,
    data_sets,
    latent_sets,
    measured_trip,
)
from shoal.conditioning._units import checked_scale, unit_scale
from shoal.records.audit import NonFinite, Reach, Trip
from shoal.records.figures import LayerProfile

TRIPS = 240  # points of a round-trip set, beside the worst ones
PREDICTED = 64  # points at which a set's kappa is measured


def audit(
    map: Any,
    x: ArrayLike,
    *,
    inverse: Callable | None = None,
    layers: Sequence[Any] | None = None,
    context: ArrayLike | None = None,
    scale: ArrayLike | None = None,
    start: Any = None,
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
    and precision stay as they are. **Raises:** ValueError for inputs that do not fit together.
    """
    whole, as_given = as_map(map, inverse, layers, np.shape(x))
    points, context_rows = as_points(x, context, whole.size)
    units = _units(whole, points, scale, as_given)
    dense = whole.size <= DENSE if dense is None else dense
    given = _Given(whole, points, context_rows, units, dense, steps, seed)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        z = np.asarray(whole.at("inverse", context=context_rows)(points), np.float64)
        found = spectrum(whole, points, context_rows, z=z, scale=units, dense=dense, steps=steps)
        rows, worst = profile_points(found.condition_numbers, seed)
        walked = given.profile(whole, rows, worst)
        _check_layers(walked.latents, z[rows], found.condition_numbers[rows])
        before = (
            None if start is None else given.profile(as_map(start, None, None, points.shape)[0], rows, worst)
        )
        trips = given.trips(found, ood or {})
        bad = given.nonfinite(trips)
        broken = None
        if attack_radius is not None:
            at, c = given.part(rows[worst])
            broken = attack(whole, at, attack_radius, c, scale=units)
        rows_of_layers = _bounded(walked.rows, whole, z, context_rows)
    kappas = np.nan_to_num(found.condition_numbers, nan=np.inf)
    kappa = order_statistics(kappas, 0.99)[0]
    runaway = given.runaway()
    exact = _largest(trips, "float64")
    diagnosis = diagnose(
        rows_of_layers,
        kappa=kappa,
        typical=float(np.median(kappas)),
        trip=_largest(trips, "float32"),
        exact_trip=exact,
        exact_predicted=0.0 if exact <= max_round_trip else given.predicted_at_worst(),
        nonfinite=next((b for b in bad if not b.points.startswith("tails")), None),
        runaway=next((r for r in runaway if r.runs_away), None),
        rank=effective_rank(points),
        size=whole.size,
        max_condition=max_condition,
        max_round_trip=max_round_trip,
    )
    predicted = {
        "data": float(np.max(walked.trip_data, initial=0.0)),
        "latent": float(np.max(walked.trip_latent, initial=0.0)),
    }
    return Audit(
        name=whole.name,
        x=points,
        z=z,
        scale=units,
        spectrum=found,
        layers=rows_of_layers,
        start=None if before is None else before.rows,
        round_trips=trips,
        nonfinite=bad,
        diagnosis=diagnosis,
        attack=broken,
        predicted=predicted,
        limits=(max_condition, max_round_trip),
        seed=seed,
        reach=runaway,
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

    def part(self, rows: Any) -> tuple[FloatArray, FloatArray | None]:
        """Some points and their context."""
        return self.x[rows], None if self.context is None else self.context[rows]

    def profile(self, map: AbstractMap, rows: np.ndarray, worst: np.ndarray) -> Profile:
        """The layers of `map` at some points."""
        at, c = self.part(rows)
        settings = {"dense": self.dense, "steps": self.steps, "seed": self.seed}
        return profile(map.layers(), at, c, self.scale, worst, **settings)

    def samples(self, rows: int) -> dict[str, FloatArray]:
        """Sets of latents."""
        return latent_sets(rows, self.map.size, self.seed)

    def trips(self, found: Spectrum, ood: Mapping[str, ArrayLike]) -> dict[str, dict[str, Trip]]:
        """Set -> precision -> trip; x -> z -> x for data sets, z -> x -> z for latent ones."""
        rows = np.random.default_rng(self.seed).permutation(len(self.x))[:TRIPS]
        worst = np.argsort(-np.nan_to_num(found.condition_numbers, nan=np.inf), kind="stable")[:WORST]
        rows = np.unique(np.concatenate([rows, worst]))
        at, c = self.part(rows)
        others = _ood(ood, self.map.size, self.context)
        sets: list[tuple[Way, str, FloatArray]] = [
            *(("data", name, p) for name, p in data_sets(at, self.seed, others).items()),
            *(("latent", name, p) for name, p in self.samples(len(at)).items()),
        ]
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
                for precision in all_precisions()
            }
        return out

    def amplified(self, p: FloatArray, context: FloatArray | None, way: Way) -> FloatArray:
        """kappa |start| at points of a set."""
        x, z = (p, None) if way == "data" else (self.map.at(context=context)(p), p)
        kappa = spectrum(self.map, x, context, z=z, scale=self.scale, dense=True).condition_numbers
        return kappa * np.linalg.norm(p / self.scale if way == "data" else p, axis=1)

    def nonfinite(self, trips: Mapping[str, Mapping[str, Trip]]) -> tuple[NonFinite, ...]:
        """First non-finite layer of data (inverse) and latents (forward), for the sets and precisions that lost points."""
        found, layers = [], self.map.layers()
        at, c = self.part(slice(2 * TRIPS))
        sets: list[tuple[Direction, str, FloatArray]] = [("inverse", "data", at), ("forward", "data", at)]
        sets.extend(("forward", name, p) for name, p in self.samples(len(at)).items())
        for direction, name, points in sets:
            for precision in ("float32", "float64"):
                if trips[name][precision].nonfinite == 0:
                    continue
                if (direction, name) == ("forward", "data"):  # the way back of x -> z -> x
                    points = _latents(layers, points, c, precision)
                hit = first_nonfinite(layers, points, c, direction=direction, precision=precision, name=name)
                if hit is not None:
                    found.append(hit)
        return tuple(found)

    def runaway(self) -> tuple[Reach, Reach]:
        """Data back to the latent, and samples to the data."""
        layers, (at, c) = self.map.layers(), self.part(slice(2 * TRIPS))
        z = self.samples(len(at))["samples"]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return (
                reach(layers, at, c, direction="inverse", name="data"),
                reach(layers, z, c, direction="forward", name="samples"),
            )

    def predicted_at_worst(self) -> float:
        """u kappa |z| in float64 at the sample whose float64 round trip is the largest; 0 (no check) if matrix-free."""
        if not self.dense:
            return 0.0
        z = self.samples(min(len(self.x), TRIPS))["samples"]
        c = None if self.context is None else self.context[: len(z)]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            errors = round_trip(self.map, z, c, precision="float64", way="latent")
            worst = [int(np.argmax(np.nan_to_num(errors, nan=np.inf)))]
            amplified = self.amplified(z[worst], None if c is None else c[worst], "latent")
        return float(unit_roundoff("float64") * amplified[0])


def _units(map: AbstractMap, x: FloatArray, scale: ArrayLike | None, as_given: bool) -> FloatArray:
    if scale is not None:
        return checked_scale(np.asarray(scale), map.size)
    if as_given:
        return np.ones(map.size)
    own = getattr(map, "scale", None)
    return unit_scale(x) if own is None else checked_scale(own, map.size)


def _check_layers(composed: FloatArray, whole: FloatArray, kappa: FloatArray) -> None:
    """**Raises:** ValueError where the layers' composition is another map, beyond round-off and the solvers' tolerances."""
    allowed = 1e-3 + 1e3 * float(np.finfo(np.float64).eps) * kappa
    gap = np.max(np.abs(composed - whole), axis=1) / (1 + np.max(np.abs(whole), axis=1))
    if (gap > allowed).any():
        raise ValueError(
            f"the layers do not compose to the map: their latents differ by {np.nanmax(gap):.3g} of their size; "
            "give all layers, in forward order (the first acts first on z)."
        )


def _ood(ood: Mapping[str, ArrayLike], size: int, context: FloatArray | None) -> dict[str, FloatArray]:
    if ood and context is not None:
        raise ValueError("`ood` sets have no context; audit them as `x` of their own, with their context.")
    return {name: as_points(p, None, size)[0] for name, p in ood.items()}


def _latents(
    layers: Sequence[AbstractMap], x: FloatArray, context: FloatArray | None, precision: Precision
) -> FloatArray:
    """Those rows of data that reach the latent finite, there; the others as zeros, which lose nothing."""
    for layer in reversed(layers):
        x = layer.at("inverse", precision, context)(x)
    return np.where(np.isfinite(x).all(axis=1, keepdims=True), x, 0.0)


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
