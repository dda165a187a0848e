"""(e) The empirical half of the paper's Question 1: LU layers against six couplings of one fixed partition, trained.

Every flow has four affine couplings with nets; widths are chosen so that all have about as many parameters.
"""

import time
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np

from shoal.conditioning import spectrum, summarize
from shoal.training import Settings, fit

from .arms import ARMS, STEPS, linear_condition, make, matched_width, parameters
from .data import AXES, CONSISTENT, DIAMONDS, TABLES, parts
from .summary import median_of, opened, show

SEEDS, WIDTH = (0, 1, 2, 3, 4), 32
SETTINGS: dict[str, dict[str, Any]] = {
    "diamonds": {"batch_size": 256, "max_epochs": 150, "learning_rate": 2e-3, "patience": 30},
    "digits": {"batch_size": 128, "max_epochs": 150, "learning_rate": 1e-3, "patience": 30},
}
POINTS = 400  # test rows at which κ is taken


def run(folder: Path, fresh: bool, quick: bool) -> None:
    """All tables, arms and seeds."""
    tables, seeds = (TABLES[1:], SEEDS[:1]) if quick else (TABLES, SEEDS)
    config = {
        "tables": tables,
        "columns": {"diamonds": list(DIAMONDS), "digits": f"{AXES} principal axes"},
        "diamonds_kept": CONSISTENT,
        "arms": ARMS,
        "couplings": STEPS,
        "width_of_six": WIDTH,
        "seeds": seeds,
        "training": SETTINGS,
        "points": POINTS,
        "dtype": "float32",
    }
    what = (
        "test log-likelihood (nats per row, standardised columns), κ of the whole map on test rows (99 % quantile), the "
        "worst condition number of a linear factor (L, U, or one coupling), seconds; about equal parameters"
    )
    record = opened("e", what, config, folder=folder, fresh=fresh)
    for table in tables:
        train, validation, test = parts(table)
        dim = train.shape[1]
        budget = parameters(make("six", dim, WIDTH, 0))
        for arm in ARMS:
            if all(record.has(table=table, arm=arm, seed=seed) for seed in seeds):
                continue
            width = WIDTH if arm.startswith("six") else matched_width(arm, dim, budget)
            for seed in seeds:
                if record.has(table=table, arm=arm, seed=seed):
                    continue
                started = time.perf_counter()
                flow = make(arm, dim, width, seed)
                untrained = linear_condition(flow)
                settings = Settings(**SETTINGS[table])
                made = fit(flow, train, key=jr.key(100 + seed), validation=validation, settings=settings)
                likelihood = np.asarray(made.flow.log_prob(test), np.float64)
                kappa = summarize(spectrum(made.flow.to_map(), test[:POINTS], dense=True).condition_numbers)
                record.add(
                    {
                        "table": table,
                        "arm": arm,
                        "seed": seed,
                        "width": width,
                        "parameters": parameters(flow),
                        "test_log_likelihood": float(likelihood.mean()),
                        "standard_error": float(likelihood.std(ddof=1) / np.sqrt(len(likelihood))),
                        "validation_log_likelihood": made.best_validation,
                        "status": made.status,
                        "epochs": len(made.history),
                        "best_epoch": made.best_epoch,
                        "rollbacks": len(made.rollbacks),
                        "kappa_median": kappa.median,
                        "kappa_q99": kappa.q99,
                        "linear_condition": linear_condition(made.flow),
                        "linear_condition_before": untrained,
                        "milliseconds_a_step": 1e3
                        * (made.seconds - made.compile_seconds)
                        / max(made.steps, 1),
                        "seconds": time.perf_counter() - started,
                    }
                )
                row = record.rows[-1]
                print(
                    f"e: {table} {arm} {seed}: {row['test_log_likelihood']:.3f}, {row['seconds']:.1f} s",
                    flush=True,
                )
    fields = (
        "parameters",
        "test_log_likelihood",
        "kappa_median",
        "kappa_q99",
        "linear_condition",
        "milliseconds_a_step",
    )
    summary: list[dict[str, Any]] = [
        {"table": table, "arm": arm, "width": median_of(record.rows, "width", table=table, arm=arm)}
        | {f: median_of(record.rows, f, table=table, arm=arm) for f in fields}
        | {"range": _range(record.rows, table, arm)}
        for table in tables
        for arm in ARMS
    ]
    record.save(summary=summary)
    lines = [
        [row["table"], row["arm"], *(f"{row[f]:.5g}" for f in fields), _text(row["range"])] for row in summary
    ]
    show("(e) trained flows, median of seeds", ["table", "between couplings", *fields, "range"], lines)


def _range(rows: list[dict[str, Any]], table: str, arm: str) -> list[float]:
    found = [row["test_log_likelihood"] for row in rows if row["table"] == table and row["arm"] == arm]
    return [min(found), max(found)]


def _text(pair: list[float]) -> str:
    return f"{pair[0]:.3f} ... {pair[1]:.3f}"
