"""The depth ladder: flows of growing depth on one table, and the shallowest that is as good as the best and safe.

Rungs are trained depth by depth, the families in turn, so that an ended budget cuts the deep ends of all families
alike. Condition numbers are those of latent -> standardised data. The test part is read once, after the choice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import ArrayLike
from shoal.bijections import Chain, Standardize, StandardizedContext
from shoal.distributions import Flow, Padded
from shoal.selection._budget import Budget
from shoal.selection._evaluate import log_likelihoods
from shoal.selection._layers import allowed_seconds, layer_record, unmeasured
from shoal.selection._prepare import Prepared, prepare
from shoal.selection._record import build_record
from shoal.selection._rule import Choice, choose
from shoal.selection._rung import Rung, Training, check_family, train
from shoal.selection._sentence import sentence
from shoal.tables import as_table
from shoal.training import ConditioningMonitor

DEPTHS = (1, 2, 4, 8, 16)
MONITOR = ConditioningMonitor()  # without a budget: it looks and changes nothing


@dataclass(frozen=True)
class LadderResult:
    """The outcome of a ladder.

    `flow`: the delivered flow, in the user's units, with column names (None if no rung was finite); where no rung
    qualified it is the best-conditioned one among the as-good ones, and `choice.chosen` is None. `record`: plain
    values, from which `shoal.report.write_report` draws the report. `rungs`, `choice`: the trained rungs and the
    rule's verdicts. `prepared`: the parts, as split and dequantized. `test_log_likelihoods`: nats per test row.
    """

    flow: Flow | Padded | None
    record: dict[str, Any]
    rungs: tuple[Rung, ...]
    choice: Choice
    prepared: Prepared
    test_log_likelihoods: FloatArray | None
    interrupted: bool

    @property
    def failed(self) -> bool:
        """True if no rung is finite."""
        return self.flow is None

    def to_record(self) -> dict[str, Any]:
        """The record."""
        return self.record


def ladder(
    data: ArrayLike,
    *,
    context: Any = None,
    weights: Any = None,
    columns: Sequence[str] | None = None,
    families: Sequence[str] = ("realnvp",),
    depths: Sequence[int] = DEPTHS,
    seeds: int = 2,
    seed: int = 0,
    time_limit: float | None = None,
    max_condition: float = 1e4,
    max_round_trip: float = 1e-3,
    dequantize: Literal["auto", "off"] = "auto",
    hidden: tuple[int, ...] = (64, 64),
    batch_size: int = 512,
    max_epochs: int = 100,
    patience: int = 20,
    learning_rate: float = 3e-3,
    dtype: Literal["float32", "float64"] = "float32",
    folder: str | Path | None = None,
    resume: bool = False,
    progress: Callable[[dict[str, Any]], None] | None = None,
    monitor: ConditioningMonitor | None = MONITOR,
) -> LadderResult:
    """Train flows of growing depth, choose the shallowest one that is as good as the best and numerically invertible.

    **Main arguments:**

    - `data`: a NumPy or JAX array (rows, columns), a polars or pandas data frame, or a `shoal.tables.Table`.
      `columns`, `context`, `weights` as in `shoal.tables.as_table`.
    - `families`: any of nice, realnvp, spline, maf, iaf, single_coordinate, planar, radial, sylvester, residual,
      layerwise, ffjord, anode, anf, nsf (anode, anf are scored by a lower bound in expectation). `depths`: numbers of
      layers. `seeds`: trained side by side.
    - `time_limit`: seconds for everything; each rung gets a share, an unfinished one is marked, the last ones may not
      be begun. None: every rung trains up to `max_epochs`.
    - `max_condition`: bound on the 99 % quantile of κ (latent -> standardised data, validation points);
      `max_round_trip`: bound on the largest float32 error of data -> latent -> data, in standard deviations.
    - `dequantize`: "auto" adds uniform noise of one step to lattice columns, in all three parts; "off" does not.

    **Other arguments:** `hidden`, `batch_size`, `max_epochs`, `patience`, `learning_rate`: see `shoal.training.fit`;
    `dtype`: of the weights ("float64" needs JAX's 64-bit switch); `seed`: of the split, the noise and the weights;
    `folder`, `resume`: checkpoints; `progress`: called with plain dictionaries; `monitor`: records κ and round trips
    while the rungs train (None: does not, which saves compiling a program a rung).

    **Returns:** `LadderResult`. Ctrl-C ends the training and gives the result of what is done.

    **Raises:** `InputError` (a ValueError) for bad input, before anything is trained.
    """
    budget = Budget(time_limit)
    table = as_table(data, columns, context=context, weights=weights, minimum_rows=100, distinct=True)
    families = [families] if isinstance(families, str) else list(families)
    depths = [depths] if isinstance(depths, int) else list(depths)
    _check(families, depths, seeds, seed, time_limit, dtype, dequantize, max_condition, max_round_trip)
    depths = [int(depth) for depth in depths]
    config = {
        "families": families, "depths": depths, "seeds": seeds, "seed": seed, "time_limit": time_limit,
        "max_condition": max_condition, "max_round_trip": max_round_trip, "dequantize": dequantize,
        "hidden": list(hidden), "batch_size": batch_size, "max_epochs": max_epochs, "patience": patience,
        "learning_rate": learning_rate, "dtype": dtype,
    }  # fmt: skip
    prepared = prepare(table, seed=seed, dequantize_columns=dequantize == "auto", dtype=dtype)
    settings = Training(
        seeds, seed, tuple(hidden), batch_size, max_epochs, patience, learning_rate,
        None if folder is None else Path(folder), resume, monitor,
    )  # fmt: skip
    rungs = [Rung(family, depth) for depth in sorted(set(depths)) for family in dict.fromkeys(families)]
    interrupted = _climb(rungs, prepared, settings, budget, progress)
    validation = prepared.parts["validation"]
    choice = choose(
        [r.candidate() for r in rungs],
        max_condition=max_condition,
        max_round_trip=max_round_trip,
        weights=validation.weights,
    )
    kept = _kept(rungs, choice, validation.weights)
    flow = scores = test = layers = None
    if kept is not None:
        inner = rungs[kept[0]].results[kept[1]].flow
        flow = in_user_units(inner, prepared)
        scores, test = _test(inner, prepared)
        layers, interrupted = _layers(rungs[kept[0]], kept[1], prepared, budget, seed, interrupted, progress)
    words = sentence(rungs, choice, max_condition=max_condition, max_round_trip=max_round_trip)
    record = build_record(
        prepared,
        rungs,
        choice,
        kept=kept,
        flow=flow,
        test=test,
        layers=layers,
        words=words,
        config=config,
        seconds=budget.elapsed(),
    )
    return LadderResult(flow, record, tuple(rungs), choice, prepared, scores, interrupted)


def in_user_units(inner: Flow | Padded, prepared: Prepared) -> Flow | Padded:
    """The flow on standardised rows as a flow in the user's units, with column names."""
    body, table = inner.bijection, prepared.table
    if prepared.context_mean is not None and prepared.context_scale is not None:
        body = StandardizedContext(
            body,
            jnp.asarray(prepared.context_mean, inner.dtype),
            jnp.asarray(prepared.context_scale, inner.dtype),
        )
    mean, scale = prepared.mean, prepared.scale
    if isinstance(inner, Padded):  # the padding keeps its units
        mean = np.concatenate([mean, np.zeros(inner.padding.size)])
        scale = np.concatenate([scale, np.ones(inner.padding.size)])
    last = Standardize(jnp.asarray(mean, inner.dtype), jnp.asarray(scale, inner.dtype))
    if isinstance(inner, Padded):
        joint = Flow(inner.joint.base, Chain([body, last]), context_columns=table.context_names or None)
        made = Padded(joint, inner.padding, columns=table.names, key=jr.key(0))
        return eqx.tree_at(lambda p: p.noise, made, inner.noise)
    return Flow(
        inner.base, Chain([body, last]), columns=table.names, context_columns=table.context_names or None
    )


def _climb(
    rungs: list[Rung],
    prepared: Prepared,
    settings: Training,
    budget: Budget,
    progress: Callable[[dict[str, Any]], None] | None,
) -> bool:
    """Train rung after rung while there is time; True if Ctrl-C came."""
    weights = np.array([r.depth + 1.0 for r in rungs])
    for i, rung in enumerate(rungs):
        share = budget.share([(r.family, r.depth) for r in rungs[i:]])
        if share == 0.0:
            continue
        done, step = weights[:i].sum() / weights.sum(), weights[i] / weights.sum()
        listen = None
        if progress is not None:
            listen = lambda event, rung=rung, done=done, step=step: progress(  # noqa: E731
                {
                    **event,
                    "stage": "train",
                    "family": rung.family,
                    "depth": rung.depth,
                    "seed": event["run"],
                    "fraction": done + step * event["fraction"],
                }
            )
        try:
            train(rung, prepared, settings, time_limit=share, progress=listen)
        except KeyboardInterrupt:
            return True
        steps = sum(row["seconds"] for r in rung.results for row in r.history)
        epochs = sum(len(r.history) for r in rung.results)
        budget.measured(
            rung.family,
            rung.depth,
            compiling=max(r.compile_seconds for r in rung.results),
            measuring=rung.measuring_seconds,
            per_epoch=steps / epochs if epochs else None,
        )
        if progress is not None:
            progress({"stage": "rung", "family": rung.family, "depth": rung.depth, "fraction": done + step,
                      "status": rung.status, "seconds": rung.seconds, "summary": _line(rung, prepared)})  # fmt: skip
        if any(r.status == "interrupted" for r in rung.results):
            return True
    return False


def _line(rung: Rung, prepared: Prepared) -> dict[str, float]:
    candidate = rung.candidate()
    if candidate is None:
        return {}
    means = np.average(candidate.log_likelihoods, axis=1, weights=prepared.parts["validation"].weights)
    mean = float(np.mean(means)) - prepared.log_volume
    return {"validation": mean, "condition_q99": candidate.condition_q99, "round_trip": candidate.round_trip}


def _kept(rungs: list[Rung], choice: Choice, weights: FloatArray | None) -> tuple[int, int] | None:
    """(rung, seed) of the flow to deliver: the chosen one, else the best-conditioned of the as-good ones."""
    if choice.best is None:
        return None
    index = choice.chosen
    if index is None:
        good = [i for i, v in enumerate(choice.verdicts) if v is not None and v.as_good]
        index = min(good, key=lambda i: rungs[i].condition_q99())
    return index, rungs[index].best_seed(weights)


def _test(inner: Flow | Padded, prepared: Prepared) -> tuple[FloatArray, dict[str, Any]]:
    part = prepared.parts["test"]
    scores = log_likelihoods(inner, part.x, part.context) - prepared.log_volume
    w = np.ones(len(scores)) if part.weights is None else part.weights
    mean = float(np.average(scores, weights=w))
    error = float(np.sqrt(np.sum(w**2 * (scores - mean) ** 2)) / np.sum(w))
    return scores, {"log_likelihood": mean, "standard_error": error, "rows": len(scores)}


def _layers(
    rung: Rung,
    index: int,
    prepared: Prepared,
    budget: Budget,
    seed: int,
    interrupted: bool,
    progress: Callable[[dict[str, Any]], None] | None,
) -> tuple[dict[str, Any], bool]:
    """The layer profile of the kept flow for the record, and whether Ctrl-C came, now or before."""
    if interrupted:
        return unmeasured("interrupted"), True
    if progress is not None:
        progress({"stage": "layer profile", "fraction": 1.0})
    flow, figures = rung.results[index].flow, rung.figures[index]
    seconds = allowed_seconds(budget.limit, budget.elapsed())
    try:
        part = prepared.parts["validation"]
        found = layer_record(
            flow, part, figures, seed=seed, seconds=seconds, measuring=rung.measuring_seconds
        )
    except KeyboardInterrupt:
        return unmeasured("interrupted"), True
    return found, False


def _check(
    families: Sequence[str],
    depths: Sequence[int],
    seeds: int,
    seed: int,
    time_limit: float | None,
    dtype: str,
    dequantize: str,
    max_condition: float,
    max_round_trip: float,
) -> None:
    if not families or not depths:
        raise InputError("`families` and `depths` must each name at least one.")
    for family in families:
        check_family(family)
    if any(not isinstance(d, (int, np.integer)) or isinstance(d, bool) or d < 1 for d in depths):
        raise InputError(f"`depths` must be whole numbers of at least 1; got {list(depths)}.")
    if seeds < 1:
        raise InputError(f"`seeds` must be at least 1; got {seeds}.")
    if seed < 0:
        raise InputError(f"`seed` must be at least 0; got {seed}.")
    if time_limit is not None and not 0 < time_limit < np.inf:
        raise InputError(
            f"`time_limit` must be a finite number of seconds above 0, or None; got {time_limit}."
        )
    if dtype not in ("float32", "float64"):
        raise InputError(f'`dtype` must be "float32" or "float64"; got {dtype!r}.')
    if dtype == "float64" and not jax.config.read("jax_enable_x64"):
        raise InputError(
            '`dtype="float64"` needs JAX\'s 64-bit switch: jax.config.update("jax_enable_x64", True).'
        )
    if dequantize not in ("auto", "off"):
        raise InputError(f'`dequantize` must be "auto" or "off"; got {dequantize!r}.')
    if not (max_condition >= 1 and max_round_trip > 0):
        raise InputError("`max_condition` must be at least 1 and `max_round_trip` above 0.")
