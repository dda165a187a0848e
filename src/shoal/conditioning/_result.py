"""`Audit`: the figures of one audit, each with its kind."""

from dataclasses import dataclass

import msgspec
import numpy as np
import polars as pl

from shoal._scalars import FloatArray
from shoal.conditioning._log_prob_errors import LogProbErrors
from shoal.conditioning._profile import layer_kinds
from shoal.conditioning._spectrum import Spectrum, summarize
from shoal.records.audit import Attack, AuditRecord, Bands, Diagnosis, Limits, NonFinite, Reach, Shown, Trip
from shoal.records.figures import Kind, LayerProfile

PRINTED = {
    "condition_median": "κ median",
    "condition_q99": "κ 99 %",
    "condition_max": "κ max",
    "lipschitz": "Lip",
    "inverse_lipschitz": "Lip inv",
    "log_det": "log-det",
    "round_trip": "trip f32",
}


@dataclass(frozen=True)
class Audit:
    """What `audit` found. Singular values are those of latent -> x / `scale`; layers are counted from 0, forward order.

    `x`, `z`: (points, n), data and their latents; `round_trips`: set -> precision -> `Trip`, x -> z -> x for "data",
    "uniform noise" and out-of-distribution sets, z -> x -> z for "samples" and "tails x2", "x4", "x8"; `predicted`: for
    the ways "data" and "latent" the layers' sum of amplified round-off, in units of u; `limits`: what counted as healthy;
    `reach`: growth of data and samples when they are scaled by two; `log_prob_errors`: what rounding does to log p at each
    row of `x`, None where the map or a layer of it gives no log-det.
    """

    name: str
    x: FloatArray
    z: FloatArray
    scale: FloatArray
    spectrum: Spectrum
    layers: tuple[LayerProfile, ...]
    start: tuple[LayerProfile, ...] | None
    round_trips: dict[str, dict[str, Trip]]
    nonfinite: tuple[NonFinite, ...]
    diagnosis: Diagnosis
    attack: Attack | None
    predicted: dict[str, float]
    limits: Limits
    seed: int
    reach: tuple[Reach, ...] = ()
    log_prob_errors: LogProbErrors | None = None

    @property
    def singular_values(self) -> FloatArray:
        """(points, n), descending, or the two ends (points, 2) where the audit was matrix-free."""
        return self.spectrum.values

    @property
    def condition_numbers(self) -> FloatArray:
        """kappa at each point, (points,); what is `unresolved` has its kind in `condition_kinds`."""
        return self.spectrum.condition_numbers

    @property
    def condition_numbers_user_units(self) -> FloatArray:
        """kappa of latent -> x, in the units of x, (points,)."""
        return self.spectrum.user_units

    @property
    def condition_kinds(self) -> tuple[Kind, ...]:
        """The kind of kappa at each point: "unresolved" above 1/eps, else "exact" or, matrix-free, "lower_bound"."""
        usual: Kind = "exact" if self.spectrum.dense else "lower_bound"
        return tuple("unresolved" if u else usual for u in self.spectrum.unresolved)

    @property
    def kinds(self) -> dict[str, Kind]:
        """Figure -> its kind."""
        of_log_prob = {} if self.log_prob_errors is None else self.log_prob_errors.kinds
        return {**self.spectrum.kinds, **layer_kinds(self.spectrum.dense), **of_log_prob}

    @property
    def worst_layer(self) -> int | None:
        """The layer at fault, in forward order from 0; None for a healthy flow, and where no layer is (a runaway)."""
        return self.diagnosis.worst_layer

    @property
    def healthy(self) -> bool:
        """No limit was crossed."""
        return self.diagnosis.healthy

    @property
    def round_trip(self) -> dict[str, Trip]:
        """Precision -> x -> z -> x at the data."""
        return self.round_trips["data"]

    @property
    def worst_points(self) -> np.ndarray:
        """Rows of `x`, the worst conditioned first."""
        return np.argsort(-np.nan_to_num(self.condition_numbers, nan=np.inf), kind="stable")

    def to_record(self, points: int = 1000) -> AuditRecord:
        """What the report is drawn from; at most `points` points, the worst ones among them."""
        keep = self._kept(points)
        log_dets = self.spectrum.log_dets
        return AuditRecord(
            name=self.name,
            size=self.x.shape[1],
            points=len(self.x),
            seed=self.seed,
            dense=self.spectrum.dense,
            scale=self.scale.tolist(),
            kinds=self.kinds,
            limits=self.limits,
            condition=summarize(self.condition_numbers),
            condition_user_units=summarize(self.condition_numbers_user_units),
            log_det_gap=None if log_dets is None else log_dets.gap,
            residual=self.spectrum.residual,
            spectrum=_bands(self.singular_values),
            layers=list(self.layers),
            start=None if self.start is None else list(self.start),
            round_trips=self.round_trips,
            predicted=self.predicted,
            reach=list(self.reach),
            nonfinite=list(self.nonfinite),
            diagnosis=self.diagnosis,
            attack=self.attack,
            log_prob_errors=self.log_prob_errors
            and self.log_prob_errors.to_record(self.round_trip["float32"], self.limits.max_round_trip),
            shown=Shown(
                rows=keep.tolist(),
                x=self.x[keep].tolist(),
                z=self.z[keep].tolist(),
                condition=self.condition_numbers[keep].tolist(),
                sigma_max=self.singular_values[keep, 0].tolist(),
                sigma_min=self.singular_values[keep, -1].tolist(),
            ),
        )

    def points_table(self) -> pl.DataFrame:
        """One row a point: x, z, kappa and its kind, both ends of the spectrum, log-dets."""
        log_dets = self.spectrum.log_dets
        columns: dict[str, object] = {
            "point": np.arange(len(self.x)),
            **{f"x{i}": v for i, v in enumerate(self.x.T)},
            **{f"z{i}": v for i, v in enumerate(self.z.T)},
            "condition": self.condition_numbers,
            "condition_kind": list(self.condition_kinds),
            "condition_user_units": self.condition_numbers_user_units,
            "sigma_max": self.singular_values[:, 0],
            "sigma_min": self.singular_values[:, -1],
        }
        if log_dets is not None:
            columns["slogdet"] = log_dets.slogdet
        if log_dets is not None and log_dets.own is not None:
            columns["log_det"] = log_dets.own
        return pl.DataFrame(columns)

    def layers_table(self) -> pl.DataFrame:
        """One row a layer: the profile."""
        return pl.DataFrame([msgspec.structs.asdict(row) for row in self.layers], infer_schema_length=None)

    def __str__(self) -> str:
        """The table for a terminal: the verdict, a row a layer, round trips."""
        head = [self.diagnosis.sentence, "", *_layer_lines(self), "", "largest round trip"]
        trips = (
            f"{name:<16} " + "  ".join(f"{p} {t.max:.2g}" for p, t in by.items())
            for name, by in self.round_trips.items()
        )
        return "\n".join([*head, *trips])

    def _kept(self, points: int) -> np.ndarray:
        if len(self.x) <= points:
            return np.arange(len(self.x))
        worst = self.worst_points[: points // 5]
        rest = np.setdiff1d(np.arange(len(self.x)), worst)
        picked = np.random.default_rng(self.seed).permutation(rest)[: points - len(worst)]
        return np.sort(np.concatenate([worst, picked]))


def _bands(values: FloatArray) -> Bands:
    """Quantiles over points of each singular value, largest first; points that are not finite are left out, and counted."""
    finite = np.isfinite(values).all(axis=1)
    good = values[finite]
    if not len(good):
        return Bands(len(values))
    levels = {"min": 0.0, "q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95, "max": 1.0}
    bands = {name: np.quantile(good, q, axis=0).tolist() for name, q in levels.items()}
    return Bands(int((~finite).sum()), **bands)


def _layer_lines(audit: Audit) -> list[str]:
    lines = [f"{'':>3} {'layer':<24} " + " ".join(f"{name:>9}" for name in PRINTED.values())]
    for r in audit.layers:
        figures = (getattr(r, name) for name in PRINTED)
        mark = "  <- worst" if r.index == audit.worst_layer else ""
        lines.append(f"{r.index:>3} {r.name[:24]:<24} " + " ".join(f"{v:>9.3g}" for v in figures) + mark)
    return lines
