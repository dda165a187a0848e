"""The record of a ladder, from which the report is drawn."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from msgspec.structs import asdict, replace

from shoal._scalars import FloatArray, IntArray
from shoal.distributions import AbstractFlow
from shoal.records import FitRecord, fit, system_info
from shoal.records.figures import ConditionSummary, NextLayer, RoundTripSummary
from shoal.selection._bounds import bounded
from shoal.selection._delivery import Delivery, sentence
from shoal.selection._measure import POINTS, Figures
from shoal.selection._prepare import Prepared
from shoal.selection._race import Race
from shoal.selection._rule import ONE_SIDED, Choice, Gates, paired_difference, winsorised
from shoal.selection._rung import Rung

JUDGED = ("difference", "standard_error", "upper", "state", "as_good", "well_conditioned", "invertible")
SHOWN = 1500  # data points and samples that the report draws
NARROWEST = 1e-6  # of the histogram, in powers of ten
WORST = 200  # the worst-conditioned ones among them


def build_record(
    prepared: Prepared,
    run: Race,
    choice: Choice,
    delivery: Delivery | None,
    config: dict[str, Any],
    *,
    flow: AbstractFlow | None,
    test: fit.HeldOut | None,
    quantiles: list[float],
    layers: fit.LayersRecord | None,
    foretold: NextLayer | None,
) -> FitRecord:
    """The whole record; `flow` is the delivered flow in user units."""
    rungs = run.rungs
    gates = Gates(config["margin"], config["max_condition"], config["max_round_trip"])
    figures = None if delivery is None else rungs[delivery.rung].figures[delivery.seed]
    shown = None if figures is None or flow is None else _points(prepared, figures, flow, config["seed"])
    return FitRecord(
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        versions=system_info(),
        device=jax.devices()[0].platform,
        dtype=config["dtype"],
        seconds=run.clock.elapsed(),
        data=_data(prepared),
        config=config,
        rungs=[_rung(rungs, i, choice, prepared) for i in range(len(rungs))],
        decision=fit.Decision(
            chosen=choice.chosen,
            best=choice.best,
            kept=None if delivery is None else delivery.rung,
            seed=None if delivery is None else delivery.seed,
            gate=None if delivery is None else delivery.gate,
            margin=config["margin"],
            max_condition=config["max_condition"],
            max_round_trip=config["max_round_trip"],
            sentence=sentence(rungs, choice, delivery, gates.limits, foretold),
        ),
        race=run.events,
        far_rows=None if figures is None else _far_rows(prepared, figures, config["max_round_trip"]),
        test=test,
        quantiles=quantiles,
        layers=layers,
        next_layer=foretold,
        spectrum=None if figures is None else _spectrum(figures),
        condition_histogram=None if figures is None else _histogram(figures),
        points=shown,
    )


def _data(prepared: Prepared) -> fit.TableRecord:
    table, schema = prepared.table, prepared.table.schema
    return fit.TableRecord(
        source=table.source,
        rows=prepared.rows or table.rows,
        stream=prepared.stream,
        parts=_parts(prepared),
        columns=list(table.names),
        context_columns=list(table.context_names),
        weights_column=table.weights_name,
        lattice=[fit.Lattice(s.column, s.step, s.ties, prepared.dequantized) for s in prepared.lattices],
        means=prepared.mean.tolist(),
        scales=prepared.scale.tolist(),
        kinds={} if schema is None else {c.name: c.sentence() for c in schema.columns},
        notes=list(table.notes),
    )


def _parts(prepared: Prepared) -> dict[str, int]:
    found = {name: len(part.rows) for name, part in prepared.parts.items()}
    if prepared.stream is None or prepared.source is None:
        return found
    return found | {"train": len(prepared.source)}


def _rung(rungs: Sequence[Rung], index: int, choice: Choice, prepared: Prepared) -> fit.RungRecord:
    rung, verdict = rungs[index], choice.verdicts[index]
    figures = rung.figures
    judged = {}
    if verdict is not None:
        judged = {name: getattr(verdict, name) for name in JUDGED}
        judged["validation_log_likelihood"] = verdict.mean - prepared.log_volume
    return fit.RungRecord(
        front=rung.front,
        family=rung.chain,
        depth=rung.depth,
        name=rung.name,
        parameters=_parameters(rung),
        status=rung.status,
        seconds=rung.seconds,
        seeds=[_seed(rung, s, prepared) for s in range(len(rung.results))],
        validation_mean=_mean(rung.log_likelihoods, prepared) if rung.log_likelihoods else None,
        dropped=rung.dropped,
        gain=_gain(rungs, index, choice, prepared),
        condition=_worst([f.condition for f in figures]),
        condition_user_units=_worst([f.condition_user_units for f in figures]),
        round_trip=_worst_trips(figures),
        **judged,
    )


def _seed(rung: Rung, index: int, prepared: Prepared) -> fit.SeedRecord:
    """One seed; curves and means are of standardised rows and are written in the user's units."""
    trained, shift = rung.results[index].to_record(), prepared.log_volume
    curve, first = trained.curve, trained.first_validation
    changes: dict[str, Any] = {
        "curve": replace(
            curve,
            train=_less(curve.train, shift),
            validation=_less(curve.validation, shift),
            validation_mean=_less(curve.validation_mean, shift),
        ),
        "first_validation": None if first is None else first - shift,
        "status": "finished" if trained.status == "stopped early" else trained.status,
    }
    if index < len(rung.log_likelihoods):
        logs = rung.log_likelihoods[index]
        robust = winsorised(logs[None], prepared.parts["validation"].weights)
        changes |= {
            "validation_log_likelihood": robust - shift,
            "validation_mean": _mean([logs], prepared),
        }
    if index < len(rung.figures):
        figures = rung.figures[index]
        changes |= {
            "condition": figures.condition,
            "condition_user_units": figures.condition_user_units,
            "round_trip": figures.round_trips,
        }
    return fit.SeedRecord(seed=index, **(asdict(trained) | changes))


def _less(values: Sequence[float | None], shift: float) -> list[float | None]:
    return [None if value is None else value - shift for value in values]


def _mean(log_likelihoods: Sequence[FloatArray], prepared: Prepared) -> float:
    """The plain mean over rows and seeds, in the user's units."""
    weights = prepared.parts["validation"].weights
    return float(np.mean([np.average(row, weights=weights) for row in log_likelihoods])) - prepared.log_volume


def _gain(rungs: Sequence[Rung], index: int, choice: Choice, prepared: Prepared) -> fit.Gain | None:
    """What the rung gained over the one before it in its chain, the front alone before the first; with its interval."""
    rung = rungs[index]
    line = [
        i
        for i, other in enumerate(rungs[:index])
        if other.front == rung.front
        and other.family in (None, rung.family)
        and choice.verdicts[i] is not None
    ]
    if rung.family is None or choice.verdicts[index] is None or not line:
        return None
    over = max(line, key=lambda i: rungs[i].depth)
    ours, theirs = (np.stack(r.log_likelihoods) for r in (rung, rungs[over]))
    mean, error = paired_difference(ours, theirs, prepared.parts["validation"].weights)
    return fit.Gain(over, mean, error, low=mean - ONE_SIDED * error, high=mean + ONE_SIDED * error)


def _worst(summaries: Sequence[ConditionSummary]) -> ConditionSummary | None:
    """Each figure's largest value over the seeds; NaN stays NaN."""
    return ConditionSummary(**_largest(summaries)) if summaries else None


def _worst_trips(figures: Sequence[Figures]) -> dict[str, RoundTripSummary]:
    """The same of the round trips, for each precision."""
    names = figures[0].round_trips if figures else ()
    return {name: RoundTripSummary(**_largest([f.round_trips[name] for f in figures])) for name in names}


def _largest(summaries: Sequence[ConditionSummary] | Sequence[RoundTripSummary]) -> dict[str, Any]:
    rows = [asdict(summary) for summary in summaries]
    return {name: np.max([row[name] for row in rows]).item() for name in rows[0]}


def _parameters(rung: Rung) -> int | None:
    if not rung.flows:
        return None
    leaves = jax.tree.leaves(eqx.filter(rung.flows[0], eqx.is_inexact_array))
    return int(sum(leaf.size for leaf in leaves))


def _spectrum(figures: Figures) -> fit.SpectrumRecord:
    q01, median, q99 = np.quantile(figures.singular_values, [0.01, 0.5, 0.99], axis=0)
    index = list(range(1, len(median) + 1))
    return fit.SpectrumRecord(index, q01.tolist(), median.tolist(), q99.tolist())


def _histogram(figures: Figures) -> fit.Histogram | None:
    kappa = figures.condition_numbers
    logs = np.log10(kappa[np.isfinite(kappa)])
    if logs.size == 0:
        return None
    low, high = float(logs.min()), float(logs.max())
    wide = 0.5 if high - low < NARROWEST else 0.0  # one κ but for rounding
    counts, edges = np.histogram(logs, bins=40, range=(low - wide, high + wide))
    return fit.Histogram(edges.tolist(), counts.tolist())


def _far_rows(prepared: Prepared, figures: Figures, limit: float) -> fit.FarRows:
    """The validation rows whose float32 round trip is beyond the limit, or not finite, the farthest first."""
    errors = np.where(np.isfinite(figures.errors), figures.errors, np.inf)
    beyond = np.flatnonzero(errors > limit)
    shown = beyond[np.argsort(-errors[beyond], kind="stable")]
    rows = prepared.parts["validation"].rows[:POINTS][shown]
    return fit.FarRows(
        count=len(beyond),
        of=len(errors),
        row=prepared.table.row_numbers()[rows].tolist(),
        error=figures.errors[shown].tolist(),
        log_prob=_user_log_prob(prepared, figures, shown).tolist(),
    )


def _user_log_prob(prepared: Prepared, figures: Figures, shown: IntArray) -> FloatArray:
    """log p, in the user's units, of some of the validation rows that were measured."""
    return prepared.user_log_prob("validation", figures.log_likelihoods[:POINTS][shown], shown)


def _points(prepared: Prepared, figures: Figures, flow: AbstractFlow, seed: int) -> fit.PointsRecord:
    part = prepared.parts["validation"]
    kappa = figures.condition_numbers
    rng = np.random.default_rng([seed, 2])
    order = np.argsort(np.where(np.isnan(kappa), np.inf, kappa))[::-1]
    worst, rest = order[:WORST], order[WORST:]
    shown = np.sort(np.concatenate([worst, rng.permutation(rest)[: max(SHOWN - len(worst), 0)]]))
    rows = part.rows[:POINTS][shown]
    mean, scale = prepared.context_mean, prepared.context_scale
    if part.context is None or mean is None or scale is None or flow.context_shape is None:
        samples = flow.sample(jax.random.key(seed), (min(SHOWN, max(len(kappa), 200)),))
    else:
        context = part.context[:POINTS][shown] * scale + mean
        samples = flow.sample(jax.random.key(seed), (), context)
    values = prepared.values[rows]
    if prepared.filling is not None:
        values = bounded(
            part.x[:POINTS][shown] * prepared.scale + prepared.mean, prepared.table, prepared.support
        )
    return fit.PointsRecord(
        columns=list(prepared.table.names),
        data=values.tolist(),
        condition=kappa[shown].tolist(),
        log_prob=_user_log_prob(prepared, figures, shown).tolist(),
        row=prepared.table.row_numbers()[rows].tolist(),
        samples=bounded(np.asarray(samples, np.float64), prepared.table, None).tolist(),
    )
