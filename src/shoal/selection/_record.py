"""The record of a ladder: plain values, from which the report is drawn."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np

from shoal._scalars import FloatArray
from shoal.distributions import Flow, Padded
from shoal.records import system_info
from shoal.selection._choice import Delivery
from shoal.selection._evaluate import POINTS, Figures
from shoal.selection._prepare import Prepared
from shoal.selection._race import Race
from shoal.selection._rule import ONE_SIDED, Choice, paired_difference, winsorised
from shoal.selection._rung import Rung

SHOWN = 1500  # data points and samples that the report draws
NARROWEST = 1e-6  # of the histogram, in powers of ten
IN_NATS = ("train", "validation", "validation_mean")  # the curves of log-likelihoods
WORST = 200  # the worst-conditioned ones among them


def build_record(
    prepared: Prepared,
    run: Race,
    choice: Choice,
    delivery: Delivery | None,
    *,
    flow: Flow | Padded | None,
    test: dict[str, Any] | None,
    layers: dict[str, Any] | None,
    words: str,
    config: dict[str, Any],
    seconds: float,
) -> dict[str, Any]:
    """The whole record; `flow` is the delivered flow in user units."""
    rungs = run.rungs
    figures = None if delivery is None else rungs[delivery.rung].figures[delivery.seed]
    return {
        "format": 1,
        "kind": "fit",
        "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "versions": system_info(),
        "device": jax.devices()[0].platform,
        "dtype": config["dtype"],
        "seconds": seconds,
        "data": _data(prepared),
        "config": config,
        "rungs": [
            _rung(r, i, choice, prepared) | {"gain": _gain(rungs, i, choice, prepared)}
            for i, r in enumerate(rungs)
        ],
        "decision": {
            "chosen": choice.chosen,
            "best": choice.best,
            "kept": None if delivery is None else delivery.rung,
            "seed": None if delivery is None else delivery.seed,
            "gate": None if delivery is None else delivery.gate,
            "margin": config["margin"],
            "max_condition": config["max_condition"],
            "max_round_trip": config["max_round_trip"],
            "sentence": words,
        },
        "race": run.events,
        "far_rows": None if figures is None else _far_rows(prepared, figures, config["max_round_trip"]),
        "test": test,
        "layers": layers,
        "spectrum": None if figures is None else _spectrum(figures),
        "condition_histogram": None if figures is None else _histogram(figures),
        "points": None
        if figures is None or flow is None
        else _points(prepared, figures, flow, config["seed"]),
    }


def _data(prepared: Prepared) -> dict[str, Any]:
    table = prepared.table
    return {
        "source": table.source,
        "rows": table.rows,
        "parts": {name: len(part.rows) for name, part in prepared.parts.items()},
        "columns": list(table.names),
        "context_columns": list(table.context_names),
        "weights_column": table.weights_name,
        "lattice": [
            {"column": s.column, "step": s.step, "ties": s.ties, "dequantized": prepared.dequantized}
            for s in prepared.lattices
        ],
        "means": prepared.mean.tolist(),
        "scales": prepared.scale.tolist(),
    }


def _rung(rung: Rung, index: int, choice: Choice, prepared: Prepared) -> dict[str, Any]:
    verdict = choice.verdicts[index]
    seeds = []
    for s, result in enumerate(rung.results):
        # curves and means are trained on standardised rows; the record is in the user's units
        entry = {"seed": s, **result.to_record()}
        shift = prepared.log_volume
        entry["curve"] = {
            k: [None if v is None else v - shift for v in values] if k in IN_NATS else values
            for k, values in entry["curve"].items()
        }
        if result.first_validation is not None:
            entry["first_validation"] = result.first_validation - shift
        if entry["status"] == "stopped early":
            entry["status"] = "finished"
        weights = prepared.parts["validation"].weights
        if s < len(rung.log_likelihoods):
            logs = rung.log_likelihoods[s]
            entry["validation_log_likelihood"] = winsorised(logs[None], weights) - shift
            entry["validation_mean"] = _mean([logs], prepared)
        figures = rung.figures[s] if s < len(rung.figures) else None
        if figures is not None:
            entry |= figures.to_record()
        seeds.append(entry)
    worst = [f.to_record() for f in rung.figures]
    plain = _mean(rung.log_likelihoods, prepared) if rung.log_likelihoods else None
    return {
        "front": rung.front,
        "family": rung.chain,
        "depth": rung.depth,
        "name": rung.name,
        "parameters": _parameters(rung),
        "status": rung.status,
        "seconds": rung.seconds,
        "seeds": seeds,
        "validation_log_likelihood": None if verdict is None else verdict.mean - prepared.log_volume,
        "validation_mean": plain,
        "difference": None if verdict is None else verdict.difference,
        "standard_error": None if verdict is None else verdict.standard_error,
        "upper": None if verdict is None else verdict.upper,
        "state": None if verdict is None else verdict.state,
        "as_good": None if verdict is None else verdict.as_good,
        "dropped": rung.dropped,
        "well_conditioned": None if verdict is None else verdict.well_conditioned,
        "invertible": None if verdict is None else verdict.invertible,
        "condition": _worst([w["condition"] for w in worst]),
        "condition_user_units": _worst([w["condition_user_units"] for w in worst]),
        "round_trip": {p: _worst([w["round_trip"][p] for w in worst]) for p in worst[0]["round_trip"]}
        if worst
        else None,
        "chosen": index == choice.chosen,
    }


def _mean(log_likelihoods: Sequence[FloatArray], prepared: Prepared) -> float:
    """The plain mean over rows and seeds, in the user's units."""
    weights = prepared.parts["validation"].weights
    return float(np.mean([np.average(row, weights=weights) for row in log_likelihoods])) - prepared.log_volume


def _gain(rungs: Sequence[Rung], index: int, choice: Choice, prepared: Prepared) -> dict[str, Any] | None:
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
    ends = {"low": mean - ONE_SIDED * error, "high": mean + ONE_SIDED * error}
    return {"over": over, "mean": mean, "standard_error": error, **ends}


def _worst(summaries: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Each figure's largest value over the seeds; NaN stays NaN."""
    if not summaries:
        return None
    return {k: np.max([s[k] for s in summaries]).item() for k in summaries[0]}


def _parameters(rung: Rung) -> int | None:
    if not rung.flows:
        return None
    leaves = jax.tree.leaves(eqx.filter(rung.flows[0], eqx.is_inexact_array))
    return int(sum(leaf.size for leaf in leaves))


def _spectrum(figures: Figures) -> dict[str, Any]:
    q01, median, q99 = np.quantile(figures.singular_values, [0.01, 0.5, 0.99], axis=0)
    index = list(range(1, len(median) + 1))
    return {"index": index, "q01": q01.tolist(), "median": median.tolist(), "q99": q99.tolist()}


def _histogram(figures: Figures) -> dict[str, Any] | None:
    kappa = figures.condition_numbers
    logs = np.log10(kappa[np.isfinite(kappa)])
    if logs.size == 0:
        return None
    low, high = float(logs.min()), float(logs.max())
    wide = 0.5 if high - low < NARROWEST else 0.0  # one κ but for rounding
    counts, edges = np.histogram(logs, bins=40, range=(low - wide, high + wide))
    return {"log10_edges": edges.tolist(), "counts": counts.tolist()}


def _far_rows(prepared: Prepared, figures: Figures, limit: float) -> dict[str, Any]:
    """The validation rows whose float32 round trip is beyond the limit, or not finite, the farthest first."""
    errors = np.where(np.isfinite(figures.errors), figures.errors, np.inf)
    beyond = np.flatnonzero(errors > limit)
    shown = beyond[np.argsort(-errors[beyond], kind="stable")]
    rows = prepared.parts["validation"].rows[:POINTS][shown]
    return {
        "count": len(beyond),
        "of": len(errors),
        "row": prepared.table.row_numbers()[rows].tolist(),
        "error": figures.errors[shown].tolist(),
        "log_prob": (figures.log_likelihoods[:POINTS][shown] - prepared.log_volume).tolist(),
    }


def _points(prepared: Prepared, figures: Figures, flow: Flow | Padded, seed: int) -> dict[str, Any]:
    part = prepared.parts["validation"]
    kappa = figures.condition_numbers
    rng = np.random.default_rng([seed, 2])
    order = np.argsort(np.where(np.isnan(kappa), np.inf, kappa))[::-1]
    worst, rest = order[:WORST], order[WORST:]
    shown = np.sort(np.concatenate([worst, rng.permutation(rest)[: max(SHOWN - len(worst), 0)]]))
    rows = part.rows[:POINTS][shown]
    context = None if part.context is None else prepared.table.context
    if context is None or flow.context_shape is None:
        samples = flow.sample(jax.random.key(seed), (min(SHOWN, max(len(kappa), 200)),))
    else:
        samples = flow.sample(jax.random.key(seed), (), context[rows])
    return {
        "columns": list(prepared.table.names),
        "data": prepared.values[rows].tolist(),
        "condition": kappa[shown].tolist(),
        "log_prob": (figures.log_likelihoods[:POINTS][shown] - prepared.log_volume).tolist(),
        "row": prepared.table.row_numbers()[rows].tolist(),
        "samples": np.asarray(samples, np.float64).tolist(),
    }
